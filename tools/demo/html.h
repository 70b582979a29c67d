/*
 * html - a document tree from markup, and its text (component `extraction/html`)
 *
 * The text is every word outside of comments, scripts and styles, entities decoded, each
 * followed by one space. Any input is a document; a tag without its end is the end of it.
 */
#ifndef DEMO_HTML_H
#define DEMO_HTML_H

#include "memory.h"

/*
 * leak: forget the context of one request in eight, some 6 KiB: the error that the demo
 * is there to find.
 */
void html_extract(const char *url, const char *body, size_t length, bool leak,
    struct buffer *ret_text);

#endif
