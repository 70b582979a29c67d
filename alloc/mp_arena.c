#include "mp_arena.h"

#include "arch.h"
#include "check.h"
#include "config.h"
#include "harden.h"
#include "malloc.h"
#include "malloc_hard.h"
#include "misuse.h"
#include "probe.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
    CHUNK_FIRST =
        4 * 1024, /* with the arena itself; each further one is twice as long, */
    CHUNK_MOST =
        256 * 1024, /* up to this: as long as threads keep one for their next */
    OBJECT_MOST =
        CHUNK_MOST / 4, /* longer ones that do not fit get a chunk of their own */
    POISON = 0xa5,      /* bytes that nobody may touch */
};

/*
 * The objects lie behind it. `left` and what is behind is poison in a careful arena; `left` is not
 * up to date in the current chunk.
 */
struct chunk {
    struct chunk *next;
    char *left;     /* behind the last object */
    char *end;      /* a multiple of BLOCK_ALIGN, as are all ends */
    uint64_t round; /* of the arena: when it was last put to use */
};
static_assert(sizeof(struct chunk) % BLOCK_ALIGN == 0, "objects are aligned");

/* An object with a block of its own; it begins where the alignment allows. */
struct single {
    struct single *next; /* older */
    size_t bytes;        /* of the block */
};
static_assert(sizeof(struct single) % BLOCK_ALIGN == 0, "objects are aligned");

/*
 * Invariants (mp_arena_check):
 *
 *     A1  chunk <= at <= chunk's end, both multiples of BLOCK_ALIGN
 *     A2  end is chunk's end, or in a careful arena `at`: then each object takes the slow path
 *     A3  from the first chunk to the current one all are of this round
 */
struct mp_arena {
    struct mp_arena_head_
        head; /* where the next object begins, and what is left there */
    struct chunk *chunk;
    struct single *singles; /* newest first */
    struct mp_component *component;
    size_t next_bytes; /* of the next chunk */
    uint64_t round;    /* resets so far */
    bool is_careful;
};

/* The first chunk lies behind the arena, in the same block. */
enum { HEAD = (sizeof(struct mp_arena) + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN };

static struct chunk *first_of(const mp_arena_t *a)
{
    return (struct chunk *)((char *)(uintptr_t)a + HEAD);
}

static char *start_of(const struct chunk *c)
{
    return (char *)(uintptr_t)(c + 1);
}

/* ---- poison ---- */

/* There if the program is built with AddressSanitizer. */
extern WEAK void __asan_poison_memory_region(const volatile void *p, size_t bytes);
extern WEAK void __asan_unpoison_memory_region(const volatile void *p, size_t bytes);

static bool must_be_careful(void)
{
    return CONFIG_DEBUG || harden_is_on() || __asan_poison_memory_region != NULL
           || arch_is_under_valgrind();
}

/* Somebody may. `how`: what is in them then. */
static void lift_poison(char *from, const char *to, enum arch_valgrind_memory how)
{
    size_t bytes = (size_t)(to - from);

    if (__asan_unpoison_memory_region != NULL) {
        __asan_unpoison_memory_region(from, bytes);
    }
    arch_tell_valgrind(how, from, bytes);
}

/* Nobody may touch these any more. */
static void poison(char *from, const char *to)
{
    size_t bytes = (size_t)(to - from);

    lift_poison(from, to, ARCH_VALGRIND_DEFINED);
    memset(from, POISON, bytes);
    if (__asan_poison_memory_region != NULL) {
        __asan_poison_memory_region(from, bytes);
    }
    arch_tell_valgrind(ARCH_VALGRIND_NO_ACCESS, from, bytes);
}

/* Whether it still is, before an object begins there, or the memory goes back. */
static void check_poison(char *from, const char *to)
{
    lift_poison(from, to, ARCH_VALGRIND_DEFINED);
    for (char *p = from; p < to; p++) {
        if (UNLIKELY((unsigned char)*p != POISON)) {
            misuse_found(p, "use after free",
                "an arena's memory, written to after its end or a reset");
            memset(p, POISON, (size_t)(to - p));
            return;
        }
    }
}

/* ---- chunks ---- */

/* Objects begin there from now on. */
static void install(mp_arena_t *a, struct chunk *c, char *at)
{
    c->round = a->round;
    a->chunk = c;
    a->head.at = at;
    a->head.end = a->is_careful ? at : c->end;
}

static void init_chunk(const mp_arena_t *a, struct chunk *c, char *end)
{
    c->next = NULL;
    c->left = start_of(c);
    c->end = end;
    if (a->is_careful) {
        poison(c->left, c->end);
    }
}

/* A block that nobody misses if there is none: the failure is not the program's. */
static void *try_alloc(const mp_arena_t *a, size_t bytes)
{
    int error = errno;
    void *p = malloc_alloc(a->component, bytes);

    if (p == NULL) {
        sub_relaxed(&probe_passes.allocation_failures, 1);
        errno = error;
    }
    return p;
}

/* With room for so many bytes; behind the current one. NULL: no memory, errno is set. */
static struct chunk *add_chunk(mp_arena_t *a, size_t bytes)
{
    size_t least = sizeof(struct chunk) + bits_round_up(bytes, BLOCK_ALIGN);
    size_t want = bits_max(a->next_bytes, bits_ceil_pow2(least));
    struct chunk *c = try_alloc(a, want);

