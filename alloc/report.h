/*
 * report - the short text report that the library itself can write
 *
 * For MPALLOC_REPORT and malloc_stats: totals, components, busiest size classes. The
 * mpalloc command has the long one. Uses write(2) only. Call with no lock held.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>

struct mp_snapshot;

/*
 * target: "1" for stderr, or an absolute path of a file to be made. %p in it becomes the
 * PID; where the file exists already, and for forked children, the PID is appended.
 */
/* Remember where stderr goes now: programs close it before they end. */
void report_prepare(const char *target);

void report_write(const char *target, const struct mp_snapshot *s, bool is_forked);
void report_write_fd(int fd, const struct mp_snapshot *s);

#endif
