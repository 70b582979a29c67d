#include "region.h"

#include "atomic.h"
#include "bits.h"
#include "check.h"
#include "janitor.h"
#include "options.h"
#include "os.h"
#include "region_facts.h"
#include "sizeclass.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert((int)CLASS_COUNT <= (int)MP_REGION_CLASSES, "cells are indexed by class");

enum {
    PAGE = 4096,      /* of the layout, whatever the kernel's is */
    STEP = 16 * 1024, /* backed at once */
    STEP_FIRST = 4 * 1024,
    FIRST_ROWS = 32, /* backed at first where room cannot be added later */
    FIRST_MODULES = 32,
    FIRST_NAMES = 64,
    FIRST_FRAMES = 8192,
    FIRST_SITES = 512,
    FIRST_SAMPLES = 2048,
    COPY_STEP = 64 * 1024,
};

/* In the order of the file. The first six are backed from the start. */
static const struct part {
    uint32_t id;
    uint32_t stride;
    uint32_t count;
} parts[] = {
    {MP_SECTION_PROCESS, sizeof(struct mp_region_process), 1},
    {MP_SECTION_TOTALS, sizeof(struct mp_region_totals), 1},
    {MP_SECTION_CLASSES, sizeof(struct mp_region_class), MP_REGION_CLASSES},
    {MP_SECTION_OPTIONS, sizeof(struct mp_region_option), MP_REGION_OPTIONS_MAX},
    {MP_SECTION_MAILBOX, sizeof(struct mp_region_mailbox), 1},
    {MP_SECTION_COMPONENTS, sizeof(struct mp_region_component),
        MP_REGION_COMPONENT_ROWS},
    {MP_SECTION_TIMELINE_1S, sizeof(struct mp_region_moment), 3600},
    {MP_SECTION_TIMELINE_1M, sizeof(struct mp_region_moment), 1440},
    {MP_SECTION_TIMELINE_10M, sizeof(struct mp_region_moment), 4320},
    {MP_SECTION_MODULES, sizeof(struct mp_region_module), MP_REGION_MODULES_MAX},
    {MP_SECTION_COUNTERS, sizeof(struct mp_region_cell),
        MP_REGION_COMPONENT_ROWS *MP_REGION_CLASSES},
    {MP_SECTION_SAMPLING, sizeof(struct mp_region_sampling), 1},
    {MP_SECTION_FRAMES, sizeof(struct mp_region_frame), MP_REGION_FRAMES_MAX},
    {MP_SECTION_SITES, sizeof(struct mp_region_site), MP_REGION_SITES_MAX},
    {MP_SECTION_SAMPLES, sizeof(struct mp_region_sample), MP_REGION_SAMPLES_MAX},
    {MP_SECTION_NAMES, sizeof(struct mp_region_name), MP_REGION_NAMES_MAX},
    {MP_SECTION_EPOCHS, sizeof(struct mp_region_epochs), 1},
    {MP_SECTION_SITE_EPOCHS, sizeof(struct mp_region_site_epochs),
        MP_REGION_SITE_EPOCHS_MAX},
    {MP_SECTION_MARKS, sizeof(struct mp_region_mark), MP_REGION_MARKS},
    {MP_SECTION_LEAKS, sizeof(struct mp_region_leaks), 1},
    {MP_SECTION_LEAK_CELLS, sizeof(struct mp_region_leak_cell),
        MP_REGION_COMPONENT_ROWS *MP_REGION_CLASSES},
    {MP_SECTION_LEAK_SITES, sizeof(struct mp_region_leak_site), MP_REGION_SITES_MAX},
    {MP_SECTION_POOLS, sizeof(struct mp_region_pool), MP_REGION_POOLS_MAX},
    {MP_SECTION_USER, sizeof(struct mp_region_user_counter),
        MP_REGION_USER_COUNTERS_MAX},
    {MP_SECTION_LIMITS, sizeof(struct mp_region_limit), MP_REGION_LIMITS_MAX},
};
static_assert(REGION_PROFILE_LEAST >= (size_t)6 * STEP, "five parts, and the first");
struct lock profile_lock = LOCK_INIT(RANK_PROFILE);

enum { PARTS = sizeof(parts) / sizeof(parts[0]), PARTS_BACKED = 5 };

static struct {
    char *base;   /* NULL: no region */
    uint64_t pid; /* who made it */
    size_t bytes;
    size_t offset[PARTS];
    size_t ready[PARTS]; /* bytes of the part that are backed */
    const uint32_t *fork_mark;
    bool can_grow;
    unsigned sampler_share; /* not 0 once it is laid out */
    uint64_t run_key;       /* first bytes of run_id: signs the mailbox */
    uint64_t mailbox_seen;
    char name[64];
    char directory[OPTION_TEXT_MAX];
    bool is_file;
    int fd; /* of a memfd, which stays open */
    uint64_t inode;
    int error;
    const char *error_text;
} region;

