#include "presets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What each says of sampling, leaks, guards, freshness, the region after its end, and its log. */
static const struct preset {
    const char *name;
    const char *options[12]; /* a name, a value */
} presets[] = {
    {"dev", {"SAMPLE", "64k", "LEAK_CHECK", "1", "LEAK_EXIT", "0", "GUARD", "1",
                "HOUSEKEEPER", "1", "KEEP", "1"}},
    {"prod", {"SAMPLE", "512k", "SAMPLE_GOVERNOR", "1", "LEAK_CHECK", "0", "GUARD", "0",
                 "HOUSEKEEPER", "1", "KEEP", "0"}},
    {"ci", {"SAMPLE", "64k", "LEAK_CHECK", "1", "LEAK_EXIT", "23", "GUARD", "1",
               "HOUSEKEEPER", "0", "KEEP", "0"}},
};

static const struct preset *find(const char *name)
{
    for (size_t i = 0; i < sizeof(presets) / sizeof(*presets); i++) {
        if (strcmp(presets[i].name, name) == 0) {
            return &presets[i];
        }
    }
    return NULL;
}

bool preset_is_known(const char *name)
{
    return find(name) != NULL;
}

void preset_apply(const char *name)
{
    const struct preset *p = find(name);

    for (size_t i = 0; p != NULL && i < sizeof(p->options) / sizeof(*p->options);
         i += 2) {
        char variable[64];

        snprintf(variable, sizeof(variable), "MPALLOC_%s", p->options[i]);
        setenv(variable, p->options[i + 1], 0);
    }
}
