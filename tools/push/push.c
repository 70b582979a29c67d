#include "push.h"

#include "must.h"
#include "push_http.h"
#include "push_make.h"
#include "push_memory.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 10000,
    QUEUE_MOST = 64,
    QUEUE_BYTES = 64 << 20,
    BATCH = 32,     /* processes in a message of metrics */
    LAST_MS = 2000, /* for what waits when it ends */
};

struct push {
    struct push_options options; /* texts are in `kept` */
    void **kept;
    size_t kept_count;
    char *url;          /* whole, of metrics or of the only signal */
    char *profiles_url; /* of OTLP */
    struct push_http *http;
    struct push_memory *memory;
    struct push_queue queue; /* of the thread of the push; counts: under lock */
    pthread_mutex_t lock;
    struct push_counts counts; /* what others may see */
    atomic_bool stop;
    int stop_fd;
    uint64_t before_s; /* of the last look */
    uint64_t random;
    char problem[320];
    bool has_said;
};

static const char *const names[PUSH_TOS] = {"otlp", "pyroscope", "parca"};

const char *push_name(enum push_to to)
{
    return names[to];
}

bool push_find(const char *name, enum push_to *ret)
{
    for (unsigned i = 0; i < PUSH_TOS; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret = (enum push_to)i;
            return true;
        }
    }
    return false;
}

const char *push_url(const struct push *p)
{
    return p->url;
}

enum push_to push_kind(const struct push *p)
{
    return p->options.to;
}

const char *push_problem(const struct push *p)
{
    return p->problem;
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- making ---- */

static const char *keep(struct push *p, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    p->kept = must(reallocarray(p->kept, p->kept_count + 1, sizeof(*p->kept)));
    p->kept[p->kept_count] = must(strdup(text));
    return p->kept[p->kept_count++];
}

static void *keep_room(struct push *p, size_t count, size_t bytes)
{
    p->kept = must(reallocarray(p->kept, p->kept_count + 1, sizeof(*p->kept)));
    p->kept[p->kept_count] = must(calloc(count + 1, bytes));
    return p->kept[p->kept_count++];
}

static int refuse(
    struct mp_error *error, const char *what, const char *text, const char *why)
{
    char escaped[160];

    mp_text_escape(escaped, sizeof(escaped), text, SIZE_MAX);
    snprintf(error->text, sizeof(error->text), "%s \"%s\": %s", what, escaped, why);
    return -EINVAL;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 32 || *text == 127) {
            return true;
        }
    }
    return false;
}

static int check(const struct push_options *o, struct mp_error *error)
{
    const char *why;

    if (o->url == NULL || !push_http_check_url(o->url, &why)) {
        return refuse(error, "URL", o->url != NULL ? o->url : "",
            o->url != NULL ? why : "it is missing");
    }
    for (size_t i = 0; i < o->label_count; i++) {
        if (o->to != PUSH_TO_OTLP && !push_is_label(o->labels[i].key)) {
            return refuse(error, "label", o->labels[i].key,
                "names are letters, digits and _, and begin with no digit");
        }
        if (o->labels[i].key[0] == '\0') {
            return refuse(error, "label", o->labels[i].key, "it has no name");
        }
    }
    for (size_t i = 0; i < o->header_count; i++) {
        const char *colon = strchr(o->headers[i], ':');

        if (colon == NULL || colon == o->headers[i] || has_control(o->headers[i])) {
            return refuse(
                error, "header", o->headers[i], "it has to be \"Name: value\"");
        }
    }
    if (o->tenant != NULL && (o->tenant[0] == '\0' || has_control(o->tenant))) {
        return refuse(error, "tenant", o->tenant, "it has to be a plain name");
    }
    if (o->token != NULL && (o->token[0] == '\0' || has_control(o->token))) {
        return refuse(error, "token", "", "it has to be one line");
    }
    return 0;
}

static void copy_options(struct push *p, const struct push_options *from)
{
    struct push_options *o = &p->options;
    struct otlp_attribute *labels =
        keep_room(p, from->label_count, sizeof(*from->labels));
    const char **headers = keep_room(p, from->header_count + 1, sizeof(*from->headers));
    char line[512];

    *o = *from;
    for (size_t i = 0; i < from->label_count; i++) {
        labels[i].key = keep(p, from->labels[i].key);
        labels[i].text = keep(p, from->labels[i].text);
    }
    for (size_t i = 0; i < from->header_count; i++) {
        headers[i] = keep(p, from->headers[i]);
    }
    if (from->tenant != NULL) {
        snprintf(line, sizeof(line), "X-Scope-OrgID: %s", from->tenant);
        headers[o->header_count++] = keep(p, line);
    }
    o->labels = labels;
    o->headers = headers;
    o->url = keep(p, from->url);
    o->token = keep(p, from->token);
    o->authority = keep(p, from->authority);
    o->interval_ms = o->interval_ms != 0     ? o->interval_ms
                     : o->to == PUSH_TO_OTLP ? 30000
                                             : 60000;
    o->timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : TIMEOUT_MS;
    o->queue_most = o->queue_most != 0 ? o->queue_most : QUEUE_MOST;
}

