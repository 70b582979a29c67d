/*
 * verb_top - mpalloc top: the figures of one process, again and again
 */
#include "top.h"

#include "cli.h"
#include "format.h"
#include "top_views.h"
#include "view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char help_top[] =
    "On a terminal a screen with keys (shown at its foot); otherwise a frame of text "
    "every\n"
    "interval. Rates are of the last interval. The process is not disturbed.\n"
    "\n"
    "  TARGET            a PID, a region file, or the name of a process\n"
    "  --name NAME       the process of that name\n"
    "  --pid-file FILE   the process whose number is in FILE\n"
    "  --interval TIME   between two looks (default 1s)\n"
    "  --iterations N    end after N frames; without a screen\n"
    "  --sort ORDER      live, rate, peak or blocks\n"
    "  --view VIEW       components, classes, ledger, leaks, advice or alerts\n"
    "  --classes         --view classes\n"
    "  --plain           text, also on a terminal\n"
    "  --json            one document a line (schema tools/schemas/top.json)\n"
    "\n"
    "Examples:\n"
    "  mpalloc top 4711\n"
    "  mpalloc top 4711 --plain --iterations 3 --sort rate\n";

static const char *const sort_names[] = {"live", "rate", "peak", "blocks"};

static const char *const table_names[] = {
    "components", "classes", "ledger", "leaks", "advice", "alerts"};

const char *top_table_name(enum top_table table)
{
    return table_names[table];
}

const char *top_sort_name(enum top_sort sort)
{
    return sort_names[sort];
}

static double per_second(uint64_t now, uint64_t before, double seconds)
{
    return seconds > 0 ? ((double)now - (double)before) / seconds : 0;
}

static double seconds_of(const struct top *top)
{
    uint64_t now = mp_image_totals(top->now)->published_mono_ns;
    uint64_t before =
        top->before != NULL ? mp_image_totals(top->before)->published_mono_ns : now;

    return now > before ? (double)(now - before) / 1e9 : 0;
}

static int compare(const void *a, const void *b, void *order)
{
    const struct top_row *x = a;
    const struct top_row *y = b;
    double left = 0;
    double right = 0;

    switch (*(enum top_sort *)order) {
    case TOP_BY_RATE:
        left = x->bytes_per_second;
        right = y->bytes_per_second;
        break;
    case TOP_BY_PEAK:
        left = x->peak_bytes == MP_UNKNOWN ? 0 : (double)x->peak_bytes;
        right = y->peak_bytes == MP_UNKNOWN ? 0 : (double)y->peak_bytes;
        break;
    case TOP_BY_BLOCKS:
        left = (double)x->live_blocks;
        right = (double)y->live_blocks;
        break;
    case TOP_BY_LIVE:
        break;
    }
    if (left == right) {
        left = (double)x->live_bytes;
        right = (double)y->live_bytes;
    }
    return left < right ? 1 : left > right ? -1 : strcmp(x->name, y->name);
}

static void add_components(struct top *top, double seconds)
{
    static const struct mp_region_component none;

    for (size_t i = 0; i < mp_image_component_count(top->now); i++) {
        const struct mp_region_component *c = mp_image_component(top->now, i);
        const struct mp_region_component *was =
            top->before != NULL ? mp_image_component(top->before, i) : NULL;
        struct top_row *r = &top->rows[top->row_count];

        was = was != NULL ? was : &none;
        if (c->allocated_blocks_total == 0 || top->row_count == TOP_ROWS) {
            continue;
        }
        format_name(r->name, sizeof(r->name), c->name, 60);
        r->mark = view_limit_mark(top->now, i);
        r->live_bytes = c->live_bytes;
        r->live_blocks = c->live_blocks;
        r->peak_bytes = c->live_peak_bytes;
        r->bytes_per_second =
            per_second(c->allocated_bytes_total, was->allocated_bytes_total, seconds);
        r->blocks_per_second =
            per_second(c->allocated_blocks_total, was->allocated_blocks_total, seconds);
        r->growth_per_second = per_second(c->live_bytes, was->live_bytes, seconds);
        top->row_count++;
    }
}

static void add_classes(struct top *top, double seconds)
{
    for (size_t i = 0; i < mp_image_class_count(top->now); i++) {
        const struct mp_region_class *c = mp_image_class(top->now, i);
        struct mp_region_cell sum;
        struct mp_region_cell was = {0};
        struct top_row *r = &top->rows[top->row_count];
        uint64_t live_before;

        mp_image_class_sum(top->now, i, &sum);
        if (top->before != NULL) {
            mp_image_class_sum(top->before, i, &was);
        }
        if (sum.allocated_blocks_total == 0) {
            continue;
        }
        snprintf(r->name, sizeof(r->name), "%s%s",
            c->kind == MP_CLASS_LARGE ? "up to " : "",
            format_block(c->block_bytes).text);
        r->mark = (struct format){""};
        r->live_bytes = view_live(sum.allocated_bytes_total, sum.freed_bytes_total);
        r->live_blocks = view_live(sum.allocated_blocks_total, sum.freed_blocks_total);
        live_before = view_live(was.allocated_bytes_total, was.freed_bytes_total);
        r->peak_bytes = MP_UNKNOWN;
        r->bytes_per_second =
            per_second(sum.allocated_bytes_total, was.allocated_bytes_total, seconds);
        r->blocks_per_second =
            per_second(sum.allocated_blocks_total, was.allocated_blocks_total, seconds);
        r->growth_per_second = per_second(r->live_bytes, live_before, seconds);
        top->row_count++;
    }
}

void top_make_rows(struct top *top)
{
    double seconds = seconds_of(top);

    top->row_count = 0;
    if (top->table == TOP_COMPONENTS) {
        add_components(top, seconds);
    } else if (top->table == TOP_CLASSES) {
        add_classes(top, seconds);
    }
    qsort_r(top->rows, top->row_count, sizeof(top->rows[0]), compare, &top->sort);
}

