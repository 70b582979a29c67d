/*
 * janitor - regions of dead processes do not pile up
 *
 * Knows the names of region files and which of them may go: those of dead processes of
 * this pid namespace, when they are older than a day or more than JANITOR_KEEP are left.
 * Runs when a process makes its own region. Does nothing else.
 */
#ifndef JANITOR_H
#define JANITOR_H

enum { JANITOR_KEEP = 32 };

void janitor_clean(int directory);

#endif
