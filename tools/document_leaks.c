#include "document_leaks.h"

#include "document.h"
#include "format.h"
#include "must.h"
#include "view.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *rules_of(const struct mp_verdict *v)
{
    json_t *all = must(json_array());

    for (unsigned i = 0; i < MP_RULES; i++) {
        if ((v->rules & 1u << i) != 0) {
            document_append(all, document_string(mp_rule_name(1u << i)));
        }
    }
    return all;
}

static json_t *lines_of(const struct mp_verdict *v)
{
    json_t *all = must(json_array());

    for (unsigned i = 0; i < v->line_count; i++) {
        document_append(all, document_string(v->line[i]));
    }
    return all;
}

static json_t *threads_of(const struct leaks *l, const struct mp_verdict *v)
{
    json_t *all = must(json_array());

    for (unsigned i = 0; i < MP_VERDICT_THREADS && v->threads[i] != 0; i++) {
        const char *name = mp_image_name(l->image, v->threads[i]);
        char text[128];

        mp_text_escape(text, sizeof(text), name, strlen(name));
        document_append(all, document_string(text));
    }
    return all;
}

static json_t *scan_of(const struct mp_verdict *v)
{
    json_t *o;

    if (v->scanned.rounds == 0) {
        return json_null();
    }
    o = must(json_object());
    document_set_bytes(o, "rounds", v->scanned.rounds);
    document_set(o, "definite_bytes", document_number(v->scanned.definite_bytes));
    document_set(o, "indirect_bytes", document_number(v->scanned.indirect_bytes));
    document_set(o, "possible_bytes", document_number(v->scanned.possible_bytes));
    document_set(o, "reachable_bytes", document_number(v->scanned.reachable_bytes));
    return o;
}

static json_t *ack_of(const struct leak *k)
{
    json_t *o;

    if (k->ack == NULL) {
        return json_null();
    }
    o = must(json_object());
    document_set(o, "note", document_string(k->ack));
    document_set_time(o, "until",
        k->ack_until_s == INT64_MAX ? 0 : (uint64_t)k->ack_until_s * 1000000000u);
    return o;
}

static json_t *leak_of(const struct leaks *l, const struct leak *k)
{
    const struct mp_verdict *v = k->verdict;
    json_t *o = must(json_object());
    char text[256];

    document_set(o, "id", document_string(k->id));
    document_set(o, "verdict", document_string(mp_verdict_name(v->kind)));
    document_set(o, "severity", document_string(mp_severity_name(v->severity)));
    document_set(o, "component", document_string(k->component));
    document_set(o, "operation", document_string(leak_operation(l, k, text)));
    document_set(o, "threads", threads_of(l, v));
    document_set(o, "rules", rules_of(v));
    document_set(o, "evidence", lines_of(v));
    document_set(o, "advice", document_string(mp_advice_name(v->advice)));
    document_set(o, "advice_text", document_string(mp_advice_text(v->advice)));
    document_set_bytes(o, "live_samples", v->live_samples);
    document_set_bytes(o, "freed_samples", v->freed_samples);
    document_set(o, "live_bytes", document_estimate(&v->live_bytes));
    document_set(o, "growth_bytes_per_hour", document_estimate(&v->bytes_per_hour));
    document_set(o, "limit_seconds", document_estimate(&v->limit_s));
    document_set_time(o, "first_seen", v->first_ns);
    document_set_time(o, "last_seen", v->last_ns);
    document_set(o, "oldest_seconds", document_number(v->oldest_s));
    document_set(o, "p", document_number(v->p));
    document_set(o, "slope_bytes_per_epoch", document_number(v->slope_bytes));
    document_set(o, "exponent", document_number(v->exponent));
    document_set(o, "exponent_low", document_number(v->exponent_low));
    document_set_bytes(o, "generations", v->generations);
    document_set_bytes(o, "epochs", v->epochs);
    document_set(o, "old_samples", document_number(v->old_all));
    document_set(o, "old_freed_samples", document_number(v->old_died));
    document_set(o, "never_freed_probability", document_number(v->leak_chance));
    document_set(o, "doubling_seconds",
        v->doubling_s > 0 ? document_number(v->doubling_s) : json_null());
    document_set(o, "scan", scan_of(v));
    document_set(o, "acknowledged", ack_of(k));
    document_set(
        o, "since_bytes", k->has_since ? document_number(k->since) : json_null());
    document_set(o, "frames", document_frames(k->frames, k->depth));
    return o;
}

