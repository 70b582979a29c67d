#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the valid UTF-8 character at `s`, 0 when there is none; its code to *ret. */
static size_t decode(const unsigned char *s, size_t left, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80                    ? 1
               : s[0] >= 0xc2 && s[0] <= 0xdf ? 2
               : s[0] >= 0xe0 && s[0] <= 0xef ? 3
               : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                              : 0;
    uint32_t code = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));

    if (n == 0 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (s[i] & 0x3f);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }
    *ret = code;
    return n;
}

/*
 * What would move the cursor, hide text or turn it around: Cc, Zl, Zp, Bidi_Control and
 * Default_Ignorable_Code_Point of Unicode, and what lies beyond its last letter.
 */
static bool is_harmful(uint32_t code)
{
    static const struct {
        uint32_t first;
        uint32_t last;
    } ranges[] = {{0, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad}, {0x34f, 0x34f}, {0x61c, 0x61c},
        {0x115f, 0x1160}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f},
        {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164}, {0xfe00, 0xfe0f},
        {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3},
        {0x1d173, 0x1d17a}, {0xe0000, UINT32_MAX}};

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (code <= ranges[i].last) {
            return code >= ranges[i].first;
        }
    }
    return false;
}

size_t mp_text_escape(char *to, size_t size, const char *from, size_t from_bytes)
{
    const unsigned char *s = (const unsigned char *)from;
    size_t left = strnlen(from, from_bytes);
    size_t at = 0;

    while (left > 0) {
        uint32_t code = 0;
        size_t n = decode(s, left, &code);

        if (n > 0 && !is_harmful(code) && code != '\\') {
            if (at + n >= size) {
                break;
            }
            memcpy(to + at, s, n);
            at += n;
        } else {
            n = 1;
            if (at + 4 >= size) {
                break;
            }
            snprintf(to + at, 5, "\\x%02x", s[0]);
            at += 4;
        }
        s += n;
        left -= n;
    }
    to[at] = '\0';
    return at;
}

int text_fail(struct mp_error *error, int code, const char *format, ...)
{
    char raw[sizeof(error->text)];
    va_list args;

    if (error != NULL) {
        va_start(args, format);
        vsnprintf(raw, sizeof(raw), format, args);
        va_end(args);
        mp_text_escape(error->text, sizeof(error->text), raw, sizeof(raw));
    }
    return code;
}
