/*
 * make_region - valid regions, made without the allocator, for tests to damage
 *
 * Owns: the bytes of one region in memory, and writing them to files and memfds. Shares
 * nothing with alloc/ but mpalloc/region.h, so that a mistake there is not repeated here.
 * Ends the program when something fails: tests cannot go on.
 */
#ifndef MAKE_REGION_H
#define MAKE_REGION_H

#include <mpalloc/region.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAKE_COMPONENTS = 6,
    MAKE_MODULES = 2,
    MAKE_OPTIONS = 3,
    MAKE_FRAMES = 7, /* in use, number 0 included; so are the next */
    MAKE_SITES = 5,
    MAKE_SAMPLES = 6, /* rows, of which the last but one is free */
    MAKE_NAMES = 3,
    MAKE_ROWS = 3,   /* of sites, number 0 included: of sites 1 and 2 */
    MAKE_EPOCHS = 5, /* that ended */
    MAKE_MARKS = 2,
    MAKE_INTERVAL = 4096,
    MAKE_LEAK_ROWS = 3,
    MAKE_POOLS = 4, /* records, of pools, of counters and of limits */
};

/* Room of the sections, and what is longer than it must be. */
struct make_shape {
    size_t components; /* at least MAKE_COMPONENTS */
    size_t classes;
    size_t cell_rows;
    size_t moments[MP_REGION_TIMELINE_TIERS];
    size_t modules;
    size_t options;
    size_t frames;
    size_t sites;
    size_t samples;
    size_t names;
    size_t rows;
    size_t marks;
    size_t leak_rows; /* 0: no leak check was made by this library */
    uint64_t written[MP_REGION_TIMELINE_TIERS]; /* points ever written */
    size_t extra_bytes; /* of each record, as of a later library */
};

/* Small: 37 pages. A first tier that went round, a second that did not, an empty third. */
extern const struct make_shape make_small;

/* The room that the allocator gives: 65 MB, nearly all of it holes. */
extern const struct make_shape make_full;

struct made {
    char *data;
    size_t bytes;
};

/*
 * A region of a process that is not there: six components in three levels, totals that
 * are their sums, two modules, three options, four call stacks. Its facts are those of a running process
 * with a start time that nobody has.
 */
void make_region(struct made *m, const struct make_shape *shape);
void make_region_free(struct made *m);

struct mp_region_header *made_header(const struct made *m);
struct mp_region_section *made_section(
    const struct made *m, enum mp_region_section_id id);
void *made_record(const struct made *m, enum mp_region_section_id id, size_t number);

/*
 * Samples of a site: blocks of `bytes`, of which `requested` were asked for, sampled at an
 * interval (0: exact). Of those allocated some were freed, after `us` microseconds.
 */
struct made_samples {
    double bytes;
    double requested;
    double interval;
    unsigned allocated;
    unsigned freed;
    uint64_t us;
};
void made_add_samples(struct mp_region_site *site, const struct made_samples *what);

/* The counters know of all its samples: as the allocator does, before a site changes. */
void made_count_now(const struct made *m, struct mp_region_site *site);

/* Make it the region of the calling process, as far as facts go. */
void made_adopt(const struct made *m);

/* Take a section out of the table. */
void made_remove(const struct made *m, enum mp_region_section_id id);

/* Holes stay holes. made_memfd returns a descriptor. */
void made_save(const struct made *m, const char *path);
int made_memfd(const struct made *m);

#endif
