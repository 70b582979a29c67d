#include "fail_on.h"

#include "cli.h"
#include "comparison_baseline.h"
#include "format.h"
#include "history.h"
#include "leaks.h"
#include "render_diff.h"
#include "render_leaks.h"
#include "suppressions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the option ---- */

static void refuse(const char *text, size_t length)
{
    exit(cli_fail("run", EXIT_USAGE,
        "--fail-on takes leak, leak=definite, leak=growing, drift=20%% or "
        "drift=20%%:BASELINE, not \"%.*s\"",
        (int)length, text));
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool add_drift(struct fail_on *f, const char *text, size_t length)
{
    const char *colon = memchr(text, ':', length);
    size_t number = colon != NULL ? (size_t)(colon - text) : length;
    size_t name = colon != NULL ? length - number - 1 : 0;
    char copy[32];

    if (number >= sizeof(copy) || name > 100 || (colon != NULL && name == 0)
        || (colon != NULL && memchr(colon + 1, ':', name) != NULL)) {
        return false;
    }
    memcpy(copy, text, number);
    copy[number] = '\0';
    if (colon != NULL) {
        memcpy(f->baseline, colon + 1, name);
        f->baseline[name] = '\0';
    }
    f->has_drift = true;
    return comparison_parse_drift(copy, &f->drift);
}

void fail_on_add(struct fail_on *f, const char *text)
{
    static const char drift[] = "drift=";

    for (;;) {
        size_t n = strcspn(text, ",");
        bool is_leak = is_word(text, n, "leak");

        if (is_leak || is_word(text, n, "leak=definite")) {
            f->lost = true;
        }
        if (is_leak || is_word(text, n, "leak=growing")) {
            f->growing = true;
        } else if (!is_word(text, n, "leak=definite")
                   && (strncmp(text, drift, sizeof(drift) - 1) != 0
                       || !add_drift(
                           f, text + sizeof(drift) - 1, n - (sizeof(drift) - 1)))) {
            refuse(text, n);
        }
        if (text[n] == '\0') {
            return;
        }
        text += n + 1;
    }
}

int fail_on_prepare(struct fail_on *f, const char *program)
{
    const char *slash = strrchr(program, '/');
    sqlite3 *db = NULL;
    int code = EXIT_FINE;

    if (f->lost || f->growing) {
        code = suppressions_check("run");
    }
    if (code == EXIT_FINE && f->has_drift) {
        if (f->baseline[0] == '\0') {
            snprintf(f->baseline, sizeof(f->baseline), "%.100s",
                slash != NULL ? slash + 1 : program);
            for (char *at = f->baseline; (at = strchr(at, ':')) != NULL;) {
                *at = '_'; /* a colon says which build */
            }
        }
        code = history_open("run", NULL, HISTORY_WRITE, &db);
        history_close(db);
    }
    return code;
}

/* ---- leaks ---- */

/* Blocks that nothing pointed to at its end; a program that was killed does not know. */
static uint64_t lost_blocks(const struct fail_on *f, const mp_image_t *image)
{
    const struct mp_region_leaks *check = mp_image_leaks(image);

    return f->lost && check != NULL && check->error == 0
                   && mp_image_life(image) == MP_LIFE_EXITED
               ? check->blocks[MP_LEAK_DEFINITE]
               : 0;
}

/* It ended in order, and looked then which blocks nothing points to; or growth alone is known. */
static int check_leaks(const struct fail_on *f, const mp_image_t *image)
{
    static const struct render_leaks_options look = {.rows = 20};
    struct leaks *l = leaks_create(image, NULL);
    uint64_t lost = lost_blocks(f, image);
    size_t count;

    suppressions_apply(l);
    count = leaks_failing(l, f->growing);
    if (count == 0 && lost > 0 && l->of_kind[MP_VERDICT_LOST] == 0) {
        leaks_destroy(l);
        return cli_fail("run", EXIT_CONDITION,
            "%llu blocks are lost, of stacks that were not sampled: --sample exact "
            "names them (--fail-on)",
            (unsigned long long)lost);
    }
    if (count > 0) {
        fputc('\n', stderr);
        render_leaks(stderr, l, &look);
        cli_fail("run", EXIT_CONDITION, "%zu leak%s (--fail-on)", count,
            count == 1 ? "" : "s");
    }
    leaks_destroy(l);
    return count > 0 ? EXIT_CONDITION : EXIT_FINE;
}

/* ---- drift ---- */

static int keep(const struct fail_on *f, sqlite3 *db, const mp_image_t *image)
{
    const char *label = f->label != NULL ? f->label : "";
    int code = baseline_save("run", db, f->baseline, label, mp_image_path(image));

    if (code == EXIT_FINE) {
        fprintf(stderr,
            "mpalloc run: this run is baseline %s%s%s now, for this build (mpalloc "
            "baseline list)\n",
            f->baseline, label[0] != '\0' ? " " : "", label);
    }
    return code;
}

static int compare(
    const struct fail_on *f, sqlite3 *db, const struct baseline *b, mp_image_t *image)
{
    static const struct render_diff_options look = {
        .rows = 10, .by = {true, true, true}};
    struct comparison c = {.fail_drift = f->drift};
    int code = comparison_open_baseline("run", &c, 0, db, b);

    if (code != EXIT_FINE) {
        return code;
    }
    comparison_lend_side(&c, 1, "this run", image);
    comparison_make(&c, MP_DIFF_FIGURES);
    if (comparison_fails(&c)) {
        fputc('\n', stderr);
        render_diff(stderr, &c, &look);
        code = cli_fail("run", EXIT_CONDITION,
            "%s more than baseline %s, by %s, beyond noise (--fail-on drift)",
            format_percent(c.drift, 1).text, f->baseline, comparison_judged(&c));
    }
    comparison_fini(&c);
    return code;
}

static int check_drift(const struct fail_on *f, const mp_image_t *image)
{
    const char *label = f->label != NULL ? f->label : "";
    struct baseline b;
    bool is_new = true;
    sqlite3 *db;
    int code = history_open("run", NULL, HISTORY_WRITE, &db);

    if (code != EXIT_FINE) {
        return code;
    }
    if (baseline_find(db, f->baseline, label, "", &b)) {
        code =
            comparison_its_baseline("run", db, f->baseline, label, image, &b, &is_new);
        if (code == EXIT_FINE) {
            code = compare(f, db, &b, (mp_image_t *)(uintptr_t)image);
        }
    }
    if (code == EXIT_FINE && is_new) {
        code = keep(f, db, image);
    }
    history_close(db);
    return code;
}

int fail_on_check(const struct fail_on *f, const mp_image_t *image)
{
    int code = EXIT_FINE;
    int drift = EXIT_FINE;

    if (f->lost || f->growing) {
        code = check_leaks(f, image);
    }
    if (f->has_drift) {
        drift = check_drift(f, image);
    }
    return code != EXIT_FINE ? code : drift;
}
