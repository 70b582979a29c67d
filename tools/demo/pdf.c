#include "pdf.h"

#include <stdio.h>
#include <string.h>

static const char MAGIC[] = "%PEF-1\n";
static const char END[] = "\nend\n";

static bool decode_runs(const unsigned char *at, size_t length, struct buffer *text)
{
    if (length % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < length; i += 2) {
        for (unsigned n = 0; n < at[i]; n++) {
            buffer_add_byte(text, (char)at[i + 1]);
        }
    }
    return true;
}

static int digit(unsigned char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode_hex(const unsigned char *at, size_t length, struct buffer *text)
{
    if (length % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < length; i += 2) {
        int high = digit(at[i]);
        int low = digit(at[i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        buffer_add_byte(text, (char)(high * 16 + low));
    }
    return true;
}

bool pdf_extract(const char *body, size_t length, struct buffer *ret_text)
{
    MP_SCOPE("extraction/pdf");
    const char *end = body + length;

    if (length < strlen(MAGIC) || memcmp(body, MAGIC, strlen(MAGIC)) != 0) {
        return false;
    }
    for (body += strlen(MAGIC); body < end;) {
        struct buffer object = {0}; /* decoded apart: a damaged one adds nothing */
        size_t bytes = 0;
        int head = 0;
        char encoding = 0;
        bool ok;

        if (sscanf(body, "obj %c %7zu%n", &encoding, &bytes, &head) != 2
            || (encoding != 'R' && encoding != 'H') || body[head] != '\n') {
            return false;
        }
        body += head + 1;
        if (body > end || (size_t)(end - body) < bytes + strlen(END)
            || memcmp(body + bytes, END, strlen(END)) != 0) {
            return false;
        }
        ok = encoding == 'R' ? decode_runs((const unsigned char *)body, bytes, &object)
                             : decode_hex((const unsigned char *)body, bytes, &object);
        if (ok && object.length > 0) {
            buffer_add(ret_text, object.data, object.length);
        }
        buffer_fini(&object);
        if (!ok) {
            return false;
        }
        body += bytes + strlen(END);
    }
    return true;
}
