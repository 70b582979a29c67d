/*
 * guest - whether the work of this thread is done for a program of others, and how it behaves then
 *
 * The command owns its process: it may end it without memory, set variables of the environment,
 * raise limits, and write to standard error. In libmpexport none of that is ours. Its entries
 * (export_library.c) make the thread a guest; what would do one of these things asks here first.
 */
#ifndef GUEST_H
#define GUEST_H

#include <setjmp.h>
#include <stdbool.h>

struct guest {
    jmp_buf no_memory;                         /* where must() goes */
    void (*note)(const char *line, void *arg); /* NULL: nobody listens */
    void *arg;
    bool is_nameless; /* no file of a module is looked into */
    bool is_uncached; /* names are neither kept on disk nor read from there */
};

/* Of this thread; NULL: it works for the command. Returns who it was before. */
struct guest *guest_set(struct guest *guest);
struct guest *guest_get(void);

#endif
