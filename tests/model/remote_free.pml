/*
 * remote_free.pml - the list of remote frees, and slabs left behind and taken over
 *
 * What heap.c, shelf.c and slab.c of alloc/ do with `remote`, `pending`, HEAP_ORPHAN and the
 * locks of heaps, one step for each access that another thread can see. README.md says
 * what is left out. Weak memory is: this model is sequentially consistent.
 *
 * Threads: FREERS that free any block they find in use; owner 1, with heap 0 and all slabs;
 * owner 2, with heap 1 and none, which takes over what it finds; with OWNERS == 3 one more,
 * which takes any heap that became unused. Owners refill (fold, drain, switch slabs, hand
 * out again), absorb, free blocks, and exit whenever they like. When all are through, every
 * block must be folded and every slab released, whatever happened.
 *
 * Invariants (each assertion names its own):
 *
 *     M1  no block is lost: at the end all are folded, and no word or queue holds one
 *     M2  no block is folded twice, none that was not freed, as many as the word counts
 *     M3  one thread, or one queue, has the right that QUEUED stands for
 *     M4  a slab that is queued, or on its way there, is never released
 *     M5  nobody touches a slab that was released
 *     M6  plain fields are touched by the owner only: its thread, or of an orphan the
 *         holder of its lock
 *     M7  the drainer of an orphan misses no push: at the end no queue holds a slab
 *     M8  no deadlock: the end is reached (Spin: no invalid end state); no lock is taken by
 *         a thread that holds one
 *     M9  no livelock: no cycle (with -DNP)
 *     M10 empty slabs go back: at the end all are released, each once
 *
 * A compare-and-swap loop is one step: a swap that succeeds does what an atomic update at
 * that moment would do, as the link that it writes depends on nothing but the word that is
 * compared. -DSPLIT_CAS makes loads and swaps steps of their own, which tests that.
 *
 * -DBROKEN_n builds one mistake in; run.py demands that it is found.
 */
#ifndef FREERS
#define FREERS 2
#endif
#ifndef OWNERS
#define OWNERS 2 /* 2 or 3 */
#endif
#ifndef SLABS
#define SLABS 1
#endif
#ifndef BLOCKS
#define BLOCKS 2 /* of a slab */
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* of each owner */
#endif
#ifndef FREES
#define FREES 1 /* of each freer, at most */
#endif
#ifndef MALLOCS
#define MALLOCS 0 /* blocks that owners may hand out again */
#endif
#ifndef ABSORBS
#define ABSORBS 1 /* of each owner, beside its rounds */
#endif
/* FREERS * FREES >= SLABS * BLOCKS + MALLOCS, or blocks stay in use; at most two slabs. */
#define HEAPS 2
#define ALL   (SLABS * BLOCKS)
#define NONE  255
#define FREER_FIRST 11

/* Heads are number + 1; 0 is NULL. */

/* struct span */
byte r_head[SLABS], r_count[SLABS]; /* `remote`, with */
bool queued[SLABS];
byte heap[SLABS];
byte owner[SLABS] = 1;
byte used[SLABS] = BLOCKS;
byte pending_next[SLABS];

/* struct heap; `pending` is one word: every step below takes both parts at once */
byte pending[HEAPS];
bool orphan[HEAPS];
byte heap_owner[HEAPS];
byte current[HEAPS];
byte locked[HEAPS]; /* by whom */

/* component_lock guards these, nested in nothing: one step each */
bool is_left[HEAPS];   /* in c->orphans; LIFO there, any here */
bool is_unused[HEAPS]; /* in unused_heaps */

/* blocks */
byte block_next[ALL];
mtype = { IN_USE, FREEING, REMOTE, LOCAL };
mtype block[ALL] = IN_USE;

/* what only the model knows */
bool right[SLABS];    /* somebody holds what QUEUED stands for */
bool in_queue[SLABS]; /* linked in a pending stack */
bool released[SLABS];
byte in_use[SLABS] = BLOCKS;
byte mallocs = MALLOCS;
byte owners_done, started, done;

#define OWNS(h) (orphan[h] && locked[h] == me || !orphan[h] && heap_owner[h] == me)

#define LOCALS                                                                         \
    byte s, h, w_head, w_count, b, todo, taken, list, n;                               \
    bool w_bit

/* ---- lock.c ---- */

inline lock(x)
{
    atomic {
        assert(locked[0] != me && locked[1] != me); /* M8 */
        locked[x] == 0 -> locked[x] = me
    }
}

inline unlock(x)
{
    locked[x] = 0
}

/* ---- slab.c ---- */

