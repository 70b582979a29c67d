/*
 * sample_note - what is noted of a sample, how often, and what that may cost
 *
 * Owns: the interval in force; the way from an allocation to its stack (stacks.h) and its site
 * (sites.h); the governor that keeps the cost down; how all that goes, for readers.
 * Does not own: which blocks are sampled (sample.h, sample_large.h).
 */
#ifndef SAMPLE_NOTE_H
#define SAMPLE_NOTE_H

#include "clock.h"
#include "live.h"
#include "os.h"
#include "region.h"
#include "stacks.h"
#include "thread.h"

/* Rises when gaps must be drawn anew: the interval changed, or the process forked. */
extern HIDDEN uint32_t sample_epoch;

/* ---- the whole ---- */

/* The region was made, and is empty: both locks held. */
void sample_start_locked(void);

/* R from now on, as in mpalloc.h: 1 is exact, UINT64_MAX is off. -EINVAL, -ENOSYS. */
int sample_set_interval(uint64_t interval_bytes);

/* R in force. */
uint64_t sample_interval(void);

/* What the thread does, for samples. NULL: nothing any more. */
void sample_set_operation(const char *name);

/* The program is back at the same state. */
void sample_mark(const char *name);

/* Now and then: the governor. */
void sample_tick(uint32_t now_ms);

/* Give free spans of the pool back, all of them. */
void sample_trim(void);

/*
 * Counters were published, as that number: to the region with how sampling goes. They say what is
 * live, what was at most, and when (real time).
 */
void sample_publish(
    uint64_t number, uint64_t live_bytes, uint64_t highest_bytes, uint64_t now_ns);

/* In a forked child: only its own thread is left. */
void sample_after_fork_in_child(void);

/* ---- one sample: for sample.c and sample_large.c ---- */

/* What is on the stack when it is taken needs no lock. */
struct sample_capture {
    struct stack stack;
    uint64_t start_ns;
    uint64_t thread_id;
    char name[16]; /* "": as it was */
    bool has_name;
};

void sample_ask_for_name(struct sample_capture *c, struct thread *t);

/* Inline, and from its caller's registers: each frame of ours would be walked with each sample. */
static ALWAYS_INLINE void sample_take(struct sample_capture *c, uint64_t now_ns)
{
    struct thread *t = thread_local_state.thread;
    struct unwind_context context;

    c->start_ns = now_ns;
    unwind_capture(&context);
    c->stack.meeting.kept = t->kept;
    c->stack.count = unwind_walk_surely(
        &context, 1, c->stack.pcs, UNWIND_MOST, &c->stack.info, &c->stack.meeting);
    if (t->thread_id == 0 && !os_is_sandboxed()) {
        t->thread_id = os_thread_id();
    }
    c->thread_id = t->thread_id;
    sample_ask_for_name(c, t);
}

/* The lock of all that follows. */
void sample_enter(void);

/* Whether anything is sampled. */
bool sample_is_on_locked(void);

/* Its name, where it was asked for. */
void sample_name_locked(struct thread *t, const struct sample_capture *c);

struct site_key sample_key_locked(
    const struct sample_capture *capture, const struct mp_component *c, unsigned cls);
struct sampled sample_of(
    const struct sample_capture *c, size_t bytes, size_t size, uint64_t r);

/* The site of that key. Readers are told of new ones before anything speaks of them. */
uint32_t sample_find_site_locked(const struct site_key *key);

/* `size` bytes of it are wanted now. */
void sample_resize_locked(uint32_t record, size_t size);

/* Readers hear how it goes now; in exact mode, if there are new numbers. */
void sample_tell_locked(void);

/* Whoever traces our probes (usdt.h) hears of it. */
void sample_tell_tracer(const void *p, size_t bytes, uint64_t r);

/* At the end, without locks: what it cost; and with a tick. */
void sample_spent(uint64_t start_ns);
void sample_end(uint64_t start_ns);

/* The same where all is sampled, and no other clock is looked at; `turn` is the thread's. */
void sample_end_exact(uint64_t start_ns, uint32_t *turn);

#endif
