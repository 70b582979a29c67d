#include "push_http.h"

#include "must.h"

#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { REPLY_BYTES = 65536, HOUR_MS = 3600000 };

struct push_http {
    CURL *curl;
    struct curl_slist *headers;
    const atomic_bool *stop;
    char error[CURL_ERROR_SIZE];
    unsigned timeout_ms;
    char *reply;
    size_t reply_bytes;
};

static void begin_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t take_reply(char *data, size_t size, size_t count, void *arg)
{
    struct push_http *h = arg;
    size_t bytes = size * count;
    size_t room = REPLY_BYTES - h->reply_bytes;
    size_t kept = bytes < room ? bytes : room;

    memcpy(h->reply + h->reply_bytes, data, kept);
    h->reply_bytes += kept;
    return bytes;
}

static int look_up(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct push_http *h = arg;

    (void)a, (void)b, (void)c, (void)d;
    return h->stop != NULL && atomic_load(h->stop);
}

static void add_header(struct push_http *h, const char *header)
{
    h->headers = must(curl_slist_append(h->headers, header));
}

static void set_timeout(struct push_http *h, unsigned timeout_ms)
{
    curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT_MS,
        (long)(timeout_ms < 5000 ? timeout_ms : 5000));
}

static void set_options(struct push_http *h)
{
    curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h->curl, CURLOPT_QUICK_EXIT, 1L); /* waits for no name */
    curl_easy_setopt(h->curl, CURLOPT_USERAGENT, "mpalloc/" CONFIG_VERSION);
    curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->error);
    curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, take_reply);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFOFUNCTION, look_up);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFODATA, h);
    curl_easy_setopt(h->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h->curl, CURLOPT_POST, 1L);
}

struct push_http *push_http_create(const struct push_http_options *o)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct push_http *h = must(calloc(1, sizeof(*h)));

    pthread_once(&once, begin_curl);
    h->curl = must(curl_easy_init());
    h->reply = must(malloc(REPLY_BYTES));
    h->stop = o->stop;
    add_header(h, "Expect:"); /* no round trip before a large body */
    for (size_t i = 0; i < o->header_count; i++) {
        add_header(h, o->headers[i]);
    }
    if (o->token != NULL) {
        size_t size = strlen(o->token) + 32;
        char *line = must(malloc(size));

        snprintf(line, size, "Authorization: Bearer %s", o->token);
        add_header(h, line);
        free(line);
    }
    h->timeout_ms = o->timeout_ms;
    set_options(h);
    if (o->authority != NULL) {
        curl_easy_setopt(h->curl, CURLOPT_CAINFO, o->authority);
    }
    return h;
}

void push_http_destroy(struct push_http *h)
{
    curl_easy_cleanup(h->curl);
    curl_slist_free_all(h->headers);
    free(h->reply);
    free(h);
}

uint64_t push_retry_after_ms(const char *text, uint64_t now_s)
{
    char *end;
    time_t when;

    if (isdigit((unsigned char)text[0])) {
        uint64_t seconds = strtoull(text, &end, 10);

        return seconds > HOUR_MS / 1000 ? HOUR_MS : seconds * 1000;
    }
    when = curl_getdate(text, NULL);
    if (when < 0 || (uint64_t)when <= now_s) {
        return 0;
    }
    return (uint64_t)when - now_s > HOUR_MS / 1000 ? HOUR_MS
                                                   : ((uint64_t)when - now_s) * 1000;
}

static bool is_retried(long status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

/* What the server said of a problem: its first line, when it is text. */
static void quote_reply(const struct push_http *h, char *ret, size_t size)
{
    size_t n = 0;

    while (
        n < h->reply_bytes && n < 200 && h->reply[n] != '\n' && h->reply[n] != '\r') {
        n++;
    }
    ret[0] = '\0';
    if (n > 0 && isprint((unsigned char)h->reply[0])) {
        strcpy(ret, ": ");
        mp_text_escape(ret + 2, size - 2, h->reply, n);
    }
}

/* What came back of a request that was answered. */
static enum push_outcome judge(struct push_http *h, struct push_reply *ret)
{
    struct curl_header *found;
    const char *type = NULL;
    char words[256];
    long status = 0;

    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(h->curl, CURLINFO_CONTENT_TYPE, &type);
    ret->status = (unsigned)status;
    ret->is_json = type != NULL && strncmp(type, "application/json", 16) == 0;
    ret->body = h->reply;
    ret->bytes = h->reply_bytes;
    if (status >= 200 && status < 300) {
        return PUSH_DELIVERED;
    }
    if (curl_easy_header(h->curl, "Retry-After", 0, CURLH_HEADER, -1, &found) == 0) {
        ret->retry_after_ms = push_retry_after_ms(found->value, (uint64_t)time(NULL));
    }
    quote_reply(h, words, sizeof(words));
    snprintf(ret->problem, sizeof(ret->problem), "the server answers %ld%.250s%s",
        status, words,
        status == 404                    ? " (is the URL right?)"
        : status == 401 || status == 403 ? " (is the token right?)"
        : status >= 300 && status < 400  ? " (it is not followed)"
                                         : "");
    return is_retried(status) ? PUSH_RETRY : PUSH_REFUSED;
}

enum push_outcome push_http_post(
    struct push_http *h, const struct push_request *request, struct push_reply *ret)
{
    struct curl_slist *headers = NULL;
    char line[256];
    CURLcode code;

    *ret = (struct push_reply){0};
    h->reply_bytes = 0;
    h->error[0] = '\0';
    for (const struct curl_slist *s = h->headers; s != NULL; s = s->next) {
        headers = must(curl_slist_append(headers, s->data));
    }
    snprintf(line, sizeof(line), "Content-Type: %s", request->content_type);
    headers = must(curl_slist_append(headers, line));
    if (request->content_encoding != NULL) {
        snprintf(line, sizeof(line), "Content-Encoding: %s", request->content_encoding);
        headers = must(curl_slist_append(headers, line));
    }
    set_timeout(h, request->timeout_ms > 0 && request->timeout_ms < h->timeout_ms
                       ? request->timeout_ms
                       : h->timeout_ms);
    curl_easy_setopt(h->curl, CURLOPT_URL, request->url);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, request->body);
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->bytes);
    code = curl_easy_perform(h->curl);
    curl_slist_free_all(headers);
    if (code == CURLE_OK) {
        return judge(h, ret);
    }
    snprintf(ret->problem, sizeof(ret->problem), "%.300s",
        h->error[0] != '\0' ? h->error : curl_easy_strerror(code));
    return code == CURLE_ABORTED_BY_CALLBACK ? PUSH_STOPPED : PUSH_RETRY;
}

bool push_http_check_url(const char *url, const char **ret_why)
{
    CURLU *parts = must(curl_url());
    char *scheme = NULL;
    char *host = NULL;

    *ret_why = NULL;
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        *ret_why = "it must begin with http:// or https://";
    } else if (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK) {
        *ret_why = "it is no address";
    } else if (curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK
               || host[0] == '\0') {
        *ret_why = "it has no host";
    }
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parts);
    return *ret_why == NULL;
}

char *push_http_url(const char *url, const char *path)
{
    size_t n = strcspn(url, "?#");
    size_t m = strlen(path);
    size_t size = strlen(url) + m + 1;
    char *text = must(malloc(size));

    while (n > 0 && url[n - 1] == '/') {
        n--;
    }
    if (n >= m && strncmp(url + n - m, path, m) == 0) {
        path = "";
    }
    snprintf(text, size, "%.*s%s", (int)n, url, path);
    return text;
}
