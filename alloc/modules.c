#include "modules.h"

#include "bits.h"
#include "counters.h"
#include "region.h"

#include <elf.h>
#include <link.h>
#include <string.h>

struct walk {
    size_t count;
    size_t missing;
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

static void read_segments(struct mp_region_module *m, const struct dl_phdr_info *info)
{
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;

    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_LOAD) {
            low = bits_min(low, p->p_vaddr);
            high = bits_max(high, p->p_vaddr + p->p_memsz);
        }
    }
    m->bytes = high > low ? high - low : 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_NOTE && m->build_id_bytes == 0) {
            read_build_id(m, (const char *)(info->dlpi_addr + p->p_vaddr), p->p_memsz);
        }
        if (p->p_type == PT_LOAD && m->segment_count < MP_REGION_MODULE_SEGMENTS) {
            m->segments[m->segment_count++] =
                (struct mp_region_segment){.start = p->p_vaddr - low,
                    .bytes = p->p_memsz,
                    .file_offset = p->p_offset,
                    .flags = p->p_flags};
        }
    }
}

static void write_one_locked(struct walk *w, const struct dl_phdr_info *info)
{
    struct mp_region_module *m = region_module(w->count);
    size_t n;

    if (m == NULL) {
        w->missing++;
        return;
    }
    memset(m, 0, sizeof(*m));
    read_segments(m, info);
    n = strnlen(info->dlpi_name, sizeof(m->path) - 1);
    memcpy(m->path, info->dlpi_name, n);
    if (n == 0 && w->count == 0) { /* the program itself has no name in this list */
        region_executable(m->path, sizeof(m->path));
        region_set_build_id(m->build_id, m->build_id_bytes);
    }
    w->count++;
}

/*
 * The loader's lock is held here, and may be held where others wait for ours: so ours is
 * taken second, never first.
 */
static int each(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    lock_lock(&counters_lock);
    write_one_locked(arg, info);
    lock_unlock(&counters_lock);
    return 0;
}

void modules_write(void)
{
    struct walk w = {0, 0};
    struct mp_region_totals *t;

    if (!region_is_open()) {
        return;
    }
    dl_iterate_phdr(each, &w);
    lock_lock(&counters_lock);
    t = region_totals();
    if (t != NULL) {
        t->module_count = w.count;
        t->modules_missing = w.missing;
    }
    lock_unlock(&counters_lock);
}
