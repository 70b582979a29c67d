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
struct module {
    uintptr_t low; /* its lowest address */
    struct mp_region_module record;
};

/* The last one that was found: most frames of a stack are of few modules. */
static struct {
    uintptr_t start;
    uintptr_t end;
    uintptr_t bias;
    uint64_t generation; /* of the unwinder, that sees when modules come */
    uint32_t number;
} last;

static struct module *known[MP_REGION_MODULES_MAX];
static size_t count;
static uint64_t missing; /* relaxed atomic */

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
        *out = known[number]->record;
    }
}

static bool is_same(const struct module *a, const struct module *b)
{
    return a->low == b->low && a->record.bytes == b->record.bytes
           && a->record.build_id_bytes == b->record.build_id_bytes
           && memcmp(a->record.build_id, b->record.build_id, a->record.build_id_bytes)
                  == 0
           && strcmp(a->record.path, b->record.path) == 0;
}

/* Its number; MODULES_NONE: there are too many. */
static uint32_t see_locked(const struct sight *s)
{
    struct module m = {0};
    size_t n;

    m.low = s->bias + read_segments(&m.record, s);
    n = strnlen(s->path, sizeof(m.record.path) - 1);
    memcpy(m.record.path, s->path, n);
    if (n == 0) { /* the program itself has no name in the loader's list */
        if (count > 0 && known[0]->low == m.low) {
            return 0;
        }
        region_executable(m.record.path, sizeof(m.record.path));
        region_set_build_id(m.record.build_id, m.record.build_id_bytes);
    }
    for (size_t i = count; i-- > 0;) {
        if (is_same(known[i], &m)) {
            return (uint32_t)i;
        }
    }
    if (count < MP_REGION_MODULES_MAX) {
        known[count] = arena_alloc(sizeof(m));
    }
    if (count == MP_REGION_MODULES_MAX || known[count] == NULL) {
        store_relaxed(&missing, missing + 1);
        return MODULES_NONE;
    }
    *known[count] = m;
    write_one(count);
    store_release(&count, count + 1); /* pairs with modules_count */
    return (uint32_t)count - 1;
}

/*
 * The loader's lock is held here, and may be held where others wait for ours: so ours is
 * taken second, never first.
 */
static int each(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct sight s = {info->dlpi_addr, info->dlpi_name != NULL ? info->dlpi_name : "",
        info->dlpi_phdr, info->dlpi_phnum};

    (void)size;
    (void)arg;
    lock_lock(&profile_lock);
    see_locked(&s);
    lock_unlock(&profile_lock);
    return 0;
}

void modules_see(void)
{
    if (region_is_open()) {
        dl_iterate_phdr(each, NULL);
    }
}

uint32_t modules_find_locked(uintptr_t address, uint64_t *ret_offset)
{
    struct unwind_module found;
    struct sight s;
    uint32_t number;

    *ret_offset = 0;
    if (!unwind_find_module(address, &found)) {
        return MODULES_NONE;
    }
    if (found.start == last.start && found.end == last.end && found.bias == last.bias
        && unwind_table_generation() == last.generation) {
        number = last.number;
    } else {
        s.bias = found.bias;
        s.path = found.path;
        s.headers = unwind_module_headers(&found, &s.header_count);
        number = s.headers != NULL ? see_locked(&s) : MODULES_NONE;
        if (number == MODULES_NONE) {
            return MODULES_NONE;
        }
        last.start = found.start;
        last.end = found.end;
        last.bias = found.bias;
        last.generation = unwind_table_generation();
        last.number = number;
    }
    if (address < known[number]->low) {
        return MODULES_NONE;
    }
    *ret_offset = address - known[number]->low;
    return number;
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
}
