#include "said.h"

#include "guest.h"

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

/* To the program that this is done for, if it listens. */
__attribute__((format(printf, 2, 0))) static void tell(
    const struct guest *g, const char *format, va_list args)
{
    char text[2048];

    if (g->note != NULL) {
        vsnprintf(text, sizeof(text), format, args);
        g->note(text, g->arg);
    }
}

void said_error(const char *who, const char *format, va_list args)
{
    if (guest_get() != NULL) {
        tell(guest_get(), format, args);
    } else if (kept != NULL) {
        vsnprintf(kept->text, sizeof(kept->text), format, args);
    } else {
        put(who, format, args);
    }
}

void said_note(const char *who, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (guest_get() != NULL) {
        tell(guest_get(), format, args);
    } else if (kept == NULL) {
        put(who, format, args);
    }
    va_end(args);
}
