#include "leak_park.h"

#include "arch.h"
#include "atomic.h"
#include "bits.h"
#include "check.h"
#include "os.h"

#include <errno.h>
#include <string.h>

enum {
    SLOTS_SPARE = 64,
    SLOTS_MOST = 1 << 20,
    GENERATION_SHIFT = 32,
    PATIENCE_MS = 3, /* before it is asked why a thread does not come */
    REFUSALS_MOST = 4,
    DEEP_MOST = 30,     /* looks at a thread that nothing wakes */
    REFUSAL_CPU_MS = 5, /* of a processor, with the signal blocked */
    STEP_MS = 1,
    MS_NS = 1000000,
    ROUNDS_MOST = 64, /* looks for new threads */
};

enum slot_state { SLOT_CALLED, SLOT_PARKED, SLOT_LOST };

/* The slots stay for ever: a thread may come late, and look into its own. */
static struct {
    uint32_t hold;       /* atomic: the generation that stands still; 0: none */
    uint32_t generation; /* of the last one */
    uint32_t arrived;    /* atomic: how many came, in all */
    struct leak_thread *slots;
    size_t room;
    size_t bytes;
    size_t count;
    size_t missed;
    int signal;
    int tasks; /* descriptor of the list of threads */
    bool is_full;
    size_t found_new;
} park;

static void on_signal(uintptr_t value, const void *context)
{
    uint32_t generation = (uint32_t)(value >> GENERATION_SHIFT);
    size_t i = (uint32_t)value;
    struct unwind_context c;
    struct leak_thread *t;

    if (load_acquire(&park.hold) != generation || generation == 0 || i >= park.room) {
        return; /* too late */
    }
    t = &park.slots[i];
    if (load_acquire(&t->state) != SLOT_CALLED) { /* pairs with see_task */
        return;                                   /* it was given up */
    }
    unwind_capture_signal(&c, context);
    memcpy(t->reg, c.reg, sizeof(t->reg));
    t->pointer = thread_pointer();
    t->frame = (uintptr_t)context;
    t->stack = c.reg[UNWIND_SP];
    store_release(&t->state, (uint32_t)SLOT_PARKED); /* pairs with wait_for_all */
    or_release(&park.arrived, 1);
    os_futex_wake_all(&park.arrived);
    while (load_acquire(&park.hold) == generation) { /* pairs with leak_park_end */
        os_futex_wait_ms(&park.hold, generation, UINT16_MAX);
    }
}

/* ---- who there is ---- */

static size_t find_slot(uint64_t id)
{
    size_t i = park.count;

    while (i > 0 && park.slots[i - 1].id != id) {
        i--;
    }
    return i; /* and 1; 0: none */
}

static bool see_task(const char *name, void *arg)
{
    struct leak_thread *t;
    uint64_t id = 0;

    (void)arg;
    for (; *name >= '0' && *name <= '9'; name++) {
        id = id * 10 + (uint64_t)(*name - '0');
    }
    if (id == 0 || find_slot(id) != 0) {
        return true;
    }
    if (park.count == park.room) {
        park.is_full = true;
        return false;
    }
    t = &park.slots[park.count];
    *t = (struct leak_thread){.id = id, .state = SLOT_LOST};
    store_release(&t->state, (uint32_t)SLOT_CALLED); /* pairs with on_signal */
    if (os_signal_thread(id, park.signal,
            (uintptr_t)park.generation << GENERATION_SHIFT | park.count)
        != 0) {
        store_relaxed(&t->state, (uint32_t)SLOT_LOST); /* it ended */
    }
    park.count++;
    park.found_new++;
    return true;
}

static bool count_task(const char *name, void *arg)
{
    (void)name;
    ++*(size_t *)arg;
    return true;
}

/* Room for all threads there are, and some. */
static bool obtain_slots(void)
{
    size_t tasks = 0;
    size_t wanted;
    size_t bytes;
    struct leak_thread *more;

    os_list_directory(park.tasks, SLOTS_MOST, count_task, &tasks);
    wanted = tasks + tasks / 4 + SLOTS_SPARE;
    if (wanted <= park.room) {
        return true;
    }
    bytes = bits_round_up(wanted * sizeof(*more), os_page_bytes());
    more = os_map(bytes);
    if (more == NULL) {
        return false;
    }
    park.slots = more; /* the old ones stay where they are: they are few */
    park.room = wanted;
    park.bytes = bytes;
    return true;
}

/* ---- why one does not come ---- */

static const char *field(const char *status, const char *name)
{
    const char *at = strstr(status, name);

    return at != NULL ? at + strlen(name) : "";
}

static uint64_t hexadecimal(const char *text)
{
    uint64_t value = 0;

    for (;; text++) {
        if (*text >= '0' && *text <= '9') {
            value = value << 4 | (uint64_t)(*text - '0');
        } else if (*text >= 'a' && *text <= 'f') {
            value = value << 4 | (uint64_t)(*text - 'a' + 10);
        } else {
            return value;
        }
    }
}

/*
 * Both of the first two may be over in a moment: a thread is made with all signals blocked, and
 * waits so for a page, or for another thread that maps memory.
 */
enum reason {
    REASON_BLOCKED, /* the signal is, and it sleeps; or it is stopped */
    REASON_DEEP,    /* in a sleep that no signal ends */
    REASON_BUSY,    /* runs, or would, with the signal blocked */
    REASON_LATE,    /* comes when it has a processor */
    REASON_GONE,
    REASON_KERNEL, /* has no memory of the program in its registers */
};

