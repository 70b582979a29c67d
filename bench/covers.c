/*
 * covers - logic minimisation in small: sets of cubes, complemented by Shannon's expansion
 *
 * A cube is a product of literals, two bits a variable in a block of its own; a cover is a
 * list of cubes. The complement is computed recursively with many short-lived covers, and
 * checked at random points: each must lie in the cover or in its complement, never in both.
 */
#include "bench.h"

#include <string.h>

enum { VARIABLES = 96, WORDS = VARIABLES / 32, USED = 14, CUBES = 10, POINTS = 64 };

/* Bits 2 v and 2 v + 1: the cube allows 0, allows 1, for the variable v. */
struct cube {
    uint64_t bits[WORDS];
};

struct cover {
    unsigned count, room;
    struct cube **cube;
};

static struct cube *cube_copy(const struct cube *from)
{
    struct cube *c = checked(malloc(sizeof(*c)), sizeof(*c));

    *c = *from;
    return c;
}

static unsigned cube_get(const struct cube *c, unsigned v)
{
    return c->bits[v / 32] >> (v % 32 * 2) & 3;
}

static void cube_set(struct cube *c, unsigned v, unsigned allowed)
{
    c->bits[v / 32] &= ~((uint64_t)3 << (v % 32 * 2));
    c->bits[v / 32] |= (uint64_t)allowed << (v % 32 * 2);
}

static bool cube_is_full(const struct cube *c)
{
    return c->bits[0] == ~0ull && c->bits[1] == ~0ull && c->bits[2] == ~0ull;
}

static struct cover *cover_new(unsigned room)
{
    struct cover *c = checked(malloc(sizeof(*c)), sizeof(*c));

    *c = (struct cover){0, room, checked(malloc(room * sizeof(struct cube *)), room)};
    return c;
}

/* The cover owns the cube from now on. */
static void cover_add(struct cover *c, struct cube *cube)
{
    if (c->count == c->room) {
        c->room *= 2;
        c->cube = checked(realloc(c->cube, c->room * sizeof(struct cube *)), c->room);
    }
    c->cube[c->count++] = cube;
}

static void cover_destroy(struct cover *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        free(c->cube[i]);
    }
    free(c->cube);
    free(c);
}

/* What the cover is when the variable has that value. */
static struct cover *cofactor(const struct cover *f, unsigned v, unsigned value)
{
    struct cover *c = cover_new(f->count > 0 ? f->count : 1);

    for (unsigned i = 0; i < f->count; i++) {
        if (cube_get(f->cube[i], v) & 1 << value) {
            struct cube *cube = cube_copy(f->cube[i]);

            cube_set(cube, v, 3);
            cover_add(c, cube);
        }
    }
    return c;
}

/* The variable that most cubes depend on; VARIABLES when there is none. */
static unsigned most_bound(const struct cover *f)
{
    unsigned best = VARIABLES, most = 0;

    for (unsigned v = 0; v < USED; v++) {
        unsigned bound = 0;

        for (unsigned i = 0; i < f->count; i++) {
            bound += cube_get(f->cube[i], v) != 3;
        }
        if (bound > most) {
            most = bound;
            best = v;
        }
    }
    return best;
}

static bool has_full(const struct cover *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        if (cube_is_full(f->cube[i])) {
            return true;
        }
    }
    return false;
}

/* Takes the cubes of `from`, each bound to the value, and drops what remains of it. */
static void absorb(struct cover *into, struct cover *from, unsigned v, unsigned value)
{
    for (unsigned i = 0; i < from->count; i++) {
        cube_set(from->cube[i], v, 1 << value);
        cover_add(into, from->cube[i]);
    }
    from->count = 0;
    cover_destroy(from);
}

static struct cover *complement(struct worker *w, const struct cover *f)
{
    struct cover *result = cover_new(4);
    unsigned v;

    w->ops += f->count + 2;
    if (f->count == 0) {
        cover_add(result, cube_copy(&(struct cube){{~0ull, ~0ull, ~0ull}}));
        return result;
    }
    if (has_full(f)) {
        return result;
    }
    v = most_bound(f);
    for (unsigned value = 0; value < 2; value++) {
        struct cover *half = cofactor(f, v, value);

        absorb(result, complement(w, half), v, value);
        cover_destroy(half);
    }
    return result;
}

static bool contains(const struct cover *f, const struct cube *point)
{
    for (unsigned i = 0; i < f->count; i++) {
        const uint64_t *bits = f->cube[i]->bits;

        if ((bits[0] & point->bits[0]) == point->bits[0]
            && (bits[1] & point->bits[1]) == point->bits[1]
            && (bits[2] & point->bits[2]) == point->bits[2]) {
            return true;
        }
    }
    return false;
}

static struct cover *random_cover(uint64_t *random)
{
    struct cover *f = cover_new(2);

    for (unsigned i = 0; i < CUBES; i++) {
        struct cube *c = cube_copy(&(struct cube){{~0ull, ~0ull, ~0ull}});

        for (unsigned v = 0; v < USED; v++) {
            if (random_below(random, 3) == 0) {
                cube_set(c, v, 1 << random_below(random, 2));
            }
        }
        cover_add(f, c);
    }
    return f;
}

static void points_check(
    const struct cover *f, const struct cover *other, uint64_t *random)
{
    for (unsigned n = 0; n < POINTS; n++) {
        struct cube point;

        for (unsigned v = 0; v < VARIABLES; v++) {
            cube_set(&point, v, 1 << (random_next(random) >> 40 & 1));
        }
        if (contains(f, &point) == contains(other, &point)) {
            bench_fail("a cover of %u and its complement of %u cubes overlap", f->count,
                other->count);
        }
    }
}

static void work(struct worker *w)
{
    while (worker_more(w)) {
        struct cover *f = random_cover(&w->random);
        struct cover *other = complement(w, f);

        points_check(f, other, &w->random);
        cover_destroy(f);
        cover_destroy(other);
    }
}

const struct workload covers_workloads[] = {
    {"covers", "complements of covers, every cube a block of 24 B",
        .groups = "short_lived", .threads = 1, .at_least = 1, .ops = 10000000,
        .work = work},
    {0},
};
