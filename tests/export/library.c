/*
 * library - libmpexport as a program uses it
 *
 *     library hold                 holds memory of two components, and waits for its end
 *     library all REGION FOLDER    each format, and the reports, in files; the ways are alike
 *     library threads REGION...    many at once say what one alone says
 *     library errors REGION        what is refused, and how
 *     library names REGION [plain] the largest stack, by its functions
 *     library poor REGION          -ENOMEM from a component with a hard limit; needs mpalloc
 *     library guest REGION         what is the process's own stays as it is
 *
 * The allocator is preloaded, or not there.
 */
#include <mpalloc.h>
#include <mpstats/export.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#pragma weak mp_component
#pragma weak mp_component_limit
#pragma weak mp_enter
#pragma weak mp_malloc

#define CHECK(c)                                                                       \
    do {                                                                               \
        if (!(c)) {                                                                    \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #c, error.text);            \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

static struct mp_error error;

/* ---- what there is to look at ---- */

__attribute__((noinline)) void *keep_sessions(size_t n);
__attribute__((noinline)) void *keep_pages(size_t n);

void *keep_sessions(size_t n)
{
    void *last = NULL;

    for (size_t i = 0; i < n; i++) {
        void **s = mp_malloc(mp_component("shop/sessions"), 500 + i % 100);

        *s = last;
        last = s;
    }
    return last;
}

void *keep_pages(size_t n)
{
    void **all = calloc(n, sizeof(*all));

    for (size_t i = 0; i < n; i++) {
        all[i] = mp_malloc(mp_component("shop/pages"), 5000);
        free(mp_malloc(mp_component("shop/pages"), 700));
    }
    return all;
}

static int hold(void)
{
    void *volatile sessions = keep_sessions(20000);
    void *volatile pages = keep_pages(1000);

    sleep(1); /* until it was published */
    free(malloc(1 << 20));
    printf("ready\n");
    fflush(stdout);
    pause();
    return sessions == pages;
}

/* ---- documents ---- */

struct text {
    char *data;
    size_t bytes;
};

static const struct mp_export_options usual = {.size = sizeof(usual)};

static mp_image_t *attach(const char *path)
{
    mp_image_t *image;

    CHECK(mp_attach(path, &image, &error) == 0);
    return image;
}

static struct text text_of(const mp_image_t *image, const char *format)
{
    struct text t = {NULL, 0};
    FILE *out = open_memstream(&t.data, &t.bytes);

    CHECK(mp_export(image, format, out, &usual, &error) == 0);
    CHECK(fclose(out) == 0);
    CHECK(t.bytes > 0);
    return t;
}

static struct text read_whole(const char *path)
{
    struct text t = {NULL, 0};
    FILE *in = fopen(path, "r");

    CHECK(in != NULL);
    CHECK(fseek(in, 0, SEEK_END) == 0);
    t.bytes = (size_t)ftell(in);
    t.data = malloc(t.bytes + 1);
    rewind(in);
    CHECK(fread(t.data, 1, t.bytes, in) == t.bytes);
    fclose(in);
    return t;
}

static bool is_same(const struct text *a, const struct text *b)
{
    return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

/* Documents that say when they were made, or how old the figures are, differ by that. */
static bool has_no_time(const char *format)
{
    return strcmp(format, "html") != 0 && strcmp(format, "json") != 0
           && strcmp(format, "openmetrics") != 0;
}

static int write_all(const char *path, const char *folder)
{
    static const char *const reports[] = {"text", "md", "html", "json"};
    mp_image_t *image = attach(path);
    const char *format;
    char name[4096];

    for (size_t i = 0; (format = mp_export_format(i)) != NULL; i++) {
        struct text stream = text_of(image, format);
        struct text file;
        int fd;

        snprintf(name, sizeof(name), "%s/%s", folder, format);
        CHECK(mp_export_file(image, format, name, NULL, &error) == 0);
        file = read_whole(name);
        CHECK(!has_no_time(format) || is_same(&stream, &file));
        free(file.data);
        snprintf(name, sizeof(name), "%s/%s.fd", folder, format);
        fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        CHECK(mp_export_fd(image, format, fd, NULL, &error) == 0);
        CHECK(close(fd) == 0); /* it is still open */
        file = read_whole(name);
        CHECK(!has_no_time(format) || is_same(&stream, &file));
        free(file.data);
        free(stream.data);
        printf("%s %s %s\n", format, mp_export_ending(format), mp_export_text(format));
    }
    for (size_t i = 0; i < sizeof(reports) / sizeof(*reports); i++) {
        FILE *out;

        snprintf(name, sizeof(name), "%s/report.%s", folder, reports[i]);
        out = fopen(name, "w");
        CHECK(mp_report(image, reports[i], out, NULL, &error) == 0);
        CHECK(fclose(out) == 0);
    }
    mp_image_free(image);
    return 0;
}

/* ---- many at once ---- */

struct worker {
    pthread_t thread;
    size_t first; /* of the formats */
    const mp_image_t *image;
    const struct text *wanted; /* by format */
};

static void *work(void *arg)
{
    struct worker *w = arg;
    const char *format;

    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; mp_export_format(i) != NULL; i++) {
            size_t n = (i + w->first) % 12;
            struct text t;

            format = mp_export_format(n);
            CHECK(format != NULL);
            t = text_of(w->image, format);
            CHECK(!has_no_time(format) || is_same(&t, &w->wanted[n]));
            free(t.data);
        }
    }
    return NULL;
}

static int run_threads(char **paths, int count)
{
    enum { EACH = 2, MOST = 8 };
    struct worker workers[EACH * MOST];
    struct text wanted[MOST][12];
    mp_image_t *images[MOST];

    CHECK(count <= MOST);
    for (int i = 0; i < count; i++) {
        images[i] = attach(paths[i]);
        for (size_t f = 0; f < 12; f++) {
            wanted[i][f] = text_of(images[i], mp_export_format(f));
        }
    }
    for (int i = 0; i < EACH * count; i++) {
        workers[i] = (struct worker){.first = (size_t)i,
            .image = images[i % count],
            .wanted = wanted[i % count]};
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < EACH * count; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    for (int i = 0; i < count; i++) {
        for (size_t f = 0; f < 12; f++) {
            free(wanted[i][f].data);
        }
        mp_image_free(images[i]);
    }
    return 0;
}

/* ---- errors ---- */

static bool says(const char *what)
{
    bool is_said = strstr(error.text, what) != NULL && strchr(error.text, '\n') == NULL;

    if (!is_said) {
        fprintf(stderr, "not \"%s\": ", what);
    }
    return is_said;
}

static int check_errors(const char *path)
{
    struct {
        struct mp_export_options known;
        char later[16];
    } more = {.known.size = sizeof(more)};
    struct mp_export_options o = usual;
    mp_image_t *image = attach(path);
    FILE *full = fopen("/dev/full", "w");
    FILE *null = fopen("/dev/null", "w");
    mp_names_t *names;

    CHECK(mp_export(image, "gif", null, NULL, &error) == -EINVAL);
    CHECK(says("\"gif\"; one of pprof, "));
    CHECK(mp_report(image, "pdf", null, NULL, &error) == -EINVAL && says("\"pdf\""));
    o.value = "weight";
    CHECK(mp_export(image, "svg", null, &o, &error) == -EINVAL && says("\"weight\""));
    o = usual;
    o.flags = 1 << 20;
    CHECK(mp_export(image, "svg", null, &o, &error) == -EINVAL && says("0x100000"));
    CHECK(mp_names_create(image, &o, &names) == -EINVAL && names == NULL);
    o = usual;
    o.size = 0;
    CHECK(mp_export(image, "svg", null, &o, &error) == -EINVAL && says("size"));
    o.size = offsetof(struct mp_export_options, value); /* of an older header */
    o.value = "weight";
    CHECK(mp_export(image, "svg", null, &o, &error) == 0);
    CHECK(mp_export(image, "svg", null, &more.known, &error) == 0); /* of a newer one */
    more.later[3] = 1;
    CHECK(mp_export(image, "svg", null, &more.known, &error) == -EINVAL);
    CHECK(says("older"));
    CHECK(mp_export(image, "pprof", full, NULL, &error) == -ENOSPC);
    CHECK(says("No space left"));
    CHECK(mp_report(image, "text", full, NULL, NULL) == -ENOSPC);
    CHECK(mp_export_fd(image, "svg", 999, NULL, &error) == -EBADF && says("Bad file"));
    CHECK(mp_export_file(image, "svg", "/nowhere/x.svg", NULL, &error) == -ENOENT);
    CHECK(says("/nowhere/x.svg"));
    CHECK(mp_export_format(999) == NULL && mp_export_ending("gif") == NULL
          && mp_export_value(8) == NULL);
    CHECK(mps_stop_and_report("text", null, NULL, &error) == -ENOENT);
    fclose(null);
    mp_image_free(image);
    return 0;
}

/* ---- names ---- */

static void count_note(const char *line, void *arg)
{
    CHECK(strchr(line, '\n') == NULL);
    (*(unsigned *)arg)++;
}

static int print_names(const char *path, bool plain)
{
    unsigned notes = 0;
    struct mp_export_options o = {.size = sizeof(o),
        .flags = MP_EXPORT_NO_CACHE | (plain ? MP_EXPORT_NO_NAMES : 0u),
        .note = count_note,
        .arg = &notes};
    const struct mp_line *line[64];
    mp_image_t *image = attach(path);
    const struct mp_top *top;
    mp_names_t *names;
    mp_tops_t *tops;
    size_t depth;

    CHECK(mp_names_create(image, &o, &names) == 0);
    CHECK(mp_tops_make(image, MP_TOP_SITE, MP_LIVE_BYTES, &tops) == 0);
    top = mp_tops_at(tops, 0);
    depth = mp_names_stack(names, top->frame, line, 64);
    CHECK(depth > 0 && mp_names_stack(names, top->frame, line, 1) == depth);
    CHECK(mp_names_stack(names, 0, line, 64) == 0);
    CHECK(mp_names_stack(names, UINT32_MAX, line, 64) == 0);
    depth = mp_names_stack(names, top->frame, line, 64);
    printf("%s\n", top->name);
    for (size_t i = 0; i < depth && i < 64; i++) {
        printf("%s %s:%u %s\n", line[i]->function,
            line[i]->file != NULL ? line[i]->file : "-", line[i]->line,
            line[i]->module);
    }
    mp_tops_free(tops);
    mp_names_free(names);
    mp_image_free(image);
    return 0;
}

/* ---- in a process that is another's ---- */

static int check_poor(const char *path)
{
    mp_component_t *poor = mp_component("poor");
    mp_image_t *image = attach(path);
    unsigned refused = 0;
    FILE *null = fopen("/dev/null", "w");
    mp_component_t *before;

    setvbuf(null, NULL, _IONBF, 0);
    for (size_t most = 16 << 10; most <= 32 << 20; most += most / 2) {
        int code;

        CHECK(mp_component_limit(poor, 0, most) == 0);
        before = mp_enter(poor);
        code = mp_export(image, "json", null, NULL, &error);
        if (code == 0) {
            code = mp_report(image, "html", null, NULL, &error);
        }
        mp_enter(before);
        CHECK(code == 0 || code == -ENOMEM);
        CHECK(code == 0 || says("no memory"));
        refused += code != 0;
    }
    CHECK(refused > 0);
    CHECK(mp_export(image, "json", null, NULL, &error) == 0);
    printf("%u times no memory\n", refused);
    fclose(null);
    mp_image_free(image);
    return 0;
}

static int check_guest(const char *path)
{
    struct rlimit before;
    struct rlimit after;
    struct rlimit low = {64, 4096};
    mp_image_t *image = attach(path);
    struct text t;

    setenv("DEBUGINFOD_URLS", "http://127.0.0.1:1/", 1);
    if (getrlimit(RLIMIT_NOFILE, &before) == 0 && before.rlim_max < low.rlim_max) {
        low.rlim_max = before.rlim_max;
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    t = text_of(image, "openmetrics");
    CHECK(fwrite(t.data, 1, t.bytes, stdout) == t.bytes);
    free(t.data);
    t = text_of(image, "pprof");
    free(t.data);
    CHECK(getrlimit(RLIMIT_NOFILE, &after) == 0 && after.rlim_cur == 64);
    CHECK(strcmp(getenv("DEBUGINFOD_URLS"), "http://127.0.0.1:1/") == 0);
    CHECK(getenv("DEBUGINFOD_TIMEOUT") == NULL);
    fprintf(stderr, "%.1f", 0.5); /* as the locale says */
    mp_image_free(image);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    setlocale(LC_ALL, "");
    if (strcmp(what, "hold") == 0) {
        return hold();
    }
    if (argc > 3 && strcmp(what, "all") == 0) {
        return write_all(argv[2], argv[3]);
    }
    if (argc > 2 && strcmp(what, "threads") == 0) {
        return run_threads(argv + 2, argc - 2);
    }
    if (argc > 2 && strcmp(what, "errors") == 0) {
        return check_errors(argv[2]);
    }
    if (argc > 2 && strcmp(what, "names") == 0) {
        return print_names(argv[2], argc > 3);
    }
    if (argc > 2 && strcmp(what, "poor") == 0) {
        return check_poor(argv[2]);
    }
    if (argc > 2 && strcmp(what, "guest") == 0) {
        return check_guest(argv[2]);
    }
    return 2;
}
