/*
 * export_library - what libmpexport offers (mpstats/export.h), by the code of the command
 *
 * Owns: options and errors of programs, and that a call of theirs leaves the process as it was.
 */
#include "document.h"
#include "document_report.h"
#include "document_stacks.h"
#include "export.h"
#include "guest.h"
#include "outfile.h"
#include "render.h"
#include "report_sheet.h"
#include "site_names.h"
#include "symbols.h"

#include <mpstats/export.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 12 }; /* as many as mpalloc report shows */

__attribute__((format(printf, 3, 4))) static int fail(
    struct mp_error *error, int code, const char *format, ...)
{
    char text[sizeof(error->text)];
    va_list args;

    if (error != NULL) {
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        mp_text_escape(error->text, sizeof(error->text), text, sizeof(text));
    }
    return code;
}

/* ---- what programs ask for ---- */

/* One call of a program, all of it. */
struct job {
    const mp_image_t *image;
    struct mp_export_options options;
    struct export_wish wish;
    const char *report; /* its format */
    FILE *out;
    mp_names_t *names;
};

static int read_options(
    struct job *j, const struct mp_export_options *given, struct mp_error *error)
{
    const enum mp_export_flag known =
        MP_EXPORT_BY_COMPONENT | MP_EXPORT_NO_NAMES | MP_EXPORT_NO_CACHE;
    size_t size = given != NULL ? given->size : 0;

    if (given == NULL) {
        return 0;
    }
    if (size < sizeof(given->size)) {
        return fail(error, -EINVAL, "options.size is not set");
    }
    for (size_t i = sizeof(j->options); i < size; i++) {
        if (((const char *)given)[i] != 0) {
            return fail(error, -EINVAL,
                "an option is set that this libmpexport does not know: it is older");
        }
    }
    memcpy(&j->options, given, size < sizeof(j->options) ? size : sizeof(j->options));
    if ((j->options.flags & ~(unsigned)known) != 0) {
        return fail(error, -EINVAL, "flags %#x are not known to this libmpexport",
            j->options.flags & ~(unsigned)known);
    }
    j->wish.by_component = (j->options.flags & MP_EXPORT_BY_COMPONENT) != 0;
    j->wish.has_value = j->options.value != NULL;
    if (j->wish.has_value && !export_find_value(j->options.value, &j->wish.value)) {
        return fail(error, -EINVAL, "there is no value \"%s\"; one of %s",
            j->options.value, export_value_list);
    }
    return 0;
}

static int read_format(struct job *j, const char *format, struct mp_error *error)
{
    char known[256];

    j->wish.format = export_find_format(format);
    return j->wish.format != NULL
               ? 0
               : fail(error, -EINVAL, "there is no format \"%s\"; one of %s", format,
                   export_list_formats(known));
}

/* ---- in the process of others ---- */

typedef int work_fn(struct job *j);

/* Numbers are written with a point, whatever the locale of the program. */
static locale_t numbers_as_in_c(void)
{
    locale_t copy = duplocale(uselocale((locale_t)0));
    locale_t l = copy != (locale_t)0 ? newlocale(LC_NUMERIC_MASK, "C", copy) : copy;

    if (l == (locale_t)0 && copy != (locale_t)0) {
        freelocale(copy);
    }
    return l;
}

static int run_bounded(struct job *j, struct guest *g, work_fn *work)
{
    return setjmp(g->no_memory) == 0 ? work(j) : -ENOMEM;
}

static int run(struct job *j, work_fn *work)
{
    struct guest g = {.note = j->options.note,
        .arg = j->options.arg,
        .is_nameless = (j->options.flags & MP_EXPORT_NO_NAMES) != 0,
        .is_uncached = (j->options.flags & MP_EXPORT_NO_CACHE) != 0};
    locale_t numbers = numbers_as_in_c();
    struct guest *before;
    locale_t locale;
    int code;

    if (numbers == (locale_t)0) {
        return -ENOMEM;
    }
    locale = uselocale(numbers);
    before = guest_set(&g);
    symbols_bound(j->options.names_ms);
    code = run_bounded(j, &g, work);
    symbols_bound(0);
    guest_set(before);
    uselocale(locale);
    freelocale(numbers);
    return code;
}

/* Why it did not work, in words. */
static int finish(int code, const char *what, struct mp_error *error)
{
    if (code == -ENOMEM) {
        return fail(error, code, "%s: no memory", what);
    }
    return code != 0
               ? fail(error, code, "%s cannot be written: %s", what, strerror(-code))
               : 0;
}

/* ---- profiles ---- */

/* The stream knows more of why than who wrote to it. */
static int flush(FILE *out, int code)
{
    int flushed = code == 0 || ferror(out) ? outfile_flush(out) : 0;

    return flushed != 0 ? flushed : code;
}

static int write_profile(struct job *j)
{
    return flush(j->out, export_write(j->out, j->image, &j->wish));
}

int mp_export(const mp_image_t *image, const char *format, FILE *out,
    const struct mp_export_options *options, struct mp_error *error)
{
    struct job j = {.image = image, .out = out};
    int code = read_options(&j, options, error);

    code = code != 0 ? code : read_format(&j, format, error);
    return code != 0 ? code : finish(run(&j, write_profile), "the document", error);
}

int mp_export_fd(const mp_image_t *image, const char *format, int fd,
    const struct mp_export_options *options, struct mp_error *error)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    FILE *out = own >= 0 ? fdopen(own, "w") : NULL;
    int code;

    if (out == NULL) {
        code = -errno;
        if (own >= 0) {
            close(own);
        }
        return finish(code, "the descriptor", error);
    }
    code = mp_export(image, format, out, options, error);
    if (fclose(out) != 0 && code == 0) {
        code = finish(-errno, "the document", error);
    }
    return code;
}

