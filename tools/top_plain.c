/*
 * top_plain - mpalloc top without a screen: frames of text, or a JSON document a line
 */
#include "top.h"

#include "cli.h"
#include "document.h"
#include "format.h"
#include "top_views.h"
#include "view.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SHOWN = 12, SPARK = 40 };

/* "1.2 MiB/s", "-" at the first look. */
static struct format per_second(const struct top *top, double bytes)
{
    struct format f = {"-"};

    if (top->before != NULL) {
        f = format_bytes(bytes);
        strcat(f.text, "/s"); /* of at most 12 characters */
    }
    return f;
}

static void print_text(const char *text)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");

        printf(n > 0 ? "  %.*s\n" : "\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
    fflush(stdout);
}

static void print_frame(const struct top *top)
{
    const struct mp_region_process *p = mp_image_process(top->now);
    const struct mp_region_totals *t = mp_image_totals(top->now);
    size_t points = top->history_count < SPARK ? top->history_count : SPARK;
    char line[SPARK * 4 + 1];
    char name[256];

    format_sparkline(line, top->history + top->history_count - points, points);
    printf("%s  %s pid %llu %s  live %s in %s blocks %s  %s\n",
        format_time(view_now_ns()).text,
        format_name(name, sizeof(name), p->service, 30), (unsigned long long)p->pid,
        mp_life_name(mp_image_life(top->now)), format_bytes((double)t->live_bytes).text,
        format_count((double)t->live_blocks).text, line,
        per_second(top, top->growth_per_second).text);
    printf("  RSS %s  peak %s  cached %s  dirty %s  threads %llu  allocates %s, %s "
           "blocks/s  age %s\n",
        format_known(top->rss_bytes).text,
        format_bytes((double)t->live_peak_bytes).text,
        format_bytes((double)t->cached_bytes).text,
        format_bytes((double)t->dirty_bytes).text, (unsigned long long)t->threads,
        per_second(top, top->bytes_per_second).text,
        top->before != NULL ? format_count(top->blocks_per_second).text : "-",
        format_seconds(view_age_seconds(top->now)).text);
    if (top_is_text(top->table)) {
        print_text(top_views_text(top->views, top, top->table));
        return;
    }
    printf("  %11s  %9s  %11s  %13s  %13s  %s\n", "live", "blocks", "peak", "growth",
        "allocates", top->table == TOP_COMPONENTS ? "component" : "block size");
    for (size_t i = 0; i < top->row_count && i < SHOWN; i++) {
        const struct top_row *r = &top->rows[i];

        printf("  %11s  %9s  %11s  %13s  %13s  %s%s\n",
            format_bytes((double)r->live_bytes).text,
            format_count((double)r->live_blocks).text,
            r->peak_bytes == MP_UNKNOWN ? "-"
                                        : format_bytes((double)r->peak_bytes).text,
            per_second(top, r->growth_per_second).text,
            per_second(top, r->bytes_per_second).text, r->name, r->mark.text);
    }
    if (top->row_count > SHOWN) {
        printf("  %zu more\n", top->row_count - SHOWN);
    }
    fflush(stdout);
}

/* Of one look alone nothing is known. */
static json_t *rate(const struct top *top, double per_second)
{
    return top->before != NULL ? json_real(per_second) : json_null();
}

static int print_document(const struct top *top)
{
    const struct mp_region_totals *t = mp_image_totals(top->now);
    json_t *d = document_new("top");
    json_t *rows = json_array();

    document_set(d, "process", document_process(top->now));
    document_set_bytes(d, "live_bytes", t->live_bytes);
    document_set_bytes(d, "live_blocks", t->live_blocks);
    document_set_bytes(d, "live_peak_bytes", t->live_peak_bytes);
    document_set_bytes(d, "rss_bytes", top->rss_bytes);
    document_set(d, "allocated_bytes_per_second", rate(top, top->bytes_per_second));
    document_set(d, "allocated_blocks_per_second", rate(top, top->blocks_per_second));
    document_set(d, "live_bytes_growth_per_second", rate(top, top->growth_per_second));
    for (size_t i = 0; i < top->row_count; i++) {
        const struct top_row *r = &top->rows[i];
        json_t *o = json_object();

        document_set_text(o, "name", r->name);
        document_set_bytes(o, "live_bytes", r->live_bytes);
        document_set_bytes(o, "live_blocks", r->live_blocks);
        document_set_bytes(o, "live_peak_bytes", r->peak_bytes);
        if (top->table == TOP_COMPONENTS) {
            document_set(o, "is_over_limit", json_boolean(r->mark.text[0] != '\0'));
        }
        document_set(o, "allocated_bytes_per_second", rate(top, r->bytes_per_second));
        document_set(o, "allocated_blocks_per_second", rate(top, r->blocks_per_second));
        document_set(
            o, "live_bytes_growth_per_second", rate(top, r->growth_per_second));
        json_array_append_new(rows, o);
    }
    document_set(d, top->table == TOP_COMPONENTS ? "components" : "size_classes", rows);
    return document_print(d, true);
}

static int repeat(struct top *top, unsigned interval_ms, uint64_t iterations, bool json)
{
    struct timespec pause = {interval_ms / 1000, interval_ms % 1000 * 1000000L};
    struct mp_error error = {""};
    int code = EXIT_FINE;

    for (uint64_t i = 0; code == EXIT_FINE && (iterations == 0 || i < iterations);
         i++) {
        if (i > 0) {
            nanosleep(&pause, NULL);
            code = top_refresh(top, &error);
            if (code != EXIT_FINE) {
                return cli_fail("top", (enum exit_code)code, "%s", error.text);
            }
        }
        if (json) {
            code = print_document(top);
        } else {
            print_frame(top);
            code = ferror(stdout) ? EXIT_FAILED : EXIT_FINE;
        }
        if (top->ended) {
            break;
        }
    }
    return code;
}

int top_plain(struct top *top, unsigned interval_ms, uint64_t iterations)
{
    return repeat(top, interval_ms, iterations, false);
}

int top_json(struct top *top, unsigned interval_ms, uint64_t iterations)
{
    return repeat(top, interval_ms, iterations, true);
}
