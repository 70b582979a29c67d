#include "trace.h"

#include "check.h"
#include "os.h"
#include "unwind_table.h"

#include <string.h>

enum { PATH_MAX_SHOWN = 256, LINE_MAX_BYTES = PATH_MAX_SHOWN + 64 };

/* A module has no name of its own when it is the program. */
static const char *path_of(const struct unwind_module *m, char *room, size_t bytes)
{
    size_t n;

    if (m->path[0] == '\0') {
        return os_read_link("/proc/self/exe", room, bytes) > 0 ? room : os_called();
    }
    n = strnlen(m->path, bytes - 1);
    memcpy(room, m->path, n);
    room[n] = '\0';
    return room;
}

static void print_frame(size_t number, uintptr_t pc, bool is_exact)
{
    char path[PATH_MAX_SHOWN];
    char line[LINE_MAX_BYTES];
    struct unwind_module m;
    uintptr_t at = pc - !is_exact;
    size_t n;

    if (unwind_find_module(at, &m)) {
        n = check_format(line, sizeof(line), "    #%zu %s+0x%lx\n", number,
            path_of(&m, path, sizeof(path)), (unsigned long)(at - m.bias));
    } else {
        n = check_format(
            line, sizeof(line), "    #%zu 0x%lx\n", number, (unsigned long)at);
    }
    check_write(line, n);
}

void trace_print(const uintptr_t *pcs, size_t count, const struct unwind_info *info)
{
    for (size_t i = 0; i < count; i++) {
        print_frame(i, pcs[i], unwind_is_exact(info, i));
    }
    if (info->end == UNWIND_TRUNCATED) {
        static const char more[] = "    and more\n";

        check_write(more, sizeof(more) - 1);
    }
}

NOINLINE void trace_print_here(void)
{
    uintptr_t pcs[TRACE_MOST];
    struct unwind_info info;
    size_t count = unwind_here(pcs, TRACE_MOST, &info);

    trace_print(pcs, count, &info);
}

/* check.h: below a fatal message. */
void check_explain(void)
{
    trace_print_here();
}
