#include "guard.h"

#include "../must.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TOKEN_MOST = 4096 };

void guard_free(struct guard *g)
{
    for (size_t i = 0; i < g->host_count; i++) {
        free(g->hosts[i]);
    }
    free(g->hosts);
    free(g->token);
    *g = (struct guard){0};
}

int guard_read_token(const char *path, char **ret)
{
    char line[TOKEN_MOST + 2];
    FILE *f = fopen(path, "re");
    size_t length;
    bool has_line;

    if (f == NULL) {
        return -errno;
    }
    has_line = fgets(line, sizeof(line), f) != NULL;
    if (!has_line && ferror(f)) {
        int code = -errno;

        fclose(f);
        return code;
    }
    fclose(f);
    length = has_line ? strcspn(line, "\r\n") : 0;
    for (size_t i = 0; i < length; i++) {
        if (line[i] <= ' ' || line[i] > '~') {
            return -EBADMSG;
        }
    }
    if (length == 0 || length > TOKEN_MOST) {
        return -EBADMSG;
    }
    *ret = must(strndup(line, length));
    explicit_bzero(line, sizeof(line));
    return 0;
}

/* ---- Host ---- */

/* The name in front of the port, without brackets. False: it is no host. */
static bool take_name(const char *host, char *ret, size_t size)
{
    const char *end;
    size_t length;

    if (host[0] == '[') {
        host++;
        end = strchr(host, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return false;
        }
        length = (size_t)(end - host);
    } else {
        length = strcspn(host, ":");
        end = host + length;
    }
    end += *end == ']';
    if (*end == ':' && end[1 + strspn(end + 1, "0123456789")] != '\0') {
        return false;
    }
    if (length > 0 && host[length - 1] == '.') {
        length--; /* the root of names */
    }
    if (length == 0 || length >= size) {
        return false;
    }
    memcpy(ret, host, length);
    ret[length] = '\0';
    return true;
}

static bool is_address(const char *name)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, name, bytes) == 1
           || inet_pton(AF_INET6, name, bytes) == 1;
}

/* An address was not looked up, so it cannot have been rebound. */
bool guard_host_is_ours(const struct guard *g, const char *host)
{
    char name[256];
    size_t length;

    if (host == NULL) {
        return true; /* no browser: HTTP/1.0 */
    }
    if (!take_name(host, name, sizeof(name))) {
        return false;
    }
    length = strlen(name);
    if (is_address(name) || strcasecmp(name, "localhost") == 0
        || (length > 10 && strcasecmp(name + length - 10, ".localhost") == 0)) {
        return true;
    }
    for (size_t i = 0; i < g->host_count; i++) {
        if (strcasecmp(name, g->hosts[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- the token ---- */

/* How long it takes says only how long the text is that was sent. */
static bool is_equal(const char *sent, size_t length, const char *token)
{
    size_t token_length = strlen(token);
    unsigned char differs = length != token_length;

    for (size_t i = 0; i < length; i++) {
        differs |= (unsigned char)(sent[i] ^ token[i % token_length]);
    }
    return differs == 0;
}

static int digit_of(char c)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* Base64; returns the length, 0 for what is none. */
static size_t decode(const char *text, char *ret, size_t size)
{
    unsigned bits = 0;
    unsigned count = 0;
    size_t used = 0;

    for (; *text != '\0' && *text != '='; text++) {
        int digit = digit_of(*text);

        if (digit < 0 || used + 1 >= size) {
            return 0;
        }
        bits = bits << 6 | (unsigned)digit;
        count += 6;
        if (count >= 8) {
            count -= 8;
            ret[used++] = (char)(bits >> count & 0xff);
        }
    }
    ret[used] = '\0';
    return used;
}

/* Of a browser, which asks its user: any name, and the token as password. */
static bool has_password(const char *token, const char *text)
{
    char decoded[TOKEN_MOST + 256];
    size_t length = decode(text, decoded, sizeof(decoded));
    char *colon = memchr(decoded, ':', length);
    bool has;

    if (length == 0 || colon == NULL) {
        return false;
    }
    colon++;
    has = is_equal(colon, length - (size_t)(colon - decoded), token);
    explicit_bzero(decoded, sizeof(decoded));
    return has;
}

bool guard_has_token(const struct guard *g, const char *authorization)
{
    if (g->token == NULL || authorization == NULL) {
        return false;
    }
    if (strncasecmp(authorization, "Bearer ", 7) == 0) {
        authorization += 7;
        authorization += strspn(authorization, " ");
        return is_equal(authorization, strlen(authorization), g->token);
    }
    if (strncasecmp(authorization, "Basic ", 6) == 0) {
        authorization += 6;
        return has_password(g->token, authorization + strspn(authorization, " "));
    }
    return false;
}

/* ---- Origin ---- */

bool guard_origin_is_ours(
    const char *origin, const char *site, const char *host, bool is_tls)
{
    const char *scheme = is_tls ? "https://" : "http://";

    if (site != NULL && strcasecmp(site, "same-origin") != 0
        && strcasecmp(site, "none") != 0) {
        return false;
    }
    if (origin == NULL) {
        return true; /* browsers say one with each POST: this is none */
    }
    return host != NULL && strncasecmp(origin, scheme, strlen(scheme)) == 0
           && strcasecmp(origin + strlen(scheme), host) == 0;
}
