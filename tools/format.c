#include "format.h"

#include <langinfo.h>
#include <math.h>
#include <mpstats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Thread_local bool has_color;
static _Thread_local bool is_color_decided;
static _Thread_local bool is_color_forced;
static _Thread_local FILE *output;

struct format format_bytes(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    struct format f;
    double size = fabs(bytes);
    unsigned unit = 0;

    while (size >= 1023.95 && unit < 5) {
        size /= 1024;
        unit++;
    }
    snprintf(f.text, sizeof(f.text), "%s%.*f %s", bytes < 0 ? "-" : "",
        unit == 0 ? 0 : 1, size, units[unit]);
    return f;
}

struct format format_known(uint64_t bytes)
{
    struct format f = {"unknown"};

    return bytes == MP_UNKNOWN ? f : format_bytes((double)bytes);
}

/* Sizes of blocks are read as names: exact. */
struct format format_block(uint64_t bytes)
{
    struct format f;
    unsigned long long n = bytes;

    if (n >= 1024 * 1024 && n % (1024 * 1024) == 0) {
        snprintf(f.text, sizeof(f.text), "%llu MiB", n >> 20);
    } else if (n >= 16 * 1024 && n % 1024 == 0) {
        snprintf(f.text, sizeof(f.text), "%llu KiB", n >> 10);
    } else if (n >= 1000 && n < 1000000) {
        snprintf(f.text, sizeof(f.text), "%llu,%03llu B", n / 1000, n % 1000);
    } else {
        snprintf(f.text, sizeof(f.text), "%llu B", n);
    }
    return f;
}

struct format format_count(double count)
{
    struct format f;

    if (count >= 99999.5) {
        static const char units[] = "kMGTPE";
        unsigned unit = 0;

        count /= 1000;
        while (count >= 999.95 && unit < 5) {
            count /= 1000;
            unit++;
        }
        snprintf(f.text, sizeof(f.text), "%.1f %c", count, units[unit]);
    } else if (count >= 999.5) {
        unsigned whole = (unsigned)lround(count);

        snprintf(f.text, sizeof(f.text), "%u,%03u", whole / 1000, whole % 1000);
    } else {
        snprintf(f.text, sizeof(f.text), "%.*f",
            count < 9.95 && count != floor(count) ? 1 : 0, count);
    }
    return f;
}

struct format format_seconds(double seconds)
{
    struct format f;
    unsigned long whole = seconds > 0 ? (unsigned long)seconds : 0;

    if (seconds < 1) {
        snprintf(f.text, sizeof(f.text), "%.0f ms", seconds > 0 ? seconds * 1000 : 0);
    } else if (seconds < 60) {
        snprintf(f.text, sizeof(f.text), "%.1f s", seconds);
    } else if (seconds < 3600) {
        snprintf(f.text, sizeof(f.text), "%lu min %lu s", whole / 60, whole % 60);
    } else if (seconds < 86400) {
        snprintf(
            f.text, sizeof(f.text), "%lu h %lu min", whole / 3600, whole / 60 % 60);
    } else {
        snprintf(
            f.text, sizeof(f.text), "%lu d %lu h", whole / 86400, whole / 3600 % 24);
    }
    return f;
}

struct format format_ratio(double value)
{
    struct format f;

    snprintf(f.text, sizeof(f.text), isnan(value) ? "?" : "%.2f", value);
    return f;
}

struct format format_percent(double part, double whole)
{
    struct format f = {""};

    if (whole > 0) {
        snprintf(f.text, sizeof(f.text), "%.1f %%", 100 * part / whole);
    }
    return f;
}

static double distance_of(double value, double low, double high)
{
    return fmax(high - value, value - low);
}

/* It may be more than twice the value: "±140 %" says nothing. */
static bool is_vague(double value, double low, double high)
{
    return high > value && distance_of(value, low, high) > value;
}

struct format format_estimate(double value, double low, double high)
{
    struct format f;

    if (!is_vague(value, low, high)) {
        return format_bytes(value);
    }
    snprintf(f.text, sizeof(f.text), "< %.37s", format_bytes(high).text);
    return f;
}

struct format format_spread(double value, double low, double high)
{
    struct format f = {""};
    double distance = distance_of(value, low, high);

    if (distance > 0 && !is_vague(value, low, high)) {
        double percent = 100 * distance / value;

        snprintf(f.text, sizeof(f.text), "%s%.*f %%",
            format_has_blocks() ? "\u00b1" : "+-", percent < 0.95 ? 1 : 0, percent);
    }
    return f;
}

static struct format format_clock(uint64_t ns, bool utc, const char *layout)
{
    struct format f = {""};
    time_t seconds = (time_t)(ns / 1000000000u);
    struct tm tm;

    if ((utc ? gmtime_r(&seconds, &tm) : localtime_r(&seconds, &tm)) != NULL) {
        strftime(f.text, sizeof(f.text), layout, &tm);
    }
    return f;
}

struct format format_time(uint64_t ns)
{
    return format_clock(ns, false, "%Y-%m-%d %H:%M:%S");
}

