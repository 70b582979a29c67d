#include "pressure.h"

#include "counters.h"
#include "malloc.h"
#include "os.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char root[] = "/tmp/test-pressure-XXXXXX";
static char groups[64];
static unsigned told;
static double told_value;

static void put(const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    f = fopen(path, "we");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

static void look(uint32_t now_ms)
{
    lock_lock(&counters_lock);
    pressure_look_locked(now_ms, 0);
    lock_unlock(&counters_lock);
    pressure_run();
}

/* A control group of 1,000 bytes whose files it makes. */
static void begin(void)
{
    char path[128];

    cr_assert_not_null(mkdtemp(root));
    snprintf(groups, sizeof(groups), "%s/groups", root);
    snprintf(path, sizeof(path), "%s/g", root);
    cr_assert_eq(mkdir(path, 0700), 0);
    put("groups", "3:cpu:/\n0::/g\n");
    put("g/memory.max", "1000\n");
    put("g/memory.current", "100\n");
    put("g/memory.stat", "anon 7\ninactive_file 0\n");
    put("g/memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
                             "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
    malloc_free(malloc_alloc(component_by_row(COMPONENT_UNTAGGED), 10));
    lock_lock(&counters_lock);
    pressure_start_locked(groups, root);
    lock_unlock(&counters_lock);
}

static void end(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", root);
    cr_assert_eq(system(command), 0);
}

static void listen(double value, void *arg)
{
    void *p = malloc_alloc(component_by_row(COMPONENT_UNTAGGED), 100);

    cr_assert_eq(arg, &told);
    malloc_free(p);
    told++;
    told_value = value;
    errno = EINTR;
}

Test(pressure, who_subscribed_is_told_of_a_rise, .init = begin, .fini = end)
{
    cr_assert_eq(pressure_subscribe(listen, &told, 0.7), 0);
    errno = EPERM;
    look(1000);
    cr_assert_eq(told, 0);
    put("g/memory.current", "720\n");
    look(1500);
    cr_assert_eq(told, 0, "not more often than every second");
    look(2000);
    cr_assert_eq(told, 1);
    cr_assert_float_eq(told_value, 0.72, 1e-9);
    cr_assert_eq(errno, EPERM, "errno is kept");
    look(11000);
    cr_assert_eq(told, 1, "it is still high: not yet");
    look(12000);
    cr_assert_eq(told, 2, "10 s later");
    put("g/memory.current", "660\n");
    look(13000);
    put("g/memory.current", "710\n");
    look(14000);
    cr_assert_eq(told, 2, "it was not 0.05 below");
    put("g/memory.current", "640\n");
    look(15000);
    put("g/memory.current", "710\n");
    look(16000);
    cr_assert_eq(told, 3);
    cr_assert_eq(pressure_unsubscribe(listen, &told), 0);
    cr_assert_eq(pressure_unsubscribe(listen, &told), -ENOENT);
    look(60000);
    cr_assert_eq(told, 3);
}

Test(pressure, stalls_and_file_pages, .init = begin, .fini = end)
{
    cr_assert_eq(pressure_subscribe(listen, &told, 0.5), 0);
    put("g/memory.current", "950\n");
    put("g/memory.stat", "anon 7\ninactive_file 700\n");
    look(1000);
    cr_assert_eq(told, 0, "file pages can go");
    put("g/memory.pressure", "some avg10=20.50 avg60=40.25 avg300=0.00 total=0\n"
                             "full avg10=10.00 avg60=0.00 avg300=0.00 total=0\n");
    look(2000);
    cr_assert_eq(told, 1);
    cr_assert_float_eq(told_value, 0.5025, 1e-9);
}

Test(pressure, near_the_limit, .init = begin, .fini = end)
{
    look(1000);
    lock_lock(&counters_lock);
    cr_assert_not(pressure_is_near_locked(700));
    cr_assert(pressure_is_near_locked(800), "by what came since the look");
    lock_unlock(&counters_lock);
    put("g/memory.current", "901\n");
    look(2000);
    lock_lock(&counters_lock);
    cr_assert(pressure_is_near_locked(0));
    lock_unlock(&counters_lock);
}

Test(pressure, bad_subscriptions_and_no_limit, .init = begin, .fini = end)
{
    cr_assert_eq(pressure_subscribe(NULL, NULL, 0.5), -EINVAL);
    cr_assert_eq(pressure_subscribe(listen, NULL, 0), -EINVAL);
    cr_assert_eq(pressure_subscribe(listen, NULL, 1.01), -EINVAL);
    cr_assert_eq(pressure_subscribe(listen, NULL, (double)NAN), -EINVAL);
    for (int i = 0; i < 16; i++) {
        cr_assert_eq(pressure_subscribe(listen, NULL, 1), 0);
    }
    cr_assert_eq(pressure_subscribe(listen, NULL, 1), -ENOSPC);
    for (int i = 0; i < 16; i++) {
        cr_assert_eq(pressure_unsubscribe(listen, NULL), 0);
    }
    put("g/memory.max", "max\n");
    lock_lock(&counters_lock);
    pressure_start_locked(groups, root);
    pressure_look_locked(5000, 0);
    cr_assert(isnan(pressure_value_locked()), "nobody asked");
    pressure_want_stalls_locked();
    pressure_look_locked(7000, 0);
    cr_assert(pressure_value_locked() > 0 && pressure_value_locked() < 0.5,
        "the machine's memory is the last limit");
    lock_unlock(&counters_lock);
}

Test(pressure, addresses_are_what_the_limit_of_them_counts, .init = begin, .fini = end)
{
    struct rlimit limit;
    size_t bytes = (size_t)1 << 40;
    void *p = mmap(
        NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    cr_assert_neq(p, MAP_FAILED);
    put("g/memory.max", "max\n");
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = 2 * bytes;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    if (os_limit_as() != limit.rlim_cur) {
        return; /* an emulator takes the limit for itself, and ignores it */
    }
    lock_lock(&counters_lock);
    pressure_start_locked(groups, root);
    pressure_look_locked(5000, 0);
    cr_assert_float_eq(pressure_value_locked(), 0.5, 0.02, "untouched, all the same");
    cr_assert_not(pressure_is_near_locked(0));
    cr_assert(pressure_is_near_locked(bytes * 9 / 10));
    lock_unlock(&counters_lock);
    munmap(p, bytes);
}
