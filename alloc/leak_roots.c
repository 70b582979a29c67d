#include "leak_roots.h"

#include "arena.h"
#include "counters.h"
#include "guard.h"
#include "huge.h"
#include "leak_mark.h"
#include "leak_own.h"
#include "leak_park.h"
#include "leak_present.h"
#include "os.h"
#include "pagemap.h"
#include "region.h"

#include <errno.h>
#include <string.h>

enum {
    REGIONS = 1024,
    LINE = 4352,    /* of /proc/self/maps: a path may have 4 KiB */
    RED_ZONE = 128, /* below its stack pointer a function may use so much */
    CONTROL_WORDS =
        2, /* of a thread's control block: one points into its table of modules */
    SIGNAL_FRAME_MOST = 64 * 1024,
};

/* ---- what the program adds ---- */

/* counters_lock. Inverted, as they may be addresses of blocks, which that would reach. */
static struct {
    uintptr_t start;
    size_t bytes;
} regions[REGIONS];
static size_t region_count;

int leak_roots_add(const void *start, size_t bytes)
{
    int code = -ENOSPC;

    if (start == NULL || bytes == 0 || (uintptr_t)start + bytes < bytes) {
        return -EINVAL;
    }
    lock_lock(&counters_lock);
    if (region_count < REGIONS) {
        regions[region_count].start = ~(uintptr_t)start;
        regions[region_count++].bytes = bytes;
        code = 0;
    }
    lock_unlock(&counters_lock);
    return code;
}

int leak_roots_remove(const void *start)
{
    int code = -ENOENT;

    lock_lock(&counters_lock);
    for (size_t i = region_count; code != 0 && i-- > 0;) {
        if (regions[i].start == ~(uintptr_t)start) {
            regions[i] = regions[--region_count];
            code = 0;
        }
    }
    lock_unlock(&counters_lock);
    return code;
}

/* ---- what is ours, and what is below stack pointers ---- */

struct hidden {
    uintptr_t start;
    uintptr_t end;
};

static struct {
    struct hidden *list; /* by address, once sorted */
    size_t count;
    size_t room;
} hidden;

static void count_map(const void *start, size_t bytes, void *arg)
{
    (void)start;
    (void)bytes;
    ++*(size_t *)arg;
}

static void count_huge(const struct huge_view *h, void *arg)
{
    (void)h;
    ++*(size_t *)arg;
}

static void hide(const void *start, size_t bytes, void *arg)
{
    (void)arg;
    if (start != NULL && bytes != 0 && hidden.count < hidden.room) {
        hidden.list[hidden.count++] =
            (struct hidden){(uintptr_t)start, (uintptr_t)start + bytes};
    }
}

static void hide_huge(const struct huge_view *h, void *arg)
{
    hide(h->map, h->map_bytes, arg);
}

/* Shell's way: there is no other without memory or recursion that is as short. */
static void sort_hidden(void)
{
    struct hidden *list = hidden.list;

    for (size_t gap = hidden.count / 2; gap > 0; gap /= 2) {
        for (size_t i = gap; i < hidden.count; i++) {
            struct hidden moved = list[i];
            size_t at = i;

            for (; at >= gap && list[at - gap].start > moved.start; at -= gap) {
                list[at] = list[at - gap];
            }
            list[at] = moved;
        }
    }
}

static void hide_range(const struct range *r)
{
    hide((const void *)r->origin, r->mapped << SPAN_SHIFT, NULL);
    hide(r->table, r->table_mapped, NULL);
}

