#include "simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EPOCHS_LEAST = 16, EPOCHS_MOST = 31 };

#define WEIGHT (512.0 * 1024)
#define RUN_US 60e6
#define NEVER  1e9

const char *const shape_names[SHAPES] = {"pure leak", "leak of traffic",
    "leak in bursts", "leak behind tables", "leak that gets faster", "bounded LRU",
    "warm-up ramp", "sawtooth", "diurnal load", "index that saturates",
    "string interning", "start-up tables", "pool", "thread caches", "steady state",
    "random walk"};

/* SplitMix64. */
double dice_uniform(struct dice *d)
{
    uint64_t x = d->state += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return ((double)((x ^ (x >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double exponential(struct dice *d, double mean)
{
    return -mean * log(dice_uniform(d));
}

/* ---- one shape: all in parts of the run, from 0 to 1 ---- */

struct life {
    double birth;
    double death;
};

struct lives {
    size_t count;
    size_t room;
    struct life *life;
};

static void live(struct lives *l, double birth, double death)
{
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        l->life = realloc(l->life, l->room * sizeof(*l->life));
    }
    l->life[l->count++] = (struct life){birth, death};
}

/* Parameters of one run of a shape, drawn once. */
struct course {
    double a;
    double b;
    double c;
};

static struct course draw(struct dice *d, enum shape shape)
{
    double u = dice_uniform(d);
    double v = dice_uniform(d);

    switch (shape) {
    case LEAK_BURSTS:
        return (struct course){20 + floor(20 * u), 0, 0};
    case LEAK_FASTER:
        return (struct course){1.2 + 2 * u, 0, 0};
    case LRU:
    case WARM_UP:
        return (struct course){0.05 + 0.45 * u, 0.5 + 0.5 * v, 0}; /* full then */
    case SAWTOOTH:
        return (struct course){0.04 + 0.21 * u, v, 0}; /* period, phase */
    case DIURNAL:
        return (struct course){1 + floor(3 * u), v, 0.005 + 0.05 * dice_uniform(d)};
    case INDEX:
        return (struct course){0.05 + 0.2 * u, 0, 0};
    case INTERNING:
        return (struct course){0.35 + 0.2 * u, 0.3 + 0.5 * v, 0};
    case TABLES:
        return (struct course){0.001 + 0.05 * u, v < 0.5 ? 0 : v, 0};
    case THREAD_CACHES:
        return (struct course){0.05 + 0.3 * u, 0.05 + 0.1 * v, 0};
    case STEADY:
        return (struct course){0.0005 + 0.02 * u, 0, 0};
    case WALK:
        return (struct course){0.05 + 0.2 * u, 0, 0};
    default:
        return (struct course){u, v, 0};
    }
}

/* The most that a load needed at once, which wanders about its mean. */
static void make_pool(struct dice *d, double samples, struct lives *l)
{
    double load = 0;
    double most = -1.5;

    for (unsigned i = 0; i < 400; i++) {
        double before = most;

        load +=
            -0.1 * load
            + 0.45
                  * (sqrt(-2 * log(dice_uniform(d))) * cos(2 * M_PI * dice_uniform(d)));
        most = fmax(most, load);
        for (double n = (most - before) * samples / 4; n > 0; n--) {
            if (n >= 1 || dice_uniform(d) < n) {
                live(l, (i + dice_uniform(d)) / 400, NEVER);
            }
        }
    }
}

static void make_bursts(
    struct dice *d, double samples, const struct course *c, struct lives *l)
{
    for (unsigned i = 0; i < c->a; i++) {
        for (double t = 0; (t += exponential(d, 1)) < samples / c->a;) {
            live(l, (i + 0.5 + 0.01 * dice_uniform(d)) / c->a, NEVER);
        }
    }
}

static void make_one(struct dice *d, enum shape shape, double share,
    const struct course *c, double t, double chance, struct lives *l)
{
    switch (shape) {
    case LEAK_TRAFFIC:
        live(l, t, dice_uniform(d) < share ? NEVER : t + exponential(d, 0.001));
        break;
    case LEAK_FASTER:
        live(l, pow(t, 1 / (1 + c->a)), NEVER);
        break;
    case LRU:
        live(l, t, t + c->a);
        break;
    case WARM_UP: /* afterwards a part of it turns over */
        if (t < c->a) {
            live(l, t, chance < c->b ? NEVER : t + exponential(d, c->a));
        } else if (chance > c->b) {
            live(l, t, t + exponential(d, c->a));
        }
        break;
    case SAWTOOTH:
        live(l, t, (floor(t / c->a + c->b) + 1 - c->b) * c->a);
        break;
    case DIURNAL:
        if (chance < 0.55 + 0.45 * sin(2 * M_PI * (c->a * t + c->b))) {
            live(l, t, t + exponential(d, c->c));
        }
        break;
    case INDEX:
        live(l, -c->a * log(1 - t * (1 - exp(-1 / c->a))), NEVER);
        break;
    case INTERNING: /* Heaps' law; the words of a language end */
        live(l, pow(t, 1 / c->a) * (chance < 0.5 ? c->b : 1), NEVER);
        break;
    case TABLES:
        live(l, c->b + (1 - c->b) * c->a * t, NEVER);
        break;
    case THREAD_CACHES:
        if (t < c->a || chance < 0.5) {
            live(l, t, t + exponential(d, c->b));
        }
        break;
    case STEADY:
    case WALK:
        live(l, t, t + exponential(d, c->a));
        break;
    default:
        live(l, t, NEVER);
    }
}

static void make_lives(
    struct dice *d, enum shape shape, double samples, double share, struct lives *l)
{
    struct course c = draw(d, shape);

    if (shape == POOL) {
        make_pool(d, samples, l);
        return;
    }
    if (shape == LEAK_BURSTS) {
        make_bursts(d, samples, &c, l);
        return;
    }
    if (shape == LEAK_TABLES) {
        for (unsigned i = 0; i < 3 * samples; i++) {
            live(l, 0.02 * dice_uniform(d), NEVER);
        }
    }
    if (shape == WALK) { /* it begins in the middle of things */
        for (double n = samples * c.a; n > 0; n--) {
            live(l, 0.001 * dice_uniform(d), exponential(d, c.a));
        }
    }
    for (double t = 0; (t += exponential(d, 1 / samples)) < 1;) {
        make_one(d, shape, share, &c, t, dice_uniform(d), l);
    }
}

/* ---- what is seen of it ---- */

struct event {
    double at;
    int step;
};

static int compare_events(const void *a, const void *b)
{
    double x = ((const struct event *)a)->at;
    double y = ((const struct event *)b)->at;

    return (x > y) - (x < y);
}

static void see_levels(const struct lives *l, struct growth_past *past)
{
    struct event *events = malloc((2 * l->count + 1) * sizeof(*events));
    size_t count = 0;
    size_t at = 0;
    double level = 0;

    for (size_t i = 0; i < l->count; i++) {
        events[count++] = (struct event){l->life[i].birth, 1};
        if (l->life[i].death < 1) {
            events[count++] = (struct event){l->life[i].death, -1};
        }
    }
    qsort(events, count, sizeof(*events), compare_events);
    for (unsigned e = 0; e <= past->epochs; e++) {
        double end = e < past->epochs ? (e + 1) / past->now : 1;
        double floor = level;

        for (; at < count && events[at].at < end; at++) {
            level += events[at].step;
            floor = fmin(floor, level);
        }
        past->live[e] = level * WEIGHT;
        past->floor[e] = floor * WEIGHT;
    }
    free(events);
}

void simulate(struct dice *d, enum shape shape, double samples, double share,
    struct growth_past *ret)
{
    struct lives l = {0};
    double first = 1;

    *ret = (struct growth_past){0};
    ret->epochs =
        EPOCHS_LEAST + (unsigned)(dice_uniform(d) * (EPOCHS_MOST - EPOCHS_LEAST + 1));
    ret->now = ret->epochs + dice_uniform(d);
    make_lives(d, shape, samples, share, &l);
    ret->births = calloc(l.count + 1, sizeof(*ret->births));
    for (size_t i = 0; i < l.count; i++) {
        const struct life *v = &l.life[i];

        if (v->birth >= 1) {
            l.life[i].death = l.life[i].birth = 2;
            continue;
        }
        first = fmin(first, v->birth);
        if (v->death >= 1) {
            double age_us = (1 - v->birth) * RUN_US;

            ret->births[ret->birth_count++] =
                (struct growth_birth){.at = v->birth * ret->now,
                    .bytes = WEIGHT,
                    .count = 1,
                    .age_us = age_us};
            survival_add(&ret->survival, age_us);
        } else {
            ret->survival.died[survival_bucket((v->death - v->birth) * RUN_US)]++;
        }
    }
    see_levels(&l, ret);
    ret->first = first * ret->now;
    ret->observed_us = (1 - first) * RUN_US;
    free(l.life);
}

void simulate_free(struct growth_past *past)
{
    free(past->births);
}
