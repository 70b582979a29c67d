/*
 * peaks - what stacks held at the peak, held against the counters
 *
 * The peak of the samples is where their estimate of live bytes was highest: by its nature where
 * they happen to say too much, which with few and heavy ones is many times what there was. No
 * counter is of that moment, but each knows the highest that it ever was.
 */
#ifndef PEAKS_H
#define PEAKS_H

#include <mpstats.h>

/*
 * Bytes that all stacks together held at most. INFINITY: not known, for the counters are older
 * than the peak; or all is recorded exactly, and says it itself.
 */
double peaks_most(const mp_image_t *image);

/* Cut figures of the peak, in proportion, so that they are no more than that together. */
void peaks_cut(struct mp_figures *figures, size_t count, double most);

#endif