/* The compiler looks it up where the section is a constant. */
static ALWAYS_INLINE unsigned part_of(enum mp_region_section_id id)
{
#pragma GCC unroll 32 /* else it gives up on more than 16 parts */
    for (unsigned i = 0; i < PARTS; i++) {
        if (parts[i].id == id) {
            return i;
        }
    }
    return PARTS - 1;
}

enum { SHARE_LIMITED = 16, SHARE_LEAST = 256 };

/*
 * How much less room the sampler gets than there may be. Address space may be limited, and in a
 * process that locks its memory all of this is memory.
 */
static unsigned find_sampler_share(void)
{
    return options.harden ? SHARE_LEAST /* it does not sample */
           : os_limit_as() != 0 || os_limit_file() != 0 ? SHARE_LIMITED
           : options.sample_bytes == MP_SAMPLING_EXACT  ? 1
                                                        : 4;
}

/*
 * The past of sites, and leak checks, have room for the first few where space is short. Cells of
 * leak checks, of some hundred components, would else be a fifth of all.
 */
static unsigned share_of(enum mp_region_section_id id)
{
    unsigned share = region.sampler_share;

    switch (id) {
    case MP_SECTION_FRAMES:
    case MP_SECTION_SITES:
    case MP_SECTION_SAMPLES:
        return share;
    case MP_SECTION_LEAK_CELLS:
        return share >= SHARE_LIMITED ? SHARE_LEAST : share * share;
    case MP_SECTION_SITE_EPOCHS:
    case MP_SECTION_LEAK_SITES:
        return share >= SHARE_LIMITED ? SHARE_LEAST : share;
    default:
        return 1;
    }
}

static size_t part_count(unsigned i)
{
    return parts[i].count / share_of(parts[i].id);
}

static size_t part_bytes(unsigned i)
{
    return (size_t)parts[i].stride * part_count(i);
}

/* Offsets of the parts; the bytes of all, and of those that must be backed. */
static size_t lay_out(size_t *ret_backed)
{
    size_t at = PAGE;

    region.sampler_share = find_sampler_share();
    for (unsigned i = 0; i < PARTS; i++) {
        if (i == PARTS_BACKED) {
            *ret_backed = at;
        }
        region.offset[i] = at;
        region.ready[i] = i < PARTS_BACKED ? part_bytes(i) : 0;
        at += bits_round_up(part_bytes(i), PAGE);
    }
    return at;
}

bool region_is_of_parent(void)
{
    return region.fork_mark != NULL && load_relaxed(region.fork_mark) == 0;
}

/* Back the first `bytes` of a part; false: no room. */
static bool ensure(unsigned i, size_t bytes)
{
    size_t page = os_page_bytes();
    size_t from = bits_round_down(region.offset[i] + region.ready[i], page);
    size_t step = region.ready[i] < STEP ? STEP_FIRST : STEP;
    size_t to = bits_min(bits_round_up(bytes, step), part_bytes(i));

    if (LIKELY(bytes <= region.ready[i])) {
        return true;
    }
    if (!region.can_grow || bytes > part_bytes(i)) {
        return false;
    }
    if (!os_populate(
            region.base + from, bits_round_up(region.offset[i] + to, page) - from)) {
        return false;
    }
    store_relaxed(&region.ready[i], to);
    return true;
}

static ALWAYS_INLINE void *record(
    enum mp_region_section_id id, size_t number, size_t count)
{
    unsigned i = part_of(id);
    size_t start = number * parts[i].stride;

    if (region.base == NULL || region_is_of_parent() || number + count > part_count(i)
        || !ensure(i, start + count * parts[i].stride)) {
        return NULL;
    }
    return region.base + region.offset[i] + start;
}

static uint64_t start_ticks(void)
{
    char stat[1024];
    const char *at;
    uint64_t value = 0;
    unsigned field = 2;

    if (os_read_file("/proc/self/stat", stat, sizeof(stat)) <= 0) {
        return 0;
    }
    at = strrchr(stat, ')'); /* the name may hold blanks and brackets */
    for (; at != NULL && *at != '\0' && field < 22; at++) {
        field += *at == ' ';
    }
    for (; at != NULL && *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
    }
    return value;
}

