/*
 * fuzz_options - libFuzzer against the options of the environment
 *
 * The input is an environment: strings, each ended by a NUL or the end of the input.
 */
#include "check.h"
#include "options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRINGS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Instead of check.c: format, so that bad arguments show, and print nothing. */
void check_say(const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
}

static void expect(int holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char *environment[STRINGS_MAX + 1];
    size_t count = 0;

    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t at = 0; at < size && count < STRINGS_MAX; at += strlen(text + at) + 1) {
        environment[count++] = text + at;
    }
    environment[count] = NULL;
    options_read(environment);
    free(text);

    expect(memchr(options.dir, '\0', sizeof(options.dir)) != NULL);
    expect(memchr(options.report, '\0', sizeof(options.report)) != NULL);
    expect(strnlen(options.service, sizeof(options.service)) <= 95);
    expect(options.dir[0] == '\0' || options.dir[0] == '/');
    expect(options.region >= REGION_FILE && options.region <= REGION_OFF);
    expect(options.log >= LOG_QUIET && options.log <= LOG_DEBUG);
    expect(options.purge_delay_ms <= 3600000 || options.purge_delay_ms == PURGE_NEVER);
    for (size_t i = 0; i < options_count(); i++) {
        struct option_view v = options_view(i);

        expect(strlen(v.name) > 0 && strlen(v.value) < 96);
        expect(v.origin >= ORIGIN_DEFAULT && v.origin <= ORIGIN_REFUSED);
    }
    return 0;
}
