/*
 * pdf - decodes a made-up format of packed objects (component `extraction/pdf`)
 *
 * "%PEF-1\n", then objects: "obj E L\n", L bytes, "\nend\n". Encoding E is `R`, pairs of
 * (count, byte), or `H`, two lower-case hexadecimal digits for each byte.
 */
#ifndef DEMO_PDF_H
#define DEMO_PDF_H

#include "memory.h"

/* false, and part of the text, when the document is damaged. */
bool pdf_extract(const char *body, size_t length, struct buffer *ret_text);

#endif
