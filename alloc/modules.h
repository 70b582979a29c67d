/*
 * modules - which files the program's code came from, by build id
 *
 * Walks the loader's list, which takes the loader's lock: call from the constructor, at
 * exit and from mp_dump, never from the paths of malloc, and with no lock held.
 */
#ifndef MODULES_H
#define MODULES_H

/* Write all modules that are loaded now to the region. */
void modules_write(void);

#endif
