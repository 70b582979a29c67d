#include "leak_exit.h"

#include "check.h"
#include "component.h"
#include "leak_check.h"
#include "leak_suppress.h"
#include "modules.h"
#include "options.h"
#include "os.h"
#include "region.h"
#include "sites.h"
#include "stacks.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>

enum {
    FRAMES = 64, /* of a stack that are shown */
    SITES_SHOWN = 32,
    NAMES_BYTES = 16 * 1024, /* of the functions and modules in a stack */
    LINE_BYTES = 1024,
};

/* ---- a stack as text ---- */

/* Where a module lies now. */
struct place {
    const char *path; /* "": the program itself */
    bool is_program;
    bool is_found;
    uintptr_t bias;
    uintptr_t low; /* its lowest address in the file */
};

static int find_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct place *p = arg;
    const char *name = info->dlpi_name != NULL ? info->dlpi_name : "";

    (void)size;
    if (p->is_program ? name[0] != '\0' : strcmp(name, p->path) != 0) {
        return 0;
    }
    p->is_found = true;
    p->bias = info->dlpi_addr;
    p->low = UINTPTR_MAX;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            p->low = bits_min(p->low, info->dlpi_phdr[i].p_vaddr);
        }
    }
    return 1;
}

struct text {
    size_t used;
    char bytes[NAMES_BYTES];
};

static const char *keep(struct text *t, const char *text)
{
    size_t n = strlen(text) + 1;
    char *to = t->bytes + t->used;

    if (n > sizeof(t->bytes) - t->used) {
        return "";
    }
    memcpy(to, text, n);
    t->used += n;
    return to;
}

struct shown {
    struct leak_frame frame;
    uintptr_t address; /* in the file, as addr2line wants it */
};

static size_t read_stack(uint32_t number, struct mp_region_frame *ret)
{
    size_t count = 0;

    lock_lock(&profile_lock);
    while (number != 0 && count < FRAMES) {
        ret[count] = *stacks_frame_locked(number);
        number = ret[count++].parent;
    }
    lock_unlock(&profile_lock);
    return count;
}

static void name_frame(
    const struct mp_region_frame *f, struct text *text, struct shown *ret)
{
    char path[512] = "";
    struct place p = {.path = path};
    Dl_info info;

    *ret = (struct shown){{"", ""}, f->offset};
    lock_lock(&profile_lock);
    p.is_program = modules_path_locked(f->module, path, sizeof(path));
    lock_unlock(&profile_lock);
    ret->frame.module = keep(text, path);
    if (path[0] == '\0' || dl_iterate_phdr(find_module, &p) == 0 || !p.is_found) {
        return;
    }
    ret->address = p.low + f->offset;
    if (dladdr((void *)(p.bias + ret->address), &info) != 0 && info.dli_sname != NULL) {
        ret->frame.function = keep(text, info.dli_sname);
    }
}

static void print_frames(const struct shown *frames, size_t count)
{
    char line[LINE_BYTES];

    for (size_t i = 0; i < count; i++) {
        const struct leak_frame *f = &frames[i].frame;
        size_t n = check_format(line, sizeof(line), "    #%zu %s+0x%lx%s%s%s\n", i,
            f->module[0] != '\0' ? f->module : "?", (unsigned long)frames[i].address,
            f->function[0] != '\0' ? " (" : "", f->function,
            f->function[0] != '\0' ? ")" : "");

        check_write(line, n);
    }
}

/* ---- sites ---- */

/* What is said, and what is not. */
struct account {
    const struct leak_area *area;
    bool is_quiet; /* the region has it all */
    bool has_rules;
    double suppressed_blocks;
    double suppressed_bytes;
    size_t suppressed_sites;
    size_t shown_sites;
    size_t other_sites; /* that there was no room to show */
    double sampled_blocks;
};

/* Frames of the library come first, and are nobody's news. MODULES_NONE: it is in the program. */
static uint32_t own_module(void)
{
    char path[2];
    uint64_t offset;
    uint32_t number;

    lock_lock(&profile_lock);
    number = modules_find_locked((uintptr_t)leak_exit_check, &offset);
    if (modules_path_locked(number, path, sizeof(path))) {
        number = MODULES_NONE;
    }
    lock_unlock(&profile_lock);
    return number;
}

static void look_at_site(size_t number, struct account *a)
{
    static struct mp_region_frame frames[FRAMES]; /* one thread, at the end */
    static struct shown shown[FRAMES];
    static struct leak_frame names[FRAMES];
    static struct text text;
    const struct mp_region_leak_site *l = &leak_area_sites(a->area)[number];
    const struct mp_component *c;
    struct mp_region_site site;
    uint32_t own = own_module();
    size_t first = 0;
    size_t count;

    lock_lock(&profile_lock);
    site = *sites_site_locked(number);
    lock_unlock(&profile_lock);
    c = component_by_row(site.component);
    count = read_stack(site.frame, frames);
    text.used = 0;
    while (first < count && frames[first].module == own) {
        first++;
    }
    count -= first;
    for (size_t i = 0; i < count; i++) {
        name_frame(&frames[first + i], &text, &shown[i]);
        names[i] = shown[i].frame;
    }
    a->sampled_blocks += l->blocks[MP_LEAK_DEFINITE];
    if (a->has_rules && leak_suppress_match(names, count)) {
        a->suppressed_sites++;
        a->suppressed_blocks += l->blocks[MP_LEAK_DEFINITE];
        a->suppressed_bytes += l->bytes[MP_LEAK_DEFINITE];
        return;
    }
    if (a->shown_sites == SITES_SHOWN) {
        a->other_sites++;
        return;
    }
    a->shown_sites++;
    if (a->is_quiet) {
        return;
    }
    check_say("definitely lost: %lu blocks of %lu bytes in all, component %s, from %lu "
              "samples; they lead to %lu blocks of %lu bytes",
        (unsigned long)(l->blocks[MP_LEAK_DEFINITE] + 0.5),
        (unsigned long)(l->bytes[MP_LEAK_DEFINITE] + 0.5), c != NULL ? c->name : "?",
        (unsigned long)l->samples[MP_LEAK_DEFINITE],
        (unsigned long)(l->owned_blocks + 0.5), (unsigned long)(l->owned_bytes + 0.5));
    print_frames(shown, count);
}

