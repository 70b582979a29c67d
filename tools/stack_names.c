#include "stack_names.h"

#include "must.h"
#include "stack_id.h"

size_t stack_names_find(const mp_image_t *image, struct symbols *symbols,
    uint32_t frame, struct stack_name **ret)
{
    size_t depth = 0;
    size_t room = 0;

    *ret = NULL;
    for (frame = stack_first(image, frame); frame != 0 && depth < STACK_NAMES_MAX;
         frame = mp_image_frame(image, frame)->parent) {
        const struct mp_region_frame *f = mp_image_frame(image, frame);
        const struct symbol_line *lines;
        const struct mp_region_module *m = mp_image_module(image, f->module);
        size_t count = symbols_find(symbols, f->module, f->offset, &lines);

        for (size_t i = 0; i < count; i++) {
            *ret = must_grow(*ret, depth, &room, sizeof(**ret));
            (*ret)[depth++] = (struct stack_name){lines[i].function, lines[i].file,
                lines[i].line, m != NULL ? m->path : NULL};
        }
    }
    return depth;
}
