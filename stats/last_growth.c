/*
 * last_growth - what grew last, of a process that died most of all
 */
#include "series.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { LAST_PART = 4 }; /* of the epochs, the last of so many parts */

/* Squares of deviations add up: of stacks they are kept to get those of components. */
static double deviation(const struct mp_grown *g)
{
    return (g->grew_bytes.high - g->grew_bytes.low) / 2;
}

static void set_interval(struct mp_grown *g, double wide)
{
    g->grew_bytes.low = g->grew_bytes.value - wide;
    g->grew_bytes.high = g->grew_bytes.value + wide;
}

/*
 * Samples that tell what it holds from what it held are those born since and those freed since.
 * How many there are is Poisson's: the variance is the sum of the squares of the bytes that each
 * stands for. That differs: the interval grows when samples cost too much. Those freed are not
 * known one by one any more; they are taken to be as those that live.
 */
static void find_growth(const mp_image_t *image, const struct series *s,
    const struct series_group *group, unsigned from, struct mp_grown *ret)
{
    struct growth_past of_group;
    const struct growth_past *past = &of_group;
    double born = 0;
    double all = 0;
    double squares = 0;
    double variance = 0;

    series_past(image, s, group, &of_group);
    *ret = (struct mp_grown){.component = group->component, .frame = group->frame};
    ret->live_bytes = past->live[past->epochs];
    ret->grew_bytes.value = ret->live_bytes - (from > 0 ? past->live[from - 1] : 0);
    for (size_t i = 0; i < past->birth_count; i++) {
        double bytes = past->births[i].bytes;

        all += bytes;
        if (past->births[i].at >= from) {
            born += bytes;
            squares += bytes * bytes;
        }
    }
    if (mp_image_sampling(image)->interval_bytes != MP_SAMPLING_EXACT
        && past->birth_count > 0) {
        double freed = fmax(born - ret->grew_bytes.value, 0);

        variance = squares + all / (double)past->birth_count * freed;
    }
    set_interval(ret, 1.96 * sqrt(variance));
}

static void add_component(
    struct mp_grown *components, size_t *count, const struct mp_grown *stack)
{
    struct mp_grown *g = NULL;
    double wide;

    for (size_t i = 0; i < *count && g == NULL; i++) {
        g = components[i].component == stack->component ? &components[i] : NULL;
    }
    if (g == NULL) {
        g = &components[(*count)++];
        *g = (struct mp_grown){.component = stack->component};
    }
    wide = hypot(deviation(g), deviation(stack));
    g->live_bytes += stack->live_bytes;
    g->grew_bytes.value += stack->grew_bytes.value;
    set_interval(g, wide);
}

static int compare_grown(const void *a, const void *b)
{
    const struct mp_grown *x = a;
    const struct mp_grown *y = b;

    return (x->grew_bytes.value < y->grew_bytes.value)
           - (x->grew_bytes.value > y->grew_bytes.value);
}

int mp_last_growth_make(const mp_image_t *image, struct mp_last_growth *ret)
{
    struct series s;
    struct mp_grown *stacks;
    struct mp_grown *components;
    unsigned from = 0;
    int code = series_make(image, &s);

    *ret = (struct mp_last_growth){0};
    if (code != 0) {
        return code;
    }
    stacks = calloc(s.group_count + 1, sizeof(*stacks));
    components = calloc(s.group_count + 1, sizeof(*components));
    ret->stacks = stacks;
    ret->components = components;
    if (stacks == NULL || components == NULL) {
        series_free(&s);
        mp_last_growth_free(ret);
        return -ENOMEM;
    }
    if (s.group_count > 0 && s.epochs >= LAST_PART) {
        from = s.epochs - s.epochs / LAST_PART;
    }
    ret->is_whole = from == 0;
    ret->seconds = series_seconds_since(image, &s, from);
    for (size_t i = 0; i < s.group_count; i++) {
        find_growth(image, &s, &s.groups[i], from, &stacks[i]);
        add_component(components, &ret->component_count, &stacks[i]);
    }
    ret->stack_count = s.group_count;
    series_free(&s);
    qsort(stacks, ret->stack_count, sizeof(*stacks), compare_grown);
    qsort(components, ret->component_count, sizeof(*components), compare_grown);
    return 0;
}

void mp_last_growth_free(struct mp_last_growth *last)
{
    free((void *)last->stacks);
    free((void *)last->components);
    *last = (struct mp_last_growth){0};
}
