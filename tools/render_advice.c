#include "render_advice.h"

#include "advice.h"
#include "format.h"
#include "view.h"

#include <string.h>

enum {
    SHOWN = 8,
    FRAMES_SHOWN = 3,
    NAME_COLUMNS = 60,
    LINE_COLUMNS = 96,
    TEXT_BYTES = 2048
};

/* Lines of whole words. */
static void put_wrapped(FILE *out, const char *text)
{
    size_t used = 0;

    while (*text != '\0') {
        size_t length = strcspn(text, " ");

        if (used > 0 && used + 1 + length > LINE_COLUMNS) {
            fputc('\n', out);
            used = 0;
        }
        fprintf(out, "%s%.*s", used == 0 ? "    " : " ", (int)length, text);
        used += length + 1;
        text += length + (text[length] == ' ');
    }
    fputc('\n', out);
}

static void put_frames(FILE *out, const struct advice_item *i)
{
    char text[TEXT_BYTES];

    for (size_t k = 0; k < i->depth && k < FRAMES_SHOWN; k++) {
        const struct stack_name *f = &i->frames[k];

        fprintf(out, "      %s %s", k == 0 ? "at" : "by",
            format_cut(text, sizeof(text), f->function, NAME_COLUMNS));
        if (f->file != NULL) {
            fprintf(out, "  %s%s", format_begin(STYLE_DIM), f->file);
            if (f->line != 0) {
                fprintf(out, ":%u", f->line);
            }
            fputs(format_end(), out);
        }
        fputc('\n', out);
    }
}

static void put_item(FILE *out, const struct advice_item *i)
{
    const struct mp_finding *f = i->finding;
    char text[128];

    fprintf(out, "\n  %s%s%s", format_begin(STYLE_BOLD), mp_finding_name(f->code),
        format_end());
    if (f->unit != MP_GAIN_NONE) {
        fprintf(out, "  %s", advice_gain(f, text, sizeof(text)));
    }
    if (i->component[0] != '\0') {
        fprintf(out, "  %s", i->component);
    }
    fputc('\n', out);
    for (unsigned k = 0; k < f->line_count; k++) {
        put_wrapped(out, f->line[k]);
    }
    put_frames(out, i);
    put_wrapped(out, mp_finding_text(f->code));
}

static void put_efficiency(FILE *out, const struct mp_efficiency *e)
{
    struct format spread =
        format_spread(e->requested.value, e->requested.low, e->requested.high);

    if (e->heap_bytes == 0) {
        return;
    }
    fprintf(out,
        "  efficiency %.2f: of %s resident, %s%s%s are asked for;\n"
        "  slack in blocks %s, free %s, tables %s\n",
        e->ratio, format_bytes((double)e->heap_bytes).text,
        format_bytes(e->requested.value).text, spread.text[0] != '\0' ? " " : "",
        spread.text, format_bytes(e->slack.value).text,
        format_bytes((double)e->free_bytes).text,
        format_bytes((double)e->metadata_bytes).text);
}

void render_advice(FILE *out, const mp_image_t *image, bool all)
{
    struct advice *a = advice_create(image, NULL);
    size_t shown = all || a->count < SHOWN ? a->count : SHOWN;

    fprintf(out, "\n%sWhat to do%s\n", format_begin(STYLE_BOLD), format_end());
    if (!view_is_ended(image)) { /* then it has freed nearly all */
        put_efficiency(out, &a->efficiency);
    }
    if (a->count == 0) {
        fputs("  nothing stands out\n", out);
    }
    if (view_is_young(image)) {
        fputs("  it ran too short to tell what leaks: minutes are wanted, or mpalloc "
              "leaks "
              "--scan\n",
            out);
    }
    for (size_t i = 0; i < shown; i++) {
        put_item(out, &a->all[i]);
    }
    if (a->count > shown) {
        fprintf(out, "\n  %zu more (--all)\n", a->count - shown);
    }
    advice_destroy(a);
}
