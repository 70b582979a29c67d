/*
 * api_info - glibc's ways to look at the heap, what libc allocates for us, early and late
 *
 * The second half of api_semantics: A25, A26, A28, constructors, destructors, keys.
 */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <regex.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <wchar.h>

enum { MIB = 1 << 20, TEXT = 1 << 16 };

/* ---- before main, after main ---- */

static char *from_constructor;
static bool says_goodbye; /* in the child that a_late_allocations looks at */

__attribute__((constructor(101))) static void first(void)
{
    from_constructor = strdup("allocated by a constructor");
    free(calloc(100, 1000));
}

static void allocate_and_say(const char *what)
{
    char *p = malloc(100000);
    char *q = realloc(strdup(what), 5000);

    CHECK(p != NULL && q != NULL && strcmp(q, what) == 0);
    test_fill(p, 1, 100000);
    free(p);
    if (says_goodbye) {
        test_write(q, strlen(q));
    }
    free(q);
}

__attribute__((destructor(101))) static void last(void)
{
    allocate_and_say("destructor;");
    free(from_constructor);
}

static void at_exit(void)
{
    allocate_and_say("atexit;");
}

static void a36_constructor_allocated(void)
{
    CHECK(strcmp(from_constructor, "allocated by a constructor") == 0);
    free(from_constructor);
    from_constructor = strdup("allocated in main, freed by a destructor");
}

static void a36_atexit_and_destructor_allocate(void)
{
    char text[200];
    size_t n = 0;
    ssize_t got;
    int ends[2];
    int status;
    pid_t child;

    CHECK(pipe(ends) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        says_goodbye = true;
        dup2(ends[1], STDOUT_FILENO);
        exit(3);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + n, sizeof(text) - 1 - n)) > 0) {
        n += (size_t)got;
    }
    text[n] = '\0';
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    CHECK(strcmp(text, "atexit;destructor;") == 0);
}

/* ---- what glibc tells ---- */

/*
 * Whether text is well-formed as far as malloc_info goes: one element, tags that nest,
 * attributes in double quotes, no text that holds '<' or '&'.
 */
static bool is_well_formed(const char *at)
{
    char open[16][32];
    int depth = 0;
    int roots = 0;

    while (*at != '\0') {
        char name[32];
        bool closes, empty = false;
        int n = 0;

        if (*at == '&' || *at == '>') {
            return false;
        }
        if (*at++ != '<') {
            if (depth == 0 && at[-1] != '\n') {
                return false;
            }
            continue;
        }
        closes = *at == '/';
        at += closes;
        while ((*at >= 'a' && *at <= 'z') && n < 31) {
            name[n++] = *at++;
        }
        name[n] = '\0';
        while (*at == ' ') { /* name="value" */
            at++;
            at += strspn(at, "abcdefghijklmnopqrstuvwxyz_");
            if (at[0] != '=' || at[1] != '"') {
                return false;
            }
            at += 2;
            at += strcspn(at, "\"<&>");
            if (*at++ != '"') {
                return false;
            }
        }
        if (*at == '/') {
            empty = true;
            at++;
        }
        if (n == 0 || *at++ != '>') {
            return false;
        }
        if (closes) {
            if (depth == 0 || strcmp(open[--depth], name) != 0) {
                return false;
            }
        } else if (!empty) {
            roots += depth == 0;
            if (depth == 16) {
                return false;
            }
            strcpy(open[depth++], name);
        }
    }
    return depth == 0 && roots == 1;
}

static void a25_the_check_of_xml_can_fail(void)
{
    CHECK(is_well_formed("<a>\n<b c=\"1\"/>text</a>\n"));
    CHECK(!is_well_formed("<a><b></a></b>") && !is_well_formed("<a>"));
    CHECK(
        !is_well_formed("<a b=1/>") && !is_well_formed("<a/><") && !is_well_formed(""));
    CHECK(!is_well_formed("<a></a><b></b>") && !is_well_formed("<a>x & y</a>"));
}

