/*
 * What of mpalloc push needs no server: the queue and its waits, names of metrics, addresses,
 * labels, and what receivers say.
 */
#include "push/push_http.h"
#include "push/push_make.h"
#include "push/push_queue.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct push_message *make(size_t bytes, uint64_t made_ms)
{
    struct push_message *m = push_message_new(
        PUSH_METRICS, "http://x/", "text/plain", calloc(bytes + 1, 1), bytes);

    m->made_ms = made_ms;
    return m;
}

static struct push_queue queue(size_t most, size_t most_bytes)
{
    return (struct push_queue){.most = most, .most_bytes = most_bytes};
}

Test(push_queue, drops_the_oldest_when_there_are_too_many)
{
    struct push_queue q = queue(3, 1000);

    for (size_t i = 1; i <= 5; i++) {
        push_queue_add(&q, make(i, 0));
    }
    cr_assert_eq(q.count, 3);
    cr_assert_eq(q.bytes, 3 + 4 + 5);
    cr_assert_eq(q.counts.made, 5);
    cr_assert_eq(q.counts.dropped, 2);
    cr_assert_eq(push_queue_due(&q, 0)->bytes, 3);
    push_queue_clear(&q);
    cr_assert_eq(q.counts.dropped, 5);
    cr_assert_null(push_queue_due(&q, 0));
}

Test(push_queue, drops_the_oldest_when_they_are_too_long)
{
    struct push_queue q = queue(100, 1000);

    push_queue_add(&q, make(600, 0));
    push_queue_add(&q, make(300, 0));
    push_queue_add(&q, make(200, 0)); /* the first goes */
    cr_assert_eq(q.bytes, 500);
    push_queue_add(&q, make(5000, 0)); /* stays, though it is more than fits */
    cr_assert_eq(q.count, 1);
    cr_assert_eq(q.counts.dropped, 3);
    push_queue_clear(&q);
}

Test(push_queue, waits_after_a_failure_and_not_after_a_delivery)
{
    struct push_queue q = queue(10, 1000);

    push_queue_add(&q, make(1, 0));
    push_queue_add(&q, make(2, 0));
    push_queue_retry(&q, 5000, 0, 0.5);
    cr_assert_null(push_queue_due(&q, 5999));
    cr_assert_eq(push_queue_due(&q, 6000)->bytes, 1);
    push_queue_retry(&q, 6000, 0, 0.5); /* the second time twice as long */
    cr_assert_null(push_queue_due(&q, 7999));
    cr_assert_eq(push_queue_due(&q, 8000)->bytes, 1);
    push_queue_delivered(&q);
    cr_assert_eq(push_queue_due(&q, 8000)->bytes, 2);
    push_queue_refused(&q);
    cr_assert_eq(q.counts.retries, 2);
    cr_assert_eq(q.counts.delivered, 1);
    cr_assert_eq(q.counts.delivered_bytes, 1);
    cr_assert_eq(q.counts.refused, 1);
    cr_assert_null(push_queue_due(&q, 8000));
}

Test(push_queue, does_as_the_server_asks)
{
    struct push_queue q = queue(10, 1000);

    push_queue_add(&q, make(1, 0));
    push_queue_retry(&q, 1000, 30000, 0.5);
    cr_assert_null(push_queue_due(&q, 30999));
    cr_assert_not_null(push_queue_due(&q, 31000));
    push_queue_retry(&q, 31000, 10, 0.5); /* less than it would wait anyway */
    cr_assert_null(push_queue_due(&q, 32999));
    cr_assert_not_null(push_queue_due(&q, 33000));
    push_queue_clear(&q);
}

Test(push_queue, gives_up_what_is_too_old)
{
    struct push_queue q = queue(10, 1000);

    push_queue_add(&q, make(1, 1000));
    push_queue_add(&q, make(2, 2000));
    cr_assert_eq(push_queue_due(&q, 1000 + PUSH_GIVE_UP_MS)->bytes, 1);
    cr_assert_eq(push_queue_due(&q, 1001 + PUSH_GIVE_UP_MS)->bytes, 2);
    cr_assert_eq(q.counts.dropped, 1);
    push_queue_clear(&q);
}

Test(push_queue, waits_double_up_to_a_minute_and_are_spread)
{
    static const uint64_t middle[] = {
        1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};

    for (unsigned i = 0; i < sizeof(middle) / sizeof(middle[0]); i++) {
        cr_assert_eq(push_wait_ms(i + 1, 0.5), middle[i]);
        cr_assert_eq(push_wait_ms(i + 1, 0), middle[i] / 2);
        cr_assert_leq(push_wait_ms(i + 1, 0.999), middle[i] * 3 / 2);
    }
    cr_assert_eq(push_wait_ms(4000000000u, 0.5), 60000);
}

