#include "stacks.h"

#include "bits.h"
#include "modules.h"
#include "own_memory.h"
#include "region.h"
#include "unwind_table.h"

enum {
    CHUNK_SHIFT = 8,
    CHUNK = 1 << CHUNK_SHIFT,
    SLOTS_FIRST = 1024,
    RECENT = 128, /* stacks that are found without a look at their frames, at first */
    RECENT_MOST = 8192,
};

struct recent {
    uint64_t hash;
    uint32_t number;
    bool is_cut; /* for want of room */
};

static struct mp_region_frame *chunks[MP_REGION_FRAMES_MAX / CHUNK];
static size_t count = 1;
static uint32_t *slots; /* open addressing, a power of two; 0: empty */
static size_t slot_count;
static struct recent *recent; /* by hash */
static size_t recent_count;   /* a power of two */
static size_t recent_misses;  /* since it grew */
static uint64_t refused;

static struct mp_region_frame *frame_of(size_t number)
{
    return &chunks[number >> CHUNK_SHIFT][number & (CHUNK - 1)];
}

static void write_one(size_t number)
{
    struct mp_region_frame *out = region_frame(number);

    if (out != NULL) {
        *out = *frame_of(number);
    }
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static size_t slot_for(const struct mp_region_frame *f)
{
    uint64_t hash = mix(mix(f->parent, f->module), f->offset);
    size_t at = hash >> 20 & (slot_count - 1);

    while (slots[at] != 0) {
        const struct mp_region_frame *there = frame_of(slots[at]);

        if (there->offset == f->offset && there->parent == f->parent
            && there->module == f->module) {
            break;
        }
        at = (at + 1) & (slot_count - 1);
    }
    return at;
}

/* Twice the slots. False: no memory; what there is will do until it is full. */
static bool grow(void)
{
    size_t wanted = slot_count == 0 ? SLOTS_FIRST : 2 * slot_count;
    uint32_t *more = own_alloc_locked(wanted * sizeof(*more));

    if (more == NULL) {
        return false;
    }
    slots = more;
    slot_count = wanted;
    for (size_t i = 1; i < count; i++) {
        slots[slot_for(frame_of(i))] = (uint32_t)i;
    }
    return true;
}

static bool has_room(void)
{
    struct mp_region_frame **chunk = &chunks[count >> CHUNK_SHIFT];

    if (count >= MP_REGION_FRAMES_MAX
        || (region_is_open() && region_frame(count) == NULL)) {
        return false;
    }
    if (2 * count >= slot_count && !grow()
        && (slot_count == 0 || count >= slot_count - 1)) {
        return false;
    }
    if (*chunk == NULL) {
        *chunk =
            own_alloc_copied_locked(CHUNK * sizeof(**chunk), CHUNK * sizeof(**chunk));
    }
    return *chunk != NULL;
}

/* The number of that frame, 0: no room. */
static uint32_t intern_frame(const struct mp_region_frame *f)
{
    size_t at = slot_count != 0 ? slot_for(f) : 0;

    if (slot_count != 0 && slots[at] != 0) {
        return slots[at];
    }
    if (!has_room()) {
        return 0;
    }
    at = slot_for(f); /* there may be more slots now */
    *frame_of(count) = *f;
    slots[at] = (uint32_t)count;
    write_one(count);
    return (uint32_t)count++;
}

/* Of the frames inside of those whose stack has a number. */
uint64_t stacks_hash(const struct stack *s, size_t fresh, uint32_t base)
{
    uint64_t hash = mix(fresh, unwind_table_generation() << 32 ^ base);
    uint64_t odd = 0; /* two at a time: each waits for the product before it */
    size_t i;

    for (i = 0; i + 1 < fresh; i += 2) {
        hash = mix(hash, s->pcs[i]);
        odd = mix(odd, s->pcs[i + 1]);
    }
    hash = mix(hash, i < fresh ? s->pcs[i] : 0);
    hash = mix(hash, odd);
    odd = 0;
    for (i = 0; i < sizeof(s->info.is_exact) / sizeof(s->info.is_exact[0]); i++) {
        odd = odd * 0x9e3779b97f4a7c15u ^ s->info.is_exact[i];
    }
    return mix(hash, odd) | 1;
}

/* *ret_is_cut: there was no room for all of them. */
static uint32_t intern_frames(
    const struct stack *s, size_t fresh, uint32_t base, bool *ret_is_cut)
{
    uint32_t number = base;

    for (size_t i = fresh; i-- > 0;) {
        struct mp_region_frame f = {.parent = number};
        uint32_t deeper;

        f.module =
            modules_find_locked(s->pcs[i] - !unwind_is_exact(&s->info, i), &f.offset);
        deeper = intern_frame(&f);
        *ret_is_cut = deeper == 0;
        if (deeper == 0) {
            break;
        }
        number = deeper;
        unwind_meeting_set(&s->meeting, s->count, i, number);
    }
    return number;
}

/*
 * Frames that were kept before, and may well be again, without a number: as the stack was found
 * by its hash. Their callers have numbers.
 */
void stacks_number_kept(
    const struct stack *s, size_t fresh, uint32_t base, uint32_t number)
{
    enum { WORTH = 4 };
    uint32_t outer = number;

    if (s->meeting.kept == NULL || fresh < s->meeting.from + WORTH || base == 0) {
        return;
    }
    for (size_t i = 0; i < fresh; i++) {
        outer = frame_of(outer)->parent;
    }
    for (size_t i = 0; outer == base && i < fresh; i++) { /* else some were refused */
        unwind_meeting_set(&s->meeting, s->count, i, number);
        number = frame_of(number)->parent;
    }
}

/* Twice as many when they are missed often: most programs have few stacks. */
static void grow_recent(void)
{
    size_t wanted = recent_count == 0 ? RECENT : 2 * recent_count;
    struct recent *more = own_alloc_locked(wanted * sizeof(*more));

    recent_misses = 0;
    if (more != NULL) {
        recent = more;
        recent_count = wanted;
    }
}

uint32_t stacks_intern_locked(const struct stack *s)
{
    uint32_t base;
    size_t fresh = unwind_meeting_find(&s->meeting, s->count, &base);
    uint64_t hash;
    struct recent none = {0};
    struct recent *r = &none;

    if (fresh == 0) {
        return base;
    }
    if (recent_count == 0
        || (recent_misses >= 4 * recent_count && recent_count < RECENT_MOST)) {
        grow_recent();
    }
    hash = stacks_hash(s, fresh, base);
    if (recent_count != 0) {
        r = &recent[hash >> 40 & (recent_count - 1)];
    }
    if (r->hash != hash) {
        recent_misses++;
        r->is_cut = false;
        r->number = intern_frames(s, fresh, base, &r->is_cut);
        r->hash = hash;
    } else {
        stacks_number_kept(s, fresh, base, r->number);
    }
    refused += r->is_cut;
    return r->number;
}

const struct mp_region_frame *stacks_frame_locked(uint32_t number)
{
    return frame_of(number);
}

size_t stacks_count_locked(void)
{
    return count;
}

uint64_t stacks_refused_locked(void)
{
    return refused;
}

void stacks_write_all_locked(void)
{
    for (size_t i = 1; i < count; i++) {
        write_one(i);
    }
}
