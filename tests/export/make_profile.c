/*
 * make_profile - a profile made by hand, as any of the formats of mpalloc export
 *
 *     make_profile FORMAT [VALUE-NUMBER [by-component]] < DESCRIPTION > DOCUMENT
 *
 * DESCRIPTION has one thing a line, its fields parted by tabs; numbers may be hex:
 *
 *     interval BYTES | stacks 0|1 | command TEXT | exe PATH
 *     module PATH BUILD-ID BYTES
 *     segment START BYTES FILE-OFFSET FLAGS                      of the module before
 *     frame FUNCTION FILE LINE MODULE OFFSET INLINED             FILE may be empty
 *     sample COMPONENT OPERATION THREAD BLOCK REQUESTED SAMPLES LIFETIME-SECONDS
 *     value NUMBER VALUE LOW HIGH                                of the sample before
 *     stack FRAME...                                             of it, the root first
 *
 * Ends the program when something is wrong: tests cannot go on.
 */
#include "export.h"

#include "make_region.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIELDS = 600, MODULES = 64 };

struct line {
    char *field[FIELDS];
    size_t count;
};

static void stop(const char *what)
{
    fprintf(stderr, "make_profile: %s\n", what);
    exit(1);
}

static void *must(void *memory)
{
    if (memory == NULL) {
        stop("no memory");
    }
    return memory;
}

static void split(struct line *l, char *text)
{
    l->count = 0;
    text[strcspn(text, "\n")] = '\0';
    for (char *part; (part = strsep(&text, "\t")) != NULL;) {
        if (l->count == FIELDS) {
            stop("too many fields");
        }
        l->field[l->count++] = part;
    }
}

static const char *field(const struct line *l, size_t i)
{
    if (i >= l->count) {
        stop(l->field[0]);
    }
    return l->field[i];
}

static uint64_t number(const struct line *l, size_t i)
{
    return strtoull(field(l, i), NULL, 0);
}

/* ---- the region ---- */

static void add_module(const struct made *m, const struct line *l)
{
    struct mp_region_totals *t = made_record(m, MP_SECTION_TOTALS, 0);
    struct mp_region_module *o = made_record(m, MP_SECTION_MODULES, t->module_count++);
    const char *id = field(l, 2);

    if (t->module_count > MODULES) {
        stop("too many modules");
    }
    memset(o, 0, sizeof(*o));
    snprintf(o->path, sizeof(o->path), "%s", field(l, 1));
    while (id[0] != '\0' && id[1] != '\0') {
        unsigned byte;

        sscanf(id, "%2x", &byte);
        o->build_id[o->build_id_bytes++] = (uint8_t)byte;
        id += 2;
    }
    o->bytes = number(l, 3);
}

static void add_segment(const struct made *m, const struct line *l)
{
    struct mp_region_totals *t = made_record(m, MP_SECTION_TOTALS, 0);
    struct mp_region_module *o =
        made_record(m, MP_SECTION_MODULES, t->module_count - 1);

    if (o->segment_count < MP_REGION_MODULE_SEGMENTS) {
        o->segments[o->segment_count++] = (struct mp_region_segment){
            number(l, 1), number(l, 2), number(l, 3), number(l, 4)};
    }
}

/* ---- the profile ---- */

static void add_frame(struct profile *p, const struct line *l)
{
    p->frames = must(reallocarray(p->frames, p->frame_count + 1, sizeof(*p->frames)));
    p->frames[p->frame_count++] = (struct profile_frame){
        .function = must(strdup(field(l, 1))),
        .file = field(l, 2)[0] != '\0' ? must(strdup(field(l, 2))) : NULL,
        .line = (uint32_t)number(l, 3),
        .module = (uint32_t)number(l, 4),
        .offset = number(l, 5),
        .is_inlined = number(l, 6) != 0,
    };
}

static char *keep(struct profile *p, const char *text)
{
    p->texts = must(reallocarray(p->texts, p->text_count + 1, sizeof(*p->texts)));
    p->texts[p->text_count] = must(strdup(text));
    return p->texts[p->text_count++];
}