#ifdef BROKEN_6
#define SPLIT_CAS
#define REMOTE_SAME true
#else
#define REMOTE_SAME (r_head[s] == w_head && r_count[s] == w_count && queued[s] == w_bit)
#endif

inline read_remote()
{
    w_head = r_head[s]; w_count = r_count[s]; w_bit = queued[s]
}

/* b, of slab s. Then w_bit says whether it was queued. */
inline slab_push_remote()
{
#ifdef SPLIT_CAS
    atomic { assert(!released[s]); /* M5 */ read_remote() }
#endif
    do
    :: atomic {
        assert(!released[s] && owner[s] != me); /* M5 */
#ifndef SPLIT_CAS
        read_remote();
#endif
        block_next[b] = (w_count == 0 -> 0 : w_head);
        if
        :: REMOTE_SAME ->
            r_head[s] = b + 1;
            r_count[s] = w_count + 1;
            queued[s] = true;
            block[b] = REMOTE;
            w_head = 0; w_count = 0; b = 0;
            if
            :: !w_bit ->
                assert(!right[s]); /* M3 */
                right[s] = true
            :: else
            fi;
            break
        :: else -> read_remote()
        fi
       }
    od
}

/* The slab x of heap y. */
inline slab_fold_remote(x, y, clear_queued)
{
#ifdef BROKEN_1
    if
    :: clear_queued -> d_step { queued[x] = false; right[x] = false }
    :: else
    fi;
#endif
    d_step { /* and_acq_rel */
        assert(OWNS(y)); /* M6 */
        assert(!released[x] && heap[x] == y); /* M5 */
        list = r_head[x]; n = r_count[x];
        r_head[x] = 0; r_count[x] = 0;
        if
        :: clear_queued ->
#ifndef BROKEN_1
            assert(queued[x] && right[x] && !in_queue[x]); /* M3 */
#endif
            queued[x] = false;
            right[x] = false
        :: else
        fi
    }
    d_step { /* plain: the links, local, used */
        assert(n <= used[x]); /* M2 */
        used[x] = used[x] - n;
        do
        :: n > 0 ->
            assert(list != 0 && block[list - 1] == REMOTE); /* M2 */
            assert((list - 1) / BLOCKS == x);
            block[list - 1] = LOCAL;
            list = block_next[list - 1];
            n--
        :: else -> break
        od;
        assert(list == 0) /* M2 */
    }
}

/* ---- heap.c ---- */

#ifndef BROKEN_3
#define CAN_RELEASE(x) (!queued[x])
#else
#define CAN_RELEASE(x) true
#endif

/* The rest of shelf_try_release, of slab x of heap y: nobody's block is in it. */
inline release(x, y)
{
    d_step {
        assert(OWNS(y)); /* M6 */
        assert(!right[x] && !in_queue[x] && !queued[x]); /* M4 */
        assert(r_count[x] == 0 && used[x] == 0 && !released[x]); /* M10 */
        released[x] = true;
        owner[x] = 0
    }
}

/* used and current are the owner's: the step that others can see is to read QUEUED. */
inline shelf_move(x, y)
{
    if
    :: used[x] == 0 && current[y] != x + 1 && CAN_RELEASE(x) -> release(x, y)
    :: else /* if it is queued, whoever drains it releases it */
    fi
}

inline drain(y)
{
    d_step { /* pending_take */
        assert(OWNS(y)); /* M6 */
        taken = pending[y];
        pending[y] = 0
    }
    do
    :: taken != 0 ->
        atomic {
            s = taken - 1;
            taken = pending_next[s];
            assert(in_queue[s] && right[s] && !released[s]); /* M3, M4 */
            in_queue[s] = false;
            if
#ifndef BROKEN_4
            :: heap[s] != y -> /* another's by now */
                pending_next[s] = todo;
                todo = s + 1;
                s = NONE
#endif
            :: else
            fi
        }
        if
        :: s != NONE ->
            slab_fold_remote(s, y, true);
            shelf_move(s, y)
        :: else
        fi;
        s = 0
    :: else -> break
    od
}

/*
 * All slabs of `todo`. heap_notify calls notify_all for what it drains, before the rest of
 * its caller's list: that is one list here, with what is drained put in front.
 */
