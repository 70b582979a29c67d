/*
 * report - the short text report that the library itself can write
 *
 * For MPALLOC_REPORT and malloc_stats: totals, components, busiest size classes. The
 * mpalloc command has the long one. Uses write(2) only. Call with no lock held.
 */
#ifndef REPORT_H
#define REPORT_H

struct mp_snapshot;

/* target: "1" for stderr, or an absolute path of a file to be made. */
void report_write(const char *target, const struct mp_snapshot *s);
void report_write_fd(int fd, const struct mp_snapshot *s);

#endif
