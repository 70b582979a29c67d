#include "region_facts.h"

#include "bits.h"
#include "options.h"
#include "os.h"
#include "sizeclass.h"

#include <string.h>

void region_copy_text(char *to, size_t size, const char *from)
{
    size_t n = strnlen(from, size - 1);

    memcpy(to, from, n);
    memset(to + n, 0, size - n);
}

static unsigned hex_digit(char c)
{
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0') & 15;
}

static void read_boot_id(uint8_t *out)
{
    char text[64];
    unsigned digits = 0;

    if (os_read_file("/proc/sys/kernel/random/boot_id", text, sizeof(text)) <= 0) {
        return;
    }
    for (const char *at = text; *at != '\0' && *at != '\n' && digits < 32; at++) {
        if (*at != '-') {
            out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | hex_digit(*at));
            digits++;
        }
    }
}

static void read_command(char *out, size_t size)
{
    long n = os_read_file("/proc/self/cmdline", out, size);

    for (long i = 0; i + 1 < n; i++) {
        if (out[i] == '\0') {
            out[i] = ' ';
        }
    }
}

void region_write_process(struct mp_region_process *p, uint64_t ticks, bool is_child)
{
    const char *called;
    const char *slash;

    p->pid = os_pid();
    p->parent_pid = os_parent_pid();
    p->uid = os_uid();
    p->pid_namespace = os_pid_namespace();
    p->start_ticks = ticks;
    p->started_ns = is_child ? os_started_ns(ticks) : os_realtime_ns();
    p->started_mono_ns = os_monotonic_ns();
    p->state = MP_STATE_RUNNING;
    p->page_bytes = os_page_bytes();
    p->span_bytes = SPAN_BYTES;
    p->limit_cgroup_bytes = os_cgroup_limit();
    p->limit_as_bytes = os_limit_as();
    p->limit_data_bytes = os_limit_data();
    p->physical_bytes = os_physical_bytes();
    p->forked = is_child;
    read_boot_id(p->boot_id);
    os_random(p->run_id, sizeof(p->run_id));
    region_copy_text(p->version, sizeof(p->version), CONFIG_VERSION);
    os_read_link("/proc/self/exe", p->exe, sizeof(p->exe));
    read_command(p->command, sizeof(p->command));
    /* As it was called: redis-server, though that is a link to redis-check-rdb. */
    called = os_called();
    called = called[0] != '\0' ? called : p->exe;
    slash = strrchr(called, '/');
    region_copy_text(p->service, sizeof(p->service),
        options.service[0] != '\0' ? options.service
        : slash != NULL            ? slash + 1
                                   : called);
}

void region_write_classes(struct mp_region_class *c)
{
    for (unsigned i = 0; i < MP_REGION_CLASSES; i++) {
        c[i].block_bytes = sizeclass_bound(i);
        c[i].blocks_per_span = i < CLASS_SLAB_COUNT ? sizeclass_table[i].capacity : 0;
        c[i].kind = i < CLASS_SLAB_COUNT ? MP_CLASS_SLAB
                    : i < CLASS_COUNT    ? MP_CLASS_LARGE
                                         : MP_CLASS_UNUSED;
    }
}

size_t region_write_options(struct mp_region_option *o)
{
    size_t count = bits_min(options_count(), MP_REGION_OPTIONS_MAX);

    for (size_t i = 0; i < count; i++) {
        struct option_view v = options_view(i);

        region_copy_text(o[i].name, sizeof(o[i].name), v.name);
        region_copy_text(o[i].value, sizeof(o[i].value), v.value);
        o[i].origin = (uint64_t)v.origin;
    }
    return count;
}