/* The one with the most bytes that was not looked at; 0 and false: none. */
static bool find_largest(const struct leak_area *a, double below, size_t behind,
    size_t *ret, double *ret_bytes)
{
    const struct mp_region_leak_site *sites = leak_area_sites(a);
    bool is_found = false;

    for (size_t i = 0; i < a->site_count; i++) {
        double bytes = sites[i].bytes[MP_LEAK_DEFINITE] + sites[i].owned_bytes;

        if (sites[i].samples[MP_LEAK_DEFINITE] == 0 || bytes > below
            || (bytes == below && i <= behind)) {
            continue;
        }
        if (!is_found || bytes > *ret_bytes) {
            is_found = true;
            *ret = i;
            *ret_bytes = bytes;
        }
    }
    return is_found;
}

static void look_at_sites(struct account *a)
{
    double bytes = 0;
    double below = __builtin_inf();
    size_t number = 0;

    while (find_largest(a->area, below, number, &number, &bytes)) {
        look_at_site(number, a);
        below = bytes;
    }
}

/* ---- the whole ---- */

static const char *why(int code)
{
    return code == -EAGAIN   ? "no process could be made"
           : code == -ENOMEM ? "there is no memory for it"
           : code == -EPERM  ? "the program filters its system calls"
           : code == -ENOENT ? "/proc is not mounted"
           : code == -EBUSY  ? "all real-time signals are in use, or another check runs"
           : code == -ENOSYS ? "this library is built without profiling"
                             : "it failed";
}

static void say_partial(uint32_t partial)
{
    if ((partial & MP_LEAK_PARTIAL_THREADS) != 0) {
        check_say(
            "leak check: partial: threads did not stop; what only their registers "
            "hold counts as lost");
    }
    if ((partial & MP_LEAK_PARTIAL_TIME) != 0) {
        check_say(
            "leak check: partial: MPALLOC_LEAK_TIMEOUT was over; what was not seen "
            "counts as possibly lost");
    }
    if ((partial & MP_LEAK_PARTIAL_MEMORY) != 0) {
        check_say("leak check: partial: some memory could not be read; what only that "
                  "holds counts as lost");
    }
}

/*
 * All that is definitely lost, but for what is suppressed. Where only some blocks are sampled,
 * others may be of stacks that are suppressed: they count when no sample is.
 */
static bool is_failure(const struct account *a)
{
    uint64_t definite = a->area->blocks[MP_LEAK_DEFINITE];

    if (definite == 0 || a->suppressed_sites == 0) {
        return definite != 0;
    }
    if (options.sample_bytes == MP_SAMPLING_EXACT) {
        return (double)definite > a->suppressed_blocks + 0.5;
    }
    return a->shown_sites != 0;
}

static void say_sums(const struct account *a)
{
    const struct leak_area *area = a->area;

    if (a->other_sites != 0) {
        check_say("and %zu more stacks", a->other_sites);
    }
    if ((double)area->blocks[MP_LEAK_DEFINITE] > a->sampled_blocks + 0.5
        && options.sample_bytes != MP_SAMPLING_EXACT) {
        check_say("leak check: not all lost blocks are sampled; with "
                  "MPALLOC_SAMPLE=exact each has its stack");
    }
    if (a->suppressed_sites != 0) {
        check_say("leak check: suppressed: %zu stacks with %lu blocks of %lu bytes",
            a->suppressed_sites, (unsigned long)(a->suppressed_blocks + 0.5),
            (unsigned long)(a->suppressed_bytes + 0.5));
    }
    check_say(
        "leak check: definitely lost %lu bytes in %lu blocks, indirectly %lu in %lu, "
        "possibly %lu in %lu; reachable %lu in %lu",
        area->sizes[MP_LEAK_DEFINITE], area->blocks[MP_LEAK_DEFINITE],
        area->sizes[MP_LEAK_INDIRECT], area->blocks[MP_LEAK_INDIRECT],
        area->sizes[MP_LEAK_POSSIBLE], area->blocks[MP_LEAK_POSSIBLE],
        area->sizes[MP_LEAK_REACHABLE], area->blocks[MP_LEAK_REACHABLE]);
}

int leak_exit_check(const struct unwind_context *here)
{
    struct account a = {.is_quiet = options.leak_check == LEAK_CHECK_QUIET};
    bool is_lost;
    int code;

    if (options.leak_check == LEAK_CHECK_NO) {
        return -1;
    }
    if (options.leak_suppressions[0] != '\0') {
        a.has_rules = leak_suppress_read(options.leak_suppressions);
    }
    a.area = leak_check_once(here, &code);
    if (a.area == NULL) {
        check_say("leak check: could not be made: %s (errno %d)", why(code), -code);
        return -1;
    }
    if (!a.is_quiet || a.has_rules) {
        look_at_sites(&a);
    }
    if (!a.is_quiet) {
        say_partial(a.area->partial);
        say_sums(&a);
    }
    is_lost = is_failure(&a);
    leak_check_done();
    return is_lost && options.leak_exit != 0 ? (int)options.leak_exit : -1;
}