Test(push_http, retry_after_is_seconds_or_a_date)
{
    cr_assert_eq(push_retry_after_ms("0", 0), 0);
    cr_assert_eq(push_retry_after_ms("7", 0), 7000);
    cr_assert_eq(push_retry_after_ms("99999999999999999999999", 0), 3600000);
    /* 784111777 is the example of RFC 9110. */
    cr_assert_eq(push_retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", 784111770), 7000);
    cr_assert_eq(push_retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", 784111778), 0);
    cr_assert_eq(push_retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", 0), 3600000);
    cr_assert_eq(push_retry_after_ms("soon", 0), 0);
    cr_assert_eq(push_retry_after_ms("", 0), 0);
    cr_assert_eq(push_retry_after_ms("-5", 0), 0);
}

static void check_url(const char *url, const char *path, const char *wanted)
{
    char *found = push_http_url(url, path);

    cr_assert_str_eq(found, wanted);
    free(found);
}

Test(push_http, the_path_is_added_once)
{
    check_url("http://a:1", "/v1/metrics", "http://a:1/v1/metrics");
    check_url("http://a:1///", "/v1/metrics", "http://a:1/v1/metrics");
    check_url("http://a/b/", "/v1/metrics", "http://a/b/v1/metrics");
    check_url("http://a/v1/metrics", "/v1/metrics", "http://a/v1/metrics");
    check_url("http://a/v1/metrics/?x=1#y", "/v1/metrics", "http://a/v1/metrics");
}

Test(push_make, names_of_labels)
{
    static const char *const good[] = {"a", "_a", "a_1", "__name__", "Z9"};
    static const char *const bad[] = {"", "1a", "a.b", "a-b", "a b", "é", "a="};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(push_is_label(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(push_is_label(bad[i]), "%s", bad[i]);
    }
}

static void check_name(const char *of, const char *wanted, const char *wanted_unit)
{
    struct metric m = {of, "", METRIC_GAUGE, ""};
    char name[OTLP_NAME_BYTES];
    char unit[OTLP_NAME_BYTES];

    otlp_name(&m, name, unit);
    cr_assert_str_eq(name, wanted);
    cr_assert_str_eq(unit, wanted_unit);
}

Test(otlp, names_have_dots_and_units_that_codes_have)
{
    check_name("mpalloc_live_bytes", "mpalloc.live", "By");
    check_name("mpalloc_live_blocks", "mpalloc.live_blocks", "{block}");
    check_name("mpalloc_component_live_bytes", "mpalloc.component.live", "By");
    check_name("mpalloc_size_class_free_bytes", "mpalloc.size_class.free", "By");
    check_name("mpalloc_efficiency_ratio", "mpalloc.efficiency", "1");
    check_name("mpalloc_profiler_cpu_seconds", "mpalloc.profiler.cpu", "s");
    check_name("mpalloc_leak_growth_bytes_per_second", "mpalloc.leak.growth", "By/s");
    check_name("mpalloc_threads", "mpalloc.threads", "{thread}");
    check_name("mpalloc_pool_misses", "mpalloc.pool.misses", "{miss}");
    check_name("mpalloc_user_counter", "mpalloc.user.counter", "{count}");
    check_name("mpalloc_bytes", "mpalloc.bytes", "{byte}"); /* no name is left */
}

/* The name that OpenTelemetry's rules for Prometheus make of ours is that of Prometheus. */
Test(otlp, names_lead_back)
{
    static const char *const suffix[][2] = {{"By", "_bytes"},
        {"By/s", "_bytes_per_second"}, {"s", "_seconds"}, {"1", "_ratio"}};
    size_t count = 0;

    for (const struct metric *m; (m = metric_at(count)) != NULL; count++) {
        char name[OTLP_NAME_BYTES + 32];
        char unit[OTLP_NAME_BYTES];

        otlp_name(m, name, unit);
        for (char *c = name; *c != '\0'; c++) {
            *c = *c == '.' ? '_' : *c;
        }
        for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
            if (strcmp(unit, suffix[i][0]) == 0) {
                strcat(name, suffix[i][1]);
            }
        }
        cr_assert_str_eq(name, m->name);
        cr_assert_gt(strlen(unit), 0, "%s has no unit", m->name);
    }
    cr_assert_gt(count, 50);
}

static uint64_t rejected(const void *reply, size_t bytes, bool is_json, char *text)
{
    uint64_t count = 0;

    return otlp_rejected(reply, bytes, is_json, &count, text, 64) ? count : UINT64_MAX;
}

Test(otlp, replies_say_what_was_not_taken)
{
    static const char json[] = "{\"partialSuccess\":{\"rejectedProfiles\":\"12\","
                               "\"errorMessage\":\"a\\u001bb\"}}";
    static const char *const none[] = {"", "{}", "[", "{\"partialSuccess\":[]}",
        "{\"partialSuccess\":{\"rejectedDataPoints\":\"0\"}}"};
    char text[64];

    cr_assert_eq(rejected("\x0a\x05\x08\x03\x12\x01x", 7, false, text), 3);
    cr_assert_str_eq(text, "x");
    cr_assert_eq(rejected("\x0a\x03\x12\x01y", 5, false, text), 0); /* a word only */
    cr_assert_str_eq(text, "y");
    cr_assert_eq(rejected("", 0, false, text), UINT64_MAX);
    cr_assert_eq(rejected("\xff", 1, false, text), UINT64_MAX);
    cr_assert_eq(rejected(json, strlen(json), true, text), 12);
    cr_assert_str_eq(text, "a\\x1bb");
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        cr_assert_eq(rejected(none[i], strlen(none[i]), true, text), UINT64_MAX);
    }
}
