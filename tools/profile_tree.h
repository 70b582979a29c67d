/*
 * profile_tree - a profile as a tree: who calls whom, with sums
 */
#ifndef PROFILE_TREE_H
#define PROFILE_TREE_H

#include "profile.h"

struct profile_node {
    const char *name; /* of a frame; lives as long as the profile */
    uint64_t
        total; /* its own and that of all below it; not 0. Of a difference the larger one
                       of what each stack held and holds */
    uint64_t before; /* of a difference, else 0 */
    uint64_t after;
    double under; /* squares of how far the change may be below and above, added up */
    double over;
    struct profile_node *child; /* the largest */
    struct profile_node *next;  /* the next smaller one beside it */
};

/*
 * How much of the larger one surely came (above 0) or went (below 0), of a difference; 0 if it may
 * be noise.
 */
double profile_tree_change(const struct profile_node *n);

/* The root, "all", of one value. NULL: no memory. */
struct profile_node *profile_tree_create(
    const struct profile *p, enum profile_value value);
void profile_tree_destroy(struct profile_node *root);

#endif
