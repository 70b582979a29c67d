#include "fleet_paths.h"

#include "../must.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    ELSEWHERE_S = 10, /* so often processes are asked where their regions are */
    ASK_AGAIN_S = 60, /* so often one that had none */
    STRANGERS = 8192,
    SAID = 32,
};

/* A running process without a region that we know of, when it was asked last. */
struct stranger {
    uint64_t pid;
    uint64_t program; /* inode of the file that it runs: exec changes it */
    int64_t asked_s;
};

struct fleet_paths {
    uint64_t only;      /* 0: all */
    char **directories; /* NULL: by default */
    size_t directory_count;
    struct mp_paths found;     /* of the last look */
    struct mp_paths elsewhere; /* not in the directories; checked each time */
    struct stranger *strangers;
    int64_t elsewhere_s;
    uint64_t said[SAID]; /* hashes of what was said already */
    size_t said_count;
};

static int64_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

struct fleet_paths *fleet_paths_create(const struct fleet_options *options)
{
    struct fleet_paths *p = must(calloc(1, sizeof(*p)));

    p->only = options->only_pid;
    if (options->directory_count > 0) {
        p->directories = must(calloc(options->directory_count, sizeof(char *)));
        p->directory_count = options->directory_count;
        for (size_t i = 0; i < options->directory_count; i++) {
            p->directories[i] = must(strdup(options->directories[i]));
        }
    }
    p->strangers = must(calloc(STRANGERS, sizeof(*p->strangers)));
    p->elsewhere_s = -ELSEWHERE_S;
    return p;
}

void fleet_paths_destroy(struct fleet_paths *p)
{
    for (size_t i = 0; i < p->directory_count; i++) {
        free(p->directories[i]);
    }
    free(p->directories);
    free(p->strangers);
    mp_paths_free(&p->found);
    mp_paths_free(&p->elsewhere);
    free(p);
}

/* ---- lists ---- */

static void append(struct mp_paths *to, const char *path)
{
    if (to->count >= FLEET_PATHS) {
        return;
    }
    to->path = must(reallocarray(to->path, to->count + 1, sizeof(*to->path)));
    to->path[to->count++] = must(strdup(path));
}