int mp_export_file(const mp_image_t *image, const char *format, const char *path,
    const struct mp_export_options *options, struct mp_error *error)
{
    struct job j = {.image = image};
    struct outfile file;
    int code = read_options(&j, options, error);

    code = code != 0 ? code : read_format(&j, format, error);
    if (code != 0) {
        return code;
    }
    code = outfile_open(&file, path);
    if (code == 0) {
        j.out = file.out;
        code = outfile_close(&file, run(&j, write_profile));
    }
    return finish(code, path, error);
}

const char *mp_export_format(size_t number)
{
    for (size_t i = 0; export_formats[i].name != NULL; i++) {
        if (i == number) {
            return export_formats[i].name;
        }
    }
    return NULL;
}

const char *mp_export_ending(const char *format)
{
    const struct export_format *f = export_find_format(format);

    return f != NULL ? f->ending : NULL;
}

const char *mp_export_text(const char *format)
{
    const struct export_format *f = export_find_format(format);

    return f != NULL ? f->readers : NULL;
}

const char *mp_export_value(size_t number)
{
    return number < PROFILE_VALUES ? export_value_options[number] : NULL;
}

/* ---- reports ---- */

static int write_report(struct job *j)
{
    unsigned rows = j->options.rows != 0 ? j->options.rows : ROWS;
    bool all = rows == UINT_MAX;
    int code = 0;

    if (strcmp(j->report, "text") == 0) {
        render_report(
            j->out, j->image, &(struct render_options){.rows = rows, .all = all});
    } else if (strcmp(j->report, "json") == 0) {
        size_t stacks = j->options.rows == 0 ? DOCUMENT_STACKS : all ? SIZE_MAX : rows;

        code = document_write(document_report(j->image, stacks), j->out, false);
    } else {
        struct sheet *s = report_sheet_create(j->image, all ? SIZE_MAX : rows);

        (strcmp(j->report, "html") == 0 ? sheet_put_html : sheet_put_markdown)(
            s, j->out);
        sheet_destroy(s);
    }
    return flush(j->out, code);
}

int mp_report(const mp_image_t *image, const char *format, FILE *out,
    const struct mp_export_options *options, struct mp_error *error)
{
    static const char *const formats[] = {"text", "md", "html", "json"};
    struct job j = {.image = image, .out = out};
    int code = read_options(&j, options, error);

    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        j.report = strcmp(formats[i], format) == 0 ? formats[i] : j.report;
    }
    if (code == 0 && j.report == NULL) {
        code = fail(error, -EINVAL,
            "there is no format \"%s\" of reports; one of text, md, html, json",
            format);
    }
    return code != 0 ? code : finish(run(&j, write_report), "the report", error);
}

int mps_stop_and_report(const char *format, FILE *out,
    const struct mp_export_options *options, struct mp_error *error)
{
    char path[PATH_MAX];
    mp_image_t *image;
    int code;

    mps_stop_watch();
    code = mp_find_pid((uint64_t)getpid(), path, sizeof(path), error);
    code = code != 0 ? code : mp_image_open(path, &image, error);
    if (code == 0) {
        code = mp_report(image, format, out, options, error);
        mp_image_free(image);
    }
    return code;
}

/* ---- names ---- */

struct mp_names {
    const mp_image_t *image;
    struct site_names *all;
    struct job job; /* how they are looked for */
    uint32_t frame; /* what is asked for */
    const struct mp_line **ret;
    size_t most;
    size_t count;
};

static int create_names(struct job *j)
{
    j->names->all = site_names_create(j->image);
    return 0;
}

int mp_names_create(
    const mp_image_t *image, const struct mp_export_options *options, mp_names_t **ret)
{
    struct mp_names *n = calloc(1, sizeof(*n));
    int code = -ENOMEM;

    *ret = NULL;
    if (n != NULL) {
        n->image = image;
        n->job = (struct job){.image = image, .names = n};
        code = read_options(&n->job, options, NULL);
        code = code != 0 ? code : run(&n->job, create_names);
    }
    if (code != 0) {
        free(n);
        return code;
    }
    *ret = n;
    return 0;
}

static int destroy_names(struct job *j)
{
    site_names_destroy(j->names->all); /* which keeps what was found */
    return 0;
}

void mp_names_free(mp_names_t *n)
{
    if (n != NULL) {
        run(&n->job, destroy_names);
        free(n);
    }
}

static int find_stack(struct job *j)
{
    struct mp_names *n = j->names;
    uint32_t frame;

    mp_image_stack(n->image, n->frame, &frame, 1);
    while (frame != 0) {
        const struct mp_line *lines;
        size_t count = site_names_lines(n->all, frame, &lines);

        for (size_t i = 0; i < count; i++) {
            if (n->count < n->most) {
                n->ret[n->count] = &lines[i];
            }
            n->count++;
        }
        frame = mp_image_frame(n->image, frame)->parent;
    }
    return 0;
}

size_t mp_names_stack(
    mp_names_t *n, uint32_t frame, const struct mp_line **ret, size_t most)
{
    n->frame = frame;
    n->ret = ret;
    n->most = most;
    n->count = 0;
    if (mp_image_stack(n->image, frame, NULL, 0) == 0
        || run(&n->job, find_stack) != 0) {
        return 0;
    }
    return n->count;
}
