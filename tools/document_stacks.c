#include "document_stacks.h"

#include "document.h"
#include "format.h"
#include "must.h"
#include "stacks.h"

#define SET(o, record, field) document_set_bytes((o), #field, (record)->field)

static json_t *since_counters(const mp_image_t *image)
{
    json_t *o = must(json_object());
    struct mp_since since;

    mp_image_since(image, &since);
    document_set_bytes(o, "samples", since.allocated_samples);
    SET(o, &since, freed_samples);
    SET(o, &since, allocated_bytes);
    SET(o, &since, freed_bytes);
    return o;
}

void document_add_sampling(json_t *d, const mp_image_t *image)
{
    const struct mp_region_sampling *g = mp_image_sampling(image);
    json_t *o = must(json_object());

    document_set_text(o, "mode",
        g->interval_bytes == MP_SAMPLING_OFF     ? "off"
        : g->interval_bytes == MP_SAMPLING_EXACT ? "exact"
                                                 : "sampled");
    SET(o, g, interval_bytes); /* null: off */
    SET(o, g, wanted_bytes);
    document_set_bytes(o, "samples_total", g->allocated_total);
    document_set_bytes(o, "freed_samples_total", g->freed_total);
    document_set_bytes(o, "listed_samples", mp_image_sample_count(image));
    document_set_bytes(o, "frames", g->frame_count);
    document_set_bytes(o, "sites", g->site_count);
    SET(o, g, doublings_total);
    SET(o, g, changes_total);
    document_set(
        o, "cost_seconds_total", document_number((double)g->cost_ns_total / 1e9));
    SET(o, g, memory_bytes);
    SET(o, g, memory_max_bytes);
    SET(o, g, stacks_truncated_total);
    SET(o, g, stacks_lost_total);
    SET(o, g, frames_refused_total);
    SET(o, g, sites_refused_total);
    SET(o, g, samples_refused_total);
    SET(o, g, samples_unlisted_total);
    SET(o, g, names_refused_total);
    document_set(o, "peak_time",
        g->peak_ns == 0 ? json_null()
                        : document_string(format_rfc3339(g->peak_ns).text));
    document_set_bytes(
        o, "peak_bytes", (uint64_t)mp_image_peak_bytes(image)); /* samples.c: fits */
    document_set(o, "since_counters", since_counters(image));
    document_set(d, "sampling", o);
}

static void set_estimate(
    json_t *o, const char *key, const struct stack *s, enum profile_value i)
{
    document_set_range(o, key, s->value[i], s->low[i], s->high[i]);
}

static uint64_t count_of(double value)
{
    return value < 0x1p63 ? (uint64_t)(value + 0.5) : UINT64_MAX - 1;
}

static void set_range(json_t *o, const char *key, const struct range *r)
{
    document_set_range(o, key, count_of(r->value), count_of(r->low), count_of(r->high));
}

/* The innermost first; function and file are fit to print. */
static json_t *frames_of(const struct profile *p, const struct stack *s)
{
    json_t *all = must(json_array());

    for (size_t i = s->samples > 0 ? s->depth : 0; i-- > 0;) {
        const struct profile_frame *f = &p->frames[s->frames[i]];
        json_t *o = must(json_object());

        document_set(o, "function", document_string(f->function));
        document_set(
            o, "file", f->file != NULL ? document_string(f->file) : json_null());
        document_set(o, "line", f->line != 0 ? json_integer(f->line) : json_null());
        document_set(o, "inlined", json_boolean(f->is_inlined));
        document_append(all, o);
    }
    return all;
}

static json_t *stack_of(const struct profile *p, const struct stack *s)
{
    json_t *o = must(json_object());

    document_set(o, "component", document_string(s->component));
    document_set(o, "frames", frames_of(p, s));
    document_set(o, "truncated", json_boolean(s->is_cut));
    document_set_bytes(o, "samples_total", s->samples);
    document_set_bytes(o, "live_samples", s->live_samples);
    set_estimate(o, "live_bytes", s, PROFILE_LIVE_BYTES);
    set_estimate(o, "live_blocks", s, PROFILE_LIVE_BLOCKS);
    set_estimate(o, "allocated_bytes_total", s, PROFILE_ALLOCATED_BYTES);
    set_estimate(o, "allocated_blocks_total", s, PROFILE_ALLOCATED_BLOCKS);
    set_estimate(o, "peak_bytes", s, PROFILE_PEAK_BYTES);
    set_estimate(o, "peak_blocks", s, PROFILE_PEAK_BLOCKS);
    set_estimate(o, "short_lived_bytes_total", s, PROFILE_SHORT_BYTES);
    set_estimate(o, "short_lived_blocks_total", s, PROFILE_SHORT_BLOCKS);
    document_set_bytes(
        o, "requested_bytes_total", s->samples > 0 ? s->requested : MP_UNKNOWN);
    document_set_bytes(o, "live_requested_bytes",
        s->live_samples > 0 ? s->live_requested : MP_UNKNOWN);
    document_set_bytes(o, "wasted_bytes",
        s->samples > 0 ? stack_waste(s, PROFILE_LIVE_BYTES) : MP_UNKNOWN);
    document_set_bytes(o, "peak_wasted_bytes",
        s->samples > 0 ? stack_waste(s, PROFILE_PEAK_BYTES) : MP_UNKNOWN);
    document_set(o, "mean_lifetime_seconds",
        s->lifetime_s > 0 ? document_number(s->lifetime_s) : json_null());
    set_range(o, "moved_blocks_total", &s->moved_blocks);
    set_range(o, "moved_bytes_total", &s->moved_bytes);
    document_set_bytes(o, "large_live_bytes", count_of(s->large_live_bytes));
    document_set_bytes(
        o, "large_allocated_bytes_total", count_of(s->large_allocated_bytes));
    document_set_bytes(
        o, "large_allocated_blocks_total", count_of(s->large_allocated_blocks));
    return o;
}

void document_add_stacks(json_t *d, const struct profile *p, size_t most)
{
    struct stacks *stacks = p->has_stacks ? stacks_create(p) : NULL;
    size_t count = stacks != NULL ? stacks->count : 0;
    json_t *all = must(json_array());

    for (size_t i = 0; i < count && i < most; i++) {
        document_append(all, stack_of(p, &stacks->stack[i]));
    }
    document_set(d, "stacks", all);
    document_set_bytes(d, "stacks_total", count);
    if (stacks != NULL) {
        stacks_destroy(stacks);
    }
}
