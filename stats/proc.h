/*
 * proc - what /proc says about a process
 *
 * Owns: reading and parsing of /proc/PID and of the memory cgroup; public mp_proc_read.
 * Does not own: what it means for a region (life.c, ledger.c).
 */
#ifndef PROC_H
#define PROC_H

#include <mpstats.h>

#include <sys/types.h>

/* Resident bytes of the mappings of a process, by what they are. */
struct proc_mappings {
    uint64_t resident_bytes;   /* all of them */
    uint64_t files_bytes;      /* pages of files: code, constants, data not written */
    uint64_t file_data_bytes;  /* written private pages of files: .data, .got, .bss */
    uint64_t brk_bytes;        /* [heap] */
    uint64_t stack_bytes;      /* [stack] */
    uint64_t region_bytes;     /* the region file */
    uint64_t spans_bytes;      /* memory of mpalloc that can be told by name or place */
    uint64_t spans_huge_bytes; /* of it, in transparent huge pages */
    uint64_t anon_bytes;       /* other private memory without a file */
    uint64_t shared_bytes;     /* other shared memory */
    uint64_t special_bytes;    /* [vdso] and such */
    bool has_region;           /* the region file is mapped */
    bool are_spans_named;      /* spans_bytes is all of mpalloc's memory, by name */
    uint64_t count;
};

/* The text of a file, terminated; bytes, or a negative errno. Free *ret. */
ssize_t proc_read_path(const char *path, char **ret);

/* The text of /proc/PID/NAME, terminated; bytes, or a negative errno. Free *ret. */
ssize_t proc_read_file(uint64_t pid, const char *name, char **ret);

/* Of /proc/PID/stat. */
struct proc_stat {
    char state;
    uint64_t minor_faults;
    uint64_t major_faults;
    uint64_t user_ticks;
    uint64_t kernel_ticks;
    uint64_t start_ticks; /* since the machine was started */
};

/* -ESRCH when there is no such process. */
int proc_read_stat(uint64_t pid, struct proc_stat *ret);

/* That, and what mp_proc_read_again reads. files: may be NULL. */
int proc_read_both(mp_proc_files_t *files, uint64_t pid, const struct mp_proc *before,
    struct proc_stat *ret_stat, struct mp_proc *ret);

/* MP_UNKNOWN in each field. */
void proc_set_unknown(struct mp_proc *ret);

/* Inode of the pid namespace of a process, 0 when that cannot be seen. */
uint64_t proc_pid_namespace(const char *pid);

/* -EACCES when that is not permitted, -ESRCH when there is no such process. */
int proc_read_mappings(
    uint64_t pid, dev_t device, ino_t inode, struct proc_mappings *ret);

/* Whether the process maps that file: 1, 0, or a negative errno. */
int proc_maps_file(uint64_t pid, dev_t device, ino_t inode);

#endif