/* null: there was no leak check. Exact, of all blocks. */
static json_t *check_of(const mp_image_t *image)
{
    static const char *const names[MP_LEAK_KINDS] = {
        "definite", "indirect", "possible", "reachable", "lost"};
    const struct mp_region_leaks *c = mp_image_leaks(image);
    json_t *d;

    if (c == NULL) {
        return must(json_null());
    }
    d = must(json_object());
    document_set_time(d, "time", c->time_ns);
    document_set(d, "error",
        c->error != 0 ? document_string(strerror((int)c->error)) : json_null());
    document_set_bytes(d, "rounds", c->rounds);
    document_set(d, "is_partial", json_boolean(c->partial != 0));
    document_set_bytes(d, "pause_ns", c->pause_ns);
    document_set_bytes(d, "threads_missed", c->threads_missed);
    for (unsigned i = 0; i < MP_LEAK_KINDS; i++) {
        json_t *kind = must(json_object());

        document_set_bytes(kind, "blocks", c->blocks[i]);
        document_set_bytes(kind, "bytes", c->bytes[i]);
        document_set(d, names[i], kind);
    }
    return d;
}

static json_t *counts_of(const size_t of_kind[MP_VERDICTS])
{
    json_t *counts = must(json_object());

    for (unsigned i = 0; i < MP_VERDICTS; i++) {
        document_set_bytes(
            counts, mp_verdict_name((enum mp_verdict_kind)i), of_kind[i]);
    }
    return counts;
}

static json_t *components_of(const struct leaks *l)
{
    size_t count;
    struct leaks_component *all = leaks_by_component(l, &count);
    json_t *list = must(json_array());

    for (size_t i = 0; i < count; i++) {
        json_t *o = must(json_object());

        document_set(o, "name", document_string(all[i].name));
        document_set(o, "verdict", document_string(mp_verdict_name(all[i].worst)));
        document_set(o, "verdicts", counts_of(all[i].stacks));
        document_set_bytes(o, "live_bytes", all[i].live);
        document_set(o, "growth_bytes_per_hour", document_estimate(&all[i].rate));
        document_append(list, o);
    }
    free(all);
    return list;
}

/* null: there is nothing to compare with. */
static json_t *since_of(const struct leaks *l)
{
    const mp_image_t *from = l->earlier != NULL ? l->earlier : l->image;
    json_t *o;

    if (l->earlier == NULL && l->since_s == 0) {
        return json_null();
    }
    o = must(json_object());
    document_set_bytes(o, "pid", mp_image_process(from)->pid);
    document_set_time(o, "published",
        l->earlier != NULL ? mp_image_totals(from)->published_ns
                           : (uint64_t)l->since_s * 1000000000u);
    return o;
}

json_t *document_leaks(const struct leaks *l, size_t rows, bool all)
{
    struct mp_estimate growth = mp_verdicts_growth(l->verdicts);
    json_t *d = document_new("leaks");
    json_t *list = must(json_array());

    document_set(d, "process", document_process(l->image));
    document_set(d, "verdicts", counts_of(l->of_kind));
    document_set_bytes(d, "acknowledged", l->acknowledged);
    document_set(d, "growth_bytes_per_hour", document_estimate(&growth));
    document_set_bytes(d, "limit_bytes",
        mp_verdicts_limit(l->verdicts) != 0 ? mp_verdicts_limit(l->verdicts)
                                            : MP_UNKNOWN);
    document_set_bytes(d, "epochs", mp_image_epochs(l->image)->current);
    document_set(d, "has_past", json_boolean(mp_verdicts_has_past(l->verdicts)));
    document_set(d, "leak_check", check_of(l->image));
    document_set(d, "since", since_of(l));
    document_set(d, "components", components_of(l));
    for (size_t i = 0; i < l->count && rows > 0; i++) {
        if (all || l->all[i].verdict->kind <= MP_VERDICT_SUSPECT) {
            document_append(list, leak_of(l, &l->all[i]));
            rows--;
        }
    }
    document_set(d, "leaks", list);
    return d;
}

