/*
 * fuzz_request - libFuzzer against what mpalloc serve reads of a request: path, query, who asks
 *
 * The input is lines: method, path, Host, Authorization, Origin, Sec-Fetch-Site; what is missing
 * was not sent.
 */
#include "guard.h"
#include "routing.h"

#include <stdlib.h>
#include <string.h>

enum { LINES = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct route table[] = {
    {"GET", "/", NULL, 0},
    {"GET", "/api/v1/processes/{id}/snapshot", NULL, 0},
    {"POST", "/api/v1/processes/{id}/baselines/{name}", NULL, ROUTE_ACTION},
    {"GET", "/processes/*", NULL, 0},
    {"GET", "/a/{b}/{c}/{d}/{e}/{f}", NULL, 0},
    {NULL, NULL, NULL, 0},
};
static const struct route *const tables[] = {table, NULL};

static void expect(int holds)
{
    if (!holds) {
        abort();
    }
}

/* A copy that ends with its block: what reads past it is found. */
static void decode(const char *text)
{
    size_t length = strlen(text);
    char *decoded = malloc(length + 1);
    char *few = malloc(3);
    long got = routing_decode(text, length, true, decoded, length + 1);

    expect(got < 0 || ((size_t)got <= length && strlen(decoded) == (size_t)got));
    got = routing_decode(text, length, false, few, 3);
    expect(got <= 2);
    free(decoded);
    free(few);
}

static void find(const char *method, const char *path)
{
    struct routing r;

    if (!routing_find(tables, method, path, &r)) {
        return;
    }
    expect(r.part_count <= ROUTING_PARTS);
    expect(r.route != NULL || r.part_count == 0);
    for (size_t i = 0; i < r.part_count; i++) {
        expect(strlen(r.parts[i].value) < sizeof(r.parts[i].value));
    }
    if (r.route != NULL && strcmp(method, "HEAD") != 0) {
        expect(strcmp(r.route->method, method) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char token[] = "token";
    static char host[] = "box.example";
    static char *hosts[] = {host};
    const struct guard guard = {token, hosts, 1, false};
    char *text = malloc(size + 1);
    char *line[LINES] = {NULL};
    char *at = text;

    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 0; i < LINES && at != NULL; i++) {
        char *end = strchr(at, '\n');

        if (end != NULL) {
            *end++ = '\0';
        }
        line[i] = strdup(at); /* each a block of its own */
        at = end;
    }
    if (line[0] != NULL && line[1] != NULL) {
        find(line[0], line[1]);
        decode(line[1]);
    }
    if (line[2] != NULL && guard_host_is_ours(&guard, line[2])) {
        expect(line[2][0] != '\0');
    }
    expect(!guard_has_token(&guard, line[3]) || strlen(line[3]) >= 12);
    if (line[4] != NULL && guard_origin_is_ours(line[4], line[5], line[2], false)) {
        expect(line[2] != NULL && strncmp(line[4], "http", 4) <= 4);
    }
    for (size_t i = 0; i < LINES; i++) {
        free(line[i]);
    }
    free(text);
    return 0;
}
