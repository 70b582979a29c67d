#include "pressure.h"

#include "bits.h"
#include "check.h"
#include "counters.h"
#include "os.h"
#include "telling.h"
#include "thread.h"

#include <errno.h>
#include <string.h>

enum {
    LOOK_MS = 1000,
    NEAR_TENTHS = 9, /* of the limit are used: it is near */
    GROUP_BYTES = 512,
    PATH_BYTES = 768,
    SUBSCRIBERS = 16,
    AGAIN_MS = 10000,  /* those that were told hear of it again, as long as it is so */
    STAT_BYTES = 4096, /* memory.stat of version 2 is about 1,500 bytes */
};

/* So far below its level somebody who was told may be told anew at once. */
#define BELOW 0.05

bool pressure_is_waiting;

/* counters_lock; fn NULL: a free place. */
static struct subscriber {
    void (*fn)(double pressure, void *arg);
    void *arg;
    double level;
    bool is_high;
    bool is_waiting;
    uint32_t told_ms;
} subscribers[SUBSCRIBERS];

/* counters_lock */
static struct {
    bool is_started;
    bool is_first; /* version 1 of control groups */
    bool has_looked;
    uint32_t looked_ms;
    char folder[PATH_BYTES]; /* of the lowest group with a limit; "": none */
    uint64_t as_bytes;       /* RLIMIT_AS; 0: none */
    uint64_t data_bytes;     /* RLIMIT_DATA */
    uint64_t machine_bytes;  /* its memory, where there is no limit */
    uint64_t group_limit;    /* of the last look; 0: none */
    uint64_t group_used;
    uint64_t resident;
    uint64_t addresses; /* mapped, touched or not: what RLIMIT_AS counts */
    uint64_t spans;     /* used_bytes of the last look */
    bool wants_stalls;
    char stalls[PATH_BYTES]; /* the file that tells them; "": not looked for yet */
    double stall;            /* of the last look; NAN: not known */
    const char *groups;
    const char *mount;
} state;

/* ---- files ---- */

static uint64_t number_at(const char *text)
{
    uint64_t value = 0;

    while (*text >= '0' && *text <= '9') {
        value = value * 10 + (uint64_t)(*text++ - '0');
    }
    return value;
}

/* 0: it says "max", or there is none. */
static uint64_t read_number(const char *folder, const char *name)
{
    char path[PATH_BYTES + 64];
    char text[32];
    uint64_t value;

    check_format(path, sizeof(path), "%s/%s", folder, name);
    value = os_read_file(path, text, sizeof(text)) > 0 ? number_at(text) : 0;
    return value < (uint64_t)1 << 60 ? value : 0; /* version 1 says "none" so */
}

static uint64_t limit_in(const char *folder, bool is_first)
{
    uint64_t most =
        read_number(folder, is_first ? "memory.limit_in_bytes" : "memory.max");
    uint64_t high = is_first ? 0 : read_number(folder, "memory.high");

    return high != 0 && (most == 0 || high < most) ? high : most;
}

/* File pages that the kernel drops when it needs memory. */
static uint64_t read_droppable(const char *folder, bool is_first)
{
    const char *word = is_first ? "\ntotal_inactive_file " : "\ninactive_file ";
    char path[PATH_BYTES + 64];
    char text[STAT_BYTES];
    const char *at;

    check_format(path, sizeof(path), "%s/%s", folder, "memory.stat");
    if (os_read_file(path, text, sizeof(text)) <= 0) {
        return 0;
    }
    at = strstr(text, word);
    return at != NULL ? number_at(at + strlen(word)) : 0;
}

static void read_own(void)
{
    char text[128];
    const char *at;

    state.addresses = state.resident = 0;
    if (os_read_file("/proc/self/statm", text, sizeof(text)) <= 0) {
        return;
    }
    at = strchr(text, ' ');
    state.addresses = number_at(text) * os_page_bytes();
    state.resident = at != NULL ? number_at(at + 1) * os_page_bytes() : 0;
}

/* ---- which limits there are ---- */

/* The group on the line with this controller, cut off there. */
static bool find_group(char *groups, const char *controller, char **ret)
{
    char *at = strstr(groups, controller);
    char *end;

    if (at == NULL) {
        return false;
    }
    *ret = at + strlen(controller) - 1; /* it ends with the group's first slash */
    end = strchr(*ret, '\n');
    if (end != NULL) {
        *end = '\0';
    }
    return strlen(*ret) < GROUP_BYTES;
}