inline notify_all()
{
    do
    :: todo != 0 ->
        atomic {
            s = todo - 1;
            todo = pending_next[s];
            assert(right[s] && !in_queue[s] && !released[s]); /* M3, M4 */
#ifdef BROKEN_9
            h = 0
#else
            h = heap[s]
#endif
        }
#ifdef SPLIT_CAS
        atomic { w_head = pending[h]; w_bit = orphan[h] };
#endif
        do /* pending_push */
        :: atomic {
            assert(right[s] && !in_queue[s] && !released[s]); /* M3, M4 */
#ifndef SPLIT_CAS
            w_head = pending[h]; w_bit = orphan[h];
#endif
            pending_next[s] = w_head;
            if
            :: pending[h] == w_head && orphan[h] == w_bit ->
                pending[h] = s + 1;
                in_queue[s] = true;
                w_head = 0; s = 0;
                break
            :: else -> w_head = pending[h]; w_bit = orphan[h]
            fi
           }
        od;
#ifdef BROKEN_5
        w_bit = false;
#endif
        if
        :: w_bit ->
            atomic { /* nobody else changes ORPHAN while we hold the lock */
                lock(h);
#ifdef BROKEN_7
                w_bit = true
#else
                w_bit = orphan[h]
#endif
            }
            if
            :: w_bit -> drain(h)
            :: else
            fi;
            atomic { unlock(h); w_bit = false }
        :: else
        fi;
        h = 0
    :: else -> break
    od
}

/* b, of slab s. */
inline free_in_slab()
{
    slab_push_remote();
    if
    :: !w_bit ->
        d_step { pending_next[s] = 0; todo = s + 1; s = 0 };
        notify_all()
    :: else -> s = 0; w_bit = false
    fi
}

/* A block in use of slab x, into b, and s; those of one slab are alike. */
inline pick(x)
{
    s = x;
    b = x * BLOCKS;
    do
    :: block[b] != IN_USE -> b++
    :: else -> break
    od;
    block[b] = FREEING;
    in_use[x]--
}

#define LAST (SLABS - 1) /* the other slab, or the same again */

inline count_free()
{
    frees--;
    if
    :: me == FREER_FIRST + started -> started++
    :: else
    fi
}

#define NO_MORE (mallocs == 0 || owners_done == OWNERS)
#define MY_TURN (me <= FREER_FIRST + started)

/* A thread that owns nothing. */
proctype freer(byte me)
{
    LOCALS;
    byte frees = FREES;

    /* They are all alike: call the one that starts first the first. */
    do
    :: d_step { frees > 0 && MY_TURN && in_use[0] > 0 -> count_free(); pick(0) };
       free_in_slab()
    :: d_step { frees > 0 && MY_TURN && in_use[LAST] > 0 -> count_free(); pick(LAST) };
       free_in_slab()
    :: (frees == 0 || in_use[0] + in_use[LAST] == 0 && NO_MORE) ->
        break
    od;
    atomic { frees = 0; done++ }
}

/* The owner frees a block, of its own or another's slab. */
inline free_any()
{
    if
    :: d_step { in_use[0] > 0 -> pick(0) }
    :: d_step { in_use[LAST] > 0 -> pick(LAST) }
    :: s = NONE
    fi;
    if
    :: s == NONE -> s = 0
    :: s != NONE && owner[s] != me -> free_in_slab()
    :: s != NONE && owner[s] == me ->
        d_step {
            assert(heap[s] == mine && OWNS(mine) && used[s] > 0 && !released[s]); /* M6 */
            block[b] = LOCAL;
            used[s]--;
            b = 0
        }
        shelf_move(s, mine); /* heap_on_left_zero */
        s = 0
    fi
}

inline retire_current()
{
    c = current[mine];
    current[mine] = 0;
    if
    :: c != 0 -> shelf_move(c - 1, mine)
    :: else
    fi;
    c = 0
}

#define IS_AVAIL(x)                                                                    \
    (heap[x] == mine && !released[x] && used[x] < BLOCKS && current[mine] != x + 1)

/* find_slab without absorbing and new slabs; each part may be left out. */
inline refill()
{
    c = current[mine];
    if
    :: c != 0 && r_count[c - 1] > 0 -> slab_fold_remote(c - 1, mine, false)
    :: else
    fi;
    if
    :: pending[mine] != 0 -> drain(mine); notify_all()
    :: skip
    fi;
    if
    :: IS_AVAIL(0) -> retire_current(); current[mine] = 1
    :: LAST != 0 && IS_AVAIL(LAST) -> retire_current(); current[mine] = LAST + 1
    :: skip
    fi;
    d_step { /* hand_out: no other thread sees used, or a local block */
        c = current[mine];
        if
        :: mallocs > 0 && c != 0 && used[c - 1] < BLOCKS ->
            b = (c - 1) * BLOCKS;
            do
            :: block[b] != LOCAL -> b++
            :: else -> break
            od;
            block[b] = IN_USE;
            used[c - 1] = used[c - 1] + 1;
            in_use[c - 1] = in_use[c - 1] + 1;
            mallocs--
        :: else
        fi;
        b = 0; c = 0
    }
}

