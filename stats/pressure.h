/*
 * pressure - how near a process is to having no more memory
 *
 * Owns: the formula; public mp_pressure_make. Does not own: what the kernel says (groups.h).
 */
#ifndef PRESSURE_H
#define PRESSURE_H

#include <mpstats.h>

struct pressure_read;

/* life: as mp_image_life says. kernel may be NULL. */
void pressure_combine(const mp_image_t *image, enum mp_life life,
    const struct mp_proc *kernel, const struct pressure_read *read,
    struct mp_pressure *ret);

#endif
