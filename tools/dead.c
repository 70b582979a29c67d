#include "dead.h"

#include "document.h"
#include "format.h"
#include "must.h"
#include "stack_names.h"
#include "view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES_SHOWN = 4 };

struct dead {
    const mp_image_t *image;
    struct mp_pressure pressure;
    struct mp_last_growth last;
    double oom_kills; /* on this machine since it was started; NAN: not known */
    char how[200];
};

/* ---- which one ---- */

static bool is_asked(const mp_image_t *image, const char *word, const char *name)
{
    const struct mp_region_process *p = mp_image_process(image);

    if (name == NULL && word != NULL && word[strspn(word, "0123456789")] == '\0') {
        return p->pid == strtoull(word, NULL, 10);
    }
    name = name != NULL ? name : word;
    return name == NULL || strcmp(p->service, name) == 0;
}

static int find_newest(const struct common *common, const char *word, mp_image_t **ret)
{
    struct mp_paths paths;
    struct mp_error error = {""};
    int code = mp_find_all(NULL, false, &paths, &error);
    uint64_t newest = 0;
    char path[PATH_MAX] = "";

    *ret = NULL;
    for (size_t i = 0; code == 0 && i < paths.count; i++) {
        mp_image_t *image = NULL;

        if (mp_image_open_counters(paths.path[i], &image, NULL) == 0
            && mp_image_life(image) == MP_LIFE_DIED
            && mp_image_totals(image)->published_ns >= newest
            && is_asked(image, word, common->name)) {
            newest = mp_image_totals(image)->published_ns;
            snprintf(path, sizeof(path), "%s", paths.path[i]);
        }
        mp_image_free(image);
    }
    mp_paths_free(&paths);
    if (code != 0) {
        return cli_fail("report", cli_code(code), "%s", error.text);
    }
    if (path[0] == '\0') {
        char shown[256];
        const char *name = common->name != NULL ? common->name : word;

        return cli_fail("report", EXIT_NO_PROCESS,
            "no region of a process%s%s that died: mpalloc ps lists all there are",
            name != NULL ? " " : "",
            name != NULL ? format_name(shown, sizeof(shown), name, 80) : "");
    }
    return cli_open_file("report", path, ret);
}

/* ---- how it died ---- */

static double read_oom_kills(void)
{
    FILE *f = fopen("/proc/vmstat", "re");
    unsigned long long count;
    double found = NAN;
    char line[128];

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "oom_kill %llu", &count) == 1) {
            found = (double)count;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return found;
}

static void find_cause(struct dead *d)
{
    double used = d->pressure.part[MP_PRESSURE_LIMIT].value;
    const char *limit = isnan(used) ? "it had no limit of its own"
                        : used >= 0.9
                            ? "its limit was near: memory is what it died of, "
                              "most likely"
                            : "its limit was not near";

    d->oom_kills = read_oom_kills();
    if (isnan(d->oom_kills)) {
        snprintf(d->how, sizeof(d->how), "killed or crashed, not in order; %s", limit);
    } else {
        snprintf(d->how, sizeof(d->how),
            "killed or crashed, not in order; %s; the kernel killed %.0f process%s for "
            "memory since the machine was started",
            limit, d->oom_kills, d->oom_kills == 1 ? "" : "es");
    }
}

/* ---- how it looks ---- */

static const char *component_name(const struct dead *d, uint32_t row)
{
    const struct mp_region_component *c = mp_image_component(d->image, row);

    return c != NULL ? c->name : "";
}

static void put_grown(FILE *out, const struct mp_grown *g)
{
    struct format low = format_bytes(g->grew_bytes.low);
    struct format high = format_bytes(g->grew_bytes.high);

    fprintf(out, "  %11s  %11s to %11s  %11s  ", format_bytes(g->grew_bytes.value).text,
        low.text, high.text, format_bytes(g->live_bytes).text);
}

static void put_heading(FILE *out, const char *text)
{
    fprintf(out, "\n%s%s%s\n  %11s  %26s  %11s\n", format_begin(STYLE_BOLD), text,
        format_end(), "GREW", "95 % INTERVAL", "LIVE");
}

