/*
 * verb_push - mpalloc push: figures and profiles to OTLP receivers, Pyroscope, and Parca
 */
#include "cli.h"
#include "document.h"
#include "format.h"
#include "must.h"
#include "push/push_config.h"
#include "view.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char help_push[] =
    "Sends what processes hold to a server that keeps it: metrics to a receiver of "
    "OTLP\n"
    "(OpenTelemetry), profiles to Pyroscope or Parca. Without a target all running\n"
    "processes of the user are sent. A server that is away is tried again: after 1 s, "
    "2 s,\n"
    "4 s … up to a minute, or when it says (Retry-After); up to 64 messages wait.\n"
    "\n"
    "  TARGET           a PID, a region file, or the name of a process\n"
    "  --name NAME      the process of that name\n"
    "  --pid-file FILE  the process whose number is in FILE\n"
    "  --dir DIR        all processes there, instead of all of the user\n"
    "  --to KIND        otlp, pyroscope or parca\n"
    "  --url URL        the server: http://127.0.0.1:4318; the path is added\n"
    "  --interval TIME  between two looks (default 30s, of profiles 60s)\n"
    "  --once           send once, and say how it went: exit code 1 if not all "
    "arrived\n"
    "  --timeout TIME   of a request (default 10s), and of --once in all (30s)\n"
    "  --label K=V      an attribute of the resource, or a label; may be repeated\n"
    "  --tenant NAME    header X-Scope-OrgID\n"
    "  --header 'N: V'  a header; may be repeated\n"
    "  --token-file F   the first line of F as bearer token\n"
    "  --ca FILE        certificates to trust instead of the system's\n"
    "  --format F       of OTLP: protobuf (default) or json\n"
    "  --plain          of OTLP: not gzipped\n"
    "  --profiles       of OTLP: profiles too; experimental (v1development, as of\n"
    "                   opentelemetry-proto 1.10)\n"
    "  --config FILE    the servers of its sections otlp and push, instead of --to\n"
    "  --json           with --once (schema tools/schemas/push.json)\n"
    "\n"
    "Environment, of OTLP: OTEL_EXPORTER_OTLP_ENDPOINT, _METRICS_ENDPOINT, _HEADERS,\n"
    "_PROTOCOL, OTEL_RESOURCE_ATTRIBUTES, OTEL_METRIC_EXPORT_INTERVAL, as far as no\n"
    "option says otherwise.\n"
    "\n"
    "Examples:\n"
    "  mpalloc push --to otlp --url http://127.0.0.1:4318\n"
    "  mpalloc push redis-server --to pyroscope --url http://127.0.0.1:4040 --label "
    "env=prod\n"
    "  mpalloc push 4711 --to parca --url http://127.0.0.1:7070 --once\n";

enum { TEXTS = 64 };

struct words {
    struct push_options options;
    struct otlp_attribute label[TEXTS];
    const char *header[TEXTS];
    char *token;
    const char *config;    /* --config, NULL */
    const char *directory; /* --dir, NULL */
    char *owned[TEXTS];    /* copies that the options point to */
    size_t owned_count;
    unsigned once_ms; /* 0: for ever */
    bool once;
    bool has_to;
    unsigned timeout_ms;
};

/* ---- words ---- */

static char *own(struct words *w, char *text)
{
    if (w->owned_count == TEXTS) {
        exit(cli_fail("push", EXIT_USAGE, "there are too many labels and headers"));
    }
    return w->owned[w->owned_count++] = must(text);
}

/* It becomes two texts. */
static void add_label(struct words *w, const char *option, char *text)
{
    char *equals = strchr(text, '=');

    if (equals == NULL || equals == text || w->options.label_count == TEXTS) {
        exit(cli_fail("push", EXIT_USAGE,
            equals == NULL || equals == text ? "%s takes NAME=VALUE, not \"%s\""
                                             : "%s: more than 64 of them, at \"%s\"",
            option, text));
    }
    *equals = '\0';
    w->label[w->options.label_count++] = (struct otlp_attribute){text, equals + 1, 0};
}

