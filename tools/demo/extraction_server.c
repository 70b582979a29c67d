/*
 * extraction-server - a document extraction server that loads itself: a program to
 * look at with mpalloc, with components, worker threads, and a leak on request
 */
#include "load.h"
#include "server.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "Usage: extraction-server [OPTION]...\n"
    "\n"
    "Serves a Unix socket with worker threads that extract text from HTML and from a\n"
    "made-up packed format, with a cache and an index; and sends itself documents,\n"
    "whose texts it knows. Ends with one line of figures: the checksum is the same "
    "for\n"
    "the same seed and number of requests.\n"
    "\n"
    "  --requests N   stop after N requests (default: no limit)\n"
    "  --seconds S    stop after S seconds (default: 10, or no limit with --requests)\n"
    "  --load N       requests per second; 0: as many as it can (default: 1000, or 0\n"
    "                 with --requests)\n"
    "  --threads N    workers, and as many clients, 1 to 64 (default: 4)\n"
    "  --seed N       of the documents (default: 1)\n"
    "  --cache MIB    bound of the cache, 0 to 4096 (default: 8)\n"
    "  --index MIB    bound of the index, 0 to 4096 (default: 4)\n"
    "  --leak         forget the context of one HTML document in eight, 6 KiB each, "
    "in\n"
    "                 the component extraction/html; results stay the same\n"
    "  --help         this text\n"
    "\n"
    "Exit status: 0, 1 when a result was wrong or something failed, 2 for wrong "
    "usage.\n"
    "\n"
    "Examples:\n"
    "  extraction-server --requests 2000          a short run, as fast as it can\n"
    "  extraction-server --leak --seconds 60      a minute of 1000 requests a second\n"
    "  mpalloc run --report -- extraction-server --leak --seconds 8\n"
    "                                             who holds the memory\n";

struct options {
    struct server_plan server;
    struct load_plan load;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    interrupted = number;
}

static _Noreturn void usage(const char *what, const char *value)
{
    fprintf(stderr, "extraction-server: %s: '%s' (see --help)\n", what, value);
    exit(2);
}

static uint64_t parse_number(const char *name, uint64_t min, uint64_t max)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(optarg, &end, 10);
    if (*optarg < '0' || *optarg > '9' || *end != '\0' || errno != 0 || n < min
        || n > max) {
        char what[80];

        snprintf(what, sizeof(what), "--%s takes a number from %llu to %llu, not", name,
            (unsigned long long)min, (unsigned long long)max);
        usage(what, optarg);
    }
    return n;
}

static double parse_seconds(void)
{
    char *end;
    double s = strtod(optarg, &end);

    if (*end != '\0' || !(s > 0) || s > 1e9) {
        usage("--seconds takes a number above 0, not", optarg);
    }
    return s;
}

static void parse_options(int argc, char **argv, struct options *ret)
{
    static const struct option names[] = {
        {"requests", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {"load", required_argument, NULL, 'l'},
        {"threads", required_argument, NULL, 't'},
        {"seed", required_argument, NULL, 'S'},
        {"cache", required_argument, NULL, 'c'},
        {"index", required_argument, NULL, 'i'},
        {"leak", no_argument, NULL, 'L'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool rate_given = false;
    int name;

    *ret = (struct options){
        .server = {.threads = 4, .cache_bytes = 8 << 20, .index_bytes = 4 << 20},
        .load = {.threads = 4, .seed = 1}};
    opterr = 0;
    while ((name = getopt_long(argc, argv, ":", names, NULL)) != -1) {
        switch (name) {
        case 'r':
            ret->load.requests = parse_number("requests", 1, UINT32_MAX);
            break;
        case 's':
            ret->load.seconds = parse_seconds();
            break;
        case 'l':
            ret->load.rate = parse_number("load", 0, 100000000);
            rate_given = true;
            break;
        case 't':
            ret->load.threads = (unsigned)parse_number("threads", 1, 64);
            ret->server.threads = ret->load.threads;
            break;
        case 'S':
            ret->load.seed = parse_number("seed", 0, UINT64_MAX);
            break;
        case 'c':
            ret->server.cache_bytes = parse_number("cache", 0, 4096) << 20;
            break;
        case 'i':
            ret->server.index_bytes = parse_number("index", 0, 4096) << 20;
            break;
        case 'L':
            ret->server.leak = true;
            break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        default:
            usage(name == ':' ? "a value is missing after" : "no such option",
                argv[optind - 1]);
        }
    }
    if (optind < argc) {
        usage("takes no argument", argv[optind]);
    }
    if (ret->load.requests == 0) {
        ret->load.seconds = ret->load.seconds > 0 ? ret->load.seconds : 10;
        ret->load.rate = rate_given ? ret->load.rate : 1000;
    }
}

static void print_progress(struct load *l, uint64_t *requests_before)
{
    struct mp_snapshot snapshot = {.size = sizeof(snapshot)};
    struct load_figures f;

    load_figures(l, &f);
    printf("%4.0f s  %8llu requests  %6llu/s", f.seconds,
        (unsigned long long)f.requests,
        (unsigned long long)(f.requests - *requests_before));
    if (memory_is_mpalloc() && mp_snapshot(&snapshot) == 0) {
        printf("  %7.1f MiB live", (double)snapshot.live_bytes / (1 << 20));
    }
    puts("");
    *requests_before = f.requests;
}

static void watch(struct load *l)
{
    bool show = isatty(STDOUT_FILENO);
    uint64_t requests = 0;

    for (unsigned tenths = 1; !load_wait(l, 0.1); tenths++) {
        if (interrupted) {
            load_stop(l);
        }
        if (show && tenths % 10 == 0) {
            print_progress(l, &requests);
        }
    }
}

static int finish(struct load *l)
{
    struct load_figures f;

    load_figures(l, &f);
    printf("extraction-server: %llu requests, %llu bytes in, %llu bytes out, "
           "checksum %016llx, %.2f s\n",
        (unsigned long long)f.requests, (unsigned long long)f.sent_bytes,
        (unsigned long long)f.extracted_bytes, (unsigned long long)f.checksum,
        f.seconds);
    if (fflush(stdout) != 0) {
        perror("extraction-server: standard output");
        return 1;
    }
    if (f.mismatches != 0) {
        fprintf(stderr, "extraction-server: %llu wrong results; the first: %s\n",
            (unsigned long long)f.mismatches, f.first_mismatch);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESETHAND};
    struct options options;
    struct server *server;
    struct load *load = NULL;
    int status = 1;

    memory_init();
    parse_options(argc, argv, &options);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    server = server_create(&options.server);
    if (server != NULL) {
        load = load_create(server, &options.load);
    }
    if (load == NULL) {
        fprintf(stderr, "extraction-server: cannot start: %s\n", strerror(errno));
    } else {
        watch(load);
        status = finish(load);
        load_destroy(load);
    }
    if (server != NULL) {
        server_destroy(server);
    }
    return status;
}
