/*
 * region - the file that readers map: made, grown, written, left behind
 *
 * Owns: the mapping and its layout (include/mpalloc/region.h). Nothing here is ever read
 * back, but for the mailbox, which is checked like any input.
 *
 * Room is backed before it is written (fallocate at first, MADV_POPULATE_WRITE later), so
 * that a full tmpfs is a refusal and never a SIGBUS. Parts for which there is no room are
 * not written, and that is counted.
 *
 * Call with counters_lock held; what belongs to the sampler with profile_lock; both to make a
 * region and to forget one. Opens files: from the constructor, and in a forked child some time
 * after the fork.
 */
#ifndef REGION_H
#define REGION_H

#include "atomic.h"
#include "lock.h"

#include <mpalloc/region.h>

#include <stdbool.h>
#include <stddef.h>

/* False: there is none, and region_error says why. is_child: forked, did not exec. */
bool region_open_locked(bool is_child);
bool region_is_open(void);

/*
 * A word that reads 0 in a forked child until the child says otherwise: so long the mapping is
 * the parent's, and all parts below are NULL. NULL: there is no such word.
 */
void region_watch_fork(const uint32_t *mark);
bool region_is_of_parent(void);

/* Open, and made by this process: not so in a child that shares its memory (vfork). */
bool region_is_of_this_process(void);
const char *region_error(void);
int region_error_number(void); /* a negative errno, 0 when all is well */

/* At exit: marks it as ended; the file goes unless `keep`. */
void region_close_locked(bool keep);

/* In a forked child: the mapping is the parent's. */
void region_forget(void);

/* The parts, writable; NULL: no region, or no room for that record. */
struct mp_region_totals *region_totals(void);
struct mp_region_component *region_component(size_t row);
struct mp_region_cell *region_cells(size_t row); /* MP_REGION_CLASSES of them */
struct mp_region_moment *region_moment(unsigned tier, uint64_t number);

struct mp_region_pool *region_pool(size_t i);
struct mp_region_user_counter *region_user_counter(size_t i);
struct mp_region_limit *region_limit(size_t i);

/* Of leak checks; cells: MP_REGION_CLASSES of them. */
struct mp_region_leaks *region_leaks(void);
struct mp_region_leak_cell *region_leak_cells(size_t row);
struct mp_region_leak_site *region_leak_site(size_t i);

/* The same, of the sampler. */
struct mp_region_module *region_module(size_t i);
struct mp_region_sampling *region_sampling(void);
struct mp_region_frame *region_frame(size_t i);
struct mp_region_site *region_site(size_t i);
struct mp_region_sample *region_sample(size_t i);
struct mp_region_name *region_name(size_t i);
struct mp_region_epochs *region_epochs(void);
struct mp_region_site_epochs *region_site_epochs(size_t i);
struct mp_region_mark *region_mark(size_t i); /* below MP_REGION_MARKS */

/* Without the lock, of what a call above made ready. NULL: none did. */
struct mp_region_sampling *region_sampling_ready(void);
struct mp_region_sample *region_sample_ready(size_t i);

/*
 * To write parts of a record that is a sequence lock, between begin and end: words of it, as
 * they are in `from`. seq, the first word, is even; afterwards it is two more.
 */
static ALWAYS_INLINE void region_write_begin(uint64_t *out, uint64_t seq)
{
    store_relaxed(out, seq + 1);
    fence_release(); /* readers that see any of the rest see that it is being written */
}

static ALWAYS_INLINE void region_write_words(
    uint64_t *out, const uint64_t *from, size_t first, size_t end)
{
#pragma GCC unroll 8
    for (size_t i = first; i < end; i++) {
        store_relaxed(&out[i], from[i]);
    }
}

static ALWAYS_INLINE void region_write_end(uint64_t *out, uint64_t seq)
{
    store_release(out, seq + 2);
}

/* All of such a record, whose first word in `from` is as seq above. */
static inline void region_publish(uint64_t *out, const uint64_t *from, size_t bytes)
{
    region_write_begin(out, *from);
    region_write_words(out, from, 1, bytes / sizeof(*out));
    region_write_end(out, *from);
}

/* Records that a section has room for; 0 without a region. */
size_t region_room(enum mp_region_section_id id);

size_t region_profile_bytes(void); /* of these, backed by memory */

/* So much more of them than was written may be backed: it is done in steps. */
#define REGION_PROFILE_LEAST ((size_t)6 * 16 * 1024)

/* The path of the executable; and its build id, once modules.c found it. */
void region_executable(char *ret_path, size_t size);
void region_set_build_id(const uint8_t *id, size_t bytes);

/* What a tool asks for: a request not seen before and rightly signed. 0: nothing. */
uint64_t region_mailbox(uint64_t *ret_argument);

size_t region_used_bytes(void); /* backed by memory */
size_t region_bytes(void);

/* Where it is mapped; NULL: nowhere. */
const void *region_memory(size_t *ret_bytes);

/* Copy to a file descriptor; a negative errno on failure. Takes profile_lock now and then. */
int region_copy(int fd);

/* Guards the tables of the sampler and their parts of the region. */
extern struct lock profile_lock;

#endif
