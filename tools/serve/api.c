#include "api.h"

#include "../cli.h"
#include "../document.h"
#include "../must.h"
#include "../servers.h"
#include "../symbols.h"
#include "../symcache.h"
#include "api_parts.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAMES_BYTES = 16 << 20, /* found names that are kept, by build id */
    KNOWN = 1024,           /* processes */
    LATER = 48,             /* requests that wait for a later image: workers may 64, */
    LATER_MIB = 256,        /* and what the earlier ones take */
};

/* What was found of one process, at last. */
struct known {
    struct known *next; /* found before */
    char path[PATH_MAX];
    size_t of_kind[MP_VERDICTS];
};

struct api {
    struct api_cache *cache;
    pthread_mutex_t lock; /* of the rest */
    struct known *known;
    unsigned later;
    uint64_t later_bytes;
};

struct api *api_create(const struct serve *s)
{
    struct api *a = must(calloc(1, sizeof(*a)));

    a->cache = api_cache_create();
    pthread_mutex_init(&a->lock, NULL);
    servers_forbid(); /* they take seconds; what verbs asked them for is in the cache */
    symcache_keep(NAMES_BYTES);
    if (s->options.history_path != NULL
        && setenv("MPALLOC_HISTORY", s->options.history_path, 1) != 0) {
        must(NULL);
    }
    return a;
}

void api_destroy(struct api *a)
{
    if (a != NULL) {
        api_cache_destroy(a->cache);
        while (a->known != NULL) {
            struct known *next = a->known->next;

            free(a->known);
            a->known = next;
        }
        pthread_mutex_destroy(&a->lock);
        free(a);
    }
}

/* ---- which process ---- */

const struct fleet_process *api_process(struct request *r)
{
    const struct fleet_process *p = request_process(r);

    if (p != NULL && p->image == NULL) {
        reply_problem(r, 502, "%s", p->error);
        return NULL;
    }
    return p;
}

/* ---- and later ---- */

bool api_seconds(struct request *r, uint64_t *ret)
{
    *ret = 0;
    return request_value(r, "seconds") == NULL
           || request_number(r, "seconds", 1, API_SECONDS_MOST, 0, ret);
}

static bool begin_later(struct api *a, uint64_t bytes)
{
    bool may;

    pthread_mutex_lock(&a->lock);
    may = a->later < LATER && a->later_bytes + bytes <= (uint64_t)LATER_MIB << 20;
    if (may) {
        a->later++;
        a->later_bytes += bytes;
    }
    pthread_mutex_unlock(&a->lock);
    return may;
}

static void end_later(struct api *a, uint64_t bytes)
{
    pthread_mutex_lock(&a->lock);
    a->later--;
    a->later_bytes -= bytes;
    pthread_mutex_unlock(&a->lock);
}

const struct fleet_process *api_later(
    struct request *r, const struct fleet_process *p, uint64_t seconds)
{
    struct serve *s = request_serve(r);
    uint64_t bytes = mp_image_file_bytes(p->image);
    const struct fleet_process *later;

    if (!begin_later(s->api, bytes)) {
        reply_header(r, "Retry-After", "10");
        reply_problem(r, 503, "too many requests wait with seconds=: ask again later");
        return NULL;
    }
    serve_wait(s, seconds * 1000); /* what there is, when the server ends */
    end_later(s->api, bytes);
    later = fleet_hold_one(s->fleet, p->id, 0);
    if (later != NULL && later->image == NULL) {
        reply_problem(r, 502, "%s", later->error);
        fleet_release_one(s->fleet, later);
        return NULL;
    }
    if (later == NULL) {
        reply_problem(r, 410, "process %s ended meanwhile, and left nothing", p->id);
    }
    return later;
}

/* ---- what is known of it ---- */

static struct known *take_known_locked(struct api *a, const char *path)
{
    struct known **at = &a->known;
    struct known *found;

    while (*at != NULL && strcmp((*at)->path, path) != 0) {
        at = &(*at)->next;
    }
    found = *at;
    if (found != NULL) {
        *at = found->next;
    }
    return found;
}

void api_note_leaks(
    struct serve *s, const struct fleet_process *p, const size_t of_kind[MP_VERDICTS])
{
    struct api *a = s->api;
    struct known **at = &a->known;
    struct known *k;

    pthread_mutex_lock(&a->lock);
    k = take_known_locked(a, p->path);
    k = k != NULL ? k : must(calloc(1, sizeof(*k)));
    snprintf(k->path, sizeof(k->path), "%s", p->path);
    memcpy(k->of_kind, of_kind, sizeof(k->of_kind));
    k->next = a->known;
    a->known = k;
    for (unsigned i = 0; i < KNOWN && *at != NULL; i++) {
        at = &(*at)->next;
    }
    k = *at;
    *at = NULL;
    free(k); /* one was added: one at most is too much */
    pthread_mutex_unlock(&a->lock);
}

json_t *api_known_leaks(struct serve *s, const struct fleet_process *p)
{
    static const enum mp_verdict_kind kinds[] = {
        MP_VERDICT_LOST, MP_VERDICT_GROWING, MP_VERDICT_SUSPECT};
    const struct known *k;
    json_t *o = NULL;

    pthread_mutex_lock(&s->api->lock);
    for (k = s->api->known; k != NULL && strcmp(k->path, p->path) != 0; k = k->next) {
    }
    if (k != NULL) {
        o = must(json_object());
        for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
            document_set_bytes(o, mp_verdict_name(kinds[i]), k->of_kind[kinds[i]]);
        }
    }
    pthread_mutex_unlock(&s->api->lock);
    return o != NULL ? o : json_null();
}

/* ---- who may see what ---- */

