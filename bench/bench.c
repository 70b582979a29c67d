/*
 * bench - the driver: finds the workload, runs its threads, prints one line of JSON
 *
 * The peak of resident memory is VmHWM of this process image. What getrusage gives would
 * include the memory of the program that started us: Linux carries it across exec.
 */
#include "bench.h"
#include "rss.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 256 };

static const struct workload *const families[] = {sizes_workloads, batch_workloads,
    larson_workloads, pipe_workloads, lifetime_workloads, realloc_workloads,
    calloc_workloads, large_workloads, aligned_workloads, strings_workloads,
    vectors_workloads, tables_workloads, nodes_workloads, requests_workloads,
    pools_workloads, leaks_workloads, drops_workloads, bignum_workloads,
    covers_workloads, exchange_workloads, stress_workloads, orders_workloads,
    sharing_workloads, churn_workloads, phases_workloads};
enum { FAMILIES = sizeof(families) / sizeof(families[0]) };

void bench_thread(pthread_t *ret, void *(*run)(void *), void *arg)
{
    if (pthread_create(ret, NULL, run, arg) != 0) {
        bench_fail("no thread for a workload");
    }
}

bool worker_more(const struct worker *w)
{
    return w->plan->ops != 0 ? w->ops < w->quota
                             : bench_now_ns() < w->plan->deadline_ns;
}

/* ---- threads ---- */