static void a25_malloc_info_is_well_formed(void)
{
    char text[TEXT];
    size_t n;
    FILE *f = tmpfile();

    CHECK(f != NULL);
    errno = 0;
    CHECK(malloc_info(1, f) != 0); /* glibc returns EINVAL, the manual says -1 */
    CHECK(ftell(f) == 0);
    CHECK(malloc_info(0, f) == 0);
    rewind(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    CHECK(n > 50 && strncmp(text, "<malloc version=\"1\"", 19) == 0);
    CHECK(is_well_formed(text));
}

static bool has_counters(void)
{
    return getenv("TEST_NO_COUNTERS") == NULL;
}

static void a25_mallinfo2_sees_allocations(void)
{
    struct mallinfo2 before = mallinfo2();
    void *p = malloc(50 * MIB);
    void *q[100];
    struct mallinfo2 with;
    struct mallinfo narrow;

    CHECK(p != NULL);
    for (int i = 0; i < 100; i++) {
        q[i] = malloc(10000);
        CHECK(q[i] != NULL);
    }
    with = mallinfo2();
    narrow = mallinfo();
    for (int i = 0; i < 100; i++) {
        free(q[i]);
    }
    free(p);
    if (!has_counters()) {
        return;
    }
    CHECK(with.uordblks - before.uordblks >= 50 * MIB + 100 * 10000);
    CHECK(with.uordblks - before.uordblks <= 53 * MIB);
    CHECK(with.arena >= with.uordblks);
    CHECK(narrow.uordblks > 0 && (size_t)narrow.uordblks >= with.uordblks - MIB);
    CHECK(mallinfo2().uordblks <= before.uordblks + MIB);
}

static void a25_mallopt_knows_parameters(void)
{
    CHECK(mallopt(M_MMAP_THRESHOLD, 100000) == 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, 100000) == 1);
    CHECK(mallopt(M_ARENA_MAX, 1) == 1);
    CHECK(mallopt(M_MXFAST, 64) == 1);
    CHECK(mallopt(12345, 1) == 0 || mallopt(12345, 1) == 1);
}

static void a25_malloc_stats_writes_to_stderr(void)
{
    int saved = dup(STDERR_FILENO);
    FILE *f = tmpfile();

    CHECK(saved >= 0 && f != NULL);
    dup2(fileno(f), STDERR_FILENO);
    malloc_stats();
    dup2(saved, STDERR_FILENO);
    close(saved);
    CHECK(lseek(fileno(f), 0, SEEK_END) > 0 || !has_counters());
    fclose(f);
}

static void a26_trim_gives_memory_back(size_t block)
{
    enum { TOTAL = 100 * MIB };
    size_t count = TOTAL / block;
    void **p = malloc(count * sizeof(*p));
    size_t before = test_statm(1), with, after;

    CHECK(p != NULL);
    test_fill(p, 0, count * sizeof(*p));
    for (size_t i = 0; i < count; i++) {
        p[i] = malloc(block);
        CHECK(p[i] != NULL);
        test_fill(p[i], 1, block);
    }
    with = test_statm(1);
    CHECK(with >= before + TOTAL / 10 * 9);
    for (size_t i = 0; i < count; i++) {
        free(p[i]);
    }
    CHECK(malloc_trim(0) == 1);
    after = test_statm(1);
    CHECK(with - after >= TOTAL / 10 * 8);
    free(p);
}

static void a26_trim_small_medium_and_large(void)
{
    a26_trim_gives_memory_back(100);
    a26_trim_gives_memory_back(3000);
    a26_trim_gives_memory_back(200000);
    malloc_trim(0);
    (void)malloc_trim(1 << 20); /* nothing left: 0 or 1 */
}

/* ---- what libc allocates, we free ---- */