static void add_sample(struct profile *p, const struct line *l)
{
    p->samples =
        must(reallocarray(p->samples, p->sample_count + 1, sizeof(*p->samples)));
    p->samples[p->sample_count++] = (struct profile_sample){
        .component = keep(p, field(l, 1)),
        .operation = keep(p, field(l, 2)),
        .thread = keep(p, field(l, 3)),
        .block_bytes = number(l, 4),
        .requested = number(l, 5),
        .samples = number(l, 6),
        .lifetime_s = strtod(field(l, 7), NULL),
    };
}

static void add_stack(struct profile *p, const struct line *l)
{
    struct profile_sample *s = &p->samples[p->sample_count - 1];

    s->depth = l->count - 1;
    s->frames = must(calloc(s->depth + 1, sizeof(*s->frames)));
    for (size_t i = 0; i < s->depth; i++) {
        s->frames[i] = (uint32_t)number(l, i + 1);
        if (s->frames[i] >= p->frame_count) {
            stop("no such frame");
        }
    }
}

static void add_value(struct profile *p, const struct line *l)
{
    struct profile_sample *s = &p->samples[p->sample_count - 1];
    uint64_t i = number(l, 1);

    if (i >= PROFILE_VALUES) {
        stop("no such value");
    }
    s->value[i] = number(l, 2);
    s->low[i] = number(l, 3);
    s->high[i] = number(l, 4);
}

static void take(const struct made *m, struct profile *p, const struct line *l)
{
    struct mp_region_process *process = made_record(m, MP_SECTION_PROCESS, 0);
    const char *what = l->field[0];

    if (strcmp(what, "interval") == 0) {
        p->interval = number(l, 1);
    } else if (strcmp(what, "stacks") == 0) {
        p->has_stacks = number(l, 1) != 0;
    } else if (strcmp(what, "command") == 0) {
        snprintf(process->command, sizeof(process->command), "%s", field(l, 1));
    } else if (strcmp(what, "exe") == 0) {
        snprintf(process->exe, sizeof(process->exe), "%s", field(l, 1));
    } else if (strcmp(what, "module") == 0) {
        add_module(m, l);
    } else if (strcmp(what, "segment") == 0) {
        add_segment(m, l);
    } else if (strcmp(what, "frame") == 0) {
        add_frame(p, l);
    } else if (strcmp(what, "sample") == 0) {
        add_sample(p, l);
    } else if (strcmp(what, "value") == 0) {
        add_value(p, l);
    } else if (strcmp(what, "stack") == 0) {
        add_stack(p, l);
    } else {
        stop(what);
    }
}

static void read_description(const struct made *m, struct profile *p)
{
    static struct line l;
    char *text = NULL;
    size_t size = 0;

    ((struct mp_region_totals *)made_record(m, MP_SECTION_TOTALS, 0))->module_count = 0;
    while (getline(&text, &size, stdin) > 0) {
        split(&l, text);
        take(m, p, &l);
    }
    free(text);
}

static mp_image_t *make_image(const struct made *m)
{
    struct mp_error error;
    mp_image_t *image;
    int fd = made_memfd(m);

    if (mp_image_read(fd, "made", &image, &error) != 0) {
        stop(error.text);
    }
    close(fd);
    return image;
}

static int put(const struct profile *p, const char *format, enum profile_value value)
{
    for (const struct export_format *f = export_formats; f->name != NULL; f++) {
        if (strcmp(f->name, format) == 0) {
            return f->write(stdout, p, value);
        }
    }
    stop("no such format");
    return -1;
}

int main(int argc, char **argv)
{
    struct make_shape shape = make_small;
    struct profile *p = must(calloc(1, sizeof(*p)));
    struct made m;
    unsigned long value = argc > 2 ? strtoul(argv[2], NULL, 0) : PROFILE_LIVE_BYTES;
    int code;

    if (argc < 2 || value >= PROFILE_VALUES) {
        stop("takes a format, and a value");
    }
    shape.modules = MODULES;
    make_region(&m, &shape);
    read_description(&m, p);
    mp_image_t *image = make_image(&m);
    p->image = image;
    code = export_prepare(p, argc > 3);
    code = code == 0 ? put(p, argv[1], (enum profile_value)value) : code;
    profile_destroy(p);
    mp_image_free(image);
    make_region_free(&m);
    return code == 0 && fflush(stdout) == 0 ? 0 : 1;
}