static void set_urls(struct push *p)
{
    static const char *const paths[PUSH_TOS] = {
        OTLP_METRICS_PATH, "/ingest", "/api/profiles/writeraw"};
    const char *url = p->options.url;
    char *base = must(strdup(url));
    size_t n = strlen(base);
    size_t m = strlen(OTLP_METRICS_PATH);

    p->url = push_http_url(url, paths[p->options.to]);
    if (n > m && strcmp(base + n - m, OTLP_METRICS_PATH) == 0) {
        base[n - m] = '\0'; /* profiles go beside */
    }
    p->profiles_url = push_http_url(base, OTLP_PROFILES_PATH);
    free(base);
}

int push_create(
    const struct push_options *options, struct push **ret, struct mp_error *error)
{
    struct push *p;
    struct push_http_options http = {0};
    int code = check(options, error);

    if (code != 0) {
        return code;
    }
    p = must(calloc(1, sizeof(*p)));
    copy_options(p, options);
    set_urls(p);
    p->queue.most = p->options.queue_most;
    p->queue.most_bytes = QUEUE_BYTES;
    p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&p->lock, NULL);
    p->random = (uint64_t)now_ms() * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid();
    http.headers = p->options.headers;
    http.header_count = p->options.header_count;
    http.token = p->options.token;
    http.authority = p->options.authority;
    http.timeout_ms = p->options.timeout_ms;
    http.stop = &p->stop;
    p->http = push_http_create(&http);
    p->memory = push_memory_create();
    *ret = p;
    return 0;
}

void push_destroy(struct push *p)
{
    push_queue_clear(&p->queue);
    push_http_destroy(p->http);
    push_memory_destroy(p->memory);
    pthread_mutex_destroy(&p->lock);
    close(p->stop_fd);
    for (size_t i = 0; i < p->kept_count; i++) {
        free(p->kept[i]);
    }
    free(p->kept);
    free(p->url);
    free(p->profiles_url);
    free(p);
}

static void publish(struct push *p)
{
    pthread_mutex_lock(&p->lock);
    p->counts = p->queue.counts;
    pthread_mutex_unlock(&p->lock);
}

void push_get_counts(struct push *p, struct push_counts *ret)
{
    pthread_mutex_lock(&p->lock);
    *ret = p->counts;
    pthread_mutex_unlock(&p->lock);
}

/* ---- sending ---- */

/* From 0 to 1. */
static double chance(struct push *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return (double)(p->random >> 11) / (double)(UINT64_C(1) << 53);
}

static void say_problem(struct push *p, const char *what, const char *then)
{
    snprintf(p->problem, sizeof(p->problem), "%.300s", what);
    if (!p->has_said) {
        fprintf(stderr, "mpalloc push: %s: %s; %s\n", p->url, p->problem, then);
    }
    p->has_said = true;
}

static void say_over(struct push *p)
{
    if (p->has_said) {
        fprintf(stderr, "mpalloc push: %s: it takes messages again\n", p->url);
    }
    p->has_said = false;
    p->problem[0] = '\0';
}

static void note_rejected(
    struct push *p, enum push_signal signal, const struct push_reply *reply)
{
    uint64_t count = 0;
    char text[200];
    char line[300];

    if (p->options.to != PUSH_TO_OTLP
        || !otlp_rejected(
            reply->body, reply->bytes, reply->is_json, &count, text, sizeof(text))) {
        say_over(p);
        return;
    }
    p->queue.counts.rejected += count;
    if (count == 0) { /* a word of advice only */
        say_over(p);
        return;
    }
    snprintf(line, sizeof(line), "the server did not take %llu %s: %s",
        (unsigned long long)count, signal == PUSH_METRICS ? "points" : "profiles",
        text[0] != '\0' ? text : "it does not say why");
    say_problem(p, line, "the rest arrived");
}

/* False: something has to wait. timeout_ms: 0: as usual. */
static bool send_one(struct push *p, const struct push_message *m, unsigned timeout_ms)
{
    struct push_request request = {
        m->url, m->content_type, m->content_encoding, m->body, m->bytes, timeout_ms};
    struct push_reply reply;
    enum push_signal signal = m->signal;

    switch (push_http_post(p->http, &request, &reply)) {
    case PUSH_DELIVERED:
        push_queue_delivered(&p->queue);
        note_rejected(p, signal, &reply);
        return true;
    case PUSH_REFUSED:
        push_queue_refused(&p->queue);
        say_problem(p, reply.problem, "the message is dropped");
        return true;
    case PUSH_RETRY:
        push_queue_retry(&p->queue, now_ms(), reply.retry_after_ms, chance(p));
        say_problem(p, reply.problem, "it is tried again");
        return false;
    case PUSH_STOPPED:
        return false;
    }
    return false;
}

