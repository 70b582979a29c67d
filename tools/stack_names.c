#include "stack_names.h"

#include "must.h"

#include <string.h>

static bool is_own(const mp_image_t *image, uint32_t frame)
{
    const struct mp_region_module *m =
        mp_image_module(image, mp_image_frame(image, frame)->module);
    const char *slash = m != NULL ? strrchr(m->path, '/') : NULL;

    return m != NULL
           && strncmp(slash != NULL ? slash + 1 : m->path, "libmpalloc.so", 13) == 0;
}

size_t stack_names_find(const mp_image_t *image, struct symbols *symbols,
    uint32_t frame, struct stack_name **ret)
{
    size_t depth = 0;
    size_t room = 0;

    *ret = NULL;
    while (frame != 0 && is_own(image, frame)) {
        frame = mp_image_frame(image, frame)->parent;
    }
    for (; frame != 0 && depth < STACK_NAMES_MAX;
         frame = mp_image_frame(image, frame)->parent) {
        const struct mp_region_frame *f = mp_image_frame(image, frame);
        const struct symbol_line *lines;
        size_t count = symbols_find(symbols, f->module, f->offset, &lines);

        for (size_t i = 0; i < count; i++) {
            *ret = must_grow(*ret, depth, &room, sizeof(**ret));
            (*ret)[depth++] =
                (struct stack_name){lines[i].function, lines[i].file, lines[i].line};
        }
    }
    return depth;
}