static bool hide_ours(const struct leak_own *own, size_t count)
{
    size_t room = 2 * pagemap_range_count() + leak_park_count() + count + 64;
    const void *memory;
    size_t bytes;

    arena_each_chunk(count_map, &room);
    huge_each_locked(count_huge, &room);
    hidden.list = leak_own_map(room * sizeof(*hidden.list));
    hidden.room = room;
    hidden.count = 0;
    if (hidden.list == NULL) {
        return false;
    }
    arena_each_chunk(hide, NULL);
    huge_each_locked(hide_huge, NULL);
    leak_own_each(hide, NULL);
    for (size_t i = 0; i < pagemap_range_count(); i++) {
        hide_range(&pagemap_ranges[i]);
    }
    /* Variables that hold the address of a first block. */
    hide(&pagemap_origin, sizeof(pagemap_origin), NULL);
    hide(pagemap_ranges, sizeof(pagemap_ranges), NULL);
    hide(&leak_window, sizeof(leak_window), NULL);
    hide((const void *)guard_pool.start, guard_pool.bytes, NULL);
    if (guard_pool.bytes != 0) {
        memory = guard_memory(&bytes);
        hide(memory, bytes, NULL);
    }
    memory = region_memory(&bytes);
    hide(memory, bytes, NULL);
    memory = leak_park_memory(&bytes);
    hide(memory, bytes, NULL);
    for (size_t i = 0; i < count; i++) {
        hide(own[i].start, own[i].bytes, NULL);
    }
    sort_hidden();
    return true;
}

/* ---- mappings ---- */

struct mapping {
    uintptr_t start;
    uintptr_t end;
    char access[4]; /* "rw-p" */
    bool has_file;
    const char *name;
};

static const char *parse_hexadecimal(const char *at, uintptr_t *ret)
{
    *ret = 0;
    for (;; at++) {
        if (*at >= '0' && *at <= '9') {
            *ret = *ret << 4 | (uintptr_t)(*at - '0');
        } else if (*at >= 'a' && *at <= 'f') {
            *ret = *ret << 4 | (uintptr_t)(*at - 'a' + 10);
        } else {
            return at;
        }
    }
}

static const char *skip_field(const char *at)
{
    while (*at != ' ' && *at != '\0') {
        at++;
    }
    while (*at == ' ') {
        at++;
    }
    return at;
}

/* "start-end rw-p offset device inode   name" */
static bool parse_line(const char *line, struct mapping *ret)
{
    const char *at = parse_hexadecimal(line, &ret->start);

    if (*at != '-') {
        return false;
    }
    at = parse_hexadecimal(at + 1, &ret->end);
    if (*at != ' ' || strnlen(at, 5) < 5) {
        return false;
    }
    memcpy(ret->access, at + 1, sizeof(ret->access));
    at = skip_field(skip_field(skip_field(at + 1)));
    ret->has_file = *at != '0';
    ret->name = skip_field(at);
    return true;
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* To read from a device may do something. */
static bool is_device(const char *name)
{
    return (begins_with(name, "/dev/") && !begins_with(name, "/dev/shm/")
               && !begins_with(name, "/dev/zero"))
           || begins_with(name, "/dmabuf") || begins_with(name, "[v");
}

static bool is_root(const struct mapping *m)
{
    bool is_private = m->access[3] == 'p';

    return m->access[0] == 'r' && !is_device(m->name)
           && (m->access[1] == 'w' || (is_private && !m->has_file));
}

/*
 * Whether the mapping is the stack that a thread is on, and nothing else below its stack pointer:
 * the main thread's, or one that the C library made, which has the control block at its end.
 */
static bool is_stack_of(const struct mapping *m, const struct leak_thread *t)
{
    bool holds_pointer = t->pointer >= t->stack && t->pointer < m->end;

    return t->stack > m->start && t->stack < m->end
           && (holds_pointer || strcmp(m->name, "[stack]") == 0);
}

/* Where the unused part of a thread's stack begins: behind another one without a fence between. */
static uintptr_t stack_floor(const struct mapping *m, const struct leak_thread *t)
{
    uintptr_t floor = m->start;

    for (size_t i = 0; i < leak_park_count(); i++) {
        const struct leak_thread *other = leak_park_thread(i);

        if (other != NULL && other != t && other->pointer < t->stack) {
            floor = bits_max(floor, other->pointer + os_page_bytes());
        }
    }
    return floor;
}

static void mark_around(uintptr_t start, uintptr_t end)
{
    size_t low = 0;
    size_t high = hidden.count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (hidden.list[middle].end <= start) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < hidden.count && hidden.list[low].start < end; low++) {
        if (hidden.list[low].start > start) {
            leak_mark_memory(start, hidden.list[low].start);
        }
        start = bits_max(start, hidden.list[low].end);
    }
    if (start < end) {
        leak_mark_memory(start, end);
    }
}