static void add_header(struct words *w, const char *text)
{
    if (w->options.header_count == TEXTS) {
        exit(cli_fail("push", EXIT_USAGE, "--header: more than 64 of them"));
    }
    w->header[w->options.header_count++] = text;
}

static void read_token(struct words *w, const char *path)
{
    struct mp_error error = {""};

    free(w->token);
    w->token = push_read_token(path, &error);
    if (w->token == NULL) {
        exit(cli_fail("push", EXIT_FAILED, "--token-file: %s", error.text));
    }
    w->options.token = w->token;
}

static bool find_format(const char *text, bool *ret_is_json)
{
    *ret_is_json = strcmp(text, "json") == 0 || strcmp(text, "http/json") == 0;
    return *ret_is_json || strcmp(text, "protobuf") == 0
           || strcmp(text, "http/protobuf") == 0;
}

static void set_to(struct words *w, const char *text)
{
    w->has_to = true;
    if (!push_find(text, &w->options.to)) {
        exit(cli_fail("push", EXIT_USAGE,
            "--to takes otlp, pyroscope or parca, not \"%s\"", text));
    }
}

/* ---- environment ---- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c | 32) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

static void decode(char *text)
{
    char *to = text;

    for (; *text != '\0'; text++) {
        if (*text == '%' && digit(text[1]) >= 0 && digit(text[2]) >= 0) {
            *to++ = (char)(digit(text[1]) << 4 | digit(text[2]));
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

/* "a=b,c=d" with percent signs: fn for each. */
static void each_pair(struct words *w, const char *name,
    void (*fn)(struct words *w, const char *key, const char *value))
{
    const char *text = variable(name);
    char *copy = text != NULL ? own(w, strdup(text)) : NULL;
    char *state = NULL;

    for (char *pair = copy != NULL ? strtok_r(copy, ",", &state) : NULL; pair != NULL;
         pair = strtok_r(NULL, ",", &state)) {
        char *equals = strchr(pair, '=');

        while (*pair == ' ') {
            pair++;
        }
        if (equals == NULL || equals == pair) {
            exit(cli_fail("push", EXIT_USAGE, "%s has to be NAME=VALUE,…, not \"%s\"",
                name, text));
        }
        *equals = '\0';
        decode(equals + 1);
        fn(w, pair, equals + 1);
    }
}

static void add_pair_header(struct words *w, const char *key, const char *value)
{
    size_t size = strlen(key) + strlen(value) + 3;
    char *line = own(w, malloc(size));

    snprintf(line, size, "%s: %s", key, value);
    add_header(w, line);
}

/* What an option says already is not replaced. */
static void add_pair_label(struct words *w, const char *key, const char *value)
{
    for (size_t i = 0; i < w->options.label_count; i++) {
        if (strcmp(w->label[i].key, key) == 0) {
            return;
        }
    }
    if (w->options.label_count < TEXTS) {
        w->label[w->options.label_count++] = (struct otlp_attribute){key, value, 0};
    }
}

static void read_environment(struct words *w, bool has_format)
{
    const char *text;

    if (w->options.url == NULL) {
        w->options.url = variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
    }
    if (w->options.url == NULL) {
        w->options.url = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
    }
    text = variable("OTEL_EXPORTER_OTLP_PROTOCOL");
    if (text != NULL && !has_format && !find_format(text, &w->options.is_json)) {
        exit(cli_fail("push", EXIT_USAGE,
            "OTEL_EXPORTER_OTLP_PROTOCOL: http/protobuf or http/json, not \"%s\"",
            text));
    }
    text = variable("OTEL_METRIC_EXPORT_INTERVAL");
    if (text != NULL && w->options.interval_ms == 0) {
        w->options.interval_ms = (unsigned)cli_number(
            "push", "OTEL_METRIC_EXPORT_INTERVAL", text, 100, 86400000);
    }
    each_pair(w, "OTEL_EXPORTER_OTLP_HEADERS", add_pair_header);
    each_pair(w, "OTEL_RESOURCE_ATTRIBUTES", add_pair_label);
}

