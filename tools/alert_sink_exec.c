/*
 * alert_sink_exec - a program that is run for each alert: no shell, bounded in time
 */
#include "alert_sink.h"
#include "must.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { VARIABLES_MOST = 16, LOOK_UP_MS = 200 };

/* Those of this process, and MPALLOC_ALERT_NAME, …; the last words win nothing: ours come first. */
static char **make_environment(const struct alert_notice *n)
{
    static const char prefix[] = "MPALLOC_ALERT_";
    size_t count = 0;
    size_t used = 0;
    char **all;

    while (environ[count] != NULL) {
        count++;
    }
    all = must(calloc(count + VARIABLES_MOST + 1, sizeof(*all)));
    for (unsigned i = 0;; i++) {
        char value[512];
        char text[640];
        const char *key;
        size_t at = sizeof(prefix) - 1;

        if (!alert_notice_word(n, i, &key, value, sizeof(value))) {
            break;
        }
        snprintf(text, sizeof(text), "%s%s=%s", prefix, key, value);
        for (; text[at] != '='; at++) {
            text[at] = (char)toupper((unsigned char)text[at]);
        }
        all[used++] = must(strdup(text));
    }
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], prefix, sizeof(prefix) - 1) != 0) {
            all[used++] = must(strdup(environ[i]));
        }
    }
    return all;
}

static void free_all(char **words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        free(words[i]);
    }
    free(words);
}

/* Its own group, so that what it started ends with it; nothing of ours but standard error. */
static bool spawn(char **words, char **environment, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none;
    sigset_t usual;
    int code;

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_init(&how);
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGTERM);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &usual);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setflags(
        &how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    code = posix_spawnp(ret_pid, words[0], &files, &how, words, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    errno = code;
    return code == 0;
}

/* Whether it ended; looks up now and then, for the sink may be told to stop. */
static bool has_ended(struct alert_sink *s, struct pollfd *wait)
{
    uint64_t waited_ms = 0;
    uint64_t rest_ms;

    while ((rest_ms = sink_rest_ms(s, s->of->timeout_ms - waited_ms)) > 0) {
        rest_ms = rest_ms < LOOK_UP_MS ? rest_ms : LOOK_UP_MS;
        if (poll(wait, 1, (int)rest_ms) == 1) {
            return true;
        }
        waited_ms += rest_ms;
    }
    return false;
}

/* False: it took too long, and is killed. */
static bool wait_for(struct alert_sink *s, pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    bool is_done;

    if (fd < 0) {
        return true; /* without it there is no bound; kernels before 5.3 */
    }
    is_done = has_ended(s, &wait);
    close(fd);
    if (!is_done) {
        kill(-pid, SIGKILL);
    }
    return is_done;
}

bool sink_exec(struct alert_sink *s, const struct alert_notice *n)
{
    const struct config_words *command = &s->of->command;
    char **words = must(calloc(command->count + 1, sizeof(*words)));
    char **environment = make_environment(n);
    bool is_done = false;
    int status = 0;
    pid_t pid;

    for (size_t i = 0; i < command->count; i++) {
        words[i] = alert_notice_fill(n, command->at[i]);
    }
    if (spawn(words, environment, &pid)) {
        is_done = wait_for(s, pid);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    free_all(words);
    free_all(environment);
    return is_done && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
