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

static struct export_wish wish_of(const struct capture *c)
{
    return (struct export_wish){.format = c->format,
        .by_component = c->by_component,
        .has_value = c->has_value,
        .value = c->value};
}

enum profile_value capture_value(const struct capture *c, const struct profile *p)
{
    struct export_wish wish = wish_of(c);

    return export_pick_value(&wish, p);
}

int capture_write_profile(
    const struct capture *c, struct profile *profile, uint64_t *ret_bytes)
{
    struct export_wish wish = wish_of(c);
    struct outfile file;
    int code;

    if (c->path == NULL) {
        code = export_write_profile(stdout, profile, &wish);
        return code != 0 && !ferror(stdout) /* else main says why */
                   ? cli_fail(c->verb, EXIT_FAILED, "no memory for the document")
                   : EXIT_FINE;
    }
    code = outfile_open(&file, c->path);
    if (code == 0) {
        code = outfile_close(&file, export_write_profile(file.out, profile, &wish));
    } else {
        profile_destroy(profile);
    }
    if (code != 0) {
        return cli_fail(
            c->verb, EXIT_FAILED, "%s cannot be written: %s", c->path, strerror(-code));
    }
    if (ret_bytes != NULL) {
        *ret_bytes = file.bytes;
    }
    return EXIT_FINE;
}

int capture_write(const struct capture *c, const mp_image_t *image, uint64_t *ret_bytes)
{
    return capture_write_profile(c, profile_create(image), ret_bytes);
}
