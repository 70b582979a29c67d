/*
 * os - the whole platform: memory, time, random, files, the process
 *
 * Every function keeps errno. Failure is NULL, false or a negative errno. Nothing here
 * allocates from the heap. os_linux.c is the only file that names kernel interfaces.
 */
#ifndef OS_H
#define OS_H

#include "atomic.h"
#include "attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if __has_include(<sys/single_threaded.h>)
#    include <sys/single_threaded.h>
#else
#    define __libc_single_threaded 0 /* musl: not known */
#endif

extern size_t os_page; /* relaxed atomic; 0: not known yet */
size_t os_find_page(void);

static inline size_t os_page_bytes(void)
{
    size_t page = load_relaxed(&os_page);

    return LIKELY(page != 0) ? page : os_find_page();
}

/* No other thread was ever started, or all were joined. */
static inline bool os_is_single_threaded(void)
{
    return __libc_single_threaded != 0;
}

/* Usable memory, zeroed, page aligned; physical pages come at first touch. */
void *os_map(size_t bytes);

/* The same exactly at `start`; false when something is there or no more may be had. */
bool os_map_at(void *start, size_t bytes);

/*
 * An address where `bytes` can probably be mapped piece by piece, if addresses of processes
 * have `bits` bits: random, aligned to 2 MiB, away from where the kernel puts mappings by
 * itself. NULL: no such place.
 */
void *os_lonely_address(size_t bytes, unsigned bits);
bool os_unmap(void *start, size_t bytes);

/* Resize a mapping, moving it if need be: its new start, or NULL and nothing changed. */
void *os_remap(void *start, size_t old_bytes, size_t new_bytes, bool may_move);

/* Address space without memory: os_protect makes parts usable, this takes their pages. */
void *os_map_inaccessible(size_t bytes);
bool os_make_inaccessible(void *start, size_t bytes);

/* Give the pages back; they read as zeros afterwards. False when the kernel refused. */
bool os_purge(void *start, size_t bytes);

/*
 * Let the kernel back whole huge pages in there by such from now on, or no more: those that are
 * there stay. False when the kernel refused, or has none.
 */
bool os_advise_huge(void *start, size_t bytes, bool is_wanted);

/* How much of a mapping is in memory now: most often exact; 0 where the kernel does not say. */
size_t os_resident_bytes(void *start, size_t bytes);

/* Whether the word at an address can be read, for now: the kernel is asked. */
bool os_is_readable(const void *address);

/* valgrind watches, and would complain about how os_is_readable asks. */
void os_note_valgrind(void);
/* Forbid or allow every access to pages. False: the kernel refused. */
bool os_protect(void *start, size_t bytes, bool may_access);

/* Memory that reads as zeros in a forked child, however it was forked. NULL: no such. */
void *os_map_wiped_on_fork(size_t bytes);

uint32_t os_coarse_ms(
    void); /* monotonic, a few ms of resolution, wraps after 49 days */
uint64_t os_monotonic_ns(void);
uint64_t os_realtime_ns(void);

/* CLOCK_REALTIME when a process began that has these start_ticks (of 10 ms). */
uint64_t os_started_ns(uint64_t ticks);

/* The path that the program was executed by, "" when unknown. */
const char *os_called(void);

/* The program's ELF program headers, as the kernel mapped them. NULL: unknown. */
const void *os_program_headers(size_t *ret_count);

/* Without any handler, at once. */
NORETURN void os_exit(int code);

/*
 * No cancellation of this thread until restored: with a lock held it would never be freed.
 */
int os_cancel_disable(void);
void os_cancel_restore(int state);

/*
 * The program is about to filter its system calls: from then on only memory is asked of
 * the kernel, and what else is done must first look whether that is so. For a child, too.
 */
extern bool os_sandbox_noted; /* relaxed atomic */
static inline void os_note_sandbox(void)
{
    store_relaxed(&os_sandbox_noted, true);
}
static inline bool os_is_sandboxed(void)
{
    return load_relaxed(&os_sandbox_noted);
}
int os_prctl(int option, const unsigned long argument[4]); /* sets errno */

/* The inode of an open file, 0 when there is none. */
uint64_t os_inode(int fd);

/* A copy of a descriptor, out of the program's way; a negative errno. */
int os_duplicate(int fd);

/* Fill with unpredictable bytes; never blocks, never fails. */
void os_random(void *buffer, size_t bytes);

/* Wait while *word == value, so long at most (spurious returns happen); wake all who wait. */
void os_futex_wait_ms(uint32_t *word, uint32_t value, uint32_t most_ms);
void os_futex_wake_all(uint32_t *word);