static void mark_mapping(const struct mapping *m)
{
    uintptr_t at = m->start;

    leak_present_set(m->access[3] == 's' ? LEAK_PRESENT_SHARED : LEAK_PRESENT_PRIVATE);
    for (;;) { /* stacks in it, the lowest first */
        const struct leak_thread *next = NULL;
        uintptr_t floor;

        for (size_t i = 0; i < leak_park_count(); i++) {
            const struct leak_thread *t = leak_park_thread(i);

            if (t != NULL && t->stack > at && is_stack_of(m, t)
                && (next == NULL || t->stack < next->stack)) {
                next = t;
            }
        }
        if (next == NULL) {
            break;
        }
        floor = bits_max(at, stack_floor(m, next));
        if (floor < next->stack - RED_ZONE) {
            mark_around(at, floor);
            at = next->stack - RED_ZONE;
        }
        mark_around(at, next->stack);
        at = next->stack;
    }
    mark_around(at, m->end);
    leak_present_set(LEAK_PRESENT_PRIVATE);
}

/* What is constant must be known before; so the file is read twice. */
static int each_line(void (*each)(const char *line))
{
    char line[LINE + 1];
    size_t have = 0;
    int fd = os_open_file("/proc/self/maps");
    long got;

    if (fd < 0) {
        return fd;
    }
    while ((got = os_read_next(fd, line + have, LINE - have)) > 0) {
        char *at = line;
        char *end;

        have += (size_t)got;
        line[have] = '\0';
        while ((end = memchr(at, '\n', (size_t)(line + have - at))) != NULL) {
            *end = '\0';
            each(at);
            at = end + 1;
        }
        have = (size_t)(line + have - at);
        memmove(line, at, have);
        if (have == LINE) {
            have = 0; /* no such line: the rest of it is skipped */
        }
    }
    os_close(fd);
    return (int)got;
}

static void see_constant(const char *line)
{
    struct mapping m;

    if (parse_line(line, &m) && m.access[0] == 'r' && m.access[1] == '-'
        && m.has_file) {
        leak_present_add_constant(m.start, m.end);
    }
}

static void see_root(const char *line)
{
    struct mapping m;

    if (parse_line(line, &m) && is_root(&m)) {
        mark_mapping(&m);
    }
}

/* ---- threads ---- */

static void mark_thread(const struct leak_thread *t)
{
    struct leak_found f;

    for (unsigned i = 0; i < UNWIND_REGS; i++) {
        leak_mark_word(t->reg[i], false);
    }
    /* What the kernel saved lies below the stack pointer, or on another stack. */
    if (t->frame != 0 && t->frame < t->stack
        && t->stack - t->frame < SIGNAL_FRAME_MOST) {
        leak_mark_memory(t->frame, t->stack);
    } else if (t->frame != 0) {
        leak_mark_memory(t->frame, t->frame + sizeof(ucontext_t));
    }
    /* The table of its modules' variables is pointed to behind its start. */
    for (unsigned i = 0; t->pointer != 0 && i < CONTROL_WORDS; i++) {
        leak_mark_word(((const uintptr_t *)t->pointer)[i], true);
    }
    /* A stack that is a block of the program's: it is in use from there on. */
    if (leak_find(t->stack, &f) && leak_state(f.number) != LEAK_FREE) {
        leak_mark_memory(t->stack, f.start + leak_block_bytes(&f));
    }
}

int leak_roots_mark(const struct leak_own *own, size_t count)
{
    int code;

    if (!hide_ours(own, count)) {
        return -ENOMEM;
    }
    leak_present_begin();
    code = each_line(see_constant);
    code = code == 0 ? each_line(see_root) : code;
    leak_present_set(LEAK_PRESENT_ANY);
    for (size_t i = 0; i < leak_park_count(); i++) {
        const struct leak_thread *t = leak_park_thread(i);

        if (t != NULL) {
            mark_thread(t);
        }
    }
    for (size_t i = 0; i < region_count; i++) {
        leak_mark_memory(~regions[i].start, ~regions[i].start + regions[i].bytes);
    }
    leak_present_set(LEAK_PRESENT_PRIVATE);
    return code;
}