static void a28_streams(void)
{
    char *text = NULL, *line = NULL;
    size_t size = 0, line_size = 0;
    FILE *f = open_memstream(&text, &size);

    CHECK(f != NULL);
    for (int i = 0; i < 10000; i++) {
        fprintf(f, "line %d\n", i);
    }
    fclose(f);
    CHECK(size > 80000 && strncmp(text, "line 0\n", 7) == 0);
    f = fmemopen(text, size, "r");
    CHECK(f != NULL && getline(&line, &line_size, f) == 7);
    CHECK(getdelim(&line, &line_size, 'X', f) > 80000 && line_size > 80000);
    fclose(f);
    free(line);
    free(text);
    f = popen("echo hello", "r");
    CHECK(f != NULL);
    line = NULL;
    CHECK(getline(&line, &line_size, f) == 6 && strcmp(line, "hello\n") == 0);
    CHECK(pclose(f) == 0);
    free(line);
}

static void a28_strings_and_paths(void)
{
    wchar_t *wide = wcsdup(L"wide");
    char *text = NULL, *copy = strdup("copy"), *part = strndup("part of it", 4);
    char *cwd = getcwd(NULL, 0), *path = realpath("/proc/../tmp", NULL);
    struct dirent **names;
    regex_t regex;
    int n;

    CHECK(wide != NULL && wcscmp(wide, L"wide") == 0);
    CHECK(strcmp(copy, "copy") == 0 && strcmp(part, "part") == 0);
    CHECK(asprintf(&text, "%0200d", 7) == 200 && strlen(text) == 200);
    CHECK(cwd != NULL && path != NULL && strcmp(path, "/tmp") == 0);
    n = scandir("/proc/self", &names, NULL, alphasort);
    CHECK(n > 2);
    for (int i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
    CHECK(regcomp(&regex, "^(a|b)+[[:digit:]]{3}$", REG_EXTENDED) == 0);
    CHECK(regexec(&regex, "abab123", 0, NULL, 0) == 0);
    regfree(&regex);
    free(wide);
    free(copy);
    free(part);
    free(text);
    free(cwd);
    free(path);
}

/* ---- thread-specific data ---- */

enum { KEYS = 64 };
static pthread_key_t keys[KEYS];
static int rounds[KEYS];

/* Frees, allocates, and sets itself again, as often as POSIX promises to ask. */
static void destroy(void *value)
{
    int i = *(int *)value;
    int *next = malloc(sizeof(*next));
    char *large = malloc(50000 + (size_t)i);

    CHECK(next != NULL && large != NULL && i >= 0 && i < KEYS);
    test_fill(large, i, 50000);
    free(large);
    *next = i;
    free(value);
    rounds[i]++;
    if (rounds[i] % 4 == 0) {
        free(next);
    } else {
        CHECK(pthread_setspecific(keys[i], next) == 0);
    }
}

static void *use_keys(void *arg)
{
    for (int i = 0; i < KEYS; i++) {
        int *value = malloc(sizeof(*value));

        CHECK(value != NULL);
        *value = i;
        CHECK(pthread_setspecific(keys[i], value) == 0);
    }
    return arg;
}

/* A62, A63: with more than 32 keys, the second level of which glibc allocates. */
static void a62_key_destructors_allocate(void)
{
    enum { THREADS = 50 };

    for (int i = 0; i < KEYS; i++) {
        CHECK(pthread_key_create(&keys[i], destroy) == 0);
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_t thread;

        CHECK(pthread_create(&thread, NULL, use_keys, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    for (int i = 0; i < KEYS; i++) {
        CHECK_EQ(rounds[i], 4 * THREADS);
        CHECK(pthread_key_delete(keys[i]) == 0);
    }
}

int main(void)
{
    CHECK(atexit(at_exit) == 0);
    RUN(a36_constructor_allocated);
    RUN(a36_atexit_and_destructor_allocate);
    RUN(a25_the_check_of_xml_can_fail);
    RUN(a25_malloc_info_is_well_formed);
    RUN(a25_mallinfo2_sees_allocations);
    RUN(a25_mallopt_knows_parameters);
    RUN(a25_malloc_stats_writes_to_stderr);
    RUN(a26_trim_small_medium_and_large);
    RUN(a28_streams);
    RUN(a28_strings_and_paths);
    RUN(a62_key_destructors_allocate);
    return 0;
}