/* ---- SARIF ---- */

static void describe(const struct leak *k, char *to, size_t size)
{
    const struct mp_verdict *v = k->verdict;

    snprintf(to, size, "%s: %s in %s holds %s and grows by %s per hour. %s",
        mp_verdict_name(v->kind),
        k->depth > 0 ? k->frames[0].function : "an unknown stack", k->component,
        format_bytes(v->live_bytes.value).text,
        format_bytes(fmax(v->bytes_per_hour.value, 0)).text, mp_advice_text(v->advice));
}

/* Without "." and "..", which code hosts do not resolve. */
static void clean_path(char *ret, size_t size, const char *path)
{
    size_t used = 0;

    ret[0] = '\0';
    while (*path != '\0') {
        size_t n = strcspn(path, "/");
        char *slash = strrchr(ret, '/');

        if (n == 2 && strncmp(path, "..", 2) == 0 && slash != NULL
            && strcmp(slash, "/..") != 0) {
            used = (size_t)(slash - ret);
            ret[used] = '\0';
        } else if (n > 0 && !(n == 1 && path[0] == '.')) {
            used += (size_t)snprintf(ret + used, size - used, "%s%.*s",
                used > 0 && ret[used - 1] != '/' ? "/" : "", (int)n, path);
        }
        if (used >= size) {
            break;
        }
        path += n;
        if (used == 0 && *path == '/') { /* of the root */
            used = (size_t)snprintf(ret, size, "/");
        }
        path += strspn(path, "/");
    }
}

/* RFC 3986: of a path as the compiler wrote it, "/src/build/../a b.c" is "file:///src/a%20b.c". */
static void make_uri(const char *path, char *ret, size_t size)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~/";
    char clean[PATH_MAX];
    size_t at;

    clean_path(clean, sizeof(clean), path);
    at = (size_t)snprintf(ret, size, "%s", clean[0] == '/' ? "file://" : "");
    for (const char *c = clean; *c != '\0' && at + 4 < size; c++) {
        at += (size_t)snprintf(ret + at, size - at,
            strchr(plain, *c) != NULL ? "%c" : "%%%02X", (unsigned char)*c);
    }
}

/* Of a frame whose source is not known the function alone. */
static json_t *place_of(const struct stack_name *f)
{
    json_t *o = must(json_pack(
        "{s:[{s:s}]}", "logicalLocations", "fullyQualifiedName", f->function));
    char uri[3 * PATH_MAX];

    if (f->file != NULL) {
        make_uri(f->file, uri, sizeof(uri));
        document_set(o, "physicalLocation",
            json_pack("{s:{s:s}, s:{s:i}}", "artifactLocation", "uri", uri, "region",
                "startLine", f->line != 0 && f->line < INT32_MAX ? (int)f->line : 1));
    }
    return o;
}

static json_t *rule_of(enum mp_verdict_kind kind)
{
    static const char *const texts[] = {
        [MP_VERDICT_LOST] = "The program has memory that nothing points to any more",
        [MP_VERDICT_GROWING] =
            "What a call stack holds grows steadily, and what is old is not freed",
        [MP_VERDICT_SUSPECT] =
            "What a call stack holds grew; whether it goes on is not sure yet"};

    return must(json_pack("{s:s, s:{s:s}, s:{s:s}}", "id", mp_verdict_name(kind),
        "shortDescription", "text", texts[kind], "defaultConfiguration", "level",
        kind <= MP_VERDICT_GROWING ? "error" : "warning"));
}

