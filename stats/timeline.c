/*
 * timeline - what points over time say in a few figures: mean, most, slope
 */
#include <mpstats.h>

#include <errno.h>
#include <math.h>

enum { STRETCHES = 48, WARM_UP_PART = 4 };

#define WARM_UP_LATE_NS 60000000000u /* a timeline from there on has it */

/* The finest tier that reaches back to `from_ns`, or the one that reaches furthest. */
static unsigned pick_tier(const mp_image_t *image, uint64_t from_ns)
{
    static const uint64_t step_ns[MP_REGION_TIMELINE_TIERS] = {
        1000000000u, 60000000000u, 600000000000u};
    uint64_t start = mp_image_process(image)->started_ns;
    unsigned best = 0;

    from_ns = from_ns > start ? from_ns : start;
    for (unsigned tier = 0; tier < MP_REGION_TIMELINE_TIERS; tier++) {
        if (mp_image_moment_count(image, tier) >= 2) {
            best = tier;
            /* Two minutes, or steps: where the ring begins is no matter then. */
            if (mp_image_moment(image, tier, 0)->time_ns
                <= from_ns + 2 * step_ns[tier > 0 ? tier : 1]) {
                break;
            }
        }
    }
    return best;
}

/*
 * Means of equal stretches of time from begin to end. A stretch without a point holds what the
 * point before it had: a process that does not allocate adds none.
 */
static size_t make_stretches(const mp_image_t *image, unsigned tier, size_t first,
    uint64_t begin, uint64_t end, double ret[STRETCHES])
{
    size_t count = mp_image_moment_count(image, tier);
    size_t n = count - first < STRETCHES ? count - first : STRETCHES;
    double length = (double)(end - begin) / (double)n;
    double held[STRETCHES] = {0};
    double last[STRETCHES] = {0};
    double level =
        (double)mp_image_moment(image, tier, first > 0 ? first - 1 : first)->live_bytes;

    for (size_t i = first; i < count; i++) {
        const struct mp_region_moment *m = mp_image_moment(image, tier, i);
        double at = fmax(((double)m->time_ns - (double)begin) / length, 0);
        size_t k = at < (double)n ? (size_t)at : n - 1;

        ret[k] = (ret[k] * held[k] + (double)m->live_bytes) / (held[k] + 1);
        last[k] = (double)m->live_bytes;
        held[k]++;
    }
    for (size_t k = 0; k < n; k++) {
        ret[k] = held[k] > 0 ? ret[k] : level;
        level = held[k] > 0 ? last[k] : level;
    }
    return n;
}

/* The first point that is not before `from_ns`, or the last one. */
static size_t find_first(const mp_image_t *image, unsigned tier, uint64_t from_ns)
{
    size_t count = mp_image_moment_count(image, tier);
    size_t first = 0;

    while (
        first + 1 < count && mp_image_moment(image, tier, first)->time_ns < from_ns) {
        first++;
    }
    return first;
}

int mp_timeline_forecast(const mp_image_t *image, uint64_t from_ns, double room_bytes,
    struct mp_forecast *ret)
{
    unsigned tier = pick_tier(image, from_ns);
    size_t count = mp_image_moment_count(image, tier);
    size_t first = find_first(image, tier, from_ns);
    struct mp_point points[STRETCHES];
    double y[STRETCHES] = {0};
    uint64_t begin;
    uint64_t end;
    size_t n;
    int code;

    if (first + 1 >= count) {
        return mp_forecast_make(NULL, 0, room_bytes, ret);
    }
    begin = mp_image_moment(image, tier, first)->time_ns;
    end = mp_image_moment(image, tier, count - 1)->time_ns;
    if (end > begin && begin <= mp_image_process(image)->started_ns + WARM_UP_LATE_NS) {
        begin += (end - begin) / WARM_UP_PART;
        first = find_first(image, tier, begin);
    }
    if (end <= begin) {
        return mp_forecast_make(NULL, 0, room_bytes, ret);
    }
    n = make_stretches(image, tier, first, begin, end, y);
    for (size_t i = 0; i < n; i++) {
        points[i] = (struct mp_point){
            ((double)i + 0.5) * (double)(end - begin) / 1e9 / (double)n, y[i]};
    }
    code = mp_forecast_make(points, n, room_bytes, ret);
    ret->points = count - first;
    ret->seconds = (double)(end - begin) / 1e9;
    return code;
}

void mp_timeline_make(
    const mp_image_t *image, uint64_t from_ns, struct mp_timeline *ret)
{
    unsigned tier = pick_tier(image, from_ns);
    size_t count = mp_image_moment_count(image, tier);
    size_t first = find_first(image, tier, from_ns);
    struct mp_forecast forecast;
    double sum = 0;

    *ret = (struct mp_timeline){0};
    if (count < 2 || first + 1 >= count) {
        return;
    }
    ret->points = count - first;
    ret->from_ns = mp_image_moment(image, tier, first)->time_ns;
    ret->to_ns = mp_image_moment(image, tier, count - 1)->time_ns;
    for (size_t i = first; i < count; i++) {
        const struct mp_region_moment *m = mp_image_moment(image, tier, i);
        uint64_t high =
            m->live_high_bytes > m->live_bytes ? m->live_high_bytes : m->live_bytes;
        uint64_t next =
            i + 1 < count ? mp_image_moment(image, tier, i + 1)->time_ns : m->time_ns;

        if (high > ret->high_bytes) {
            ret->high_bytes = high;
            ret->high_ns = m->time_ns;
        }
        sum += (double)m->live_bytes
               * (next > m->time_ns ? (double)(next - m->time_ns) : 0);
    }
    if (ret->to_ns > ret->from_ns) {
        ret->mean_live_bytes = sum / (double)(ret->to_ns - ret->from_ns);
        ret->bytes_per_hour =
            mp_timeline_forecast(image, from_ns, INFINITY, &forecast) == 0
                ? forecast.bytes_per_hour
                : (struct mp_estimate){0, -INFINITY, INFINITY};
    }
}
