/* What became of the process that left a region. */
#include "make_region.h"

#include <mpstats.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static enum mp_life life_of(int fd)
{
    struct mp_error error = {{0}};
    mp_image_t *image = NULL;
    enum mp_life life;
    int code = mp_image_read(fd, "made", &image, &error);

    cr_assert_eq(code, 0, "%s", error.text);
    life = mp_image_life(image);
    mp_image_free(image);
    return life;
}

static enum mp_life life_of_made(const struct made *m)
{
    int fd = made_memfd(m);
    enum mp_life life = life_of(fd);

    close(fd);
    return life;
}

Test(stats_life, a_process_that_is_not_there_died)
{
    struct made m;

    make_region(&m, &make_small);
    cr_assert_eq(life_of_made(&m), MP_LIFE_DIED);
    make_region_free(&m);
}

Test(stats_life, a_process_that_said_so_exited)
{
    struct mp_region_process *p;
    struct made m;

    make_region(&m, &make_small);
    p = made_record(&m, MP_SECTION_PROCESS, 0);
    p->state = MP_STATE_EXITED;
    cr_assert_eq(life_of_made(&m), MP_LIFE_EXITED);
    made_adopt(&m); /* whoever has its number now */
    cr_assert_eq(life_of_made(&m), MP_LIFE_EXITED);
    make_region_free(&m);
}

Test(stats_life, a_process_that_maps_its_region_runs)
{
    struct made m;
    void *mapped;
    int fd;

    make_region(&m, &make_small);
    made_adopt(&m);
    fd = made_memfd(&m);
    mapped = mmap(NULL, m.bytes, PROT_READ, MAP_SHARED, fd, 0);
    cr_assert_neq(mapped, MAP_FAILED);
    cr_assert_eq(life_of(fd), MP_LIFE_RUNNING);
    munmap(mapped, m.bytes);
    cr_assert_eq(life_of(fd), MP_LIFE_REPLACED, "it lost its mappings: by exec");
    close(fd);
    make_region_free(&m);
}

Test(stats_life, a_process_that_runs_another_program_was_replaced)
{
    struct mp_region_process *p;
    struct made m;
    void *mapped;
    int fd;

    make_region(&m, &make_small);
    made_adopt(&m);
    p = made_record(&m, MP_SECTION_PROCESS, 0);
    strcpy(p->exe, "/usr/bin/other");
    fd = made_memfd(&m);
    mapped = mmap(NULL, m.bytes, PROT_READ, MAP_SHARED, fd, 0);
    cr_assert_neq(mapped, MAP_FAILED);
    cr_assert_eq(life_of(fd), MP_LIFE_REPLACED);
    munmap(mapped, m.bytes);
    close(fd);
    make_region_free(&m);
}

Test(stats_life, a_number_that_was_used_again_is_another_process)
{
    struct mp_region_process *p;
    struct made m;

    make_region(&m, &make_small);
    made_adopt(&m);
    p = made_record(&m, MP_SECTION_PROCESS, 0);
    p->start_ticks++;
    cr_assert_eq(life_of_made(&m), MP_LIFE_DIED);
    make_region_free(&m);
}

Test(stats_life, a_process_of_before_the_restart_died)
{
    struct mp_region_process *p;
    struct made m;

    make_region(&m, &make_small);
    made_adopt(&m);
    p = made_record(&m, MP_SECTION_PROCESS, 0);
    memset(p->boot_id, 0x77, sizeof(p->boot_id));
    cr_assert_eq(life_of_made(&m), MP_LIFE_DIED);
    make_region_free(&m);
}

Test(stats_life, a_process_of_another_namespace_is_elsewhere)
{
    struct mp_region_process *p;
    struct made m;

    make_region(&m, &make_small);
    made_adopt(&m);
    p = made_record(&m, MP_SECTION_PROCESS, 0);
    p->pid_namespace = 12345;
    cr_assert_eq(life_of_made(&m), MP_LIFE_ELSEWHERE);
    make_region_free(&m);
}

