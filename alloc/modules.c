#include "modules.h"

#include "arena.h"
#include "atomic.h"
#include "bits.h"
#include "region.h"
#include "unwind_table.h"

#include <elf.h>
#include <link.h>
#include <string.h>

/* profile_lock guards all of this; readers of the counts do without. */
static struct mp_region_module *known[MP_REGION_MODULES_MAX];
static size_t count;
static uint32_t program = MODULES_NONE; /* the number of the program itself */
static uint64_t missing;                /* relaxed atomic */

/* The last one that was looked for: most frames of a stack are of few modules. */
static struct {
    uintptr_t start;
    uintptr_t end;
    uintptr_t bias;
    uintptr_t low;       /* its lowest address */
    uint64_t generation; /* of the unwinder, that sees when modules come */
    uint32_t number;
} last;

/* What the loader says of one: of its list, or found by an address. */
struct sight {
    uintptr_t bias;
    const char *path; /* "": the program itself */
    const ElfW(Phdr) * headers;
    size_t header_count;
};

static void read_build_id(struct mp_region_module *m, const char *notes, size_t bytes)
{
    while (bytes >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *n = (const ElfW(Nhdr) *)notes;
        size_t name = bits_round_up(n->n_namesz, 4);
        size_t whole = sizeof(*n) + name + bits_round_up(n->n_descsz, 4);
        const char *text = notes + sizeof(*n);

        if (whole > bytes) {
            return;
        }
        if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4
            && memcmp(text, "GNU", 4) == 0) {
            m->build_id_bytes = bits_min(n->n_descsz, MP_REGION_BUILD_ID_BYTES);
            memcpy(m->build_id, text + name, m->build_id_bytes);
            return;
        }
        notes += whole;
        bytes -= whole;
    }
}

/* Returns its lowest address in the file. */
static uint64_t read_segments(struct mp_region_module *m, const struct sight *s)
{
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;

    for (size_t i = 0; i < s->header_count; i++) {
        const ElfW(Phdr) *p = &s->headers[i];

        if (p->p_type == PT_LOAD) {
            low = bits_min(low, p->p_vaddr);
            high = bits_max(high, p->p_vaddr + p->p_memsz);
        }
    }
    m->bytes = high > low ? high - low : 0;
    for (size_t i = 0; i < s->header_count; i++) {
        const ElfW(Phdr) *p = &s->headers[i];

        if (p->p_type == PT_NOTE && m->build_id_bytes == 0) {
            read_build_id(m, (const char *)(s->bias + p->p_vaddr), p->p_memsz);
        }
        if (p->p_type == PT_LOAD && m->segment_count < MP_REGION_MODULE_SEGMENTS) {
            m->segments[m->segment_count++] =
                (struct mp_region_segment){.start = p->p_vaddr - low,
                    .bytes = p->p_memsz,
                    .file_offset = p->p_offset,
                    .flags = p->p_flags};
        }
    }
    return low;
}

static void write_one(size_t number)
{
    struct mp_region_module *out = region_module(number);

    if (out != NULL) {
        *out = *known[number];
    }
}

/* Stacks may speak of a new one at once, before the totals are written. */
static void tell_count(void)
{
    struct mp_region_totals *out = region_totals();

    if (out != NULL) {
        store_relaxed(&out->module_count, count);
    }
}

static void tell_program(void)
{
    if (program != MODULES_NONE) {
        region_set_build_id(known[program]->build_id, known[program]->build_id_bytes);
    }
}

/* Where it lies does not matter: offsets are from its lowest address. */
static bool is_same(const struct mp_region_module *a, const struct mp_region_module *b)
{
    return a->bytes == b->bytes && a->build_id_bytes == b->build_id_bytes
           && memcmp(a->build_id, b->build_id, a->build_id_bytes) == 0
           && strcmp(a->path, b->path) == 0;
}

static uint32_t find_known(const struct mp_region_module *m)
{
    for (size_t i = count; i-- > 0;) {
        if (is_same(known[i], m)) {
            return (uint32_t)i;
        }
    }
    return MODULES_NONE;
}

static uint32_t add(const struct mp_region_module *m)
{
    if (count < MP_REGION_MODULES_MAX) {
        known[count] = arena_alloc(sizeof(*m));
    }
    if (count == MP_REGION_MODULES_MAX || known[count] == NULL) {
        store_relaxed(&missing, missing + 1);
        return MODULES_NONE;
    }
    *known[count] = *m;
    write_one(count);
    store_release(&count, count + 1); /* pairs with modules_count */
    tell_count();
    return (uint32_t)count - 1;
}

/* Its number; MODULES_NONE: there are too many. Its lowest address. */
static uint32_t see_locked(const struct sight *s, uintptr_t *ret_low)
{
    bool is_program = s->path[0] == '\0'; /* it has no name in the loader's list */
    struct mp_region_module m = {0};
    uint32_t number;

    *ret_low = s->bias + read_segments(&m, s);
    if (is_program && program != MODULES_NONE) {
        return program;
    }
    if (is_program) {
        region_executable(m.path, sizeof(m.path));
    } else {
        memcpy(m.path, s->path, strnlen(s->path, sizeof(m.path) - 1));
    }
    number = find_known(&m);
    number = number != MODULES_NONE ? number : add(&m);
    if (is_program) {
        program = number;
        tell_program();
    }
    return number;
}

/*
 * The loader's lock is held here, and may be held where others wait for ours: so ours is
 * taken second, never first.
 */
static int each(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct sight s = {info->dlpi_addr, info->dlpi_name != NULL ? info->dlpi_name : "",
        info->dlpi_phdr, info->dlpi_phnum};
    uintptr_t low;

    (void)size;
    (void)arg;
    lock_lock(&profile_lock);
    see_locked(&s, &low);
    lock_unlock(&profile_lock);
    return 0;
}

void modules_see(void)
{
    dl_iterate_phdr(each, NULL);
}

uint32_t modules_find_locked(uintptr_t address, uint64_t *ret_offset)
{
    struct unwind_module found;
    struct sight s;

    *ret_offset = 0;
    if (!unwind_find_module(address, &found)) {
        return MODULES_NONE;
    }
    if (found.start != last.start || found.end != last.end || found.bias != last.bias
        || unwind_table_generation() != last.generation) {
        s = (struct sight){.bias = found.bias, .path = found.path};
        s.headers = unwind_module_headers(&found, &s.header_count);
        last.number = s.headers != NULL ? see_locked(&s, &last.low) : MODULES_NONE;
        last.start = found.start;
        last.end = found.end;
        last.bias = found.bias;
        last.generation = unwind_table_generation();
    }
    if (last.number == MODULES_NONE || address < last.low) {
        return MODULES_NONE;
    }
    *ret_offset = address - last.low;
    return last.number;
}

bool modules_path_locked(uint32_t number, char *ret, size_t size)
{
    size_t n = number < count ? strnlen(known[number]->path, size - 1) : 0;

    memcpy(ret, number < count ? known[number]->path : "", n);
    ret[n] = '\0';
    return number == program;
}

size_t modules_count(void)
{
    return load_acquire(&count); /* pairs with see_locked */
}

uint64_t modules_missing(void)
{
    return load_relaxed(&missing);
}

void modules_write_all_locked(void)
{
    for (size_t i = 0; i < count; i++) {
        write_one(i);
    }
    tell_program();
    tell_count();
}
