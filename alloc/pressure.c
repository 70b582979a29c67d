#include "pressure.h"

#include "bits.h"
#include "check.h"
#include "os.h"

#include <string.h>

enum {
    LOOK_MS = 1000,
    NEAR_TENTHS = 9, /* of the limit are used: it is near */
    GROUP_BYTES = 512,
    PATH_BYTES = 768,
    STAT_BYTES = 4096, /* memory.stat of version 2 is about 1,500 bytes */
};

/* counters_lock */
static struct {
    bool is_started;
    bool is_first; /* version 1 of control groups */
    bool has_looked;
    uint32_t looked_ms;
    char folder[PATH_BYTES]; /* of the lowest group with a limit; "": none */
    uint64_t rlimit_bytes;   /* RLIMIT_AS or RLIMIT_DATA, the lower one; 0: none */
    uint64_t group_limit;    /* of the last look; 0: none */
    uint64_t group_used;
    uint64_t resident;
    uint64_t spans; /* used_bytes of the last look */
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

static uint64_t read_resident(void)
{
    char text[128];
    const char *at;

    if (os_read_file("/proc/self/statm", text, sizeof(text)) <= 0) {
        return 0;
    }
    at = strchr(text, ' ');
    return at != NULL ? number_at(at + 1) * os_page_bytes() : 0;
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

void pressure_start_locked(const char *groups, const char *mount)
{
    uint64_t as = os_limit_as();
    uint64_t data = os_limit_data();

    memset(&state, 0, sizeof(state));
    state.is_started = true;
    state.rlimit_bytes = as == 0 || (data != 0 && data < as) ? data : as;
    choose_group(groups, mount, "0::/", false);
    if (state.folder[0] == '\0') {
        choose_group(groups, mount, ":memory:/", true);
    }
}

/* ---- looks ---- */

void pressure_look_locked(uint32_t now_ms, uint64_t used_bytes)
{
    if (!state.is_started || (state.folder[0] == '\0' && state.rlimit_bytes == 0)
        || (state.has_looked && now_ms - state.looked_ms < LOOK_MS)
        || os_is_sandboxed()) {
        return;
    }
    state.has_looked = true;
    state.looked_ms = now_ms;
    state.spans = used_bytes;
    if (state.folder[0] != '\0') {
        state.group_limit = limit_in(state.folder, state.is_first);
        state.group_used = read_number(
            state.folder, state.is_first ? "memory.usage_in_bytes" : "memory.current");
        if (state.group_used > state.group_limit / 2) {
            uint64_t droppable = read_droppable(state.folder, state.is_first);

            state.group_used -= bits_min(droppable, state.group_used);
        }
    }
    if (state.rlimit_bytes != 0) {
        state.resident = read_resident();
    }
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
               || is_near(state.resident + grew, state.rlimit_bytes));
}

double pressure_value_locked(void)
{
    double value = __builtin_nan("");

    if (state.has_looked && state.group_limit != 0) {
        value = (double)state.group_used / (double)state.group_limit;
    }
    if (state.has_looked && state.rlimit_bytes != 0) {
        double own = (double)state.resident / (double)state.rlimit_bytes;

        value = !(value >= own) ? own : value;
    }
    return value > 1 ? 1 : value;
}
