#include "whole.h"

#include "cli.h"
#include "must.h"
#include "preload.h"

#include <dlfcn.h>
#include <string.h>

int whole_run(int argc, char **argv)
{
    /* As it was installed, then as a build folder has it. */
    static const char *const places[] = {MPALLOC_WHOLE_FROM_BIN, "mpalloc-whole.so"};
    char path[PATH_MAX];
    int (*run)(int argc, char **argv) = NULL;
    void *module = NULL;
    char **words;
    int code;

    if (preload_find_beside(
            places, sizeof(places) / sizeof(places[0]), path, sizeof(path))
        != 0) {
        return cli_fail(argv[0], EXIT_FAILED,
            "%s: no such file; install all of mpalloc, not only its command", path);
    }
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module != NULL) {
        *(void **)&run = dlsym(module, "main");
    }
    if (run == NULL) {
        return cli_fail(argv[0], EXIT_FAILED,
            "%s; install what it needs (tools/packages.txt)", dlerror());
    }
    words = must(calloc((size_t)argc + 2, sizeof(*words)));
    words[0] = (char[]){"mpalloc"};
    memcpy(words + 1, argv, (size_t)argc * sizeof(*words));
    optind = 0; /* getopt begins anew */
    code = run(argc + 1, words);
    free(words);
    return code;
}