static enum reason find_reason(uint64_t id)
{
    char path[64];
    char status[2048];
    bool is_blocked;
    char state;

    check_format(path, sizeof(path), "/proc/self/task/%lu/status", id);
    if (os_read_file(path, status, sizeof(status)) <= 0) {
        return REASON_GONE;
    }
    state = *field(status, "State:\t");
    is_blocked =
        (hexadecimal(field(status, "SigBlk:\t")) >> (park.signal - 1) & 1) != 0;
    if (strncmp(field(status, "Name:\t"), "iou-", 4) == 0
        || strncmp(field(status, "Name:\t"), "vhost-", 6) == 0) {
        return REASON_KERNEL;
    }
    switch (state) {
    case 'Z':
    case 'X':
        return REASON_GONE;
    case 'D':
        return REASON_DEEP;
    case 'T':
    case 't':
        return REASON_BLOCKED;
    case 'R':
        return is_blocked ? REASON_BUSY : REASON_LATE;
    default:
        return is_blocked ? REASON_BLOCKED : REASON_LATE;
    }
}

/* One that runs with the signal blocked had time enough to end what it blocks it for. */
static bool had_its_time(struct leak_thread *t)
{
    uint64_t now_ns = os_thread_cpu_ns(t->id);

    if (t->cpu_ns == 0) {
        t->cpu_ns = now_ns;
    }
    return now_ns - t->cpu_ns > REFUSAL_CPU_MS * (uint64_t)MS_NS;
}

/* False: it will not come, or not soon. */
static bool will_come(struct leak_thread *t, enum reason why)
{
    switch (why) {
    case REASON_BLOCKED:
        return ++t->refusals < REFUSALS_MOST;
    case REASON_DEEP:
        return ++t->deep < DEEP_MOST;
    case REASON_BUSY:
        return !had_its_time(t);
    default:
        return true;
    }
}

/* Those that did not come yet; gives up those that will not. is_last: all of them. */
static size_t count_missing(bool asks, bool is_last)
{
    size_t missing = 0;

    for (size_t i = 0; i < park.count; i++) {
        struct leak_thread *t = &park.slots[i];
        enum reason why;

        if (load_acquire(&t->state) != SLOT_CALLED) {
            continue;
        }
        missing++;
        if (!asks) {
            continue;
        }
        why = find_reason(t->id);
        if (why == REASON_GONE || why == REASON_KERNEL) {
            store_relaxed(&t->state, (uint32_t)SLOT_LOST);
            missing--;
        } else if (!will_come(t, why) || is_last) {
            store_relaxed(&t->state, (uint32_t)SLOT_LOST);
            park.missed++;
            missing--;
        }
    }
    return missing;
}

static void wait_for_all(uint64_t until_ns)
{
    uint64_t ask_ns = os_monotonic_ns() + PATIENCE_MS * (uint64_t)MS_NS;

    for (;;) {
        uint64_t now_ns;

        store_relaxed(&park.arrived, 0);
        now_ns = os_monotonic_ns();
        if (count_missing(now_ns >= ask_ns, now_ns >= until_ns) == 0) {
            return;
        }
        if (now_ns >= ask_ns) {
            ask_ns = now_ns + PATIENCE_MS * (uint64_t)MS_NS;
        }
        os_futex_wait_ms(&park.arrived, 0, STEP_MS);
    }
}

/* ---- all of it ---- */

static void note_caller(const struct unwind_context *here)
{
    struct leak_thread *t = &park.slots[0];

    *t = (struct leak_thread){.id = os_thread_id(),
        .state = SLOT_PARKED,
        .pointer = thread_pointer(),
        .stack = here->reg[UNWIND_SP]};
    memcpy(t->reg, here->reg, sizeof(t->reg));
    park.count = 1;
}

int leak_park_begin(const struct unwind_context *here, uint32_t most_ms)
{
    uint64_t until_ns = os_monotonic_ns() + most_ms * (uint64_t)MS_NS;
    uint64_t mask;

    park.tasks = os_open_file("/proc/self/task");
    if (park.tasks < 0) {
        return park.tasks;
    }
    if (!obtain_slots()) {
        os_close(park.tasks);
        return -ENOMEM;
    }
    mask = os_block_signals();
    os_restore_signals(mask);
    park.signal = os_take_signal(on_signal, mask);
    if (park.signal < 0) {
        os_close(park.tasks);
        return park.signal;
    }
    park.missed = 0;
    park.is_full = false;
    park.generation += park.generation == UINT32_MAX ? 2 : 1;
    note_caller(here);
    store_release(&park.hold, park.generation);
    for (unsigned round = 0; round < ROUNDS_MOST; round++) {
        park.found_new = 0;
        os_rewind(park.tasks);
        os_list_directory(park.tasks, SLOTS_MOST, see_task, NULL);
        if (park.found_new == 0) {
            break;
        }
        wait_for_all(until_ns);
    }
    park.missed += park.is_full || park.found_new != 0;
    os_close(park.tasks);
    return 0;
}

void leak_park_end(void)
{
    store_release(&park.hold, 0);
    os_futex_wake_all(&park.hold);
    os_return_signal(park.signal);
}

size_t leak_park_count(void)
{
    return park.count;
}

const struct leak_thread *leak_park_thread(size_t i)
{
    return load_acquire(&park.slots[i].state) == SLOT_PARKED ? &park.slots[i] : NULL;
}

size_t leak_park_missed(void)
{
    return park.missed;
}

const void *leak_park_memory(size_t *ret_bytes)
{
    *ret_bytes = park.bytes;
    return park.slots;
}
