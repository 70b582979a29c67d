/*
 * preload - where libmpalloc.so is, what else is beside the command, and whether a program can be run on it
 */
#ifndef PRELOAD_H
#define PRELOAD_H

#include <limits.h>
#include <stddef.h>

/*
 * The first that is there of `count` files, by their places seen from the folder of this command.
 * 0, or -ENOENT with the place that was looked at last in ret_path.
 */
int preload_find_beside(
    const char *const *places, size_t count, char *ret_path, size_t size);

/*
 * The library to preload: $MPALLOC_LIBRARY, else beside this command (installed, or in a
 * build folder). 0, or -ENOENT with the place that was looked at last in ret_path.
 */
int preload_find_library(char *ret_path, size_t size);

/* The file that execvp would run. 0, -ENOENT or -EACCES. */
int preload_find_program(const char *name, char *ret_path, size_t size);

enum preload_obstacle {
    PRELOAD_FINE,
    PRELOAD_STATIC,     /* no interpreter: nothing can be preloaded */
    PRELOAD_SETUID,     /* the loader ignores LD_PRELOAD with a slash in it */
    PRELOAD_FOREIGN,    /* for another machine or word size */
    PRELOAD_SCRIPT,     /* runs an interpreter, which gets the library */
    PRELOAD_OWN_MALLOC, /* exports a malloc of its own, which everybody finds first */
    PRELOAD_SANITIZER,  /* the same, of ASan or kin */
    PRELOAD_VALGRIND,   /* will replace malloc */
    PRELOAD_UNKNOWN,    /* cannot be read */
};

enum preload_obstacle preload_check(const char *path);

/* One line that says what is the matter and what to do; "" for PRELOAD_FINE. */
const char *preload_advice(enum preload_obstacle obstacle);

#endif
