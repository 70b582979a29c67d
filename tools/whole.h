/*
 * whole - the command with all its verbs, for those that want many libraries
 *
 * Owns: where the module is, and how it is entered. To load libcurl, libmicrohttpd and the forty
 * libraries behind them takes 5 ms, more than most verbs take to run. So bin/mpalloc is linked
 * without them, and the same command is there once more as a module, mpalloc-whole.so, with the
 * verbs that talk over the network (main.c). It is loaded, not executed: the process remains
 * bin/mpalloc, with its name, its capabilities and its /proc/PID/exe.
 */
#ifndef WHOLE_H
#define WHOLE_H

/*
 * Runs a verb by the module: argv[0] is its name. Returns its exit code, or EXIT_FAILED after a
 * line. What was parsed of argv before is parsed again.
 */
int whole_run(int argc, char **argv);

#endif
