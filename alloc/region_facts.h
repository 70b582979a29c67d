/*
 * region_facts - what a region says once: the process, size classes, the options in force
 *
 * To records that nobody reads yet.
 */
#ifndef REGION_FACTS_H
#define REGION_FACTS_H

#include <mpalloc/region.h>

#include <stdbool.h>
#include <stddef.h>

/* Cut where it does not fit; the rest of `to` is zero already. */
void region_copy_text(char *to, size_t size, const char *from);

/* is_child: of a fork; ticks: when the kernel says that it started. */
void region_write_process(struct mp_region_process *p, uint64_t ticks, bool is_child);

/* MP_REGION_CLASSES of them. */
void region_write_classes(struct mp_region_class *c);

/* Room for MP_REGION_OPTIONS_MAX. Returns how many there are. */
size_t region_write_options(struct mp_region_option *o);

#endif