    if (c == NULL) {
        want = least;
        c = malloc_alloc(a->component, want); /* little is left: no more than needed */
    } else {
        a->next_bytes = bits_min(2 * want, CHUNK_MOST);
    }
    if (c != NULL) {
        init_chunk(a, c, (char *)c + want);
        c->next = a->chunk->next;
        a->chunk->next = c;
    }
    return c;
}

static void free_chunk(const mp_arena_t *a, struct chunk *c)
{
    if (a->is_careful) {
        check_poison(c->left, c->end);
        lift_poison(start_of(c), c->end, ARCH_VALGRIND_DEFINED);
    }
    malloc_free(c);
}

static char *object_of(struct single *s, size_t alignment)
{
    return (char *)bits_round_up((uintptr_t)(s + 1), alignment);
}

static void *add_single(mp_arena_t *a, size_t size, size_t alignment)
{
    size_t bytes = sizeof(struct single) + size + alignment - BLOCK_ALIGN;
    struct single *s = malloc_alloc(a->component, bytes);

    if (s == NULL) {
        return NULL;
    }
    s->next = a->singles;
    s->bytes = bytes;
    a->singles = s;
    return object_of(s, alignment);
}

/* Those that are newer than `last`. */
static void free_singles(mp_arena_t *a, const struct single *last)
{
    while (a->singles != last) {
        struct single *s = a->singles;

        a->singles = s->next;
        malloc_free(s);
    }
}

/* ---- objects ---- */

/* From the current chunk; NULL: it has no room. */
static void *take(mp_arena_t *a, size_t size, size_t alignment)
{
    char *end = a->chunk->end;
    char *p = (char *)bits_round_up((uintptr_t)a->head.at, alignment);

    if (p > end || size > (size_t)(end - p)) {
        return NULL;
    }
    a->head.at = p + bits_round_up(size, BLOCK_ALIGN);
    if (a->is_careful) {
        check_poison(p, a->head.at);
        poison(p + size, a->head.at);
        lift_poison(p, p + size, ARCH_VALGRIND_UNDEFINED);
    }
    a->head.end = a->is_careful ? a->head.at : end;
    return p;
}

/* Go on in the next chunk: one that was kept, or a new one. */
static bool advance(mp_arena_t *a, size_t bytes)
{
    struct chunk *c = a->chunk->next;

    if (c == NULL || bytes > (size_t)(c->end - start_of(c))) {
        c = add_chunk(a, bytes);
    }
    if (c == NULL) {
        return false;
    }
    a->chunk->left = a->head.at;
    install(a, c, start_of(c));
    return true;
}

static COLD NOINLINE void *alloc_slow(mp_arena_t *a, size_t size, size_t alignment)
{
    void *p;

    size = size != 0 ? size : 1; /* objects of no bytes have an address, too */
    if (size > PTRDIFF_MAX || alignment > PTRDIFF_MAX - size) {
        return malloc_fail();
    }
    p = take(a, size, alignment);
    if (p != NULL) {
        return p;
    }
    if (size + alignment - BLOCK_ALIGN > OBJECT_MOST) {
        return add_single(a, size, alignment);
    }
    return advance(a, size + alignment - BLOCK_ALIGN) ? take(a, size, alignment) : NULL;
}

MP_EXPORT void *mp_arena_alloc(mp_arena_t *a, size_t size)
{
    char *p = a->head.at;

    if (UNLIKELY(size - 1 >= (size_t)(a->head.end - p))) { /* 0 is the most here */
        return alloc_slow(a, size, BLOCK_ALIGN);
    }
    a->head.at =
        p + bits_round_up(size, BLOCK_ALIGN); /* A1: the end is such a multiple */
    return p;
}

MP_EXPORT void *mp_arena_aligned_alloc(mp_arena_t *a, size_t alignment, size_t size)
{
    char *p;

    if (!bits_is_pow2(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    if (alignment <= BLOCK_ALIGN) {
        return mp_arena_alloc(a, size);
    }
    if (alignment > CHUNK_MOST) {
        return alloc_slow(a, size, alignment);
    }
    p = (char *)bits_round_up((uintptr_t)a->head.at, alignment);
    if (UNLIKELY(p > a->head.end || size - 1 >= (size_t)(a->head.end - p))) {
        return alloc_slow(a, size, alignment);
    }
    a->head.at = p + bits_round_up(size, BLOCK_ALIGN);
    return p;
}

MP_EXPORT void *mp_arena_calloc(mp_arena_t *a, size_t count, size_t size)
{
    size_t bytes;
    void *p;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        return malloc_fail();
    }
    p = mp_arena_alloc(a, bytes);
    return p != NULL ? memset(p, 0, bytes) : NULL;
}

/* `bytes` of s, and a NUL. */
static char *copy_text(mp_arena_t *a, const char *s, size_t bytes)
{
    char *p = mp_arena_alloc(a, bytes + 1);

    if (p != NULL) {
        memcpy(p, s, bytes);
        p[bytes] = '\0';
    }
    return p;
}

MP_EXPORT char *mp_arena_strdup(mp_arena_t *a, const char *s)
{
    return copy_text(a, s, strlen(s));
}

MP_EXPORT char *mp_arena_strndup(mp_arena_t *a, const char *s, size_t most)
{
    return copy_text(a, s, strnlen(s, most));
}

/* ---- begin and end ---- */

MP_EXPORT mp_arena_t *mp_arena_create(mp_component_t *c)
{
    mp_arena_t *a;

    c = c != NULL ? c : component_by_row(COMPONENT_UNTAGGED);
    a = malloc_alloc(c, CHUNK_FIRST);
    if (a == NULL) {
        return NULL;
    }
    *a = (struct mp_arena){
        .component = c, .next_bytes = 2 * CHUNK_FIRST, .is_careful = must_be_careful()};
    init_chunk(a, first_of(a), (char *)a + CHUNK_FIRST);
    install(a, first_of(a), start_of(first_of(a)));
    return a;
}

/* Objects that began in c at or behind `from` end. */
static void end_objects(const mp_arena_t *a, struct chunk *c, char *from)
{
    if (a->is_careful) {
        poison(from, c->left);
    }
    c->left = from;
}

/*
 * Chunks that no object began in since the reset before go back, so that one round that needed
 * much does not keep it for ever.
 */
MP_EXPORT void mp_arena_reset(mp_arena_t *a)
{
    struct chunk *c = first_of(a);

    a->chunk->left = a->head.at;
    free_singles(a, NULL);
    end_objects(a, c, start_of(c));
    while (c->next != NULL) {
        struct chunk *next = c->next;

        if (next->round == a->round) {
            end_objects(a, next, start_of(next));
            c = next;
        } else {
            c->next = next->next;
            free_chunk(a, next);
        }
    }
    a->round++;
    install(a, first_of(a), start_of(first_of(a)));
}

MP_EXPORT void mp_arena_destroy(mp_arena_t *a)
{
    struct chunk *first;

    if (a == NULL) {
        return;
    }
    a->chunk->left = a->head.at;
    free_singles(a, NULL);
    first = first_of(a);
    while (first->next != NULL) {
        struct chunk *c = first->next;

        first->next = c->next;
        if (a->is_careful) {
            end_objects(a, c, start_of(c));
        }
        free_chunk(a, c);
    }
    if (a->is_careful) {
        end_objects(a, first, start_of(first));
        check_poison(start_of(first), first->end);
    }
    malloc_free(a);
}

MP_EXPORT struct mp_arena_place mp_arena_save(const mp_arena_t *a)
{
    return (struct mp_arena_place){a->chunk, a->head.at, a->singles};
}

MP_EXPORT void mp_arena_restore(mp_arena_t *a, struct mp_arena_place place)
{
    struct chunk *to = place.chunk_;

    a->chunk->left = a->head.at;
    free_singles(a, place.single_);
    for (struct chunk *c = to; c != a->chunk; c = c->next) {
        end_objects(a, c->next, start_of(c->next));
    }
    end_objects(a, to, place.at_);
    install(a, to, place.at_);
}

/* ---- figures ---- */

MP_EXPORT int mp_arena_stats(const mp_arena_t *a, struct mp_arena_stats *s)
{
    struct mp_arena_stats full = {.resets_total = a->round};
    size_t size;

    if (s == NULL || s->size < 2 * sizeof(size)) {
        return -EINVAL;
    }
    size = bits_min(s->size, sizeof(full));
    full.size = s->size;
    for (const struct chunk *c = first_of(a); c != NULL; c = c->next) {
        const char *left = c == a->chunk ? a->head.at : c->left;

        full.chunks++;
        full.held_bytes += (size_t)(c->end - (const char *)c);
        full.used_bytes += (size_t)(left - start_of(c));
    }
    full.held_bytes += HEAD;
    for (const struct single *s1 = a->singles; s1 != NULL; s1 = s1->next) {
        full.chunks++;
        full.held_bytes += s1->bytes;
        full.used_bytes += s1->bytes - sizeof(*s1);
    }
    memcpy(s, &full, size);
    return 0;
}

void mp_arena_set_careful(mp_arena_t *a)
{
    a->is_careful = true;
    for (struct chunk *c = first_of(a); c != NULL; c = c->next) {
        poison(c == a->chunk ? a->head.at : c->left, c->end);
    }
    a->head.end = a->head.at;
}

void mp_arena_check(const mp_arena_t *a)
{
    bool is_behind = false;

    CHECK(a->head.at >= start_of(a->chunk) && a->head.at <= a->chunk->end);
    CHECK(((uintptr_t)a->head.at | (uintptr_t)a->chunk->end) % BLOCK_ALIGN == 0);
    CHECK(a->head.end == (a->is_careful ? a->head.at : a->chunk->end));
    for (const struct chunk *c = first_of(a); c != NULL; c = c->next) {
        CHECK(is_behind || c->round == a->round);
        CHECK(c->left >= start_of(c) && c->left <= c->end);
        is_behind |= c == a->chunk;
    }
    CHECK(is_behind);
}
