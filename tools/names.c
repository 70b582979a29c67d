#include "names.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <string.h>

enum { MANGLED_BYTES_MAX = 16 * 1024 };

struct output {
    char *to;
    size_t size;
    size_t at;
    jmp_buf full;
};

static void put(const char *text, size_t bytes, void *data)
{
    struct output *out = data;
    size_t room = out->size - 1 - out->at;
    size_t n = bytes < room ? bytes : room;

    memcpy(out->to + out->at, text, n);
    out->at += n;
    if (n < bytes) {
        longjmp(out->full, 1); /* the library keeps its state on the stack */
    }
}

/* Whether it is mangled. */
static bool write_name(const char *name, struct output *out)
{
    if (setjmp(out->full) != 0) {
        return true;
    }
    if (rust_demangle_callback(name, DMGL_NO_OPTS, put, out) != 0) {
        return true;
    }
    out->at = 0;
    return cplus_demangle_v3_callback(name, DMGL_ANSI, put, out) != 0;
}

bool names_demangle(const char *name, char *ret, size_t size)
{
    struct output out = {.to = ret, .size = size};
    bool is_mangled = (name[0] == '_' && (name[1] == 'Z' || name[1] == 'R'))
                      && strnlen(name, MANGLED_BYTES_MAX) < MANGLED_BYTES_MAX
                      && write_name(name, &out) && out.at > 0;

    if (!is_mangled) {
        out.at = strnlen(name, size - 1);
        memcpy(ret, name, out.at);
    }
    ret[out.at] = '\0';
    return is_mangled;
}