/* What is said once. */
static void write_facts(uint64_t ticks, bool is_child)
{
    struct mp_region_process *p = record(MP_SECTION_PROCESS, 0, 1);

    region_write_process(p, ticks, is_child);
    memcpy(&region.run_key, p->run_id, sizeof(region.run_key));
    region_write_classes(record(MP_SECTION_CLASSES, 0, MP_REGION_CLASSES));
    region_totals()->option_count =
        region_write_options(record(MP_SECTION_OPTIONS, 0, MP_REGION_OPTIONS_MAX));
}

static void write_header(void)
{
    struct mp_region_header *h = (struct mp_region_header *)region.base;

    h->version = MP_REGION_VERSION;
    h->header_bytes = sizeof(*h);
    h->region_bytes = region.bytes;
    h->section_count = PARTS;
    for (unsigned i = 0; i < PARTS; i++) {
        h->sections[i] = (struct mp_region_section){.id = parts[i].id,
            .version = 1,
            .offset = region.offset[i],
            .stride = parts[i].stride,
            .count = part_count(i)};
    }
    store_release(
        &h->magic, MP_REGION_MAGIC); /* from here on readers believe the rest */
}

/* ---- making it ---- */

static bool give_up(int error, const char *text)
{
    region.error = error;
    region.error_text = text;
    if (options.log == LOG_DEBUG) {
        check_say("no region: %s (errno %d)", text, -error);
    }
    return false;
}

static void region_unlink(void)
{
    int directory;

    if (!region.is_file) {
        return;
    }
    directory = os_open_directory(region.directory);
    if (directory >= 0) {
        os_unlink_at(directory, region.name);
        os_close(directory);
    }
}

static int create_in_directory(uint64_t ticks, size_t bytes, size_t backed)
{
    int directory;
    int fd;

    if (options.dir[0] != '\0') {
        region_copy_text(region.directory, sizeof(region.directory), options.dir);
    } else {
        check_format(region.directory, sizeof(region.directory), "/dev/shm/mpalloc-%lu",
            os_uid());
    }
    check_format(region.name, sizeof(region.name), "%lu-%lu.mp", os_pid(), ticks);
    directory = os_open_directory(region.directory);
    if (directory < 0) {
        return directory;
    }
    janitor_clean(directory);
    fd = os_create_file(directory, region.name, bytes, backed);
    if (fd == -EEXIST) { /* ours, from before an exec */
        os_unlink_at(directory, region.name);
        fd = os_create_file(directory, region.name, bytes, backed);
    }
    os_close(directory);
    region.is_file = fd >= 0;
    return fd;
}

static bool map_region(int fd, size_t bytes)
{
    char *base = os_map_file(fd, bytes, true, 0);

    if (base == NULL) {
        return false;
    }
    region.base = base;
    region.bytes = bytes;
    /* Old kernels cannot back pages of a mapping: what is needed first must be enough. */
    region.can_grow = os_populate(base, PAGE);
    if (!region.can_grow) {
        static const struct {
            enum mp_region_section_id id;
            size_t records;
        } first[] = {{MP_SECTION_COMPONENTS, FIRST_ROWS},
            {MP_SECTION_TIMELINE_1S, 3600}, {MP_SECTION_TIMELINE_1M, 1440},
            {MP_SECTION_MODULES, FIRST_MODULES}, {MP_SECTION_SAMPLING, 1},
            {MP_SECTION_NAMES, FIRST_NAMES}, {MP_SECTION_FRAMES, FIRST_FRAMES},
            {MP_SECTION_SITES, FIRST_SITES}, {MP_SECTION_SAMPLES, FIRST_SAMPLES},
            {MP_SECTION_EPOCHS, 1}, {MP_SECTION_SITE_EPOCHS, FIRST_SITES},
            {MP_SECTION_MARKS, MP_REGION_MARKS},
            {MP_SECTION_COUNTERS, FIRST_ROWS * MP_REGION_CLASSES}};

        for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
            unsigned part = part_of(first[i].id);
            size_t wanted =
                bits_min(first[i].records, part_count(part)) * parts[part].stride;

            if (os_back_file(fd, region.offset[part], wanted)) {
                region.ready[part] = wanted;
            }
        }
    }
    return true;
}

