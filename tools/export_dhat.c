#include "export.h"

#include "stack_order.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * JSON of DHAT, version 2: what dh_view.html and profiler.firefox.com open. Times are
 * microseconds since the start.
 *
 * Each point of the program holds what all samples with one stack do, for the reader refuses
 * a stack that comes twice. What DHAT would know and sampling does not: the highest a point
 * ever was (mb) is here the higher of the peak of the process and the end, and lifetimes (tl)
 * are those of freed blocks alone.
 *
 * Bytes are those that were asked for, as DHAT's are, where every allocation was recorded.
 * Estimates are of block bytes, which alone there is a counter for to calibrate them with. A
 * block that realloc moves is freed here, and another one is allocated by whoever called
 * realloc; one that stays where it is stays the same, of another size. To DHAT each realloc is
 * one more block of the stack that allocated it first. The peak is when block bytes were at
 * their highest.
 */

/* Numbers of frames start behind "[root]". */
enum { FIRST_FRAME = 1 };

static json_t *integer(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static json_t *make_frames(const struct profile *p)
{
    json_t *all = json_array();
    char text[EXPORT_FRAME_BYTES];

    json_array_append_new(all, json_string("[root]"));
    for (size_t i = 0; i < p->frame_count; i++) {
        json_array_append_new(
            all, json_string(export_frame(p, (uint32_t)i, text, sizeof(text))));
    }
    return all;
}

/* The values of a sample, in the bytes that the document is in. */
static void add_values(uint64_t *sum, const struct profile_sample *s, bool is_exact)
{
    for (unsigned v = 0; v < PROFILE_VALUES; v++) {
        if (!is_exact || s->samples == 0) {
            sum[v] += s->value[v];
        } else {
            sum[v] += v == PROFILE_ALLOCATED_BYTES ? s->requested
                      : v == PROFILE_LIVE_BYTES    ? s->live_requested
                      : v == PROFILE_PEAK_BYTES    ? s->peak_requested
                                                   : s->value[v];
        }
    }
}

static void set_lifetimes(json_t *point, const uint64_t *sum, double lifetime_s)
{
    const uint64_t *live = sum + PROFILE_LIVE_BLOCKS;
    const uint64_t *peak = sum + PROFILE_PEAK_BLOCKS;

    json_object_set_new(point, "tl",
        integer(lifetime_s < 1e12 ? (uint64_t)llround(lifetime_s * 1e6) : INT64_MAX));
    json_object_set_new(point, "mb", integer(larger(live[1], peak[1])));
    json_object_set_new(point, "mbk", integer(larger(live[0], peak[0])));
    json_object_set_new(point, "gb", integer(peak[1]));
    json_object_set_new(point, "gbk", integer(peak[0]));
    json_object_set_new(point, "eb", integer(live[1]));
    json_object_set_new(point, "ebk", integer(live[0]));
}

/* Of the stack of the sample at *at, and those in the same order with the same stack. */
static json_t *make_point(const struct profile *p, const size_t *order, size_t *at)
{
    const struct profile_sample *first = &p->samples[order[*at]];
    uint64_t sum[PROFILE_VALUES] = {0};
    bool is_exact = profile_is_exact(p);
    double lifetime_s = 0;
    json_t *frames = json_array();
    json_t *point = json_object();

    for (; *at < p->sample_count && stack_order_is_same(first, &p->samples[order[*at]]);
         ++*at) {
        const struct profile_sample *s = &p->samples[order[*at]];

        add_values(sum, s, is_exact);
        lifetime_s += s->lifetime_s;
    }
    json_object_set_new(point, "tb", integer(sum[PROFILE_ALLOCATED_BYTES]));
    json_object_set_new(point, "tbk", integer(sum[PROFILE_ALLOCATED_BLOCKS]));
    if (p->has_stacks) {
        set_lifetimes(point, sum, lifetime_s);
    }
    for (size_t i = 0; i < first->depth; i++) {
        json_array_append_new(
            frames, integer(stack_order_frame(first, i, true) + FIRST_FRAME));
    }
    json_object_set_new(point, "fs", frames);
    return point;
}

static json_t *make_points(const struct profile *p, const size_t *order)
{
    json_t *all = json_array();

    for (size_t at = 0; at < p->sample_count;) {
        json_array_append_new(all, make_point(p, order, &at));
    }
    return all;
}

static json_t *make_head(const struct profile *p)
{
    const struct mp_region_process *process = mp_image_process(p->image);
    const struct mp_region_totals *t = mp_image_totals(p->image);
    char command[4 * sizeof(process->command) + 1];
    char how[100];
    char mode[150];
    uint64_t end = t->published_ns > process->started_ns
                       ? (t->published_ns - process->started_ns) / 1000
                       : 0;
    uint64_t peak = t->live_peak_ns > process->started_ns
                        ? (t->live_peak_ns - process->started_ns) / 1000
                        : 0;

    mp_text_escape(
        command, sizeof(command), process->command, sizeof(process->command));
    snprintf(mode, sizeof(mode), "heap (mpalloc: %s%s)",
        profile_describe(p, how, sizeof(how)),
        profile_is_exact(p) ? ", bytes asked for" : "");
    return json_pack("{s:i, s:s, s:s, s:b, s:b, s:s, s:s, s:s, s:I, s:I, s:I, s:i}",
        "dhatFileVersion", 2, "mode", mode, "verb", "Allocated", "bklt", p->has_stacks,
        "bkacc", 0, "tu", "µs", "Mtu", "s", "cmd", command, "pid",
        (json_int_t)process->pid, "te", (json_int_t)end, "tg",
        (json_int_t)(peak < end ? peak : end), "tuth", (int)PROFILE_SHORT_US);
}

int export_dhat(FILE *out, const struct profile *p, enum profile_value value)
{
    size_t *order = stack_order_create(p, true);
    json_t *root = make_head(p);
    int code = -ENOMEM;

    (void)value; /* the reader chooses */
    if (order != NULL && root != NULL
        && json_object_set_new(root, "pps", make_points(p, order)) == 0
        && json_object_set_new(root, "ftbl", make_frames(p)) == 0) {
        code = json_dumpf(root, out, JSON_COMPACT) == 0 ? 0
               : ferror(out)                            ? -EIO
                                                        : -ENOMEM;
        putc('\n', out);
    }
    json_decref(root);
    free(order);
    return code;
}
