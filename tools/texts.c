#include "texts.h"

#include "must.h"

#include <mpstats.h>
#include <search.h>
#include <string.h>

enum { TEXT_BYTES = 1024 };

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

const char *texts_keep(struct texts *t, const char *text)
{
    char **found = tfind(text, &t->tree, compare);

    if (found == NULL) {
        found = must(tsearch(must(strdup(text)), &t->tree, compare));
    }
    return *found;
}

const char *texts_keep_escaped(struct texts *t, const char *text)
{
    char escaped[TEXT_BYTES];

    mp_text_escape(escaped, sizeof(escaped), text, SIZE_MAX);
    return texts_keep(t, escaped);
}

void texts_fini(struct texts *t)
{
    tdestroy(t->tree, free);
    t->tree = NULL;
}
