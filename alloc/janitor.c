#include "janitor.h"

#include "check.h"
#include "os.h"

#include <mpalloc/region.h>

#include <stddef.h>

enum {
    LOOK_AT = 512,
    REMEMBER = 128,
    DAY_S = 24 * 3600,
    PROCESS_OFFSET = 4096, /* of struct mp_region_process, as region.c lays it out */
};

struct dead {
    uint64_t pid;
    uint64_t ticks;
    uint64_t age_s;
};

struct search {
    int directory;
    unsigned count;
    struct dead found[REMEMBER];
};

static bool parse_number(const char **at, char end, uint64_t *ret)
{
    uint64_t value = 0;

    if (**at < '0' || **at > '9') {
        return false;
    }
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        value = value * 10 + (uint64_t)(**at - '0');
    }
    *ret = value;
    return *(*at)++ == end;
}

/* "PID-TICKS.mp" */
static bool parse_name(const char *name, struct dead *ret)
{
    return parse_number(&name, '-', &ret->pid) && parse_number(&name, '.', &ret->ticks)
           && name[0] == 'm' && name[1] == 'p' && name[2] == '\0';
}

static void format_name(char *name, size_t size, const struct dead *d)
{
    check_format(name, size, "%lu-%lu.mp", d->pid, d->ticks);
}

static bool look(const char *name, void *arg)
{
    struct search *s = arg;
    struct dead d;

    if (!parse_name(name, &d) || os_process_exists(d.pid)) {
        return true;
    }
    d.age_s = os_file_age_s(s->directory, name);
    s->found[s->count++] = d;
    return s->count < REMEMBER;
}

static bool is_of_our_namespace(int directory, const char *name)
{
    uint64_t ours = os_pid_namespace();
    uint64_t its = 0;

    return os_read_at(directory, name, &its, sizeof(its),
               PROCESS_OFFSET + offsetof(struct mp_region_process, pid_namespace))
           && its == ours;
}

static void remove_file(int directory, const struct dead *d)
{
    char name[64];

    format_name(name, sizeof(name), d);
    if (is_of_our_namespace(directory, name)) {
        os_unlink_at(directory, name);
    }
}

void janitor_clean(int directory)
{
    struct search s = {.directory = directory};

    os_list_directory(directory, LOOK_AT, look, &s);
    while (s.count > 0) {
        struct dead *oldest = s.found;

        for (unsigned i = 1; i < s.count; i++) {
            if (s.found[i].age_s > oldest->age_s) {
                oldest = &s.found[i];
            }
        }
        if (s.count <= JANITOR_KEEP && oldest->age_s < DAY_S) {
            break;
        }
        remove_file(directory, oldest);
        *oldest = s.found[--s.count];
    }
}
