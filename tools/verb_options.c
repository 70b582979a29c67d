/*
 * verb_options - mpalloc options: the MPALLOC_ variables, and what a process made of them
 */
#include "cli.h"
#include "document.h"
#include "format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char help_options[] =
    "The options of libmpalloc, read from the environment when the program starts; "
    "setuid\n"
    "programs ignore them. With a TARGET, the values in force there and where they are "
    "from.\n"
    "\n"
    "  TARGET        a PID, a region or dump file, or the name of a process\n"
    "  --name NAME   the process of that name\n"
    "  --pid-file FILE the process whose number is in FILE\n"
    "  --json        schema tools/schemas/options.json\n"
    "\n"
    "Examples:\n"
    "  mpalloc options\n"
    "  mpalloc options 4711\n";

static const struct entry {
    const char *name;
    const char *standard;
    const char *range;
    const char *help;
} table[] = {
#define OPTION(name, NAME, type, standard, range, help) {NAME, standard, range, help},
#include <mpalloc/options.def>
#undef OPTION
};
enum { COUNT = sizeof(table) / sizeof(table[0]) };

static const struct mp_region_option *find(const mp_image_t *image, const char *name)
{
    for (size_t i = 0; image != NULL && i < mp_image_option_count(image); i++) {
        if (strcmp(mp_image_option(image, i)->name, name) == 0) {
            return mp_image_option(image, i);
        }
    }
    return NULL;
}

static const char *origin_name(const struct mp_region_option *o)
{
    static const char *const names[] = {"default", "environment", "refused"};

    return o->origin < 3 ? names[o->origin] : "unknown";
}

static int print_json(const mp_image_t *image)
{
    json_t *d = document_new("options");
    json_t *all = json_array();

    for (size_t i = 0; i < COUNT; i++) {
        const struct mp_region_option *in_force = find(image, table[i].name);
        json_t *o = json_object();
        char variable[64];

        snprintf(variable, sizeof(variable), "MPALLOC_%s", table[i].name);
        document_set_text(o, "name", table[i].name);
        document_set_text(o, "variable", variable);
        document_set_text(o, "default", table[i].standard);
        document_set_text(o, "range", table[i].range);
        document_set_text(o, "help", table[i].help);
        if (in_force != NULL) {
            document_set_text(o, "value", in_force->value);
            document_set_text(o, "origin", origin_name(in_force));
        }
        json_array_append_new(all, o);
    }
    document_set(d, "options", all);
    return document_print(d, false);
}

static void print_text(const mp_image_t *image)
{
    for (size_t i = 0; i < COUNT; i++) {
        const struct mp_region_option *o = find(image, table[i].name);
        char value[512];

        printf("%sMPALLOC_%-12s%s ", format_begin(STYLE_BOLD), table[i].name,
            format_end());
        if (o != NULL) {
            printf("%s (%s)", format_name(value, sizeof(value), o->value, 90),
                origin_name(o));
        } else {
            printf("%s", table[i].standard[0] != '\0' ? table[i].standard : "(empty)");
        }
        printf("\n    %s\n    %s\n", table[i].help, table[i].range);
    }
}

int verb_options(int argc, char **argv)
{
    static const struct option options[] = {COMMON_OPTIONS, {0}};
    struct common common = {0};
    struct target target = {.image = NULL};
    int code = EXIT_FINE;

    while (cli_next_option("options", argc, argv, options, false, &common) != -1) {
    }
    cli_expect_words("options", argc, 1);
    if (argv[optind] != NULL || common.name != NULL || common.pid_file != NULL) {
        code = cli_open_target("options", &common, argv + optind, &target);
    }
    if (code != EXIT_FINE) {
        return code;
    }
    if (common.json) {
        code = print_json(target.image);
    } else {
        print_text(target.image);
    }
    mp_image_free(target.image);
    return code;
}