bool region_open_locked(bool is_child)
{
    size_t backed = 0;
    size_t bytes;
    uint64_t ticks;
    int fd;

    if (options.region == REGION_OFF) {
        return give_up(0, "MPALLOC_REGION=off");
    }
    if (os_is_sandboxed()) {
        return give_up(-EPERM, "the process filters its system calls");
    }
    if (os_is_secure() || !os_is_dumpable()) {
        return give_up(-EPERM, "the process is privileged or not dumpable");
    }
    region.is_file = false;
    region.error = 0;
    bytes = lay_out(&backed);
    ticks = start_ticks();
    fd = options.region == REGION_FILE ? create_in_directory(ticks, bytes, backed) : -1;
    if (fd < 0) { /* wanted so, or there is no place for files */
        region.error = options.region == REGION_FILE ? fd : 0;
        fd = os_create_memfd("mpalloc", bytes, backed);
    }
    if (fd < 0) {
        return give_up(
            region.error < 0 ? region.error : fd, "neither file nor memfd can be made");
    }
    if (!map_region(fd, bytes)) {
        os_close(fd);
        region_unlink();
        return give_up(-ENOMEM, "the file cannot be mapped");
    }
    if (region.is_file) {
        os_close(fd);
    } else { /* /proc/PID/fd is how readers find it */
        region.fd = fd;
        region.inode = os_inode(fd);
    }
    region.error = 0;
    region.error_text = "";
    region.mailbox_seen = 0;
    region.pid = os_pid();
    write_facts(ticks, is_child);
    write_header();
    return true;
}

bool region_is_of_this_process(void)
{
    const struct mp_region_process *p = record(MP_SECTION_PROCESS, 0, 1);

    return p != NULL && region.pid == os_pid();
}

void region_watch_fork(const uint32_t *mark)
{
    region.fork_mark = mark;
}

bool region_is_open(void)
{
    return region.base != NULL && !region_is_of_parent();
}

const char *region_error(void)
{
    return region.error_text != NULL ? region.error_text : "";
}

int region_error_number(void)
{
    return region.error;
}

void region_close_locked(bool keep)
{
    struct mp_region_process *p = record(MP_SECTION_PROCESS, 0, 1);

    if (p == NULL) {
        return;
    }
    store_relaxed(&p->ended_ns, os_realtime_ns());
    store_release(&p->state, (uint64_t)MP_STATE_EXITED);
    if (!keep && !os_is_sandboxed()) {
        region_unlink();
    }
    /* Stays mapped: destructors of others may still allocate, and tick. */
}

void region_forget(void)
{
    if (region.base != NULL) {
        os_unmap(region.base, region.bytes);
        region.base = NULL;
        if (!region.is_file && os_inode(region.fd) == region.inode) {
            os_close(
                region.fd); /* the parent's; the program may have closed it already */
        }
    }
}

/* ---- parts ---- */

struct mp_region_totals *region_totals(void)
{
    return record(MP_SECTION_TOTALS, 0, 1);
}

struct mp_region_component *region_component(size_t row)
{
    return record(MP_SECTION_COMPONENTS, row, 1);
}

struct mp_region_cell *region_cells(size_t row)
{
    return record(MP_SECTION_COUNTERS, row * MP_REGION_CLASSES, MP_REGION_CLASSES);
}

struct mp_region_moment *region_moment(unsigned tier, uint64_t number)
{
    unsigned id = MP_SECTION_TIMELINE_1S + tier;
    unsigned part = part_of((enum mp_region_section_id)id);

    return record((enum mp_region_section_id)id, number % parts[part].count, 1);
}

struct mp_region_module *region_module(size_t i)
{
    return record(MP_SECTION_MODULES, i, 1);
}

void region_executable(char *ret_path, size_t size)
{
    os_read_link("/proc/self/exe", ret_path, size);
}

void region_set_build_id(const uint8_t *id, size_t bytes)
{
    struct mp_region_process *p = record(MP_SECTION_PROCESS, 0, 1);

    if (p != NULL) {
        p->build_id_bytes = bits_min(bytes, sizeof(p->build_id));
        memcpy(p->build_id, id, p->build_id_bytes);
    }
}

uint64_t region_mailbox(uint64_t *ret_argument)
{
    const struct mp_region_mailbox *m = record(MP_SECTION_MAILBOX, 0, 1);
    uint64_t request;

    if (m == NULL) {
        return 0;
    }
    request = load_acquire(&m->request); /* the tool wrote the rest before */
    if (LIKELY(request == region.mailbox_seen)) {
        return 0;
    }
    region.mailbox_seen = request;
    *ret_argument = load_relaxed(&m->argument);
    if (load_relaxed(&m->check)
        != (request * 0x9e3779b97f4a7c15u ^ *ret_argument ^ region.run_key)) {
        return 0;
    }
    return request;
}

struct mp_region_sampling *region_sampling(void)
{
    return record(MP_SECTION_SAMPLING, 0, 1);
}

