#include "pressure.h"

#include "groups.h"
#include "words.h"

#include <math.h>
#include <stdio.h>

enum {
    HALF_TIME_S = 3600, /* so long before the limit that part is 0.5 */
    RECENT_S = 600,     /* growth is that of so many seconds */
};

/* ---- parts ---- */

static double bounded(double value)
{
    return fmin(fmax(value, 0), 1);
}

static double lesser(double limit, uint64_t bytes)
{
    return bytes == 0 || bytes == MP_UNKNOWN ? limit : fmin(limit, (double)bytes);
}

static void make_limit(const mp_image_t *image, const struct mp_proc *kernel,
    const struct pressure_read *r, struct mp_pressure *p)
{
    const struct mp_region_process *facts = mp_image_process(image);
    const struct mp_region_totals *t = mp_image_totals(image);
    struct mp_pressure_part *part = &p->part[MP_PRESSURE_LIMIT];
    double held = kernel != NULL && kernel->resident_bytes != MP_UNKNOWN
                      ? (double)kernel->resident_bytes
                      : (double)t->resident_bytes;
    double group = isnan(r->limit_bytes) ? INFINITY : r->limit_bytes;
    double limit = lesser(INFINITY, facts->limit_data_bytes);
    const char *whose = "this process of RLIMIT_DATA";
    char used_text[WORDS_BYTES];
    char limit_text[WORDS_BYTES];
    char by_this[64];
    double own;

    held = own = fmax(held, (double)t->live_bytes);
    if (facts->limit_as_bytes != 0) { /* it counts addresses, touched or not */
        double addresses = kernel != NULL && kernel->virtual_bytes != MP_UNKNOWN
                               ? (double)kernel->virtual_bytes
                               : fmax(held, (double)t->mapped_bytes);

        if (addresses / (double)facts->limit_as_bytes >= held / limit) {
            limit = (double)facts->limit_as_bytes;
            held = addresses;
            whose = "this process's addresses of RLIMIT_AS";
        }
    }
    if (isinf(group)) { /* of one that is gone, or whose files we may not read */
        group =
            lesser(INFINITY, kernel != NULL && kernel->limit_cgroup_bytes != MP_UNKNOWN
                                 ? kernel->limit_cgroup_bytes
                                 : facts->limit_cgroup_bytes);
    }
    p->used_bytes = held;
    by_this[0] = '\0';
    if (!isinf(group)) {
        double used = isnan(r->used_bytes) ? held : r->used_bytes;

        if (used / group >= held / limit) { /* of the infinite limit: 0 */
            limit = group;
            p->used_bytes = used;
            whose = isnan(r->used_bytes) ? "this process of its control group's limit"
                                         : "its control group";
            if (!isnan(r->used_bytes)) { /* another one of the group may be the eater */
                snprintf(by_this, sizeof(by_this), ", %s of it by this process",
                    words_bytes(own, used_text));
            }
        }
    }
    if (isinf(limit) && facts->physical_bytes != 0) {
        limit = (double)facts->physical_bytes;
        whose = "this process of the machine's memory";
    }
    if (isinf(limit)) {
        p->used_bytes = NAN;
        snprintf(part->text, sizeof(part->text),
            "no limit: neither of a control group nor RLIMIT_AS or RLIMIT_DATA");
        return;
    }
    p->limit_bytes = limit;
    part->value = bounded(p->used_bytes / limit);
    snprintf(part->text, sizeof(part->text), "%s of %s used, by %s%s",
        words_bytes(p->used_bytes, used_text), words_bytes(limit, limit_text), whose,
        by_this);
}

static void make_stall(const struct pressure_read *r, bool runs, struct mp_pressure *p)
{
    struct mp_pressure_part *part = &p->part[MP_PRESSURE_STALL];
    double full = isnan(r->full_10) ? 0 : r->full_10;
    double some = fmax(r->some_10, r->some_60); /* passes over NAN */

    p->some_10 = r->some_10;
    p->some_60 = r->some_60;
    p->full_10 = r->full_10;
    if (isnan(some)) {
        snprintf(part->text, sizeof(part->text), "%s",
            runs ? "the kernel does not tell stalls (/proc/pressure/memory)"
                 : "the process does not run here");
        return;
    }
    part->value = bounded(some + full);
    snprintf(part->text, sizeof(part->text),
        "in the %s some waited for memory %.1f %% of 10 s, %.1f %% of 60 s; all %.1f "
        "%%",
        r->is_machine ? "machine" : "control group", 100 * r->some_10, 100 * r->some_60,
        100 * full);
}

