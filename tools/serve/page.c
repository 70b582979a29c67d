#include "page.h"

#include "../must.h"

#include <pthread.h>
#include <string.h>
#include <zlib.h>

/* Kept as gzip has it; what a client without gzip is sent is unpacked once, and kept. */
struct page_file {
    const char *name;
    const char *type;
    const unsigned char *packed;
    size_t packed_bytes;
    size_t bytes;
};

#include "page_files.h"

enum { FILES = sizeof(page_files) / sizeof(page_files[0]) };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *unpacked[FILES]; /* for ever, once there; under the lock */

/* Nothing but what is from here; the flame graph is a page in a page. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'";

static unsigned char *unpack(const struct page_file *file)
{
    unsigned char *to = must(malloc(file->bytes + 1));
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)file->packed,
        .avail_in = (uInt)file->packed_bytes,
        .next_out = to,
        .avail_out = (uInt)file->bytes + 1};
    bool good = inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK; /* 16: gzip's head */

    good = good && inflate(&stream, Z_FINISH) == Z_STREAM_END
           && stream.total_out == file->bytes;
    inflateEnd(&stream);
    if (!good) { /* not what the build made, or no memory */
        free(to);
        return NULL;
    }
    return to;
}

static const unsigned char *plain_of(size_t number)
{
    const unsigned char *plain;

    pthread_mutex_lock(&lock);
    if (unpacked[number] == NULL) {
        unpacked[number] = unpack(&page_files[number]);
    }
    plain = unpacked[number];
    pthread_mutex_unlock(&lock);
    return plain;
}

/* "gzip", and not "gzip;q=0" */
static bool takes_gzip(const struct request *r)
{
    const char *accepted = request_header(r, "Accept-Encoding");
    const char *at = accepted != NULL ? strstr(accepted, "gzip") : NULL;
    const char *end;

    if (at == NULL) {
        return false;
    }
    at += strlen("gzip");
    at += strspn(at, " ");
    if (*at != ';') {
        return *at == ',' || *at == '\0';
    }
    end = at + strcspn(at, ",");
    at = strstr(at, "q=");
    return at == NULL || at > end || strtod(at + 2, NULL) > 0;
}

static enum answered reply_file(struct request *r, const char *name)
{
    size_t i = 0;
    const struct page_file *file;
    const unsigned char *plain;

    while (i < FILES && strcmp(page_files[i].name, name) != 0) {
        i++;
    }
    if (i == FILES) {
        return reply_problem(r, 404, "there is no file of that name");
    }
    file = &page_files[i];
    reply_header(r, "Content-Security-Policy", policy);
    reply_header(r, "X-Frame-Options", "SAMEORIGIN");
    reply_header(r, "Vary", "Accept-Encoding");
    if (takes_gzip(r)) {
        reply_header(r, "Content-Encoding", "gzip");
        return reply_static(r, file->type, file->packed, file->packed_bytes);
    }
    plain = plain_of(i);
    return plain != NULL ? reply_static(r, file->type, plain, file->bytes)
                         : reply_problem(r, 503, "no memory for the page");
}

static enum answered handle_index(struct request *r)
{
    return reply_file(r, "index.html");
}

static enum answered handle_flame(struct request *r)
{
    return reply_file(r, "flame.html");
}

static enum answered handle_asset(struct request *r)
{
    return reply_file(r, request_part(r, "name"));
}

/* Nothing in them is of a process, so that a page can ask for the token. */
const struct route page_routes[] = {
    {"GET", "/", handle_index, ROUTE_OPEN | ROUTE_QUICK},
    {"GET", "/processes/*", handle_index, ROUTE_OPEN | ROUTE_QUICK},
    {"GET", "/flame", handle_flame, ROUTE_OPEN | ROUTE_QUICK},
    {"GET", "/assets/{name}", handle_asset, ROUTE_OPEN | ROUTE_QUICK},
    {NULL, NULL, NULL, 0},
};
