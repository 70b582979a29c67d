/*
 * epochs - the past that a region tells is what happened
 *
 * Every allocation is recorded, and a shadow notes what two call stacks hold at the end of each
 * epoch, and at marks. The region is written to a file and read again, as a tool does.
 */
#include <mpalloc.h>
#include <mpstats.h>

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define EXPECT(condition)                                                              \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                    \
            exit(1);                                                                   \
        }                                                                              \
    } while (false)

enum { SLOTS = 4096, SLOT_BYTES = 1024, ROUNDS = 200000, MARK_EVERY = 9000 };

static void *slots[2][SLOTS];
static double live[2];
static double work;
static double ends[2][1 << 14]; /* of epochs of 1 MiB, the first ones */
static double least[2][1 << 14];
static size_t ended;
static double marks[2][64];
static size_t mark_count;
static uint32_t state = 1;

static uint32_t roll(void)
{
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

/* The epoch ends before what goes beyond it. */
static void count(unsigned kind, double bytes)
{
    work += bytes;
    for (; work >= (double)(ended + 1) * 1048576; ended++) {
        for (unsigned k = 0; k < 2; k++) {
            ends[k][ended] = live[k];
            least[k][ended + 1] = live[k];
        }
    }
    live[kind] += bytes;
}

NOINLINE static void *take_first(void)
{
    return malloc(SLOT_BYTES);
}

NOINLINE static void *take_second(void)
{
    return malloc(SLOT_BYTES);
}

static void step(unsigned kind)
{
    void **slot = &slots[kind][roll() % (kind == 0 ? SLOTS : 64)];

    if (*slot != NULL) {
        free(*slot);
        *slot = NULL;
        live[kind] -= SLOT_BYTES;
        if (live[kind] < least[kind][ended]) {
            least[kind][ended] = live[kind];
        }
    } else {
        count(kind, SLOT_BYTES);
        *slot = kind == 0 ? take_first() : take_second();
    }
}

static void work_for_a_while(void)
{
    mp_component_t *part = mp_component("part");
    mp_component_t *second = mp_component("second");

    for (unsigned i = 0; i < ROUNDS; i++) {
        mp_enter(part);
        step(0);
        mp_enter(second);
        if (i % 50000 < 400) { /* seldom: its row lags behind, by some doublings */
            step(1);
        }
        mp_enter(NULL);
        if (i % MARK_EVERY == MARK_EVERY - 1) {
            marks[0][mark_count] = live[0];
            marks[1][mark_count++] = live[1];
            mp_mark("round");
        }
    }
}

/* ---- what is read ---- */

/* The sum over the sites of a component, at the end of epoch i: as readers complete it. */
static double level(
    const mp_image_t *image, const char *component, size_t i, bool floor)
{
    const struct mp_region_epochs *e = mp_image_epochs(image);
    double sum = 0;

    for (size_t n = 1; n < mp_image_site_count(image); n++) {
        const struct mp_region_site *t = mp_image_site(image, n);
        const struct mp_region_site_epochs *r = mp_image_site_epochs(image, n);
        size_t per = 1;

        if (strcmp(mp_image_component(image, t->component)->name, component) != 0) {
            continue;
        }
        EXPECT(r != NULL);
        per = (size_t)1 << (e->doublings - r->doublings);
        if ((i + 1) * per <= r->current) {
            double value = (double)r->live_bytes[(i + 1) * per - 1];

            for (size_t k = i * per; floor && k < (i + 1) * per; k++) {
                value = k == i * per ? (double)r->floor_bytes[k]
                                     : fmin(value, (double)r->floor_bytes[k]);
            }
            sum += value;
        } else if (!floor) {
            sum += t->allocated_bytes - t->freed_bytes;
        } else {
            return -1; /* partly of its current epoch: not asked */
        }
    }
    return sum;
}

static void check(const mp_image_t *image)
{
    static const char *const names[] = {"part", "second"};
    const struct mp_region_epochs *e = mp_image_epochs(image);
    size_t per = (size_t)1 << e->doublings;

    EXPECT(e->current >= 16 && e->current < MP_REGION_EPOCHS);
    EXPECT(e->epoch_bytes == 1048576.0 * (double)per);
    /* stdio and the like allocate a little, too: an epoch may end one block sooner */
    for (size_t i = 0; i < e->current; i++) {
        for (unsigned k = 0; k < 2; k++) {
            size_t end = (i + 1) * per - 1;
            double floor = level(image, names[k], i, true);
            double lowest = least[k][i * per];

            EXPECT(fabs(level(image, names[k], i, false) - ends[k][end])
                   <= 16 * SLOT_BYTES);
            for (size_t j = i * per; j <= end; j++) {
                lowest = fmin(lowest, least[k][j]);
            }
            EXPECT(floor < 0 || fabs(floor - lowest) <= 16 * SLOT_BYTES);
        }
    }
    EXPECT(e->mark_count == mark_count);
    EXPECT(mp_image_mark_count(image) == MP_REGION_MARKS);
    for (size_t i = 0; i < MP_REGION_MARKS; i++) {
        const struct mp_region_mark *m = mp_image_mark(image, i);

        EXPECT(strcmp(m->name, "round") == 0);
        for (size_t n = 1; n < mp_image_site_count(image); n++) {
            const struct mp_region_site *t = mp_image_site(image, n);
            const struct mp_region_site_epochs *r = mp_image_site_epochs(image, n);
            unsigned k =
                strcmp(mp_image_component(image, t->component)->name, "second") == 0;

            if (t->component >= 2 && r != NULL && m->number < r->marks) {
                EXPECT((double)r->mark_bytes[m->number % MP_REGION_MARKS]
                       == marks[k][m->number]);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct mp_error error = {""};
    mp_image_t *image;
    char path[4096];

    EXPECT(argc == 2);
    snprintf(path, sizeof(path), "%s/epochs-%d.mp", argv[1], (int)getpid());
    work_for_a_while();
    EXPECT(mp_dump(path) == 0);
    if (mp_image_open(path, &image, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    unlink(path);
    check(image);
    mp_image_free(image);
    return 0;
}