/* AT_SECURE: setuid and kin. Environment and files are then left alone. */
bool os_is_secure(void);
bool os_is_dumpable(void);
uint64_t os_limit_as(void);   /* RLIMIT_AS, 0: none */
uint64_t os_limit_data(void); /* RLIMIT_DATA, 0: none */
uint64_t os_limit_file(void); /* RLIMIT_FSIZE, 0: none */
uint64_t os_physical_bytes(void);
uint64_t os_cgroup_limit(void); /* memory.max, 0: none or unknown; opens files */
uint64_t os_pid(void);
uint64_t os_thread_id(void);
bool os_thread_name(char *ret, size_t size); /* of this one; 16 bytes at least */
uint64_t os_cpu_ns(void);                    /* of all threads of the process */
void os_raise(int number);                   /* a signal, for this thread */
bool os_is_first_thread(void);               /* the process began with it */
uint64_t os_parent_pid(void);
uint64_t os_uid(void);
uint64_t os_pid_namespace(void);

/* Whether the kernel's own clock is the counter of arch_ticks, so that it trusts it. Opens a file. */
bool os_trusts_ticks(void);

/* At most size - 1 bytes of a small file, terminated; bytes read or a negative errno. */
long os_read_file(const char *path, char *buffer, size_t size);
long os_read_link(const char *path, char *buffer, size_t size);

/*
 * A directory for regions: made with mode 0700 if missing, opened only if it is ours and
 * closed to others. A descriptor or a negative errno.
 */
int os_open_directory(const char *path);

/*
 * A new file in it, mode 0600, `bytes` long and sparse, the first `reserved` bytes backed.
 * A descriptor or a negative errno; on failure no file is left.
 */
int os_create_file(int directory, const char *name, size_t bytes, size_t reserved);
int os_create_memfd(const char *name, size_t bytes, size_t reserved);
void *os_map_file(int fd, size_t bytes, bool writable, size_t offset);
bool os_populate(void *start, size_t bytes); /* back part of a mapped file, or say no */
bool os_back_file(int fd, size_t offset, size_t bytes); /* the same by descriptor */
/* -EFBIG when `bytes` are more than RLIMIT_FSIZE. */
int os_write_new_file(
    const char *path, size_t bytes); /* a descriptor or a negative errno */
bool os_write_at(int fd, const void *data, size_t bytes, size_t offset);
bool os_read_at(
    int directory, const char *name, void *buffer, size_t bytes, size_t offset);
void os_close(int fd);
bool os_unlink_at(int directory, const char *name);

/*
 * Call each(name, arg) for the entries of an open directory, `most` at most; stops when it
 * returns false.
 */
void os_list_directory(
    int directory, unsigned most, bool (*each)(const char *name, void *arg), void *arg);
bool os_process_exists(uint64_t pid);
/* Seconds since the file was changed; 0 when that is not known. */
uint64_t os_file_age_s(int directory, const char *name);

/* ---- other threads, and a child: os_linux_process.c ---- */

/* Zeroed memory that a child by fork shares. NULL: none. */
void *os_map_shared(size_t bytes);

/* A file of the kernel's, to be read; a negative errno. What was read, or a negative errno. */
int os_open_file(const char *path);
long os_read_next(int fd, void *buffer, size_t bytes);
void os_rewind(int fd);
long os_read_from(int fd, void *buffer, size_t bytes, uint64_t offset);

/*
 * For each of up to 512 pages whether it is in memory: all bits or none. False: not known. Pages
 * that are shared count wherever they are mapped.
 */
bool os_pages_present(void *start, size_t pages, uint64_t *ret);

/*
 * The first page of [start, end) that is in memory or in swap, by a descriptor of /proc/self/pagemap;
 * end: there is none. 0: the kernel cannot tell (before 6.7).
 */
uintptr_t os_next_present(int pagemap, uintptr_t start, uintptr_t end);

/* All signals of this thread; the mask before. */
uint64_t os_block_signals(void);
void os_restore_signals(uint64_t mask);

/*
 * A handler for a real-time signal that the program has no use for, and that is not in this
 * mask: its number, or -EBUSY. Given back, it is what it was, and one that was sent and did not
 * arrive is lost.
 */
typedef void os_on_signal(uintptr_t value, const void *ucontext);
int os_take_signal(os_on_signal *call, uint64_t mask);
void os_return_signal(int number);

/* To a thread of this process, which calls that with the value; a negative errno. */
int os_signal_thread(uint64_t thread_id, int number, uintptr_t value);

/* What a thread of this process ran on processors; 0: there is none. */
uint64_t os_thread_cpu_ns(uint64_t thread_id);

void os_sleep_ms(uint32_t ms);

/*
 * fork, without any handler, of which the program is told nothing: no signal when the child ends,
 * and its wait() does not see it. The number, 0 in the child; a negative errno. The child shares
 * the descriptors' files with the parent, and must not return.
 */
int os_fork_silent(void);

/*
 * 1: that child ended, and is gone; its exit code, or the negative number of the signal that
 * ended it. 0: it runs. A negative errno: there is none.
 */
int os_reap(int pid, bool may_wait, int *ret_code);
void os_kill(int pid);

/*
 * In such a child, first of all: no descriptor is open, no signal arrives but those of faults,
 * which on_fault gets, and it is killed after so long at most.
 */
void os_begin_child(uint32_t most_ms, void (*on_fault)(int));

#endif
