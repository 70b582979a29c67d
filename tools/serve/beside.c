#include "beside.h"

#include "../cli.h"
#include "../must.h"
#include "settings.h"
#include "sockets.h"

#include <signal.h>

enum { PATIENCE_MS = 1000 };

struct beside {
    struct settings settings;
    struct serve *serve;
};

static int check(const char *address)
{
    struct socket s;
    int code = sockets_listen(address, &s);

    if (code == EXIT_FINE) {
        sockets_close(&s);
    }
    return code;
}

static int start(const char *address, uint64_t pid, struct beside **ret)
{
    struct beside *b = must(calloc(1, sizeof(*b)));
    struct serve_options *given = &b->settings.given;
    int code;

    settings_init(&b->settings);
    given->listen[given->listen_count++] = address;
    given->fleet.only_pid = pid;
    b->settings.no_history = true;
    signal(SIGPIPE, SIG_IGN);
    if (settings_read(&b->settings, &code)) {
        code = serve_start(&b->settings.options, &b->serve);
    }
    if (code != EXIT_FINE) {
        settings_free(&b->settings);
        free(b);
        return code;
    }
    *ret = b;
    return EXIT_FINE;
}

static void stop(struct beside *b)
{
    if (serve_stop(b->serve, PATIENCE_MS)) {
        settings_free(&b->settings);
        free(b);
    }
}

const struct beside_calls beside_calls = {check, start, stop};