static void remember(struct top *top, double live)
{
    if (top->history_count == TOP_HISTORY) {
        memmove(top->history, top->history + 1, sizeof(top->history) - sizeof(double));
        top->history_count--;
    }
    top->history[top->history_count++] = live;
}

/* What happened before we came: the last minutes of the region's own timeline. */
static void begin_history(struct top *top)
{
    size_t count = mp_image_moment_count(top->now, 0);
    size_t first = count > TOP_HISTORY ? count - TOP_HISTORY : 0;

    for (size_t i = first; i < count; i++) {
        remember(top, (double)mp_image_moment(top->now, 0, i)->live_bytes);
    }
}

static void set_rates(struct top *top)
{
    const struct mp_region_totals *t = mp_image_totals(top->now);
    const struct mp_region_totals *was =
        top->before != NULL ? mp_image_totals(top->before) : t;
    double seconds = seconds_of(top);

    top->bytes_per_second =
        per_second(t->allocated_bytes_total, was->allocated_bytes_total, seconds);
    top->blocks_per_second =
        per_second(t->allocated_blocks_total, was->allocated_blocks_total, seconds);
    top->growth_per_second = per_second(t->live_bytes, was->live_bytes, seconds);
}

int top_refresh(struct top *top, struct mp_error *error)
{
    mp_image_t *image;
    int code = mp_image_open(top->path, &image, error);

    if (code != 0 && top->now != NULL && access(top->path, F_OK) != 0) {
        top->ended = true;
        return EXIT_FINE;
    }
    if (code != 0) {
        return cli_code(code);
    }
    if (top->now == NULL) {
        top->now = image;
        begin_history(top);
    } else if (mp_image_totals(image)->published_total
               == mp_image_totals(top->now)->published_total) {
        mp_image_free(
            top->now); /* nothing new: rates stay those of the last interval */
        top->now = image;
    } else {
        mp_image_free(top->before);
        top->before = top->now;
        top->now = image;
    }
    remember(top, (double)mp_image_totals(image)->live_bytes);
    set_rates(top);
    top->ended = mp_image_life(image) != MP_LIFE_RUNNING
                 && mp_image_life(image) != MP_LIFE_ELSEWHERE;
    top->rss_bytes =
        top->ended ? MP_UNKNOWN : mp_proc_resident(mp_image_process(image)->pid);
    top_make_rows(top);
    return EXIT_FINE;
}

void top_free(struct top *top)
{
    mp_image_free(top->before);
    mp_image_free(top->now);
}

static enum top_sort parse_sort(const char *text)
{
    for (unsigned i = 0; i < sizeof(sort_names) / sizeof(sort_names[0]); i++) {
        if (strcmp(text, sort_names[i]) == 0) {
            return (enum top_sort)i;
        }
    }
    exit(cli_fail("top", EXIT_USAGE,
        "--sort takes live, rate, peak or blocks, not \"%s\"", text));
}

static enum top_table parse_view(const char *text)
{
    for (unsigned i = 0; i < TOP_TABLES; i++) {
        if (strcmp(text, table_names[i]) == 0) {
            return (enum top_table)i;
        }
    }
    exit(cli_fail("top", EXIT_USAGE,
        "--view takes components, classes, ledger, leaks, advice or alerts, not "
        "\"%s\"",
        text));
}

int verb_top(int argc, char **argv)
{
    enum { INTERVAL = 1, ITERATIONS, SORT, CLASSES, PLAIN, VIEW };
    static const struct option options[] = {COMMON_OPTIONS,
        {"interval", required_argument, NULL, INTERVAL},
        {"iterations", required_argument, NULL, ITERATIONS},
        {"sort", required_argument, NULL, SORT},
        {"classes", no_argument, NULL, CLASSES}, {"plain", no_argument, NULL, PLAIN},
        {"view", required_argument, NULL, VIEW}, {0}};
    static struct top top;
    struct common common = {0};
    struct mp_error error = {""};
    struct target target;
    unsigned interval_ms = 1000;
    uint64_t iterations = 0;
    bool plain = !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
    int code;
    int c;

    while ((c = cli_next_option("top", argc, argv, options, false, &common)) != -1) {
        if (c == INTERVAL) {
            interval_ms = cli_milliseconds("top", "--interval", optarg, 100, 3600000);
        } else if (c == ITERATIONS) {
            iterations = cli_number("top", "--iterations", optarg, 1, 1u << 30);
            plain = true;
        } else if (c == SORT) {
            top.sort = parse_sort(optarg);
        } else if (c == CLASSES) {
            top.table = TOP_CLASSES;
        } else if (c == PLAIN) {
            plain = true;
        } else if (c == VIEW) {
            top.table = parse_view(optarg);
        }
    }
    cli_expect_words("top", argc, 1);
    if (common.json && top_is_text(top.table)) {
        return cli_fail("top", EXIT_USAGE,
            "--json has components and classes; for %s: mpalloc report --json, mpalloc "
            "leaks --json",
            top_table_name(top.table));
    }
    code = cli_find_target("top", &common, argv + optind, &target);
    if (code != EXIT_FINE) {
        return code;
    }
    top.path = target.path;
    top.views = top_views_create();
    code = top_refresh(&top, &error);
    if (code != EXIT_FINE) {
        return cli_fail("top", (enum exit_code)code, "%s", error.text);
    }
    code = common.json ? top_json(&top, interval_ms, iterations)
           : plain     ? top_plain(&top, interval_ms, iterations)
                       : top_screen(&top, interval_ms);
    top_views_destroy(top.views);
    top_free(&top);
    return code;
}
