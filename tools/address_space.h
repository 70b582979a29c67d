/*
 * address_space - addresses for code, in files whose readers cannot do without
 *
 * Owns: where each module of an image lies here. Does not own: the code at them (places.h).
 *
 * A region knows code as module and offset, so that no address of the process is given away.
 * Here each module gets an address that is as good as any: above the others, with a gap, in
 * the order of the image. A program that was linked to lie at one address lies there, as far
 * as its file is there to say so: readers look for it by the addresses in that file.
 */
#ifndef ADDRESS_SPACE_H
#define ADDRESS_SPACE_H

#include <mpstats.h>

#include <stdio.h>

struct address_module {
    uint64_t base;  /* of its lowest address */
    uint64_t bytes; /* 0: it has no place here */
};

struct address_space {
    const mp_image_t *image;
    size_t count;
    struct address_module *module;
};

/* What a segment is mapped as, in whole pages. */
struct address_segment {
    uint64_t start;
    uint64_t limit;
    uint64_t file_offset;
    uint64_t flags; /* PF_R 4, PF_W 2, PF_X 1 */
};

/* What lies above all modules: names of no code. */
#define ADDRESS_SPACE_NAMES 0x700000000000u

/* 0, or -ENOMEM. Reads the header of the program's file. */
int address_space_init(struct address_space *a, const mp_image_t *image);
void address_space_fini(struct address_space *a);

/* 0: there is no such module, or the offset is not in it. */
uint64_t address_space_find(
    const struct address_space *a, uint32_t module, uint64_t offset);

/* false: it has no such segment, or an impossible one. */
bool address_space_segment(const struct address_space *a, uint32_t module,
    unsigned number, struct address_segment *ret);

/* All segments as /proc/PID/maps has them. */
void address_space_put_maps(const struct address_space *a, FILE *out);

#endif
