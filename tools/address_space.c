#include "address_space.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, PATH_BYTES = 4 * 512 + 1 /* each byte may be escaped */ };

#define FIRST   0x100000000u /* above where programs with an address of theirs lie */
#define LARGEST ((uint64_t)1 << 36) /* module; 512 of them stay below the names */
#define GAP     ((uint64_t)2 << 20)

static uint64_t page_down(uint64_t at)
{
    return at & ~(uint64_t)(PAGE - 1);
}

static uint64_t page_up(uint64_t at)
{
    return page_down(at + PAGE - 1);
}

/* The lowest address of a program that cannot lie elsewhere; 0: it can, or no such file. */
static uint64_t read_base(int fd)
{
    uint64_t low = UINT64_MAX;
    Elf64_Ehdr header;
    Elf64_Phdr segment;

    if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header)
        || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0
        || header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_EXEC
        || header.e_phentsize != sizeof(segment)) {
        return 0;
    }
    for (size_t i = 0; i < header.e_phnum; i++) {
        off_t at = (off_t)(header.e_phoff + i * sizeof(segment));

        if (pread(fd, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment)) {
            return 0;
        }
        if (segment.p_type == PT_LOAD && segment.p_vaddr < low) {
            low = segment.p_vaddr;
        }
    }
    return low < FIRST ? page_down(low) : 0;
}

static uint64_t find_base(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    uint64_t base = 0;
    struct stat st;

    if (fd >= 0) {
        base = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read_base(fd) : 0;
        close(fd);
    }
    return base;
}

int address_space_init(struct address_space *a, const mp_image_t *image)
{
    uint64_t next = FIRST;

    *a = (struct address_space){.image = image, .count = mp_image_module_count(image)};
    a->module = calloc(a->count > 0 ? a->count : 1, sizeof(*a->module));
    if (a->module == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < a->count; i++) {
        const struct mp_region_module *m = mp_image_module(image, i);
        uint64_t fixed = i == 0 ? find_base(m->path) : 0;

        if (m->bytes > LARGEST) {
            continue;
        }
        a->module[i].bytes = page_up(m->bytes);
        if (fixed != 0 && fixed + a->module[i].bytes < FIRST) {
            a->module[i].base = fixed;
        } else {
            a->module[i].base = next;
            next = (next + a->module[i].bytes + 2 * GAP - 1) & ~(GAP - 1);
        }
    }
    return 0;
}

void address_space_fini(struct address_space *a)
{
    free(a->module);
    a->module = NULL;
}

uint64_t address_space_find(
    const struct address_space *a, uint32_t module, uint64_t offset)
{
    return module < a->count && offset < a->module[module].bytes
               ? a->module[module].base + offset
               : 0;
}

bool address_space_segment(const struct address_space *a, uint32_t module,
    unsigned number, struct address_segment *ret)
{
    const struct mp_region_module *m = mp_image_module(a->image, module);
    const struct mp_region_segment *s;

    if (m == NULL || number >= m->segment_count) {
        return false;
    }
    s = &m->segments[number];
    if (s->bytes == 0 || s->bytes > a->module[module].bytes
        || s->start > a->module[module].bytes - s->bytes) {
        return false;
    }
    *ret = (struct address_segment){
        .start = a->module[module].base + page_down(s->start),
        .limit = a->module[module].base + page_up(s->start + s->bytes),
        .file_offset = page_down(s->file_offset),
        .flags = s->flags,
    };
    return true;
}

void address_space_put_maps(const struct address_space *a, FILE *out)
{
    for (uint32_t i = 0; i < a->count; i++) {
        const struct mp_region_module *m = mp_image_module(a->image, i);
        struct address_segment s;
        char path[PATH_BYTES];

        mp_text_escape(path, sizeof(path), m->path, sizeof(m->path));
        for (unsigned n = 0; n < MP_REGION_MODULE_SEGMENTS; n++) {
            if (address_space_segment(a, i, n, &s)) {
                fprintf(out, "%08llx-%08llx %c%c%cp %08llx 00:00 %u %s\n",
                    (unsigned long long)s.start, (unsigned long long)s.limit,
                    s.flags & 4 ? 'r' : '-', s.flags & 2 ? 'w' : '-',
                    s.flags & 1 ? 'x' : '-', (unsigned long long)s.file_offset, i + 1,
                    path);
            }
        }
    }
}
