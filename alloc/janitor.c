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
    bool is_minor; /* ended by itself, or was a forked child */
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

/* Whether nobody will miss it much. What was killed is what people come for. */
static bool is_minor(int directory, const char *name)
{
    uint64_t state = 0;
    uint64_t forked = 0;

    os_read_at(directory, name, &state, sizeof(state),
        PROCESS_OFFSET + offsetof(struct mp_region_process, state));
    os_read_at(directory, name, &forked, sizeof(forked),
        PROCESS_OFFSET + offsetof(struct mp_region_process, forked));
    return state != MP_STATE_RUNNING || forked != 0;
}

static bool look(const char *name, void *arg)
{
    struct search *s = arg;
    struct dead d;

    if (!parse_name(name, &d) || os_process_exists(d.pid)) {
        return true;
    }
    d.age_s = os_file_age_s(s->directory, name);
    d.is_minor = is_minor(s->directory, name);
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

/* Who goes first: minor ones before others, then the older. */
static bool goes_before(const struct dead *a, const struct dead *b)
{
    return a->is_minor != b->is_minor ? a->is_minor : a->age_s > b->age_s;
}

void janitor_clean(int directory)
{
    struct search s = {.directory = directory};

    os_list_directory(directory, LOOK_AT, look, &s);
    for (unsigned i = s.count; i-- > 0;) {
        if (s.found[i].age_s >= DAY_S) {
            remove_file(directory, &s.found[i]);
            s.found[i] = s.found[--s.count];
        }
    }
    while (s.count > 0) {
        struct dead *first = s.found;

        for (unsigned i = 1; i < s.count; i++) {
            if (goes_before(&s.found[i], first)) {
                first = &s.found[i];
            }
        }
        if (s.count <= (first->is_minor ? JANITOR_KEEP : 2u * JANITOR_KEEP)) {
            break;
        }
        remove_file(directory, first);
        *first = s.found[--s.count];
    }
}
