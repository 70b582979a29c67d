#include "harden.h"

#include "canary.h"
#include "large.h"
#include "misuse.h"
#include "os.h"
#include "probe.h"

#include <string.h>

enum { CONFINED_BLOCKS = 64 };
#define CONFINED_BYTES (64 * MIB)
#define KEPT_BYTES     (8 * MIB) /* of them, whose pages are kept: to fault again is slow */
#define KEPT_MOST      (1 * MIB) /* of one of these */

/* Freed large blocks, oldest first, which nobody can touch. span_lock is not held. */
struct lock confined_lock = LOCK_INIT(RANK_CONFINED);
static struct span *confined[CONFINED_BLOCKS];
static unsigned confined_at;
static size_t confined_bytes;
static size_t kept_bytes;

/* Out of confinement. */
static void release(struct span *s)
{
    if (!os_protect(span_address(s), (size_t)s->run << SPAN_SHIFT, true)) {
        return; /* lost to the program, as it must stay inaccessible */
    }
    large_release(s, s->touched, os_coarse_ms());
}

/* Nobody can write to it any more: its pages go, or are cleared by who gets them next. */
static void purge(struct span *s, bool is_protected)
{
    size_t bytes = s->large_bytes;
    bool is_kept;

    lock_lock(&confined_lock);
    is_kept = bytes <= KEPT_MOST && kept_bytes + bytes <= KEPT_BYTES;
    kept_bytes += is_kept ? bytes : 0;
    lock_unlock(&confined_lock);
    if (is_kept) {
        s->touched += (uint32_t)span_parts_of(bytes);
    } else if (os_purge(span_address(s), bytes) && is_protected) {
        s->touched = 0;
    } else {
        s->touched = s->run * SPAN_PARTS;
    }
    s->asked = is_kept ? bytes : 0; /* what leaves with it */
}

/* The block leaves its place; under the lock. */
static struct span *take_locked(unsigned at)
{
    struct span *s = confined[at];

    confined[at] = NULL;
    confined_bytes -= (size_t)s->run << SPAN_SHIFT;
    kept_bytes -= s->asked;
    return s;
}

static void confine(struct span *s)
{
    struct span *old[CONFINED_BLOCKS];
    unsigned n = 0;

    lock_lock(&confined_lock);
    confined_bytes += (size_t)s->run << SPAN_SHIFT;
    for (unsigned i = 0; i < CONFINED_BLOCKS; i++) {
        unsigned at = (confined_at + i) % CONFINED_BLOCKS;

        if (confined[at] != NULL && (i == 0 || confined_bytes > CONFINED_BYTES)) {
            old[n++] = take_locked(at);
        }
    }
    confined[confined_at] = s;
    confined_at = (confined_at + 1) % CONFINED_BLOCKS;
    lock_unlock(&confined_lock);
    for (unsigned i = 0; i < n; i++) {
        release(old[i]);
    }
}

/* When memory is short, everything. False: nothing was confined. */
static bool release_all(void)
{
    struct span *old[CONFINED_BLOCKS];
    unsigned n = 0;

    lock_lock(&confined_lock);
    for (unsigned i = 0; i < CONFINED_BLOCKS; i++) {
        if (confined[i] != NULL) {
            old[n++] = take_locked(i);
        }
    }
    lock_unlock(&confined_lock);
    for (unsigned i = 0; i < n; i++) {
        release(old[i]);
    }
    return n > 0;
}

void *harden_alloc_large(struct mp_component *c, size_t size, size_t alignment)
{
    size_t page = os_page_bytes();
    bool zeroed;
    char *p;
    struct span *s;

    if (size > PTRDIFF_MAX - 2 * MIB) {
        return NULL;
    }
    size = bits_max(size, 1); /* asked is not 0 */
    p = large_alloc(c, size + CANARY_BYTES, page, alignment, &zeroed);
    if (p == NULL && release_all()) {
        p = large_alloc(c, size + CANARY_BYTES, page, alignment, &zeroed);
    }
    s = p != NULL ? span_find(p) : NULL;
    probe_run();
    if (s == NULL) {
        return p; /* huge: a mapping of its own, gone with its block */
    }
    if (!zeroed) {
        memset(p, 0, size);
    }
    s->asked = size;
    canary_set(p, size, s->large_bytes);
    /* To the end of its last span: whoever stands behind is safe from both sides. */
    os_protect(
        p + s->large_bytes, ((size_t)s->run << SPAN_SHIFT) - s->large_bytes, false);
    return p;
}

void harden_free_large(struct span *s, void *p, size_t size)
{
    size_t bytes = s->large_bytes;

    if (s->asked == 0) { /* of the time before */
        large_free(s, p);
        probe_run();
        return;
    }
    harden_check_size(p, s->asked, bits_max(size, 1));
    if (!canary_is_set(p, s->asked, bytes)) {
        misuse_found(p, "overflow", "large block, written to behind its end");
    }
    large_confine(s, p);
    /* In this order: what is written between the two would not be cleared. */
    purge(s, os_protect(p, (size_t)s->run << SPAN_SHIFT, false));
    confine(s);
}