static int compare(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

static void sort_and_unite(struct mp_paths *all)
{
    size_t used = 0;

    if (all->count == 0) {
        return;
    }
    qsort(all->path, all->count, sizeof(*all->path), compare);
    for (size_t i = 0; i < all->count; i++) {
        if (used > 0 && strcmp(all->path[used - 1], all->path[i]) == 0) {
            free(all->path[i]);
        } else {
            all->path[used++] = all->path[i];
        }
    }
    all->count = used;
}

static bool is_in(const struct mp_paths *all, const char *path)
{
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->path[i], path) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- directories ---- */

/* Each thing once: a directory that stays unreadable would fill the log. */
static void say(struct fleet_paths *p, const char *text)
{
    uint64_t hash = 14695981039346656037u;

    for (const char *c = text; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    }
    for (size_t i = 0; i < p->said_count; i++) {
        if (p->said[i] == hash) {
            return;
        }
    }
    if (p->said_count < SAID) {
        p->said[p->said_count++] = hash;
        fprintf(stderr, "mpalloc serve: %s\n", text);
    }
}

static void list_directory(struct fleet_paths *p, const char *directory)
{
    struct mp_error error = {""};
    struct mp_paths one;

    if (mp_find_all(directory, false, &one, &error) != 0) {
        say(p, error.text);
    }
    if (p->found.count + one.count > FLEET_PATHS) {
        char text[128];

        snprintf(text, sizeof(text), "more than %d regions: the rest is not watched",
            FLEET_PATHS);
        say(p, text);
    }
    for (size_t i = 0; i < one.count; i++) {
        append(&p->found, one.path[i]);
    }
    mp_paths_free(&one);
}

/* Root sees those of all users; others own nothing that could be read besides their own. */
static void list_standard(struct fleet_paths *p)
{
    const char *set = secure_getenv("MPALLOC_DIR");
    char own[PATH_MAX];
    glob_t users;

    if (mp_find_directory(geteuid(), own, sizeof(own)) == 0) {
        list_directory(p, own);
    }
    if (geteuid() != 0 || (set != NULL && set[0] != '\0')
        || glob("/dev/shm/mpalloc-*", 0, NULL, &users) != 0) {
        return;
    }
    for (size_t i = 0; i < users.gl_pathc; i++) {
        if (strcmp(users.gl_pathv[i], own) != 0) {
            list_directory(p, users.gl_pathv[i]);
        }
    }
    globfree(&users);
}

/* ---- elsewhere ---- */

/* "PID-TICKS.mp" of what is listed. */
static uint64_t pid_of(const char *path)
{
    const char *base = strrchr(path, '/');

    return strtoull(base != NULL ? base + 1 : path, NULL, 10);
}

static int compare_pids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* True: it was asked not long ago, and runs the same program still. */
static bool is_known_stranger(struct fleet_paths *p, uint64_t pid, int64_t now)
{
    struct stranger *s = &p->strangers[pid % STRANGERS];
    char exe[64];
    struct stat st;

    snprintf(exe, sizeof(exe), "/proc/%llu/exe", (unsigned long long)pid);
    if (stat(exe, &st) != 0) {
        return true; /* of the kernel, or not ours to look into */
    }
    if (s->pid == pid && s->program == st.st_ino && now - s->asked_s < ASK_AGAIN_S) {
        return true;
    }
    *s = (struct stranger){pid, st.st_ino, now};
    return false;
}

static void ask_processes(struct fleet_paths *p, int64_t now)
{
    uint64_t *known = must(calloc(p->found.count + 1, sizeof(*known)));
    DIR *d = opendir("/proc");
    struct dirent *e;

    for (size_t i = 0; i < p->found.count; i++) {
        known[i] = pid_of(p->found.path[i]);
    }
    qsort(known, p->found.count, sizeof(*known), compare_pids);
    while (d != NULL && (e = readdir(d)) != NULL) {
        uint64_t pid = strtoull(e->d_name, NULL, 10);
        char path[PATH_MAX];
        struct stat st;

        if (isdigit((unsigned char)e->d_name[0])
            && bsearch(&pid, known, p->found.count, sizeof(*known), compare_pids)
                   == NULL
            && fstatat(dirfd(d), e->d_name, &st, 0) == 0
            && (geteuid() == 0 || st.st_uid == geteuid())
            && !is_known_stranger(p, pid, now)
            && mp_find_pid(pid, path, sizeof(path), NULL) == 0
            && !is_in(&p->elsewhere, path)) {
            append(&p->elsewhere, path);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    free(known);
}

static void find_elsewhere(struct fleet_paths *p)
{
    int64_t now = now_s();
    size_t used = 0;

    for (size_t i = 0; i < p->elsewhere.count; i++) {
        if (access(p->elsewhere.path[i], F_OK) != 0) {
            free(p->elsewhere.path[i]);
        } else {
            p->elsewhere.path[used++] = p->elsewhere.path[i];
        }
    }
    p->elsewhere.count = used;
    if (now - p->elsewhere_s >= ELSEWHERE_S) {
        p->elsewhere_s = now;
        ask_processes(p, now);
    }
    for (size_t i = 0; i < p->elsewhere.count; i++) {
        append(&p->found, p->elsewhere.path[i]);
    }
}

void fleet_paths_find(struct fleet_paths *p, char *const **ret, size_t *ret_count)
{
    mp_paths_free(&p->found);
    if (p->only != 0) {
        char path[PATH_MAX];

        if (mp_find_pid(p->only, path, sizeof(path), NULL) == 0) {
            append(&p->found, path);
        }
    } else if (p->directories != NULL) {
        for (size_t i = 0; i < p->directory_count; i++) {
            list_directory(p, p->directories[i]);
        }
    } else {
        list_standard(p);
        find_elsewhere(p);
    }
    sort_and_unite(&p->found);
    *ret = p->found.path;
    *ret_count = p->found.count;
}
