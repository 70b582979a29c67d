/*
 * exit - _exit and _Exit, so that a process that ends by them is known to have ended
 *
 * Shells, forked workers and daemons end like this. Without it their regions would stay
 * behind and say "died".
 */
#include "exit.h"

#include "os.h"
#include "publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

EXPORT NORETURN void _exit(int code)
{
    publish_exit();
    os_exit(code);
}

EXPORT NORETURN void _Exit(int code)
{
    _exit(code);
}

/* The one use of stdio in the library: at the end, and without a wait for its lock. */
void exit_flush(void)
{
    if (ftrylockfile(stdout) == 0) {
        fflush_unlocked(stdout);
        funlockfile(stdout);
    }
}