/* A child whose region it is; it waits, mapping it. */
static pid_t start_child(const struct made *m, int *ret_fd)
{
    int fd = made_memfd(m);
    struct made shared = {
        mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), m->bytes};
    int pipes[2];
    char said;
    pid_t child;

    cr_assert_neq((void *)shared.data, MAP_FAILED);
    cr_assert_eq(pipe(pipes), 0);
    child = fork();
    if (child == 0) {
        made_adopt(&shared);
        if (write(pipes[1], "x", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    cr_assert_eq(read(pipes[0], &said, 1), 1);
    close(pipes[0]);
    close(pipes[1]);
    munmap(shared.data, m->bytes);
    *ret_fd = fd;
    return child;
}

Test(stats_life, a_zombie_died)
{
    struct made m;
    pid_t child;
    int fd;

    make_region(&m, &make_small);
    child = start_child(&m, &fd);
    cr_assert_eq(life_of(fd), MP_LIFE_RUNNING);
    kill(child, SIGKILL);
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    cr_assert_eq(life_of(fd), MP_LIFE_DIED);
    waitpid(child, NULL, 0);
    cr_assert_eq(life_of(fd), MP_LIFE_DIED);
    close(fd);
    make_region_free(&m);
}

static void look_again(mp_proc_files_t *files)
{
    struct mp_proc before;
    struct mp_proc whole;
    struct mp_proc now;
    mp_image_t *image = NULL;
    struct made m;
    pid_t child;
    int fd;

    make_region(&m, &make_small);
    child = start_child(&m, &fd);
    cr_assert_eq(mp_image_read(fd, "made", &image, NULL), 0);
    memset(&before, 0xff, sizeof(before));
    before.proportional_bytes = 12345;
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(mp_proc_read((uint64_t)child, &whole), 0);
        cr_assert_eq(mp_proc_look_again(files, image, &before, &now), MP_LIFE_RUNNING);
        cr_assert_eq(now.resident_bytes, whole.resident_bytes);
        cr_assert_eq(now.virtual_bytes, whole.virtual_bytes);
        cr_assert_eq(now.text_bytes, whole.text_bytes);
        cr_assert_eq(now.minor_faults_total, whole.minor_faults_total);
        cr_assert_eq(now.uid, (uint64_t)geteuid());
        cr_assert_eq(now.threads, 1);
        cr_assert_eq(now.proportional_bytes, 12345, "that of before");
    }
    kill(child, SIGKILL);
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    cr_assert_eq(mp_proc_look_again(files, image, &before, &now), MP_LIFE_DIED);
    cr_assert_eq(now.resident_bytes, MP_UNKNOWN);
    waitpid(child, NULL, 0);
    cr_assert_eq(mp_proc_look_again(files, image, &before, &now), MP_LIFE_DIED);
    cr_assert_eq(now.proportional_bytes, MP_UNKNOWN);
    mp_image_free(image);
    close(fd);
    make_region_free(&m);
}

Test(stats_life, who_looks_often_learns_the_same)
{
    mp_proc_files_t *files = mp_proc_files_create();

    look_again(NULL);
    look_again(files);
    mp_proc_files_free(files);
}

Test(stats_life, every_life_has_a_name)
{
    cr_assert_str_eq(mp_life_name(MP_LIFE_RUNNING), "running");
    cr_assert_str_eq(mp_life_name(MP_LIFE_EXITED), "exited");
    cr_assert_str_eq(mp_life_name(MP_LIFE_DIED), "died");
    cr_assert_str_eq(mp_life_name(MP_LIFE_REPLACED), "replaced");
    cr_assert_str_eq(mp_life_name(MP_LIFE_ELSEWHERE), "elsewhere");
    cr_assert_str_eq(mp_life_name(MP_LIFE_COPY), "copy");
    cr_assert_str_eq(mp_life_name((enum mp_life)99), "unknown");
}