inline heap_attach()
{
    lock(mine);
    d_step { assert(orphan[mine]); heap_owner[mine] = me };
    orphan[mine] = false;
    drain(mine);
    unlock(mine);
    notify_all()
}

/* slab_adopt. Holds the lock of o. */
inline adopt(x)
{
    d_step {
        if
        :: heap[x] == o && !released[x] ->
            assert(OWNS(o) && OWNS(mine) && current[o] == 0); /* M6 */
            owner[x] = me;
            heap[x] = mine
        :: else
        fi
    }
}

inline heap_absorb()
{
    d_step {
        if
        :: is_left[0] -> o = 0; is_left[0] = false
        :: !is_left[0] && is_left[1] -> o = 1; is_left[1] = false
        :: else -> o = NONE
        fi
    };
    if
    :: o != NONE ->
        assert(o != mine);
        lock(o);
        drain(o);
        adopt(0);
        adopt(LAST);
        unlock(o);
        notify_all();
        is_unused[o] = true
    :: else
    fi;
    o = 0
}

#define HAS_SLAB(x)                                                                    \
    (heap[0] == x && !released[0] || heap[LAST] == x && !released[LAST])

inline heap_detach()
{
    lock(mine);
#ifndef BROKEN_2
    orphan[mine] = true;
#endif
    c = current[mine];
    if
    :: c != 0 -> slab_fold_remote(c - 1, mine, false)
    :: else
    fi;
    retire_current();
    drain(mine);
#ifdef BROKEN_2
    orphan[mine] = true;
#endif
    atomic { /* lets go, disowns, looks whether anything is left */
        heap_owner[mine] = 0;
        if :: owner[0] == me -> owner[0] = 0 :: else fi;
        if :: owner[LAST] == me -> owner[LAST] = 0 :: else fi;
        c = HAS_SLAB(mine)
    }
#ifdef BROKEN_8
    notify_all();
#endif
    unlock(mine);
    notify_all();
    atomic {
        if
        :: c -> is_left[mine] = true
        :: else -> is_unused[mine] = true
        fi;
        c = 0
    }
}

proctype owner_thread(byte me; byte mine)
{
    LOCALS;
    byte c, o;
    byte rounds = ROUNDS, absorbs = ABSORBS;

    if
    :: mine == NONE ->
        if
        :: d_step { is_unused[0] -> is_unused[0] = false; mine = 0 }; heap_attach()
        :: d_step { is_unused[1] -> is_unused[1] = false; mine = 1 }; heap_attach()
        :: skip
        fi
    :: else
    fi;
    if
    :: mine != NONE ->
        do
        :: rounds > 0 -> rounds--; refill()
        :: rounds > 0 -> rounds--; free_any()
        :: absorbs > 0 && (is_left[0] || is_left[1]) -> absorbs--; heap_absorb()
        :: break
        od;
        atomic { rounds = 0; absorbs = 0 }
        heap_detach();
        mine = 0
    :: else
    fi;
#ifdef LATE
    free_any(); /* a destructor that comes later */
#endif
    atomic { owners_done++; done++ }
}

init
{
    atomic {
        heap_owner[0] = 1;
        heap_owner[1] = 2;
        current[0] = 1;
        run owner_thread(1, 0);
        run owner_thread(2, 1);
        if
        :: OWNERS > 2 -> run owner_thread(3, NONE)
        :: else
        fi;
        run freer(11);
        if
        :: FREERS > 1 -> run freer(12)
        :: else
        fi;
        if
        :: FREERS > 2 -> run freer(13)
        :: else
        fi
    }
    done == OWNERS + FREERS;
    d_step {
        assert(in_use[0] == 0 && in_use[LAST] == 0);
        assert(pending[0] == 0 && pending[1] == 0);                    /* M7 */
        assert(!right[0] && !right[LAST]);                             /* M7 */
        assert(!queued[0] && !queued[LAST]);                           /* M3 */
        assert(r_count[0] == 0 && r_count[LAST] == 0);                 /* M1 */
        assert(used[0] == 0 && used[LAST] == 0);                       /* M1 */
        assert(block[0] == LOCAL && block[ALL - 1] == LOCAL);          /* M1 */
        assert(released[0] && released[LAST]);                         /* M10 */
        assert(orphan[0] && orphan[1] && locked[0] == 0 && locked[1] == 0)
    }
}