/* Of the group and those above it, the one with the least limit. */
static void choose_group(
    const char *groups_path, const char *mount, const char *controller, bool is_first)
{
    char groups[1024];
    char folder[PATH_BYTES];
    uint64_t least = 0;
    char *group;
    char *end;

    if (os_read_file(groups_path, groups, sizeof(groups)) <= 0
        || !find_group(groups, controller, &group)) {
        return;
    }
    end = group + strlen(group);
    do {
        uint64_t limit;

        *end = '\0';
        check_format(
            folder, sizeof(folder), "%s%s%s", mount, is_first ? "/memory" : "", group);
        limit = limit_in(folder, is_first);
        if (limit != 0 && (least == 0 || limit < least)) {
            least = limit;
            memcpy(state.folder, folder, sizeof(folder));
            state.is_first = is_first;
        }
        end = strrchr(group, '/');
    } while (end != NULL);
}

static bool has_own_limit(void)
{
    return state.as_bytes != 0 || state.data_bytes != 0;
}

void pressure_start_locked(const char *groups, const char *mount)
{
    memset(&state, 0, sizeof(state));
    state.is_started = true;
    state.stall = __builtin_nan("");
    state.groups = groups;
    state.mount = mount;
    state.as_bytes = os_limit_as();
    state.data_bytes = os_limit_data();
    choose_group(groups, mount, "0::/", false);
    if (state.folder[0] == '\0') {
        choose_group(groups, mount, ":memory:/", true);
    }
    if (state.folder[0] == '\0' && !has_own_limit()) {
        state.machine_bytes = os_physical_bytes();
    }
}

/* ---- stalls ---- */

/* Of "avg10=12.34", a share; NAN: it is not there. */
static double average_at(const char *line, const char *name)
{
    const char *at = line != NULL ? strstr(line, name) : NULL;
    uint64_t whole;
    double part = 0;
    double unit = 0.1;

    if (at == NULL) {
        return __builtin_nan("");
    }
    at += strlen(name);
    whole = number_at(at);
    while (*at >= '0' && *at <= '9') {
        at++;
    }
    if (*at == '.') {
        for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10) {
            part += unit * (*at - '0');
        }
    }
    return ((double)whole + part) / 100;
}

/* max(some avg10, some avg60) + full avg10, as mpstats/pressure.h has it. */
static double stall_of(const char *text)
{
    const char *full = strstr(text, "full ");
    double some = average_at(text, "avg10=");
    double some_60 = average_at(text, "avg60=");
    double all = average_at(full, "avg10=");

    some = some_60 > some ? some_60 : some;
    return some + (all > 0 ? all : 0);
}

static double read_stall(void)
{
    char text[256];

    if (state.stalls[0] == '\0') {
        char groups[1024];
        char *group;

        check_format(state.stalls, sizeof(state.stalls), "%s", "/proc/pressure/memory");
        if (os_read_file(state.groups, groups, sizeof(groups)) > 0
            && find_group(groups, "0::/", &group)) {
            char path[PATH_BYTES];

            check_format(
                path, sizeof(path), "%s%s/%s", state.mount, group, "memory.pressure");
            if (os_read_file(path, text, sizeof(text)) > 0) {
                memcpy(state.stalls, path, sizeof(path));
            }
        }
    }
    return os_read_file(state.stalls, text, sizeof(text)) > 0 ? stall_of(text)
                                                              : __builtin_nan("");
}

void pressure_want_stalls_locked(void)
{
    if (!state.wants_stalls) {
        state.wants_stalls = true;
        state.has_looked = false;
    }
}

/* ---- looks ---- */

static void find_high(uint32_t now_ms)
{
    double value = pressure_value_locked();

    for (size_t i = 0; i < SUBSCRIBERS; i++) {
        struct subscriber *s = &subscribers[i];

        if (s->fn == NULL) {
            continue;
        }
        if (!(value >= s->level - BELOW)) {
            s->is_high = false;
        } else if (value >= s->level
                   && (!s->is_high || now_ms - s->told_ms >= AGAIN_MS)) {
            s->is_high = true;
            s->told_ms = now_ms;
            s->is_waiting = true;
            store_relaxed(&pressure_is_waiting, true);
        }
    }
}