/* Rises only, while there is one region; and whoever has none yet does not ask. */
static ALWAYS_INLINE void *find_ready(enum mp_region_section_id id, size_t number)
{
    unsigned i = part_of(id);
    size_t start = number * parts[i].stride;

    if (UNLIKELY(region.base == NULL || region_is_of_parent())
        || start + parts[i].stride > load_relaxed(&region.ready[i])) {
        return NULL;
    }
    return region.base + region.offset[i] + start;
}

struct mp_region_sampling *region_sampling_ready(void)
{
    return find_ready(MP_SECTION_SAMPLING, 0);
}

struct mp_region_sample *region_sample_ready(size_t i)
{
    return find_ready(MP_SECTION_SAMPLES, i);
}

struct mp_region_frame *region_frame(size_t i)
{
    return record(MP_SECTION_FRAMES, i, 1);
}

struct mp_region_site *region_site(size_t i)
{
    return record(MP_SECTION_SITES, i, 1);
}

struct mp_region_sample *region_sample(size_t i)
{
    return record(MP_SECTION_SAMPLES, i, 1);
}

struct mp_region_name *region_name(size_t i)
{
    return record(MP_SECTION_NAMES, i, 1);
}

struct mp_region_epochs *region_epochs(void)
{
    return record(MP_SECTION_EPOCHS, 0, 1);
}

struct mp_region_site_epochs *region_site_epochs(size_t i)
{
    return record(MP_SECTION_SITE_EPOCHS, i, 1);
}

struct mp_region_mark *region_mark(size_t i)
{
    return record(MP_SECTION_MARKS, i, 1);
}

struct mp_region_leaks *region_leaks(void)
{
    return record(MP_SECTION_LEAKS, 0, 1);
}

struct mp_region_leak_cell *region_leak_cells(size_t row)
{
    return record(MP_SECTION_LEAK_CELLS, row * MP_REGION_CLASSES, MP_REGION_CLASSES);
}

struct mp_region_leak_site *region_leak_site(size_t i)
{
    return record(MP_SECTION_LEAK_SITES, i, 1);
}

struct mp_region_pool *region_pool(size_t i)
{
    return record(MP_SECTION_POOLS, i, 1);
}

struct mp_region_user_counter *region_user_counter(size_t i)
{
    return record(MP_SECTION_USER, i, 1);
}

struct mp_region_limit *region_limit(size_t i)
{
    return record(MP_SECTION_LIMITS, i, 1);
}

size_t region_room(enum mp_region_section_id id)
{
    return region.base != NULL ? part_count(part_of(id)) : 0;
}

/* Written under profile_lock, most of it. */
static bool is_of_profile(unsigned i)
{
    return parts[i].id >= MP_SECTION_SAMPLING && parts[i].id < MP_SECTION_POOLS;
}

size_t region_profile_bytes(void)
{
    size_t bytes = 0;

    for (unsigned i = 0; region.base != NULL && i < PARTS; i++) {
        bytes += is_of_profile(i) ? region.ready[i] : 0;
    }
    return bytes;
}

size_t region_used_bytes(void)
{
    size_t bytes = PAGE;

    if (region.base == NULL) {
        return 0;
    }
    for (unsigned i = 0; i < PARTS; i++) {
        bytes += bits_round_up(region.ready[i], PAGE);
    }
    return bytes;
}

size_t region_bytes(void)
{
    return region.base != NULL ? region.bytes : 0;
}

const void *region_memory(size_t *ret_bytes)
{
    *ret_bytes = region.base != NULL ? region.bytes : 0;
    return region.base;
}

/* Whole records at a time: threads that sample wait for one write at most. */
static bool copy_in_steps(int fd, unsigned i)
{
    size_t step = COPY_STEP / parts[i].stride * parts[i].stride;
    bool is_done = true;

    for (size_t at = 0; is_done && at < region.ready[i]; at += step) {
        size_t offset = region.offset[i] + at;

        lock_lock(&profile_lock);
        is_done = os_write_at(
            fd, region.base + offset, bits_min(step, region.ready[i] - at), offset);
        lock_unlock(&profile_lock);
    }
    return is_done;
}

int region_copy(int fd)
{
    /* Holes stay holes: only what is backed is read, the rest is skipped over. */
    if (region.base == NULL) {
        return -ENODATA;
    }
    if (!os_write_at(fd, region.base, PAGE, 0)) {
        return -EIO;
    }
    for (unsigned i = 0; i < PARTS; i++) {
        if (is_of_profile(i) ? !copy_in_steps(fd, i)
                             : !os_write_at(fd, region.base + region.offset[i],
                                 region.ready[i], region.offset[i])) {
            return -EIO;
        }
    }
    return os_write_at(fd, "", 1, region.bytes - 1) ? 0 : -EIO;
}
