/*
 * self_watch - a program that watches itself, in three calls
 *
 *     self-watch [SECONDS]
 *
 * It serves requests, keeps what it should not, and is told: of alerts (here one of its own, and
 * those that are built in) and of leaks, on a thread of libmpstats. At the end it says who holds
 * its memory. Build it with `pkg-config --cflags --libs mpalloc mpstats`.
 */
#include <mpalloc.h>
#include <mpstats.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void on_alert(const struct mp_alert *a, const mp_image_t *image, void *arg)
{
    (void)image;
    (void)arg;
    printf("%s %s: %s\n", mp_severity_name(a->severity),
        a->event == MP_EVENT_RESOLVED ? "is over" : a->rule->name, a->text);
    fflush(stdout);
}

static void on_leak(const struct mp_verdict *v, const mp_image_t *image, void *arg)
{
    (void)arg;
    printf("leak: %s holds %.0f bytes, %s\n",
        mp_image_component(image, v->component)->name, v->live_bytes.value,
        v->line_count > 0 ? v->line[0] : "");
    fflush(stdout);
}

/* What there is to know is in the region: here components and their peaks. */
static void report(void)
{
    char path[4096];
    mp_image_t *image;

    if (mp_find_pid((uint64_t)getpid(), path, sizeof(path), NULL) != 0
        || mp_image_open(path, &image, NULL) != 0) {
        return;
    }
    for (size_t i = 0; i < mp_image_component_count(image); i++) {
        const struct mp_region_component *c = mp_image_component(image, i);

        printf("%12llu bytes live, %12llu at most: %s\n",
            (unsigned long long)c->live_bytes, (unsigned long long)c->live_peak_bytes,
            c->name);
    }
    mp_image_free(image);
}

static void serve(double seconds)
{
    mp_component_t *sessions = mp_component("sessions");
    time_t end = time(NULL) + (time_t)seconds;
    void *last = NULL;

    while (time(NULL) < end) {
        for (int i = 0; i < 200; i++) {
            void **session = mp_malloc(sessions, 2000);

            memset(session, 0, 2000);
            *session = last; /* every session that ever was */
            last = session;
            free(malloc(300));
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    while (last != NULL) {
        void *next = *(void **)last;

        free(last);
        last = next;
    }
}

int main(int argc, char **argv)
{
    struct mp_alert_rule rules[64];
    size_t count;
    const struct mp_alert_rule *builtin = mp_alert_rules(MP_PRESET_DEVELOPMENT, &count);

    memcpy(rules, builtin, count * sizeof(*rules));
    rules[count++] = (struct mp_alert_rule){.name = "TenMegabytes",
        .measure = MP_MEASURE_LIVE,
        .threshold = 10 << 20,
        .clears = 5 << 20,
        .severity = MP_SEVERITY_WARNING,
        .is_enabled = true};

    mps_on_alert(on_alert, NULL, rules, count, 1); /* start */
    mps_on_leak(on_leak, NULL, 1);
    serve(argc > 1 ? atof(argv[1]) : 20);
    sleep(2);         /* the end of it is told, too */
    mps_stop_watch(); /* stop */
    report();
    return 0;
}
