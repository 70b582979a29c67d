#include "words.h"

#include <math.h>
#include <stdio.h>

#define DAY_S 86400.0

const char *words_bytes(double bytes, char to[WORDS_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned i = 0;
    double value = fabs(bytes);

    while (value >= 1023.5 && i < 4) {
        value /= 1024;
        i++;
    }
    snprintf(to, WORDS_BYTES, value >= 99.95 || i == 0 ? "%s%.0f %s" : "%s%.1f %s",
        bytes < 0 ? "-" : "", value, units[i]);
    return to;
}

const char *words_time(double seconds, char to[WORDS_BYTES])
{
    if (seconds < 0.0995e-3) {
        snprintf(to, WORDS_BYTES, "%.0f us", seconds * 1e6);
    } else if (seconds < 0.0995) {
        snprintf(
            to, WORDS_BYTES, seconds < 9.95e-3 ? "%.1f ms" : "%.0f ms", seconds * 1000);
    } else if (seconds < 99.5) {
        snprintf(to, WORDS_BYTES, "%.1f s", seconds);
    } else if (seconds < 99.5 * 60) {
        snprintf(to, WORDS_BYTES, "%.0f min", seconds / 60);
    } else if (seconds < 2 * DAY_S) {
        snprintf(to, WORDS_BYTES, "%.0f h", seconds / 3600);
    } else {
        snprintf(to, WORDS_BYTES, "%.0f days", seconds / DAY_S);
    }
    return to;
}

const char *words_count(double count, char to[WORDS_BYTES])
{
    if (count >= 999.5e6) {
        snprintf(to, WORDS_BYTES, "%.1f billion", count / 1e9);
    } else if (count >= 999.5e3) {
        snprintf(to, WORDS_BYTES, "%.1f million", count / 1e6);
    } else if (count >= 9999.5) {
        snprintf(to, WORDS_BYTES, "%.0f thousand", count / 1e3);
    } else {
        snprintf(to, WORDS_BYTES, "%.0f", count);
    }
    return to;
}

const char *words_chance(double p, char to[WORDS_BYTES])
{
    snprintf(to, WORDS_BYTES,
        p < 1e-9   ? "less than 1e-9"
        : p < 1e-3 ? "%.0e"
                   : "%.2g",
        p);
    return to;
}