bool api_may_see_code(struct request *r)
{
    if (!request_is_trusted(r)) {
        reply_problem(r, 403,
            "call stacks are shown to this machine, or with the token: set "
            "--token-file, "
            "and send Authorization: Bearer TOKEN");
        return false;
    }
    return true;
}

static bool is_hidden(const char *key)
{
    return strcmp(key, "frames") == 0 || strcmp(key, "command") == 0
           || strcmp(key, "function") == 0 || strcmp(key, "functions") == 0;
}

/* What alerts of leaks say after the figures is which function it is. */
static void cut_detail(json_t *alert)
{
    const char *measure = json_string_value(json_object_get(alert, "measure"));
    json_t *text = json_object_get(alert, "text");
    const char *end =
        json_is_string(text) ? strstr(json_string_value(text), ": ") : NULL;

    if (end != NULL && measure != NULL && json_object_get(alert, "state") != NULL
        && strcmp(measure, mp_measure_name(MP_MEASURE_LEAKS)) == 0) {
        json_string_setn(
            text, json_string_value(text), (size_t)(end - json_string_value(text)));
    }
}

void api_redact(json_t *value)
{
    const char *key;
    json_t *part;
    size_t i;

    cut_detail(value);
    json_array_foreach(value, i, part)
    {
        api_redact(part);
    }
    json_object_foreach(value, key, part)
    {
        if (!is_hidden(key)) {
            api_redact(part);
        } else if (json_is_array(part)) {
            json_array_clear(part);
        } else if (json_is_string(part)) {
            json_string_set(part, "");
        }
    }
}

/* ---- replies ---- */

char *api_text(json_t *document, bool is_trusted, size_t *ret_bytes)
{
    char *text;

    if (!is_trusted) {
        api_redact(document);
    }
    text = must(json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(9)));
    json_decref(document);
    *ret_bytes = strlen(text);
    return text;
}

enum answered api_reply(struct request *r, json_t *document)
{
    size_t bytes;
    char *text = api_text(document, request_is_trusted(r), &bytes);

    reply_bytes(r, 200, "application/json", text, bytes);
    free(text);
    return ANSWERED;
}

void api_made_document(struct made *made, json_t *document, bool is_trusted)
{
    made->status = 200;
    made->type = "application/json";
    made->data = api_text(document, is_trusted, &made->bytes);
}

void api_made_problem(struct made *made, unsigned status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(made->detail, sizeof(made->detail), format, args);
    va_end(args);
    made->status = status;
}

/* What is made, with what tools would say kept. */
struct making {
    make_fn *make;
    void *arg;
};

static void make_quietly(struct made *made, void *arg)
{
    const struct making *m = arg;
    struct said said;
    struct said *before = said_keep(&said);

    symbols_bound(API_NAMES_MS);
    m->make(made, m->arg);
    symbols_bound(0);
    said_keep(before);
}

static struct api_cache *cache_of(struct request *r)
{
    return request_serve(r)->api->cache;
}

enum answered api_reply_made(struct request *r, const struct fleet_process *p,
    const char *key, make_fn *make, void *arg)
{
    char whole[PATH_MAX + 520];
    struct making making = {make, arg};
    const struct made *made;

    /* Who asks stands before what they wrote: no text of theirs makes it another key. */
    snprintf(whole, sizeof(whole), "%s %c %s", p->path,
        request_is_trusted(r) ? 't' : 'r', key);
    made = api_cache_hold(
        cache_of(r), whole, p->read_ns, API_AGE_MS, make_quietly, &making);
    if (made == NULL) {
        reply_header(r, "Retry-After", "10");
        return reply_problem(r, 503, "others ask for too much: ask again later");
    }
    if (made->status == 200) {
        reply_bytes(r, 200, made->type, made->data, made->bytes);
    } else {
        reply_problem(r, made->status, "%s", made->detail);
    }
    api_cache_release(cache_of(r), made);
    return ANSWERED;
}

void api_forget(struct request *r, const struct fleet_process *p)
{
    char beginning[PATH_MAX + 1];

    snprintf(beginning, sizeof(beginning), "%s ", p->path);
    api_cache_forget(cache_of(r), beginning);
}

/* ---- parameters ---- */

bool api_flag(struct request *r, const char *name, bool *ret)
{
    uint64_t value = 0;
    bool is_good = request_number(r, name, 0, 1, 0, &value);

    *ret = value != 0;
    return is_good;
}

bool api_word(struct request *r, const char *name, const char *const *words,
    unsigned usual, unsigned *ret)
{
    const char *value = request_value(r, name);
    char all[256] = "";

    *ret = usual;
    if (value == NULL) {
        return true;
    }
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], value) == 0) {
            *ret = i;
            return true;
        }
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
            i > 0 ? ", " : "", words[i]);
    }
    reply_problem(r, 400, "%s takes one of %s, not \"%.200s\"", name, all, value);
    return false;
}

/* ---- what tools say ---- */

unsigned api_status_of_code(int exit_code)
{
    switch (exit_code) {
    case EXIT_USAGE:
        return 400;
    case EXIT_NO_PROCESS:
        return 404;
    case EXIT_NOT_PERMITTED:
        return 403;
    case EXIT_DAMAGED:
        return 502;
    default:
        return 500;
    }
}

unsigned api_status_of_errno(int error)
{
    switch (-error) {
    case ESRCH:
    case EBUSY:
    case EAGAIN:
        return 409;
    case ENOENT:
        return 410;
    case EACCES:
    case EPERM:
        return 403;
    case ETIMEDOUT:
        return 504;
    case ENOTSUP:
    case ENOSYS:
        return 501;
    default:
        return 502;
    }
}
