/*
 * estimate - what a sample of allocations says about all of them, and how surely
 *
 * Owns: the formulas; README.md ("Sampling") says where each is from.
 *
 * A block of S bytes is in the sample with probability p = 1 - exp(-S / R), on its own,
 * whatever else is. R is the sampling interval in bytes at its birth; R = 0 stands for exact
 * recording, where p = 1. Whether a block lives on does not depend on it, so the same holds
 * for what is live. Each sample then stands for 1 / p blocks and S / p bytes, and the sums
 * over samples are unbiased (Horvitz-Thompson).
 *
 * No state, any thread. Bytes and blocks are doubles: sums of many, and not whole.
 */
#ifndef ESTIMATE_H
#define ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

/* With 95 % probability the true value is in [low, high]. */
struct estimate {
    double value;
    double low;
    double high;
};

/* A sum over samples, of bytes or of blocks. */
struct estimate_sum {
    double value;
    double variance; /* estimated, by the samples */
    double heaviest; /* what one more sample could add, at most */
};

/* Sums over the samples of one thing: a stack, a component, a class. */
struct tally {
    uint64_t samples;
    struct estimate_sum bytes;
    struct estimate_sum blocks;
};

/* The probability that a block of so many bytes is in the sample. */
double estimate_chance(double bytes, double interval);

/* Count `count` samples of blocks of `bytes` each. */
void tally_add(struct tally *t, double bytes, double interval, uint64_t count);

/* Add what another one saw. */
void tally_merge(struct tally *t, const struct tally *other);

/*
 * The sum with its interval. `interval`: the R in force, for a sum of no samples, of which is
 * known only that it is less than about 3 R bytes.
 */
struct estimate estimate_bytes(const struct tally *t, double interval);
struct estimate estimate_blocks(const struct tally *t);

/*
 * The same where the whole that t is a part of is known exactly: `whole` is what the samples
 * say about it, `exact` what was counted. Samples of parts add up to the exact figure, the
 * intervals get narrower, and none reaches above what was counted. With fewer than
 * ESTIMATE_CALIBRATED samples of the whole it is estimate_bytes: the factor would be noise.
 */
enum { ESTIMATE_CALIBRATED = 5 };
struct estimate estimate_calibrated(
    const struct tally *t, const struct tally *whole, double exact, double interval);

/*
 * How many standard deviations lie between two states of one process, of which `gone` are
 * the samples that only the first had and `come` those that only the second has: what lived
 * through both does not blur the difference. 0: nothing came or went.
 */
double estimate_z(const struct tally *gone, const struct tally *come);

/*
 * P that two sums of samples differ as much, or more, by chance alone, when what they stand for is
 * equal; two-sided. Given how many samples there are in both, each is of the second with a
 * probability that the weights say: a binomial law, with the sums' effective numbers of samples. It
 * holds for few samples, where estimate_z is too sure. interval: the R of each, for sums of no
 * samples; 0: exact.
 */
double estimate_p(const struct tally *gone, const struct tally *come,
    double gone_interval, double come_interval);

/* To whole bytes or blocks; negative ones and what is not a number are 0, at most 2^62. */
uint64_t estimate_down(double value);
uint64_t estimate_up(double value);

/* Quantile q of the gamma distribution with that shape (> 0) and scale 1. */
double estimate_gamma_quantile(double shape, double q);

#endif