void pressure_look_locked(uint32_t now_ms, uint64_t used_bytes)
{
    int cancel;

    if (!state.is_started
        || (state.folder[0] == '\0' && !has_own_limit() && !state.wants_stalls)
        || (state.has_looked && now_ms - state.looked_ms < LOOK_MS)
        || os_is_sandboxed()) {
        return;
    }
    state.has_looked = true;
    state.looked_ms = now_ms;
    state.spans = used_bytes;
    cancel = os_cancel_disable(); /* opening and reading are cancellation points */
    if (state.folder[0] != '\0') {
        state.group_limit = limit_in(state.folder, state.is_first);
        state.group_used = read_number(
            state.folder, state.is_first ? "memory.usage_in_bytes" : "memory.current");
        if (state.group_used > state.group_limit / 2) {
            uint64_t droppable = read_droppable(state.folder, state.is_first);

            state.group_used -= bits_min(droppable, state.group_used);
        }
    }
    if (has_own_limit() || state.machine_bytes != 0) {
        read_own();
    }
    if (state.wants_stalls) {
        state.stall = read_stall();
    }
    os_cancel_restore(cancel);
    find_high(now_ms);
}

static bool is_near(uint64_t used, uint64_t limit)
{
    return limit != 0 && used >= limit / 10 * NEAR_TENTHS;
}

bool pressure_is_near_locked(uint64_t used_bytes)
{
    uint64_t grew = used_bytes > state.spans ? used_bytes - state.spans : 0;

    return state.has_looked
           && (is_near(state.group_used + grew, state.group_limit)
               || is_near(state.resident + grew, state.data_bytes)
               || is_near(state.addresses + grew, state.as_bytes));
}

/* The higher one; what is not known, NAN, is passed over. */
static double higher(double a, double b)
{
    return a >= b || b != b ? a : b;
}

static double share(uint64_t used, uint64_t limit)
{
    return limit != 0 ? (double)used / (double)limit : __builtin_nan("");
}

double pressure_value_locked(void)
{
    double value = __builtin_nan("");

    if (state.has_looked) {
        value = higher(share(state.group_used, state.group_limit),
            share(state.addresses, state.as_bytes));
        value = higher(value, share(state.resident, state.data_bytes));
        value = higher(value, share(state.resident, state.machine_bytes));
        value = higher(value, state.stall);
    }
    return value > 1 ? 1 : value;
}

/* ---- telling ---- */

int pressure_subscribe(void (*fn)(double pressure, void *arg), void *arg, double level)
{
    int code = -ENOSPC;

    if (fn == NULL || !(level > 0 && level <= 1)) {
        return -EINVAL;
    }
    lock_lock(&counters_lock);
    for (size_t i = 0; i < SUBSCRIBERS && code != 0; i++) {
        if (subscribers[i].fn == NULL) {
            subscribers[i] = (struct subscriber){.fn = fn, .arg = arg, .level = level};
            pressure_want_stalls_locked();
            code = 0;
        }
    }
    lock_unlock(&counters_lock);
    return code;
}

int pressure_unsubscribe(void (*fn)(double pressure, void *arg), void *arg)
{
    int code = -ENOENT;

    lock_lock(&counters_lock);
    for (size_t i = 0; i < SUBSCRIBERS && code != 0; i++) {
        if (subscribers[i].fn == fn && fn != NULL && subscribers[i].arg == arg) {
            subscribers[i] = (struct subscriber){.fn = NULL};
            code = 0;
        }
    }
    lock_unlock(&counters_lock);
    return code;
}

static bool take_waiting(struct subscriber *ret, double *ret_value)
{
    bool is_found = false;

    lock_lock(&counters_lock);
    store_relaxed(&pressure_is_waiting, false);
    *ret_value = pressure_value_locked();
    for (size_t i = 0; i < SUBSCRIBERS; i++) {
        struct subscriber *s = &subscribers[i];

        if (s->fn == NULL || !s->is_waiting) {
            continue;
        }
        if (is_found) {
            store_relaxed(&pressure_is_waiting, true);
            break;
        }
        s->is_waiting = false;
        *ret = *s;
        is_found = true;
    }
    lock_unlock(&counters_lock);
    return is_found;
}

COLD NOINLINE void pressure_tell_slow(void)
{
    struct telling t;
    struct subscriber found;
    double value;

    if (!telling_begin(&t)) {
        return;
    }
    while (load_relaxed(&pressure_is_waiting) && take_waiting(&found, &value)) {
        found.fn(value, found.arg);
    }
    telling_end(&t);
}
