#include "profile_tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct profile_node *find_child(struct profile_node *of, const char *name)
{
    struct profile_node *n = of->child;

    while (n != NULL && strcmp(n->name, name) != 0) {
        n = n->next;
    }
    if (n == NULL) {
        n = calloc(1, sizeof(*n));
        if (n != NULL) {
            n->name = name;
            n->next = of->child;
            of->child = n;
        }
    }
    return n;
}

void profile_tree_destroy(struct profile_node *root)
{
    while (root != NULL) {
        struct profile_node *next = root->next;

        profile_tree_destroy(root->child);
        free(root);
        root = next;
    }
}

static uint64_t weight_of(const struct profile_sample *s, enum profile_value value)
{
    return s->value[value] > s->before[value] ? s->value[value] : s->before[value];
}

static void add_to(struct profile_node *n, const struct profile *p,
    const struct profile_sample *s, enum profile_value value)
{
    n->total += weight_of(s, value);
    if (p->before != NULL) {
        n->before += s->before[value];
        n->after += s->value[value];
        n->under += (double)s->low[value] * (double)s->low[value];
        n->over += (double)s->high[value] * (double)s->high[value];
    }
}

static bool add(struct profile_node *root, const struct profile *p,
    const struct profile_sample *s, enum profile_value value)
{
    struct profile_node *at = root;

    add_to(root, p, s, value);
    for (size_t i = 0; i < s->depth; i++) {
        at = find_child(at, p->frames[s->frames[i]].function);
        if (at == NULL) {
            return false;
        }
        add_to(at, p, s, value);
    }
    return true;
}

double profile_tree_change(const struct profile_node *n)
{
    double change = (double)n->after - (double)n->before;
    double larger = (double)(n->after > n->before ? n->after : n->before);

    return larger == 0 || (change - sqrt(n->under) <= 0 && change + sqrt(n->over) >= 0)
               ? 0
               : change / larger;
}

static struct profile_node *sorted(struct profile_node *list)
{
    struct profile_node *done = NULL;

    while (list != NULL) {
        struct profile_node *n = list;
        struct profile_node **at = &done;

        list = n->next;
        while (*at != NULL && (*at)->total >= n->total) {
            at = &(*at)->next;
        }
        n->next = *at;
        *at = n;
        n->child = sorted(n->child);
    }
    return done;
}

struct profile_node *profile_tree_create(
    const struct profile *p, enum profile_value value)
{
    struct profile_node *root = calloc(1, sizeof(*root));

    for (size_t i = 0; root != NULL && i < p->sample_count; i++) {
        const struct profile_sample *s = &p->samples[i];

        if (weight_of(s, value) != 0 && !add(root, p, s, value)) {
            profile_tree_destroy(root);
            return NULL;
        }
    }
    if (root != NULL) {
        root->name = "all";
        root->child = sorted(root->child);
    }
    return root;
}