/* ---- processes ---- */

struct look {
    const char *path;      /* NULL: all that run */
    const char *directory; /* there alone; NULL: of the user */
    bool has_ended;        /* that of path */
    struct push *push;     /* who looks */
};

static void tell(
    const mp_image_t *image, const char *path, push_process_fn *fn, void *arg)
{
    const char *slash = strrchr(path, '/');
    struct mp_proc kernel;
    struct push_process process = {.image = image};
    char id[64];

    snprintf(id, sizeof(id), "%.60s", slash != NULL ? slash + 1 : path);
    id[strcspn(id, ".")] = '\0';
    process.id = id;
    if (mp_image_life(image) == MP_LIFE_RUNNING
        && mp_proc_read(mp_image_process(image)->pid, &kernel) == 0) {
        process.kernel = &kernel;
    }
    fn(arg, &process);
}

static void each(void *source, push_process_fn *fn, void *arg)
{
    struct look *look = source;
    struct mp_paths all = {0};
    char *only = (char *)(uintptr_t)look->path;

    if (look->path != NULL) {
        all = (struct mp_paths){1, &only};
    } else {
        mp_find_all(look->directory, look->directory == NULL, &all, NULL);
    }
    for (size_t i = 0; i < all.count; i++) {
        mp_image_t *image = NULL;
        int code = mp_image_open(all.path[i], &image, NULL);
        enum mp_life life = code == 0 ? mp_image_life(image) : MP_LIFE_DIED;
        bool runs = life == MP_LIFE_RUNNING || life == MP_LIFE_ELSEWHERE;

        look->has_ended |= look->path != NULL && !runs;
        if (code == 0 && (runs || look->path != NULL)) {
            tell(image, all.path[i], fn, arg);
        }
        mp_image_free(image);
    }
    if (look->path == NULL) {
        mp_paths_free(&all);
    }
}

/* ---- once ---- */