/* Points of the last minutes, and what is live now: one that stopped to allocate adds none. */
static size_t recent_points(const mp_image_t *image, struct mp_point ret[RECENT_S + 2])
{
    const struct mp_region_totals *t = mp_image_totals(image);
    size_t count = mp_image_moment_count(image, 0);
    size_t used = 0;

    for (size_t i = count > RECENT_S ? count - RECENT_S : 0; i < count; i++) {
        const struct mp_region_moment *m = mp_image_moment(image, 0, i);
        double time_s = (double)m->time_ns / 1e9;

        if (m->time_ns + RECENT_S * 1000000000ull >= t->published_ns
            && (used == 0 || time_s > ret[used - 1].time_s)) {
            ret[used++] = (struct mp_point){time_s, (double)m->live_bytes};
        }
    }
    if (used > 0 && (double)t->published_ns / 1e9 > ret[used - 1].time_s) {
        ret[used++] =
            (struct mp_point){(double)t->published_ns / 1e9, (double)t->live_bytes};
    }
    return used;
}

static void make_time(const mp_image_t *image, bool runs, struct mp_pressure *p)
{
    struct mp_pressure_part *part = &p->part[MP_PRESSURE_TIME];
    struct mp_point points[RECENT_S + 2];
    struct mp_forecast f;
    char rate[WORDS_BYTES];
    char left[WORDS_BYTES];
    const char *why = NULL;

    if (!runs) {
        why = "the process does not run here";
    } else if (isnan(p->limit_bytes)) {
        why = "no limit that it could reach";
    } else if (mp_forecast_make(points, recent_points(image, points),
                   p->limit_bytes - p->used_bytes, &f)
               != 0) {
        why = "too few points of the timeline, of too short a time";
    }
    if (why != NULL) {
        snprintf(part->text, sizeof(part->text), "%s", why);
        return;
    }
    p->limit_s = f.grows ? f.limit_s.high : INFINITY;
    part->value = f.grows ? HALF_TIME_S / (HALF_TIME_S + p->limit_s) : 0;
    if (f.grows) {
        snprintf(part->text, sizeof(part->text),
            "the limit is %s away, at %s/h or more in the last %.0f s",
            words_time(p->limit_s, left), words_bytes(f.bytes_per_hour.low, rate),
            f.seconds);
    } else {
        snprintf(part->text, sizeof(part->text),
            "live bytes did not surely grow in the last %.0f s", f.seconds);
    }
}

void pressure_combine(const mp_image_t *image, enum mp_life life,
    const struct mp_proc *kernel, const struct pressure_read *read,
    struct mp_pressure *ret)
{
    bool runs = life == MP_LIFE_RUNNING || life == MP_LIFE_ELSEWHERE;

    *ret = (struct mp_pressure){.value = NAN,
        .used_bytes = NAN,
        .limit_bytes = NAN,
        .some_10 = NAN,
        .some_60 = NAN,
        .full_10 = NAN,
        .limit_s = NAN};
    for (unsigned i = 0; i < MP_PRESSURE_PARTS; i++) {
        ret->part[i].value = NAN;
    }
    make_limit(image, kernel, read, ret);
    make_stall(read, life == MP_LIFE_RUNNING, ret);
    make_time(image, runs, ret);
    for (unsigned i = 0; i < MP_PRESSURE_PARTS; i++) {
        ret->value = fmax(ret->value, ret->part[i].value); /* passes over NAN */
    }
}

void mp_pressure_make_in(mp_pressure_groups_t *groups, const mp_image_t *image,
    enum mp_life life, const struct mp_proc *kernel, uint64_t *group,
    struct mp_pressure *ret)
{
    struct pressure_read read;

    if (life == MP_LIFE_RUNNING) {
        groups_read_process(groups, mp_image_process(image)->pid, group, &read);
    } else {
        read = groups_nothing;
    }
    pressure_combine(image, life, kernel, &read, ret);
}

void mp_pressure_make(
    const mp_image_t *image, const struct mp_proc *kernel, struct mp_pressure *ret)
{
    enum mp_life life = mp_image_life(image);
    struct mp_pressure_groups groups;
    uint64_t group = 0;

    groups_init(&groups, GROUPS_MOUNT, GROUPS_MACHINE);
    mp_pressure_make_in(&groups, image, life, kernel, &group, ret);
    groups_fini(&groups);
}

const char *mp_pressure_part_name(enum mp_pressure_kind part)
{
    static const char *const names[MP_PRESSURE_PARTS] = {
        [MP_PRESSURE_LIMIT] = "limit",
        [MP_PRESSURE_STALL] = "stall",
        [MP_PRESSURE_TIME] = "time",
    };

    return (unsigned)part < MP_PRESSURE_PARTS ? names[part] : "unknown";
}