static json_t *result_of(const struct leak *k)
{
    const struct mp_verdict *v = k->verdict;
    json_t *places = must(json_array());
    json_t *stack = must(json_array());
    json_t *o;
    char text[1024];

    describe(k, text, sizeof(text));
    for (size_t i = 0; i < k->depth; i++) {
        if (i == 0) {
            document_append(places, place_of(&k->frames[i]));
        }
        document_append(
            stack, must(json_pack("{s:o}", "location", place_of(&k->frames[i]))));
    }
    o = must(json_pack("{s:s, s:s, s:{s:s}, s:o, s:[{s:o}], s:{s:s}}", "ruleId",
        mp_verdict_name(v->kind), "level",
        v->kind <= MP_VERDICT_GROWING ? "error" : "warning", "message", "text", text,
        "locations", places, "stacks", "frames", stack, "partialFingerprints",
        "mpallocId/v1", k->id));
    if (k->ack != NULL) {
        document_set(o, "suppressions",
            json_pack("[{s:s, s:s, s:s}]", "kind", "external", "status", "accepted",
                "justification", k->ack));
    }
    return o;
}

json_t *document_leaks_sarif(const struct leaks *l)
{
    json_t *results = must(json_array());

    for (size_t i = 0; i < l->count; i++) {
        if (l->all[i].verdict->kind <= MP_VERDICT_SUSPECT) {
            document_append(results, result_of(&l->all[i]));
        }
    }
    return must(json_pack("{s:s, s:s, s:[{s:{s:{s:s, s:s, s:[o, o, o]}}, s:s, s:o}]}",
        "$schema", "https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0",
        "runs", "tool", "driver", "name", "mpalloc", "version", CONFIG_VERSION, "rules",
        rule_of(MP_VERDICT_LOST), rule_of(MP_VERDICT_GROWING),
        rule_of(MP_VERDICT_SUSPECT), "columnKind", "unicodeCodePoints", "results",
        results));
}

/* ---- JUnit ---- */

static void put_xml(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        format_put_xml(out, *text);
    }
}

static void put_case(FILE *out, const struct leak *k)
{
    const struct mp_verdict *v = k->verdict;
    char text[1024];

    fputs("  <testcase classname=\"", out);
    put_xml(out, k->component);
    fputs("\" name=\"", out);
    put_xml(out, k->depth > 0 ? k->frames[0].function : "(unknown)");
    fprintf(out, " %s\">\n", k->id);
    if (k->ack != NULL) {
        fputs("    <skipped message=\"", out);
        put_xml(out, k->ack);
        fputs("\"/>\n", out);
    } else if (v->kind <= MP_VERDICT_GROWING) {
        describe(k, text, sizeof(text));
        fprintf(out, "    <failure type=\"%s\" message=\"", mp_verdict_name(v->kind));
        put_xml(out, text);
        fputs("\">", out);
        for (unsigned i = 0; i < v->line_count; i++) {
            put_xml(out, v->line[i]);
            fputc('\n', out);
        }
        for (size_t i = 0; i < k->depth; i++) {
            put_xml(out, k->frames[i].function);
            fputc('\n', out);
        }
        fputs("</failure>\n", out);
    }
    fputs("  </testcase>\n", out);
}

/* Builds fail where a suite has no test at all. */
void document_leaks_junit(FILE *out, const struct leaks *l)
{
    size_t count = 0;
    size_t skipped = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (l->all[i].verdict->kind <= MP_VERDICT_SUSPECT) {
            count++;
            skipped += l->all[i].ack != NULL;
        }
    }
    fprintf(out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuite name=\"mpalloc leaks\" tests=\"%zu\" failures=\"%zu\" "
        "errors=\"0\" skipped=\"%zu\" time=\"%.3f\">\n",
        count > 0 ? count : 1, leaks_failing(l, true), skipped,
        view_ran_seconds(l->image));
    if (count == 0) {
        fputs("  <testcase classname=\"mpalloc\" name=\"no leaks\"/>\n", out);
    }
    for (size_t i = 0; i < l->count; i++) {
        if (l->all[i].verdict->kind <= MP_VERDICT_SUSPECT) {
            put_case(out, &l->all[i]);
        }
    }
    fputs("</testsuite>\n", out);
}
