#include "render_tops.h"

#include "document.h"
#include "format.h"
#include "must.h"
#include "view.h"

enum { NAME_COLUMNS = 60, STACK_FRAMES = 3, TEXT_BYTES = 2048 };

static const char *sort_words(enum top_key key, enum profile_value by)
{
    return key == TOP_COMPONENT && by == PROFILE_PEAK_BYTES
               ? "the most bytes that each had live"
           : by == PROFILE_ALLOCATED_BYTES  ? "bytes allocated"
           : by == PROFILE_ALLOCATED_BLOCKS ? "blocks allocated"
           : by == PROFILE_PEAK_BYTES       ? "bytes live at the peak"
           : by == PROFILE_SHORT_BLOCKS     ? "blocks that lived less than 8 ms"
                                            : "bytes live";
}

/* ---- text ---- */

static void put_value(FILE *out, const struct top *t, enum profile_value i)
{
    double value = (double)t->value[i];
    double low = (double)t->low[i];
    double high = (double)t->high[i];
    const char *spread = format_spread(value, low, high).text;
    unsigned used = format_columns(spread);

    fprintf(out, "  %11s %s%*s", format_estimate(value, low, high).text, spread,
        used < 6 ? (int)(6 - used) : 0, "");
}

static void put_stack(FILE *out, const struct profile *p, const struct top *t)
{
    const struct profile_sample *s = t->sample;
    const char *arrow = format_has_blocks() ? " \u2190 " : " <- ";
    char text[TEXT_BYTES];

    for (size_t i = 0; i < s->depth && i < STACK_FRAMES; i++) {
        const struct profile_frame *f = &p->frames[s->frames[s->depth - 1 - i]];

        fprintf(out, "%s%s", i > 0 ? arrow : "",
            format_cut(text, sizeof(text), f->function, NAME_COLUMNS / STACK_FRAMES));
    }
}

static void put_row(FILE *out, const struct profile *p, const struct top *t,
    const struct tops *all, enum top_key key, enum profile_value by, double ran)
{
    char text[TEXT_BYTES];

    put_value(out, t, PROFILE_LIVE_BYTES);
    put_value(out, t, PROFILE_PEAK_BYTES);
    put_value(out, t, PROFILE_ALLOCATED_BYTES);
    fprintf(out, "  %9s  %7s  %6s  ",
        ran > 0 ? format_count((double)t->value[PROFILE_ALLOCATED_BLOCKS] / ran).text
                : "",
        format_percent((double)t->value[PROFILE_SHORT_BLOCKS],
            (double)t->value[PROFILE_ALLOCATED_BLOCKS])
            .text,
        format_percent((double)t->value[by], (double)all->whole[by]).text);
    if (key == TOP_SITE && t->samples > 0) {
        put_stack(out, p, t);
    } else {
        fputs(format_cut(text, sizeof(text),
                  t->name[0] != '\0' ? t->name : top_unnamed(key), NAME_COLUMNS),
            out);
    }
    fputc('\n', out);
}

void render_tops(FILE *out, const mp_image_t *image, enum top_key key,
    enum profile_value by, size_t most)
{
    struct profile *p = profile_create(image);
    struct tops *t = tops_create(p, key, by);
    double ran = view_ran_seconds(image);
    char how[100];

    format_set_output(out);
    fprintf(out, "%sTop by %s, by %s%s  (%s)\n", format_begin(STYLE_BOLD),
        top_key_name(key), sort_words(key, by), format_end(),
        key == TOP_COMPONENT ? "counted, but for young"
                             : profile_describe(p, how, sizeof(how)));
    fprintf(out, "  %11s        %11s        %11s        %9s  %7s  %6s  %s\n", "live",
        key == TOP_COMPONENT ? "peak" : "at peak", "allocated", "blocks/s", "young",
        "share", top_key_name(key));
    for (size_t i = 0; i < t->count && i < most; i++) {
        put_row(out, p, &t->top[i], t, key, by, ran);
    }
    if (t->count > most) {
        fprintf(out, "  %zu more (--all)\n", t->count - most);
    }
    tops_destroy(t);
    profile_destroy(p);
}

/* ---- JSON ---- */

static void set_value(
    json_t *o, const char *key, const struct top *t, enum profile_value i)
{
    document_set_range(o, key, t->value[i], t->low[i], t->high[i]);
}

static json_t *frames_of(const struct profile *p, const struct top *t)
{
    const struct profile_sample *s = t->sample;
    json_t *all = must(json_array());

    for (size_t i = t->samples > 0 ? s->depth : 0; i-- > 0;) {
        document_append(all, document_string(p->frames[s->frames[i]].function));
    }
    return all;
}

static json_t *row(const struct profile *p, const struct top *t, enum top_key key)
{
    json_t *o = must(json_object());

    document_set(
        o, "name", document_string(t->name[0] != '\0' ? t->name : top_unnamed(key)));
    if (key == TOP_SITE) {
        document_set(o, "frames", frames_of(p, t));
    }
    document_set_bytes(o, "samples_total", t->samples);
    set_value(o, "live_bytes", t, PROFILE_LIVE_BYTES);
    set_value(o, "live_blocks", t, PROFILE_LIVE_BLOCKS);
    set_value(o, "peak_bytes", t, PROFILE_PEAK_BYTES);
    set_value(o, "allocated_bytes_total", t, PROFILE_ALLOCATED_BYTES);
    set_value(o, "allocated_blocks_total", t, PROFILE_ALLOCATED_BLOCKS);
    set_value(o, "short_lived_blocks_total", t, PROFILE_SHORT_BLOCKS);
    return o;
}

json_t *document_top_rows(
    const struct profile *p, const struct tops *t, enum top_key key, size_t most)
{
    json_t *all = must(json_array());

    for (size_t i = 0; i < t->count && i < most; i++) {
        document_append(all, row(p, &t->top[i], key));
    }
    return all;
}

json_t *document_tops(
    const mp_image_t *image, enum top_key key, enum profile_value by, size_t most)
{
    struct profile *p = profile_create(image);
    struct tops *t = tops_create(p, key, by);
    json_t *d = document_new("report_by");

    document_set(d, "process", document_process(image));
    document_set(d, "by", document_string(top_key_name(key)));
    document_set(d, "ran_seconds", document_number(view_ran_seconds(image)));
    document_set(d, "rows", document_top_rows(p, t, key, most));
    document_set_bytes(d, "rows_total", t->count);
    tops_destroy(t);
    profile_destroy(p);
    return d;
}
