/*
 * asked - leak checks that a tool asks for, from outside
 *
 * asked LIBRARY: starts itself with the library preloaded, as a process that allocates all the time
 * and loses some blocks, with samples of all blocks and hardened, without samples; and as one that
 * sleeps. Asks each by mp_leak_request.
 */
#include "scrub.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mpstats.h>

enum { DROPPED = 37, BYTES = 700, PATIENCE_MS = 20000 };

static const char *library;
static char *program;

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static __attribute__((noinline)) void drop(void)
{
    for (int i = 0; i < DROPPED; i++) {
        void *volatile p = calloc(1, BYTES);

        p = NULL;
        (void)p;
    }
}

static int work(const char *how)
{
    drop();
    scrub();
    if (write(STDOUT_FILENO, "r", 1) != 1) {
        return 1;
    }
    while (strcmp(how, "busy") != 0) {
        pause();
    }
    for (unsigned i = 0;; i++) {
        free(malloc(i * 16 % 9000));
        if (i % 100 == 0) {
            pause_ms(1);
        }
    }
}

static pid_t start(char *how, bool is_hardened)
{
    char variable[4096];
    char sample[] = "MPALLOC_SAMPLE=exact";
    char harden[] = "MPALLOC_HARDEN=0";
    char *environment[] = {variable, sample, harden, NULL};
    char *words[] = {program, how, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    char ready;
    pid_t pid;

    snprintf(variable, sizeof(variable), "LD_PRELOAD=%s", library);
    harden[sizeof(harden) - 2] = is_hardened ? '1' : '0';
    if (pipe(ends) != 0) {
        abort();
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (posix_spawn(&pid, program, &actions, NULL, words, environment) != 0) {
        abort();
    }
    close(ends[1]);
    if (read(ends[0], &ready, 1) != 1) {
        abort();
    }
    close(ends[0]);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static int fail(const char *what, int code, const char *text)
{
    printf("%s: code %d, %s\n", what, code, text);
    return 1;
}

/* The figures by class, and by site where there are samples, are those of the whole. */
static int look(const char *path, uint64_t number, unsigned rounds, bool is_hardened)
{
    struct mp_error error = {{0}};
    mp_image_t *image = NULL;
    int code = mp_image_open(path, &image, &error);
    const struct mp_region_leaks *l = code == 0 ? mp_image_leaks(image) : NULL;
    uint64_t blocks = 0;
    uint64_t lost = 0;
    double sampled = 0;

    if (l == NULL) {
        return fail("image", code, error.text);
    }
    if (l->number != number || l->rounds != rounds || l->is_exact != !is_hardened) {
        printf("check %llu of %llu, %llu rounds of %u, exact %llu\n",
            (unsigned long long)l->number, (unsigned long long)number,
            (unsigned long long)l->rounds, rounds, (unsigned long long)l->is_exact);
        return 1;
    }
    for (size_t row = 0; row < mp_image_component_count(image); row++) {
        for (size_t i = 0; i < mp_image_class_count(image); i++) {
            const struct mp_region_leak_cell *c = mp_image_leak_cell(image, row, i);

            for (unsigned kind = 0; c != NULL && kind < MP_LEAK_LOST; kind++) {
                blocks += c->blocks[kind];
            }
            lost += c != NULL ? c->blocks[MP_LEAK_LOST] : 0;
        }
    }
    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        const struct mp_region_leak_site *t = mp_image_leak_site(image, i);

        sampled += t != NULL ? t->blocks[MP_LEAK_DEFINITE] : 0;
    }
    if (blocks != l->blocks[0] + l->blocks[1] + l->blocks[2] + l->blocks[3]
        || l->blocks[MP_LEAK_DEFINITE] != DROPPED
        || sampled != (is_hardened ? 0 : DROPPED)
        || lost != (rounds == 2 ? DROPPED : 0)) {
        printf("%llu definite, %llu lost in two rounds, %.0f by site\n",
            (unsigned long long)l->blocks[MP_LEAK_DEFINITE], (unsigned long long)lost,
            sampled);
        return 1;
    }
    printf("check %llu: %llu definite of %llu, stood still %.2f ms\n",
        (unsigned long long)number, (unsigned long long)l->blocks[MP_LEAK_DEFINITE],
        (unsigned long long)blocks, (double)l->pause_ns / 1e6);
    mp_image_free(image);
    return 0;
}

static int ask_busy(bool is_hardened)
{
    char how[] = "busy";
    pid_t pid = start(how, is_hardened);
    struct mp_error error = {{0}};
    char path[512];
    uint64_t number = 0;
    int failed = 0;
    int code = mp_find_pid((uint64_t)pid, path, sizeof(path), &error);

    for (unsigned i = 0; code == 0 && i < 2; i++) {
        code = mp_leak_request(path, i * 1000, PATIENCE_MS, &number, &error);
        failed |= code == 0
                  && (number != i + 1 || look(path, number, i + 1, is_hardened) != 0);
    }
    stop(pid);
    failed |= code != 0 ? fail("busy", code, error.text) : 0;
    code = mp_leak_request(path, 0, 100, &number, &error);
    return failed | (code != -ESRCH ? fail("dead", code, error.text) : 0);
}

static int ask_idle(void)
{
    char how[] = "idle";
    pid_t pid = start(how, false);
    struct mp_error error = {{0}};
    char path[512];
    uint64_t number = 0;
    int code = mp_find_pid((uint64_t)pid, path, sizeof(path), &error);

    code = code != 0 ? code : mp_leak_request(path, 0, 300, &number, &error);
    stop(pid);
    return code != -ETIMEDOUT || strstr(error.text, "slow path") == NULL
               ? fail("idle", code, error.text)
               : 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    if (strcmp(argv[1], "busy") == 0 || strcmp(argv[1], "idle") == 0) {
        return work(argv[1]);
    }
    program = argv[0];
    library = argv[1];
    return ask_busy(false) | ask_busy(true) | ask_idle();
}
