#include "capture.h"

#include "cli.h"
#include "outfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct export_format *capture_find_format(const char *verb, const char *name)
{
    const struct export_format *f = name != NULL ? export_find_format(name) : NULL;
    char known[256];

    if (name == NULL) {
        exit(cli_fail(
            verb, EXIT_USAGE, "needs --format: one of %s", export_list_formats(known)));
    }
    if (f == NULL) {
        exit(cli_fail(verb, EXIT_USAGE, "there is no format %s; one of %s", name,
            export_list_formats(known)));
    }
    return f;
}

const struct export_format *capture_html(void)
{
    return export_find_format("html");
}

void capture_set_value(struct capture *c, const char *text)
{
    c->has_value = true;
    if (!export_find_value(text, &c->value)) {
        exit(cli_fail(c->verb, EXIT_USAGE, "--value takes one of %s, not \"%s\"",
            export_value_list, text));
    }
}

int capture_check_terminal(const struct capture *c)
{
    if (c->path == NULL && isatty(STDOUT_FILENO)
        && (c->format->write == export_pprof || c->format->write == export_html)) {
        return cli_fail(c->verb, EXIT_USAGE,
            "%s is not for terminals: use -o FILE.%s, or a pipe", c->format->name,
            c->format->ending);
    }
    return EXIT_FINE;
}

enum profile_value capture_value(const struct capture *c, const struct profile *p)
{
    bool is_picture = c->format->write == export_html || c->format->write == export_svg
                      || c->format->write == export_collapsed;

    if (c->has_value) {
        return c->value;
    }
    for (size_t i = 0;
         i < p->sample_count && is_picture && mp_image_life(p->image) == MP_LIFE_EXITED;
         i++) {
        if (p->samples[i].value[PROFILE_PEAK_BYTES] != 0) {
            return PROFILE_PEAK_BYTES;
        }
    }
    return PROFILE_LIVE_BYTES;
}

static int write_file(
    const struct capture *c, const struct profile *p, uint64_t *ret_bytes)
{
    struct outfile file;
    int code = outfile_open(&file, c->path);

    if (code == 0) {
        code = outfile_close(&file, c->format->write(file.out, p, capture_value(c, p)));
    }
    if (code != 0) {
        return cli_fail(
            c->verb, EXIT_FAILED, "%s cannot be written: %s", c->path, strerror(-code));
    }
    *ret_bytes = file.bytes;
    return EXIT_FINE;
}

int capture_write(const struct capture *c, const mp_image_t *image, uint64_t *ret_bytes)
{
    struct profile *profile = profile_create(image);
    uint64_t bytes;
    int code = EXIT_FINE;

    if (ret_bytes == NULL) {
        ret_bytes = &bytes;
    }
    if (export_prepare(profile, c->by_component) != 0) {
        code = cli_fail(c->verb, EXIT_FAILED, "no memory for the document");
    } else if (c->path != NULL) {
        code = write_file(c, profile, ret_bytes);
    } else if (c->format->write(stdout, profile, capture_value(c, profile)) != 0
               && !ferror(stdout)) { /* else main says why */
        code = cli_fail(c->verb, EXIT_FAILED, "no memory for the document");
    }
    profile_destroy(profile);
    return code;
}