uint64_t push_send(struct push *p)
{
    const struct push_message *m;

    while (!atomic_load(&p->stop) && (m = push_queue_due(&p->queue, now_ms())) != NULL
           && send_one(p, m, 0)) {
        publish(p);
    }
    publish(p);
    if (p->queue.first == NULL) {
        return UINT64_MAX;
    }
    return p->queue.due_ms > now_ms() ? p->queue.due_ms - now_ms() : 1;
}

/* ---- what is there ---- */

struct gathering {
    struct push *push;
    struct otlp_metrics *metrics; /* NULL: none yet */
    size_t in_batch;
    size_t processes;
    uint64_t now_s;
};

/* It goes at once unless the server is away: only then do many have to wait. */
static void enqueue(struct push *p, struct push_message *m)
{
    m->made_ms = now_ms();
    push_queue_add(&p->queue, m);
    push_send(p);
}

static void end_batch(struct gathering *g)
{
    if (g->metrics != NULL) {
        enqueue(
            g->push, push_otlp_metrics(g->push->url, &g->push->options, g->metrics));
        otlp_metrics_free(g->metrics);
        g->metrics = NULL;
        g->in_batch = 0;
    }
}

static void add_metrics(struct gathering *g, const struct push_process *process)
{
    const struct push_options *o = &g->push->options;
    struct otlp_resource resource = {o->label_count, o->labels};
    struct metric_source *source = must(malloc(sizeof(*source)));
    const struct metric_insight *insight = process->insight;

    if (g->metrics == NULL) {
        g->metrics = otlp_metrics_create();
    }
    if (insight == NULL && o->makes_insight) {
        insight = push_memory_insight(g->push->memory, process);
    }
    metric_source_make(source, process->image, process->kernel, insight, &o->metrics,
        push_memory_rows(g->push->memory, process->id));
    source->pressure = process->pressure;
    otlp_metrics_add(g->metrics, source, &resource);
    free(source);
    if (++g->in_batch == BATCH) {
        end_batch(g);
    }
}

static void add_process(void *arg, const struct push_process *process)
{
    struct gathering *g = arg;
    struct push *p = g->push;

    g->processes++;
    if (p->queue.most < 2 * g->processes) { /* a whole round has to fit */
        p->queue.most = 2 * g->processes;
    }
    switch (p->options.to) {
    case PUSH_TO_OTLP:
        add_metrics(g, process);
        if (p->options.has_profiles) {
            enqueue(p, push_otlp_profiles(p->profiles_url, &p->options, process));
        }
        break;
    case PUSH_TO_PYROSCOPE:
        enqueue(p, push_pyroscope(p->url, &p->options, process, p->before_s, g->now_s));
        break;
    case PUSH_TO_PARCA:
    case PUSH_TOS:
        enqueue(p, push_parca(p->url, &p->options, process));
        break;
    }
}

size_t push_gather(struct push *p, const struct push_source *source)
{
    struct gathering g = {.push = p, .now_s = (uint64_t)time(NULL)};

    if (p->before_s == 0) {
        p->before_s = g.now_s - p->options.interval_ms / 1000;
    }
    push_memory_begin(p->memory);
    source->each(source->source, add_process, &g);
    push_memory_end(p->memory);
    end_batch(&g);
    p->before_s = g.now_s;
    publish(p);
    return g.processes;
}

/* Each of what waits once; no more than LAST_MS for all. */
static void send_last(struct push *p)
{
    uint64_t now = now_ms();
    uint64_t until = now + LAST_MS;
    const struct push_message *m;

    atomic_store(&p->stop, false);
    p->queue.due_ms = 0;
    while (now < until && (m = push_queue_due(&p->queue, now)) != NULL
           && send_one(p, m, (unsigned)(until - now))) {
        now = now_ms();
    }
    atomic_store(&p->stop, true);
    push_queue_clear(&p->queue);
    publish(p);
}

void push_run(struct push *p, const struct push_source *source)
{
    uint64_t due = now_ms();
    struct pollfd stop = {.fd = p->stop_fd, .events = POLLIN};

    while (!atomic_load(&p->stop)) {
        uint64_t wait;
        uint64_t now = now_ms();

        if (now >= due) {
            push_gather(p, source);
            due += p->options.interval_ms;
            due = due > now ? due : now + p->options.interval_ms;
        }
        wait = push_send(p);
        now = now_ms();
        if (due <= now) {
            continue;
        }
        wait = wait < due - now ? wait : due - now;
        poll(&stop, 1, (int)(wait < 3600000 ? wait : 3600000));
    }
    send_last(p);
}

void push_stop(struct push *p)
{
    static const uint64_t one = 1;

    atomic_store(&p->stop, true);
    (void)!write(p->stop_fd, &one, sizeof(one));
}
