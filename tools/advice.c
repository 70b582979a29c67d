#include "advice.h"

#include "format.h"
#include "must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_MOST = 64 }; /* names take their time */

static void add_item(struct advice *a, const struct mp_finding *f)
{
    struct advice_item *i = &a->all[a->count++];

    i->finding = f;
    if (f->has_component) {
        const char *name = mp_image_component(a->image, f->component)->name;

        mp_text_escape(i->component, sizeof(i->component), name, strlen(name));
    }
    if (a->count <= NAMED_MOST) {
        i->depth = stack_names_find(a->image, a->symbols, f->frame, &i->frames);
    }
}

struct advice *advice_create(const mp_image_t *image, const mp_verdicts_t *verdicts)
{
    struct advice *a = must(calloc(1, sizeof(*a)));
    mp_verdicts_t *made = NULL;

    a->image = image;
    a->symbols = symbols_create(image);
    if ((verdicts == NULL && mp_verdicts_make(image, NULL, &made) != 0)
        || mp_findings_make(
               image, verdicts != NULL ? verdicts : made, NULL, &a->findings)
               != 0
        || mp_efficiency_make(image, &a->efficiency) != 0) {
        must(NULL);
    }
    mp_verdicts_free(made); /* findings keep none of it */
    a->all = must(calloc(mp_findings_count(a->findings) + 1, sizeof(*a->all)));
    for (size_t i = 0; i < mp_findings_count(a->findings); i++) {
        add_item(a, mp_findings_at(a->findings, i));
    }
    return a;
}

void advice_destroy(struct advice *a)
{
    for (size_t i = 0; i < a->count; i++) {
        free(a->all[i].frames);
    }
    mp_findings_free(a->findings);
    symbols_destroy(a->symbols);
    free(a->all);
    free(a);
}

static struct format amount(const struct mp_finding *f, double value)
{
    return f->unit == MP_GAIN_CALLS_PER_SECOND ? format_count(value)
                                               : format_bytes(value);
}

const char *advice_gain(const struct mp_finding *f, char *ret, size_t size)
{
    static const char *const suffixes[] = {[MP_GAIN_BYTES] = "",
        [MP_GAIN_PEAK_BYTES] = " of the peak",
        [MP_GAIN_BYTES_PER_HOUR] = " per hour",
        [MP_GAIN_CALLS_PER_SECOND] = " calls/s",
        [MP_GAIN_COPIED_PER_SECOND] = "/s copied",
        [MP_GAIN_NONE] = ""};
    const struct mp_estimate *e = &f->gain;

    if (f->unit == MP_GAIN_NONE) {
        ret[0] = '\0';
    } else if (e->low < e->value || e->high > e->value) {
        snprintf(ret, size, "%s%s (%s to %s)%s",
            f->unit == MP_GAIN_BYTES_PER_HOUR ? "growth of " : "",
            amount(f, e->value).text, amount(f, e->low).text, amount(f, e->high).text,
            suffixes[f->unit]);
    } else {
        snprintf(ret, size, "up to %s%s", amount(f, e->value).text, suffixes[f->unit]);
    }
    return ret;
}
