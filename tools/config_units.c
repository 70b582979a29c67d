/*
 * config_units - values with units, as the configuration has them
 */
#include "configuration.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct suffix {
    const char *text;
    double factor;
};

/* A plain number of at least 0, then one of the suffixes. */
static bool read_number(const char *text, const struct suffix *suffixes, double *ret)
{
    char *end;
    double value;

    /* strtod would take "0x10", "1e9", "inf" and blanks, too. */
    if (strspn(text, "0123456789.") == 0 || text[0] == '.') {
        return false;
    }
    if (strpbrk(text, "xXeE") != NULL) {
        return false;
    }
    errno = 0;
    value = strtod(text, &end);
    if (errno != 0 || !isfinite(value)) {
        return false;
    }
    for (const struct suffix *s = suffixes; s->text != NULL; s++) {
        if (strcmp(end, s->text) == 0) {
            *ret = value * s->factor;
            return isfinite(*ret);
        }
    }
    return false;
}

bool config_read_duration(const char *text, double *ret_seconds)
{
    static const struct suffix suffixes[] = {{"ms", 1e-3}, {"s", 1}, {"m", 60},
        {"min", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0}};

    if (strcmp(text, "0") == 0) {
        *ret_seconds = 0;
        return true;
    }
    return read_number(text, suffixes, ret_seconds);
}

bool config_read_bytes(const char *text, double *ret_bytes)
{
    static const struct suffix suffixes[] = {{"", 1}, {"B", 1}, {"k", 0x1p10},
        {"K", 0x1p10}, {"KiB", 0x1p10}, {"M", 0x1p20}, {"MiB", 0x1p20}, {"G", 0x1p30},
        {"GiB", 0x1p30}, {"T", 0x1p40}, {"TiB", 0x1p40}, {NULL, 0}};

    return read_number(text, suffixes, ret_bytes);
}

bool config_read_ratio(const char *text, double *ret)
{
    static const struct suffix suffixes[] = {{"%", 0.01}, {" %", 0.01}, {NULL, 0}};
    static const struct suffix none[] = {{"", 1}, {NULL, 0}};
    double value;

    if (read_number(text, suffixes, ret)) {
        return true;
    }
    /* 80, meant as 80 %, would be 8,000 %. */
    if (read_number(text, none, &value) && value <= 1) {
        *ret = value;
        return true;
    }
    return false;
}
