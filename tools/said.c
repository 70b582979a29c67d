#include "said.h"

#include <stdio.h>

static _Thread_local struct said *kept;

struct said *said_keep(struct said *into)
{
    struct said *before = kept;

    kept = into;
    if (into != NULL) {
        into->text[0] = '\0';
    }
    return before;
}

__attribute__((format(printf, 2, 0))) static void put(
    const char *who, const char *format, va_list args)
{
    fprintf(stderr, "%s: ", who);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void said_error(const char *who, const char *format, va_list args)
{
    if (kept != NULL) {
        vsnprintf(kept->text, sizeof(kept->text), format, args);
    } else {
        put(who, format, args);
    }
}

void said_note(const char *who, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (kept == NULL) {
        put(who, format, args);
    }
    va_end(args);
}
