#include "stack_id.h"

#include <stdio.h>
#include <string.h>

/* FNV-1a. */
static uint64_t hash(uint64_t h, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < count; i++) {
        h = (h ^ at[i]) * 0x100000001b3u;
    }
    return h;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static uint64_t hash_frame(
    const mp_image_t *image, uint64_t h, const struct mp_region_frame *f)
{
    const struct mp_region_module *m = mp_image_module(image, f->module);

    if (m == NULL) {
        return hash(h, "?", 1); /* its address says nothing */
    }
    h = m->build_id_bytes > 0 ? hash(h, m->build_id,
            m->build_id_bytes < sizeof(m->build_id) ? m->build_id_bytes
                                                    : sizeof(m->build_id))
                              : hash(h, file_name(m->path), strlen(file_name(m->path)));
    return hash(h, &f->offset, sizeof(f->offset));
}

void stack_id(const mp_image_t *image, uint32_t component, uint32_t frame,
    char ret[STACK_ID_BYTES])
{
    const char *name = mp_image_component(image, component)->name;
    uint64_t h = hash(0xcbf29ce484222325u, name, strlen(name) + 1);

    while (frame != 0) {
        const struct mp_region_frame *f = mp_image_frame(image, frame);

        h = hash_frame(image, h, f);
        frame = f->parent;
    }
    snprintf(ret, STACK_ID_BYTES, "%016llx", (unsigned long long)h);
}

uint32_t stack_first(const mp_image_t *image, uint32_t frame)
{
    while (frame != 0) {
        const struct mp_region_frame *f = mp_image_frame(image, frame);
        const struct mp_region_module *m = mp_image_module(image, f->module);

        if (m == NULL || strncmp(file_name(m->path), "libmpalloc.so", 13) != 0) {
            break;
        }
        frame = f->parent;
    }
    return frame;
}