static void print_text(
    FILE *out, const struct dead *d, struct symbols *symbols, size_t rows)
{
    const struct mp_region_process *p = mp_image_process(d->image);
    const struct mp_region_totals *t = mp_image_totals(d->image);
    char name[256];

    format_set_output(out);
    fprintf(out, "%s %llu died: %s.\n", format_name(name, sizeof(name), p->service, 80),
        (unsigned long long)p->pid, d->how);
    fprintf(out, "  last counters  %s, %s after its start\n",
        format_time(t->published_ns).text,
        format_seconds(view_ran_seconds(d->image)).text);
    fprintf(out, "  live           %s in %s blocks\n",
        format_bytes((double)t->live_bytes).text,
        format_count((double)t->live_blocks).text);
    fprintf(
        out, "  peak           %s\n", format_bytes((double)t->live_peak_bytes).text);
    fprintf(out, "  limit          %s\n", d->pressure.part[MP_PRESSURE_LIMIT].text);
    if (d->last.stack_count == 0) {
        fprintf(out, "\nWhat grew last is not known: nothing was sampled.\n");
        return;
    }
    fprintf(out, "\nWhat grew last, in %s%s:\n", format_seconds(d->last.seconds).text,
        d->last.is_whole ? ", since its start"
                         : ", the last quarter of what it allocated");
    put_heading(out, "Components");
    for (size_t i = 0; i < d->last.component_count && i < rows; i++) {
        put_grown(out, &d->last.components[i]);
        fprintf(out, "%s\n",
            format_name(name, sizeof(name),
                component_name(d, d->last.components[i].component), 80));
    }
    put_heading(out, "Call stacks");
    for (size_t i = 0; i < d->last.stack_count && i < rows; i++) {
        struct stack_name *frames;
        size_t depth =
            stack_names_find(d->image, symbols, d->last.stacks[i].frame, &frames);

        put_grown(out, &d->last.stacks[i]);
        fprintf(out, "%s",
            format_name(name, sizeof(name),
                component_name(d, d->last.stacks[i].component), 80));
        for (size_t k = 0; k < depth && k < FRAMES_SHOWN; k++) {
            fprintf(out, "%s%s",
                k == 0                ? ": "
                : format_has_blocks() ? " \u2190 "
                                      : " <- ",
                frames[k].function);
        }
        fputc('\n', out);
        free(frames);
    }
}

static json_t *grown_document(const struct dead *d, const struct mp_grown *g)
{
    json_t *o = json_object();
    char name[4 * MP_REGION_NAME_BYTES + 1];

    document_set(o, "component",
        document_string(format_name(
            name, sizeof(name), component_name(d, g->component), sizeof(name) - 1)));
    document_set(o, "live_bytes", document_number(g->live_bytes));
    document_set(o, "grew_bytes", document_estimate(&g->grew_bytes));
    return o;
}

static json_t *make_document(const struct dead *d, struct symbols *symbols, size_t rows)
{
    const struct mp_region_totals *t = mp_image_totals(d->image);
    json_t *o = document_new("dead");
    json_t *components = json_array();
    json_t *stacks = json_array();

    document_set(o, "process", document_process(d->image));
    document_set_text(o, "how", d->how);
    document_set(o, "oom_kills", document_number(d->oom_kills));
    document_set_bytes(o, "live_bytes", t->live_bytes);
    document_set_bytes(o, "live_blocks", t->live_blocks);
    document_set_bytes(o, "live_peak_bytes", t->live_peak_bytes);
    document_set_bytes(o, "limit_bytes",
        isnan(d->pressure.limit_bytes) ? MP_UNKNOWN
                                       : (uint64_t)d->pressure.limit_bytes);
    document_set(
        o, "limit_used", document_number(d->pressure.part[MP_PRESSURE_LIMIT].value));
    document_set(o, "grew_seconds", document_number(d->last.seconds));
    for (size_t i = 0; i < d->last.component_count && i < rows; i++) {
        document_append(components, grown_document(d, &d->last.components[i]));
    }
    for (size_t i = 0; i < d->last.stack_count && i < rows; i++) {
        json_t *one = grown_document(d, &d->last.stacks[i]);
        struct stack_name *frames;
        size_t depth =
            stack_names_find(d->image, symbols, d->last.stacks[i].frame, &frames);

        document_set(one, "frames", document_frames(frames, depth));
        document_append(stacks, one);
        free(frames);
    }
    document_set(o, "components", components);
    document_set(o, "stacks", stacks);
    return o;
}

int report_dead(
    const struct common *common, char **words, size_t rows, const char *output)
{
    struct dead d = {.image = NULL};
    mp_image_t *image;
    struct symbols *symbols;
    FILE *out = stdout;
    int code = find_newest(common, words[0], &image);

    if (code != EXIT_FINE) {
        return code;
    }
    if (output != NULL && (out = freopen(output, "we", stdout)) == NULL) {
        mp_image_free(image);
        return cli_fail("report", EXIT_FAILED, "%s cannot be written: %m", output);
    }
    d.image = image;
    mp_pressure_make(image, NULL, &d.pressure);
    find_cause(&d);
    if (mp_last_growth_make(image, &d.last) != 0) {
        must(NULL);
    }
    symbols = symbols_create(image);
    if (common->json) {
        code = document_print(make_document(&d, symbols, rows), false);
    } else {
        print_text(out, &d, symbols, rows);
        code = fflush(out) != 0 || ferror(out)
                   ? cli_fail("report", EXIT_FAILED, "the report cannot be written: %m")
                   : EXIT_FINE;
    }
    symbols_destroy(symbols);
    mp_last_growth_free(&d.last);
    mp_image_free(image);
    return code;
}
