#include "site_names.h"

#include "must.h"
#include "stack_id.h"
#include "symbols.h"
#include "texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines of the code at one frame, the innermost first. */
struct lines {
    uint32_t count; /* 0: not asked for yet */
    struct mp_line *line;
};

struct site_names {
    const mp_image_t *image;
    struct symbols *symbols; /* NULL: names that were kept */
    struct texts texts;
    struct lines *frames; /* by number */
    size_t frame_count;
    char **modules; /* file names, fit to print */
    size_t module_count;
};

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* ---- life ---- */

static struct site_names *make(const mp_image_t *image)
{
    struct site_names *n = must(calloc(1, sizeof(*n)));

    n->image = image;
    n->frame_count = mp_image_frame_count(image);
    n->frames = must(calloc(n->frame_count + 1, sizeof(*n->frames)));
    n->module_count = mp_image_module_count(image);
    n->modules = must(calloc(n->module_count + 1, sizeof(*n->modules)));
    for (size_t i = 0; i < n->module_count; i++) {
        const char *name = file_name(mp_image_module(image, i)->path);
        char escaped[1024];

        mp_text_escape(escaped, sizeof(escaped), name, strlen(name));
        n->modules[i] = must(strdup(escaped));
    }
    return n;
}

struct site_names *site_names_create(const mp_image_t *image)
{
    struct site_names *n = make(image);

    n->symbols = symbols_create(image);
    return n;
}

void site_names_destroy(struct site_names *n)
{
    if (n == NULL) {
        return;
    }
    for (size_t i = 0; i < n->frame_count; i++) {
        free(n->frames[i].line);
    }
    for (size_t i = 0; i < n->module_count; i++) {
        free(n->modules[i]);
    }
    if (n->symbols != NULL) {
        symbols_destroy(n->symbols);
    }
    texts_fini(&n->texts);
    free(n->frames);
    free(n->modules);
    free(n);
}

/* ---- names ---- */

static const char *module_of(const struct site_names *n, uint32_t frame)
{
    uint32_t module = mp_image_frame(n->image, frame)->module;

    return module < n->module_count ? n->modules[module] : "";
}

static void add_line(struct site_names *n, uint32_t frame, const char *function,
    const char *file, uint32_t line)
{
    struct lines *l = &n->frames[frame];

    l->line = must(reallocarray(l->line, l->count + 1, sizeof(*l->line)));
    l->line[l->count++] = (struct mp_line){function, file, module_of(n, frame), line};
}

static const struct lines *lines_of(struct site_names *n, uint32_t frame)
{
    const struct mp_region_frame *f = mp_image_frame(n->image, frame);
    struct lines *l = &n->frames[frame];
    const struct symbol_line *found;
    size_t count;

    if (l->count > 0) {
        return l;
    }
    if (n->symbols == NULL) {
        add_line(n, frame, "(unknown code)", NULL, 0);
        return l;
    }
    count = symbols_find(n->symbols, f->module, f->offset, &found);
    for (size_t i = 0; i < count; i++) {
        add_line(n, frame, found[i].function, found[i].file, found[i].line);
    }
    return l;
}

size_t site_names_lines(
    struct site_names *n, uint32_t frame, const struct mp_line **ret)
{
    const struct lines *l = lines_of(n, frame);

    *ret = l->line;
    return l->count;
}

size_t site_names_stack(
    struct site_names *n, uint32_t frame, struct mp_line ret[SITE_LINES_MAX])
{
    size_t depth = 0;

    for (frame = stack_first(n->image, frame); frame != 0 && depth < SITE_LINES_MAX;
         frame = mp_image_frame(n->image, frame)->parent) {
        const struct lines *l = lines_of(n, frame);

        for (uint32_t i = 0; i < l->count && depth < SITE_LINES_MAX; i++) {
            ret[depth++] = l->line[i];
        }
    }
    return depth;
}

/* ---- keys ---- */

/* FNV-1a. */
static uint64_t hash(uint64_t h, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    }
    return (h ^ 0xff) * 0x100000001b3u;
}

/* "libfoo.so" of "libfoo.so.1.2"; the program itself may have got another name. */
static uint64_t hash_module(const struct site_names *n, uint64_t h, uint32_t frame)
{
    const struct mp_region_module *m =
        mp_image_module(n->image, mp_image_frame(n->image, frame)->module);
    const char *name = module_of(n, frame);
    const char *version = strstr(name, ".so.");

    if (m != NULL && strcmp(m->path, mp_image_process(n->image)->exe) == 0) {
        return hash(h, "", 0);
    }
    return hash(h, name, version != NULL ? (size_t)(version - name) + 3 : strlen(name));
}

uint64_t *site_names_keys(struct site_names *n)
{
    size_t count = mp_image_site_count(n->image);
    uint64_t *keys = must(calloc(count + 1, sizeof(*keys)));
    uint64_t *of_frame = must(calloc(n->frame_count + 1, sizeof(*of_frame)));

    of_frame[0] = 0xcbf29ce484222325u;
    for (uint32_t i = 1; i < n->frame_count; i++) { /* callers have lower numbers */
        const struct mp_region_frame *f = mp_image_frame(n->image, i);
        uint64_t h = of_frame[f->parent];
        const struct lines *l;

        if (f->module >= n->module_count) {
            of_frame[i] = hash(h, "?", 1); /* its address says nothing */
            continue;
        }
        l = lines_of(n, i);
        h = hash_module(n, h, i);
        for (uint32_t k = l->count; k > 0; k--) {
            const char *function = l->line[k - 1].function;

            h = hash(h, function, strlen(function));
        }
        of_frame[i] = h;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = of_frame[stack_first(n->image, mp_image_site(n->image, i)->frame)];
    }
    free(of_frame);
    return keys;
}

/* ---- kept names ---- */

/* A line for each: number of the frame, line, function, file. */
char *site_names_keep(struct site_names *n)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = must(open_memstream(&text, &bytes));

    for (uint32_t i = 1; i < n->frame_count; i++) {
        const struct lines *l = lines_of(n, i);

        for (uint32_t k = 0; k < l->count; k++) {
            fprintf(out, "%u\t%u\t%s\t%s\n", i, l->line[k].line, l->line[k].function,
                l->line[k].file != NULL ? l->line[k].file : "");
        }
    }
    must(fclose(out) == 0 ? text : NULL);
    return text;
}

/* Cut at the next `end`, which becomes the end of a text; NULL: there is none. */
static char *cut(char **at, char end)
{
    char *text = *at;
    char *found = strchr(text, end);

    if (found == NULL) {
        return NULL;
    }
    *found = '\0';
    *at = found + 1;
    return text;
}

struct site_names *site_names_load(const mp_image_t *image, const char *text)
{
    struct site_names *n = make(image);
    char *copy = must(strdup(text));
    char *at = copy;
    char *line;

    while ((line = cut(&at, '\n')) != NULL) {
        char *number = cut(&line, '\t');
        char *source = number != NULL ? cut(&line, '\t') : NULL;
        char *function = source != NULL ? cut(&line, '\t') : NULL;
        unsigned long frame = number != NULL ? strtoul(number, NULL, 10) : 0;

        if (function != NULL && frame > 0 && frame < n->frame_count
            && n->frames[frame].count < SITE_LINES_MAX) {
            add_line(n, (uint32_t)frame, texts_keep_escaped(&n->texts, function),
                line[0] != '\0' ? texts_keep_escaped(&n->texts, line) : NULL,
                (uint32_t)strtoul(source, NULL, 10));
        }
    }
    free(copy);
    return n;
}
