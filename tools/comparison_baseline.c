#include "comparison_baseline.h"

#include "cli.h"

#include <stdio.h>
#include <string.h>

int comparison_open_baseline(const char *verb, struct comparison *c, unsigned side,
    sqlite3 *db, const struct baseline *b)
{
    struct site_names *names;
    mp_image_t *image;
    char label[512];
    int code = baseline_load(verb, db, b, &image, &names);

    if (code == EXIT_FINE) {
        snprintf(label, sizeof(label), "baseline %s%s%s, build %.12s", b->name,
            b->label[0] != '\0' ? " " : "", b->label, b->build_id);
        comparison_set_side(c, side, label, image, names);
    }
    return code;
}

int comparison_find_baseline(const char *verb, sqlite3 *db, const char *word,
    const char *label, struct baseline *ret)
{
    char name[128];
    const char *build = strchr(word, ':');

    snprintf(name, sizeof(name), "%.*s",
        (int)(build != NULL ? build - word : (ptrdiff_t)strlen(word)), word);
    return baseline_find(db, name, label, build != NULL ? build + 1 : "", ret)
               ? EXIT_FINE
               : cli_fail(verb, EXIT_NO_PROCESS,
                   "there is no baseline %s (mpalloc baseline list)", word);
}

int comparison_its_baseline(const char *verb, sqlite3 *db, const char *name,
    const char *label, const mp_image_t *image, struct baseline *ret, bool *ret_is_new)
{
    char build[2 * MP_REGION_BUILD_ID_BYTES + 1];

    *ret_is_new = false;
    baseline_build_id(image, build);
    if (build[0] != '\0' && baseline_find(db, name, label, build, ret)) {
        return EXIT_FINE;
    }
    *ret_is_new = build[0] != '\0';
    return baseline_find(db, name, label, "", ret)
               ? EXIT_FINE
               : cli_fail(verb, EXIT_NO_PROCESS,
                   "there is no baseline %s%s%s (mpalloc baseline save)", name,
                   label[0] != '\0' ? " with label " : "", label);
}
