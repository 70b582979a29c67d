/*
 * alert_sink_http - alerts by HTTP, with libcurl
 */
#include "alert_sink.h"
#include "must.h"

#include <curl/curl.h>
#include <stdio.h>

static size_t ignore(char *data, size_t size, size_t count, void *arg)
{
    (void)data;
    (void)arg;
    return size * count;
}

/* libcurl asks this at least once a second: whether it is to give up. */
static int look_up(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return sink_rest_ms(arg, 1) == 0;
}

static struct curl_slist *add(
    struct curl_slist *list, const char *key, const char *value)
{
    char line[4096];
    struct curl_slist *longer;

    /* "Key;" is a header without a value. */
    snprintf(line, sizeof(line), value[0] != '\0' ? "%s: %s" : "%s;", key, value);
    longer = must(curl_slist_append(list, line));
    return longer;
}

static enum sink_answer post(
    struct alert_sink *s, const char *address, const char *body, char *ret_why)
{
    struct curl_slist *headers = add(NULL, "Content-Type", "application/json");
    CURL *curl = must(curl_easy_init());
    CURLcode code;
    long status = 0;

    headers = add(headers, "Expect", "");
    for (size_t i = 0; i < s->of->headers.count; i++) {
        headers = add(headers, s->of->headers.at[i].key, s->of->headers.at[i].value);
    }
    curl_easy_setopt(curl, CURLOPT_URL, address);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "mpalloc/" CONFIG_VERSION);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
        (long)sink_rest_ms(s, s->of->timeout_ms) + 1); /* 0 would be no limit */
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, s);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* waits for no name */
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK) {
        snprintf(ret_why, 200, "%s; it is tried again", curl_easy_strerror(code));
        return SINK_AGAIN;
    }
    if (status >= 200 && status < 300) {
        return SINK_HEARD;
    }
    snprintf(ret_why, 200, "answers with status %ld%s", status,
        status == 429 || status >= 500 ? "; it is tried again" : "");
    return status == 429 || status >= 500 ? SINK_AGAIN : SINK_REFUSED;
}

sink_post_fn *alert_sinks_http(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return post;
}
