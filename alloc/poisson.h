/*
 * poisson - when the next allocation is sampled, and what a sample stands for
 *
 * Allocations are sampled as a Poisson process over bytes with mean interval R: a block of
 * S bytes is in the sample with probability p = 1 - exp(-S / R), whatever came before. So a
 * wait may be thrown away and drawn anew at any time, and waits of several lists or threads
 * are independent of each other.
 *
 * No state but the caller's generator, no libm.
 */
#ifndef POISSON_H
#define POISSON_H

#include <stdint.h>

/* The next of a sequence; state: any but 0. xorshift64* (Vigna 2016). */
uint64_t poisson_random(uint64_t *state);

/* An exponential variable of mean 1: -ln u of a uniform u in (0, 1]. To 1e-12. */
double poisson_exponential(uint64_t random);

/* 1 - exp(-bytes / interval), to 1e-14; 1 for interval 0, which is exact mode. */
double poisson_chance(double bytes, double interval);

/*
 * How many blocks of `bytes` come before the next one that is sampled: geometric with p, for
 * floor(E R / S) is at least n with probability exp(-n S / R). 0 for interval 0.
 */
uint64_t poisson_gap(uint64_t *state, uint64_t bytes, uint64_t interval);

#endif