static void sleep_ms(uint64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

static int print_result(
    const struct push *p, size_t processes, const struct push_counts *n, bool json)
{
    json_t *d;

    if (!json) {
        printf("%llu message%s of %zu process%s, %s, to %s\n",
            (unsigned long long)n->delivered, n->delivered == 1 ? "" : "s", processes,
            processes == 1 ? "" : "es", format_bytes((double)n->delivered_bytes).text,
            push_url(p));
        return EXIT_FINE;
    }
    d = document_new("push");
    document_set_text(d, "to", push_name(push_kind(p)));
    document_set_text(d, "url", push_url(p));
    document_set_bytes(d, "processes", processes);
    document_set_bytes(d, "messages", n->made);
    document_set_bytes(d, "delivered", n->delivered);
    document_set_bytes(d, "delivered_bytes", n->delivered_bytes);
    document_set_bytes(d, "retries", n->retries);
    document_set_bytes(d, "refused", n->refused);
    document_set_bytes(d, "dropped", n->dropped);
    document_set_bytes(d, "rejected", n->rejected);
    return document_print(d, false);
}

static int push_once(
    struct push *p, const struct words *w, struct look *look, bool json)
{
    struct push_source source = {each, look};
    uint64_t until_ns = view_now_ns() + (uint64_t)w->once_ms * 1000000;
    size_t processes = push_gather(p, &source);
    struct push_counts n;
    uint64_t wait;
    int code = EXIT_FINE;

    if (processes == 0) {
        return cli_fail("push", EXIT_NO_PROCESS,
            "no process runs on mpalloc here (mpalloc ps, mpalloc run)");
    }
    while ((wait = push_send(p)) != UINT64_MAX
           && view_now_ns() + wait * 1000000 < until_ns) {
        sleep_ms(wait);
    }
    push_get_counts(p, &n);
    if (json || n.delivered != 0) {
        code = print_result(p, processes, &n, json);
    }
    return n.delivered == n.made && n.rejected == 0 && code == EXIT_FINE ? EXIT_FINE
                                                                         : EXIT_FAILED;
}

/* ---- for ever ---- */

static struct push_list running;

static void on_signal(int number)
{
    (void)number;
    for (size_t i = 0; i < running.count; i++) {
        push_stop(running.at[i]);
    }
}

/* Once more after the process has ended, and no more. */
static void each_until_end(void *source, push_process_fn *fn, void *arg)
{
    struct look *look = source;

    each(source, fn, arg);
    if (look->has_ended) {
        push_stop(look->push);
    }
}

static void *run(void *arg)
{
    struct look *look = arg;
    struct push_source source = {each_until_end, look};

    push_run(look->push, &source);
    return NULL;
}

/* Each in a thread of its own, but the first. */
static int push_on(const struct push_list *list, const struct look *look)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct look *looks = must(calloc(list->count, sizeof(*looks)));
    pthread_t *threads = must(calloc(list->count, sizeof(*threads)));
    size_t started = 1;
    int code = 0;

    running = *list;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    for (size_t i = 0; i < list->count; i++) {
        looks[i] = *look;
        looks[i].push = list->at[i];
    }
    while (started < list->count && code == 0) {
        code = pthread_create(&threads[started], NULL, run, &looks[started]);
        started += code == 0;
    }
    if (code == 0) {
        run(&looks[0]);
    } else {
        on_signal(0);
    }
    for (size_t i = 1; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    free(looks);
    free(threads);
    return code == 0 ? EXIT_FINE
                     : cli_fail("push", EXIT_FAILED, "no thread: %s", strerror(code));
}

static void read_words(struct words *w, int argc, char **argv, struct common *common)
{
    enum {
        TO = 1,
        URL,
        INTERVAL,
        ONCE,
        TIMEOUT,
        LABEL,
        TENANT,
        HEADER,
        TOKEN,
        CA,
        CONFIG,
        DIRECTORY,
        FORMAT,
        PLAIN,
        PROFILES
    };
    static const struct option options[] = {COMMON_OPTIONS,
        {"to", required_argument, NULL, TO}, {"url", required_argument, NULL, URL},
        {"interval", required_argument, NULL, INTERVAL},
        {"once", no_argument, NULL, ONCE},
        {"timeout", required_argument, NULL, TIMEOUT},
        {"label", required_argument, NULL, LABEL},
        {"tenant", required_argument, NULL, TENANT},
        {"header", required_argument, NULL, HEADER},
        {"token-file", required_argument, NULL, TOKEN},
        {"ca", required_argument, NULL, CA},
        {"config", required_argument, NULL, CONFIG},
        {"dir", required_argument, NULL, DIRECTORY},
        {"format", required_argument, NULL, FORMAT},
        {"plain", no_argument, NULL, PLAIN}, {"profiles", no_argument, NULL, PROFILES},
        {0}};
    bool has_format = false;
    int c;

    while ((c = cli_next_option("push", argc, argv, options, false, common)) != -1) {
        switch (c) {
        case TO:
            set_to(w, optarg);
            break;
        case URL:
            w->options.url = optarg;
            break;
        case INTERVAL:
            w->options.interval_ms =
                cli_milliseconds("push", "--interval", optarg, 100, 86400000);
            break;
        case ONCE:
            w->once = true;
            break;
        case TIMEOUT:
            w->timeout_ms = cli_milliseconds("push", "--timeout", optarg, 10, 3600000);
            break;
        case LABEL:
            add_label(w, "--label", optarg);
            break;
        case TENANT:
            w->options.tenant = optarg;
            break;
        case HEADER:
            add_header(w, optarg);
            break;
        case TOKEN:
            read_token(w, optarg);
            break;
        case CA:
            w->options.authority = optarg;
            break;
        case CONFIG:
            w->config = optarg;
            break;
        case DIRECTORY:
            w->directory = optarg;
            break;
        case FORMAT:
            has_format = true;
            if (!find_format(optarg, &w->options.is_json)) {
                exit(cli_fail("push", EXIT_USAGE,
                    "--format takes protobuf or json, not \"%s\"", optarg));
            }
            break;
        case PLAIN:
            w->options.is_plain = true;
            break;
        case PROFILES:
            w->options.has_profiles = true;
            break;
        default:
            break;
        }
    }
    cli_expect_words("push", argc, 1);
    if (w->config != NULL && (w->has_to || w->options.url != NULL)) {
        exit(cli_fail("push", EXIT_USAGE, "--config says where to: no --to, no --url"));
    }
    if (w->config == NULL && !w->has_to) {
        exit(cli_fail("push", EXIT_USAGE, "needs --to: otlp, pyroscope or parca"));
    }
    if (w->config == NULL && w->options.to == PUSH_TO_OTLP) {
        read_environment(w, has_format);
    }
    if (w->config == NULL && w->options.url == NULL) {
        exit(cli_fail("push", EXIT_USAGE,
            "needs --url: where the server is, such as http://127.0.0.1:4318"));
    }
}

/* The servers to send to. EXIT_FINE, or an exit code after a line. */
static int make_list(const struct words *w, struct push_list *ret)
{
    struct mp_error error = {""};
    struct config *config;
    int code;

    if (w->config == NULL) {
        ret->at = must(calloc(1, sizeof(struct push *)));
        ret->count = 1;
        if (push_create(&w->options, ret->at, &error) == 0) {
            return EXIT_FINE;
        }
        free(ret->at);
        *ret = (struct push_list){0};
        return cli_fail("push", EXIT_USAGE, "%s", error.text);
    }
    code = config_open("push", w->config, NULL, &config);
    if (code != EXIT_FINE) {
        return code;
    }
    if (push_list_make(config, true, ret, &error) != 0) {
        code = cli_fail("push", EXIT_USAGE, "%s", error.text);
    } else if (ret->count == 0) {
        code = cli_fail("push", EXIT_USAGE,
            "%s: otlp has no endpoint, and push no entry: nothing is to be sent",
            w->config);
    }
    config_free(config);
    return code;
}

int verb_push(int argc, char **argv)
{
    struct words w = {0};
    struct common common = {0};
    struct target target = {.path = ""};
    struct look look = {0};
    struct push_list list = {0};
    int code;

    w.options.labels = w.label;
    w.options.headers = w.header;
    w.options.metrics = (struct metric_options){20, true, false};
    w.options.makes_insight = true;
    read_words(&w, argc, argv, &common);
    look.directory = w.directory;
    w.options.timeout_ms = w.timeout_ms;
    w.once_ms = w.timeout_ms != 0 ? w.timeout_ms : 30000;
    if (common.json && !w.once) {
        return cli_fail("push", EXIT_USAGE, "--json needs --once");
    }
    code = make_list(&w, &list);
    if (code == EXIT_FINE
        && (optind < argc || common.name != NULL || common.pid_file != NULL)) {
        code = cli_find_target("push", &common, argv + optind, &target);
        look.path = target.path;
    }
    if (code == EXIT_FINE && !w.once) {
        code = push_on(&list, &look);
    } else if (code == EXIT_FINE) {
        for (size_t i = 0; i < list.count; i++) {
            int last = push_once(list.at[i], &w, &look, common.json);

            code = last != EXIT_FINE ? last : code;
        }
    }
    push_list_free(&list);
    free(w.token);
    for (size_t i = 0; i < w.owned_count; i++) {
        free(w.owned[i]);
    }
    return code;
}
