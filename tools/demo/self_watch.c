/*
 * self_watch - a program that watches itself, in three calls
 *
 *     self-watch [SECONDS]
 *
 * It serves requests, keeps what it should not, and is told: of alerts (here one of its own, and
 * those that are built in) and of leaks, on a thread of libmpstats. At the end it writes its own
 * report. Build it with `pkg-config --cflags --libs mpalloc mpexport`.
 */
#include <mpalloc.h>
#include <mpstats/export.h>

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
    const struct mp_line *line;
    mp_names_t *names = NULL;
    size_t depth = 0;

    (void)arg;
    if (mp_names_create(image, NULL, &names) == 0) {
        depth = mp_names_stack(names, v->frame, &line, 1);
    }
    printf("leak: %s holds %.0f bytes, %s\n", depth > 0 ? line->function : "?",
        v->live_bytes.value, v->line_count > 0 ? v->line[0] : "");
    fflush(stdout);
    mp_names_free(names);
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
    struct mp_error error;
    size_t count;
    const struct mp_alert_rule *builtin = mp_alert_rules(MP_PRESET_DEVELOPMENT, &count);

    memcpy(rules, builtin, count * sizeof(*rules));
    rules[count++] = (struct mp_alert_rule){.name = "TenMegabytes",
        .measure = MP_MEASURE_LIVE,
        .threshold = 10 << 20,
        .clears = 5 << 20,
        .severity = MP_SEVERITY_WARNING,
        .is_enabled = true};

    mps_on_alert(on_alert, NULL, rules, count, 1); /* start: who is told of alerts, */
    mps_on_leak(on_leak, NULL, 1);                 /* and of leaks */
    serve(argc > 1 ? atof(argv[1]) : 20);
    sleep(2); /* the end of it is told, too */
    if (mps_stop_and_report("text", stdout, NULL, &error) != 0) { /* stop */
        fprintf(stderr, "self-watch: %s\n", error.text);
        return 1;
    }
    return 0;
}