static void worker_init(struct worker *w, struct plan *plan, unsigned index)
{
    uint64_t share = plan->ops / plan->threads;

    *w = (struct worker){.plan = plan, .index = index};
    w->random = (plan->seed + index + 1) * 0x9e3779b97f4a7c15ull | 1;
    w->quota = share + (index < plan->ops % plan->threads);
    for (unsigned i = 0; i < 8; i++) {
        random_next(&w->random); /* neighbouring seeds begin alike */
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    w->plan->workload->work(w);
    return NULL;
}

/* The first worker is the main thread: a run with one thread is single-threaded. */
static uint64_t run_workers(
    struct plan *plan, struct worker *workers, uint64_t *ret_timed_ns)
{
    pthread_t threads[THREADS_MAX];
    uint64_t ops = 0;

    *ret_timed_ns = 0;
    for (unsigned i = 0; i < plan->threads; i++) {
        worker_init(&workers[i], plan, i);
    }
    for (unsigned i = 1; i < plan->threads; i++) {
        bench_thread(&threads[i], worker_main, &workers[i]);
    }
    worker_main(&workers[0]);
    for (unsigned i = 0; i < plan->threads; i++) {
        if (i > 0) {
            pthread_join(threads[i], NULL);
        }
        ops += workers[i].ops;
        if (workers[i].timed_ns > *ret_timed_ns) {
            *ret_timed_ns = workers[i].timed_ns;
        }
    }
    return ops;
}

/* ---- result ---- */

static size_t peak_rss_bytes(void)
{
    unsigned long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "r");

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "VmHWM: %lu kB", &kib) == 1) {
            break;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib * KIB;
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/*
 * Resident memory once everything is free and the allocator had time to give it back.
 * A program that only sleeps would not let it: now and then it allocates a little.
 */
static size_t settled_rss_bytes(double seconds)
{
    uint64_t until = bench_now_ns() + (uint64_t)(seconds * 1e9);

    while (bench_now_ns() < until) {
        usleep(20000);
        for (unsigned i = 0; i < 16; i++) {
            block_delete(block_new(64 << (i & 3)), 64 << (i & 3));
        }
    }
    return rss_bytes();
}

static void print_result(
    const struct plan *plan, uint64_t ops, uint64_t ns, uint64_t wall_ns, double settle)
{
    size_t peak = peak_rss_bytes(), end = rss_bytes();
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    printf("{\"workload\": \"%s\", \"threads\": %u, \"seed\": %llu, \"ops\": %llu, "
           "\"seconds\": %.9f, \"wall_seconds\": %.6f, \"ns_per_op\": %.3f, "
           "\"peak_rss_bytes\": %zu, \"user_seconds\": %.6f, \"system_seconds\": %.6f, "
           "\"minor_faults\": %ld, \"end_rss_bytes\": %zu",
        plan->workload->name, plan->threads, (unsigned long long)plan->seed,
        (unsigned long long)ops, (double)ns / 1e9, (double)wall_ns / 1e9,
        (double)ns / (double)(ops ? ops : 1), peak, seconds_of(usage.ru_utime),
        seconds_of(usage.ru_stime), usage.ru_minflt, end);
    if (settle > 0) {
        printf(", \"settled_rss_bytes\": %zu", settled_rss_bytes(settle));
    }
    puts("}");
}

static int run(struct plan *plan, double seconds, double settle)
{
    const struct workload *workload = plan->workload;
    size_t bytes = plan->threads * sizeof(struct worker);
    struct worker *workers = array_map(bytes);
    uint64_t began, ops, wall_ns, timed_ns;

    if (workload->begin != NULL) {
        workload->begin(plan);
    }
    began = bench_now_ns();
    plan->deadline_ns = began + (uint64_t)(seconds * 1e9);
    ops = run_workers(plan, workers, &timed_ns);
    wall_ns = bench_now_ns() - began;
    if (workload->end != NULL) {
        workload->end(plan);
    }
    array_unmap(workers, bytes);
    print_result(plan, ops, timed_ns != 0 ? timed_ns : wall_ns, wall_ns, settle);
    return 0;
}

/* ---- command line ---- */

static const struct workload *find_workload(const char *name)
{
    for (unsigned i = 0; i < FAMILIES; i++) {
        for (const struct workload *w = families[i]; w->name != NULL; w++) {
            if (strcmp(w->name, name) == 0) {
                return w;
            }
        }
    }
    return NULL;
}

static void list(FILE *out)
{
    for (unsigned i = 0; i < FAMILIES; i++) {
        for (const struct workload *w = families[i]; w->name != NULL; w++) {
            fprintf(out, "%s\t%u\t%llu\t%s\t%s\n", w->name, w->threads,
                (unsigned long long)w->ops, w->groups, w->what);
        }
    }
}

static void list_names(FILE *out)
{
    for (unsigned i = 0; i < FAMILIES; i++) {
        for (const struct workload *w = families[i]; w->name != NULL; w++) {
            fprintf(out, " %s", w->name);
        }
    }
    fputc('\n', out);
}

static int usage(void)
{
    fputs("usage: workloads --list\n"
          "       workloads NAME [--threads N] [--seconds S | --ops N] [--seed N]\n"
          "                      [--settle S]\n",
        stderr);
    return 2;
}

static bool parse_count(const char *text, uint64_t most, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *ret > 0
           && *ret <= most;
}

static bool parse_seconds(const char *text, double *ret)
{
    char *end;

    *ret = strtod(text, &end);
    return end != text && *end == '\0' && *ret > 0 && *ret < 1e5;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"list", no_argument, NULL, 'l'},
        {"threads", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 's'},
        {"ops", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 'r'},
        {"settle", required_argument, NULL, 'e'},
        {0},
    };
    struct plan plan = {.seed = 1};
    uint64_t threads = 0;
    double seconds = 0, settle = 0;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        bool good = c == 'l'   ? true
                    : c == 't' ? parse_count(optarg, THREADS_MAX, &threads)
                    : c == 's' ? parse_seconds(optarg, &seconds)
                    : c == 'e' ? parse_seconds(optarg, &settle)
                    : c == 'o' ? parse_count(optarg, UINT64_MAX, &plan.ops)
                    : c == 'r' ? parse_count(optarg, UINT64_MAX, &plan.seed)
                               : false;

        if (!good) {
            return usage();
        }
        if (c == 'l') {
            list(stdout);
            return 0;
        }
    }
    if (optind + 1 != argc || (seconds > 0 && plan.ops > 0)) {
        return usage();
    }
    plan.workload = find_workload(argv[optind]);
    if (plan.workload == NULL) {
        fprintf(stderr, "workloads: no workload %s; there are:", argv[optind]);
        list_names(stderr);
        return 2;
    }
    plan.threads = threads != 0 ? (unsigned)threads : plan.workload->threads;
    if (plan.threads < plan.workload->at_least) {
        fprintf(stderr, "workloads: %s needs at least %u threads\n",
            plan.workload->name, plan.workload->at_least);
        return 2;
    }
    if (plan.ops == 0 && seconds <= 0) {
        plan.ops = plan.workload->ops;
    }
    return run(&plan, seconds, settle);
}