struct format format_rfc3339(uint64_t ns)
{
    return format_clock(ns, true, "%Y-%m-%dT%H:%M:%SZ");
}

/* ---- colours ---- */

bool format_set_color(const char *when)
{
    if (strcmp(when, "always") == 0 || strcmp(when, "never") == 0) {
        has_color = when[0] == 'a';
        is_color_forced = true;
        return true;
    }
    is_color_forced = false;
    return strcmp(when, "auto") == 0;
}

void format_set_output(FILE *out)
{
    output = out;
    is_color_decided = false;
}

static bool uses_color(void)
{
    if (!is_color_forced && !is_color_decided) {
        const char *no = getenv("NO_COLOR");
        const char *term = getenv("TERM");

        has_color = isatty(fileno(output != NULL ? output : stdout))
                    && (no == NULL || no[0] == '\0')
                    && (term == NULL || strcmp(term, "dumb") != 0);
        is_color_decided = true;
    }
    return has_color;
}

const char *format_begin(enum style style)
{
    static const char *const sequence[] = {[STYLE_BOLD] = "\033[1m",
        [STYLE_DIM] = "\033[2m",
        [STYLE_RED] = "\033[31m",
        [STYLE_YELLOW] = "\033[33m",
        [STYLE_GREEN] = "\033[32m",
        [STYLE_CYAN] = "\033[36m"};

    return uses_color() ? sequence[style] : "";
}

const char *format_end(void)
{
    return uses_color() ? "\033[0m" : "";
}

/* ---- pictures ---- */

bool format_has_blocks(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static const char *block_of(unsigned eighths)
{
    static const char *const blocks[] = {" ", "\u2581", "\u2582", "\u2583", "\u2584",
        "\u2585", "\u2586", "\u2587", "\u2588"};
    static const char *const plain[] = {" ", ".", ".", ":", ":", "|", "|", "#", "#"};

    return (format_has_blocks() ? blocks : plain)[eighths > 8 ? 8 : eighths];
}

static double highest(const double *value, size_t count)
{
    double most = 0;

    for (size_t i = 0; i < count; i++) {
        most = value[i] > most ? value[i] : most;
    }
    return most;
}

void format_put_xml(FILE *out, char c)
{
    switch (c) {
    case '<':
        fputs("&lt;", out);
        break;
    case '>':
        fputs("&gt;", out);
        break;
    case '&':
        fputs("&amp;", out);
        break;
    case '"':
        fputs("&quot;", out);
        break;
    default:
        putc(c, out);
    }
}

void format_sparkline(char *ret, const double *value, size_t count)
{
    double most = highest(value, count);

    *ret = '\0';
    for (size_t i = 0; i < count; i++) {
        unsigned eighths = most > 0 ? (unsigned)lround(value[i] / most * 8) : 0;

        ret = stpcpy(ret, block_of(eighths < 1 && value[i] > 0 ? 1 : eighths));
    }
}

void format_chart(FILE *out, const double *value, size_t count, unsigned rows,
    unsigned wide, const char *left)
{
    double most = highest(value, count);

    for (unsigned row = rows; row-- > 0;) {
        fprintf(out, "  %11s %s",
            row + 1 == rows ? left
            : row == 0      ? "0"
                            : "",
            format_has_blocks() ? "\u2502" : "|");
        for (size_t column = 0; column < count * wide; column++) {
            size_t i = column / wide;
            double eighths = most > 0 ? value[i] / most * rows * 8 - row * 8.0 : 0;

            eighths = row == 0 && value[i] > 0 && eighths < 1 ? 1 : eighths;
            fputs(block_of(eighths <= 0 ? 0 : (unsigned)lround(eighths)), out);
        }
        fputc('\n', out);
    }
}

unsigned format_columns(const char *text)
{
    unsigned seen = 0;

    for (; *text != '\0'; text++) {
        seen += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return seen;
}

const char *format_cut(char *ret, size_t size, const char *text, unsigned columns)
{
    const char *end = format_has_blocks() ? "\u2026" : "..";
    unsigned kept = columns > format_columns(end) ? columns - format_columns(end) : 0;
    size_t bytes = 0;

    if (format_columns(text) <= columns) {
        snprintf(ret, size, "%s", text);
        return ret;
    }
    for (unsigned seen = 0; text[bytes] != '\0'; bytes++) {
        seen += ((unsigned char)text[bytes] & 0xc0) != 0x80;
        if (seen > kept) {
            break;
        }
    }
    snprintf(ret, size, "%.*s%s", (int)bytes, text, end);
    return ret;
}

const char *format_name(char *ret, size_t size, const char *text, unsigned columns)
{
    unsigned seen = 0;

    mp_text_escape(ret, size, text, size * 2);
    for (char *at = ret; *at != '\0'; at++) {
        if (((unsigned char)*at & 0xc0) != 0x80 && ++seen > columns) {
            *at = '\0';
            break;
        }
    }
    return ret;
}
