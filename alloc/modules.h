/*
 * modules - which files the program's code came from, by build id
 *
 * Owns: the list of modules that were ever seen, and its copy in the region. A module that
 * was closed stays listed, for stacks speak of it by its number; one that comes back, from
 * the same file to the same place, has the same number.
 */
#ifndef MODULES_H
#define MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODULES_NONE UINT32_MAX

/*
 * See all modules that are loaded now. Walks the loader's list, which takes the loader's
 * lock: call from the constructor, at exit and from mp_dump, never from the paths of malloc,
 * and with no lock held.
 */
void modules_see(void);

/*
 * The number of the module that code lies in, and how far from the module's lowest address.
 * MODULES_NONE and 0: in none, or there are too many. profile_lock held; takes no lock of the
 * loader.
 */
uint32_t modules_find_locked(uintptr_t address, uint64_t *ret_offset);

/* The path of a module, "" for none; true: it is the program itself. profile_lock held. */
bool modules_path_locked(uint32_t number, char *ret, size_t size);

/* Any thread. */
size_t modules_count(void);
uint64_t modules_missing(void);

/* To a region that is new. */
void modules_write_all_locked(void);

#endif
