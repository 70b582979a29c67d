#include "doctor.h"

#include "must.h"
#include "push/push_config.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USUAL "127.0.0.1:9202"

enum { TIMEOUT_MS = 5000, SLOW_MS = 1000, REPLY_MOST = 64 << 20 };

/* ---- asking ---- */

struct server {
    char url[512];         /* without a path */
    const char *unix_path; /* NULL: none */
    char *token;
    bool has_tls_of_its_own; /* its certificate need not be one that we trust */
};

struct reply {
    CURLcode code;
    long status;
    double ms;
    char *data;
    size_t bytes;
    FILE *out;
};

static size_t take(char *data, size_t size, size_t count, void *arg)
{
    struct reply *r = arg;

    return r->bytes + size * count > REPLY_MOST ? 0
                                                : fwrite(data, 1, size * count, r->out);
}

static void set_up(CURL *curl, const struct server *s, struct reply *r)
{
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
    if (s->unix_path != NULL) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, s->unix_path);
    }
    if (s->has_tls_of_its_own) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

/* What it says at a path. Free data. */
static struct reply ask(const struct server *s, const char *path)
{
    struct reply r = {0};
    struct curl_slist *headers = NULL;
    CURL *curl = must(curl_easy_init());
    double seconds = 0;
    char url[600];
    char line[4200];

    snprintf(url, sizeof(url), "%s%s", s->url, path);
    r.out = must(open_memstream(&r.data, &r.bytes));
    set_up(curl, s, &r);
    if (s->token != NULL) {
        snprintf(line, sizeof(line), "Authorization: Bearer %s", s->token);
        headers = must(curl_slist_append(NULL, line));
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    r.code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r.status);
    curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME, &seconds);
    r.ms = seconds * 1000;
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    fclose(r.out);
    return r;
}

/* ---- files that the configuration names ---- */

static void check_secret(struct findings *f, const char *what, const char *path)
{
    struct stat st;

    if (path == NULL) {
        return;
    }
    if (stat(path, &st) != 0 || access(path, R_OK) != 0) {
        doctor_say(f, DOCTOR_BAD, "serve", "%s: %s cannot be read: %s", what, path,
            strerror(errno));
    } else if ((st.st_mode & 007) != 0) {
        doctor_say(f, DOCTOR_WARN, "serve",
            "%s: all users may read %s (mode %04o): chmod 600", what, path,
            st.st_mode & 07777);
    }
}

static void check_files(struct findings *f, const struct config *c)
{
    check_secret(f, "token_file", c->serve.token_file);
    check_secret(f, "key", c->serve.key);
    if (c->serve.certificate != NULL && access(c->serve.certificate, R_OK) != 0) {
        doctor_say(f, DOCTOR_BAD, "serve", "certificate: %s cannot be read: %s",
            c->serve.certificate, strerror(errno));
    }
    for (size_t i = 0; i < c->serve.directories.count; i++) {
        const char *path = c->serve.directories.at[i];

        if (access(path, R_OK | X_OK) != 0 && errno != ENOENT) {
            doctor_say(f, DOCTOR_BAD, "serve", "directories: %s cannot be read: %s",
                path, strerror(errno));
        }
    }
    for (size_t i = 0; i < c->push_count; i++) {
        check_secret(f, "push: token_file", c->pushes[i].token_file);
    }
}

/* ---- the server ---- */

/* "0.0.0.0:9202" is asked at 127.0.0.1, "[::]:9202" at [::1]. */
static void set_url(struct server *s, const char *listen, bool is_tls)
{
    const char *port = strrchr(listen, ':');
    const char *host = listen;
    int length = port != NULL ? (int)(port - listen) : 0;

    if (length == 7 && strncmp(listen, "0.0.0.0", 7) == 0) {
        host = "127.0.0.1";
        length = 9;
    } else if (length == 4 && strncmp(listen, "[::]", 4) == 0) {
        host = "[::1]";
        length = 5;
    }
    snprintf(s->url, sizeof(s->url), "http%s://%.*s%s", is_tls ? "s" : "", length, host,
        port != NULL ? port : "");
    s->has_tls_of_its_own = is_tls;
}

/* The value of a sample without labels, or of all with them; negative: it is not there. */
static double value_of(const char *text, const char *name, const char *label)
{
    size_t n = strlen(name);
    double sum = -1;

    for (const char *line = text; line != NULL && *line != '\0';
         line = strchr(line, '\n'), line += line != NULL) {
        const char *end = strchr(line, '\n');
        const char *space = NULL;

        if (strncmp(line, name, n) != 0 || (line[n] != ' ' && line[n] != '{')) {
            continue;
        }
        space = memchr(line, ' ', end != NULL ? (size_t)(end - line) : strlen(line));
        if (space != NULL
            && (label == NULL
                || memmem(line, (size_t)(space - line), label, strlen(label)))) {
            sum = (sum < 0 ? 0 : sum) + strtod(space, NULL);
        }
    }
    return sum;
}

static size_t count_series(const char *text)
{
    size_t count = 0;

    for (const char *line = text; line != NULL && *line != '\0';
         line = strchr(line, '\n'), line += line != NULL) {
        count += *line != '#' && *line != '\n';
    }
    return count;
}

/* Running processes that anyone here can find. */
static size_t count_running(void)
{
    struct mp_paths all = {0};
    size_t count = 0;

    mp_find_all(NULL, true, &all, NULL);
    for (size_t i = 0; i < all.count; i++) {
        mp_image_t *image = NULL;

        if (mp_image_open(all.path[i], &image, NULL) == 0) {
            count += mp_image_life(image) == MP_LIFE_RUNNING;
        }
        mp_image_free(image);
    }
    mp_paths_free(&all);
    return count;
}

static void check_processes(struct findings *f, const char *text)
{
    double seen = value_of(text, "mpalloc_exporter_processes", "state=\"running\"");
    double errors =
        value_of(text, "mpalloc_exporter_processes", "state=\"unreadable\"");
    size_t here = count_running();

    if (seen < 0) {
        return;
    }
    doctor_say(f, seen < (double)here ? DOCTOR_WARN : DOCTOR_GOOD, "processes",
        "the server sees %.0f that run%s", seen,
        seen < (double)here
            ? ", fewer than this command: it is of another user, or looks into other "
              "directories (--dir, directories:)"
            : "");
    if (errors > 0) {
        doctor_say(f, DOCTOR_WARN, "processes",
            "%.0f regions cannot be read by it: mpalloc ps says why", errors);
    }
}

static void check_metrics(struct findings *f, const struct server *s)
{
    struct reply r = ask(s, "/metrics");

    if (r.code != CURLE_OK) {
        doctor_say(f, DOCTOR_BAD, "scrape", "%s/metrics does not answer: %s", s->url,
            curl_easy_strerror(r.code));
    } else if (r.status == 401) {
        doctor_say(f, s->token != NULL ? DOCTOR_BAD : DOCTOR_WARN, "scrape", "%s",
            s->token != NULL ? "it does not take our token: is token_file that of the "
                               "server, and was it sent SIGHUP since it changed?"
                             : "it asks for a token: --token-file");
    } else if (r.status != 200) {
        doctor_say(f, DOCTOR_BAD, "scrape", "%s/metrics answers %ld%s", s->url,
            r.status,
            r.status == 421 ? ": it is not known by this name (--host, hosts:)" : "");
    } else {
        doctor_say(f, r.ms > SLOW_MS ? DOCTOR_WARN : DOCTOR_GOOD, "scrape",
            "%zu series, %zu bytes, in %.0f ms%s", count_series(r.data), r.bytes, r.ms,
            r.ms > SLOW_MS ? ": give Prometheus a scrape_timeout of more" : "");
        check_processes(f, r.data);
    }
    free(r.data);
}

/* Whether what answers is mpalloc serve. */
static bool check_version(struct findings *f, const struct server *s, bool must_be)
{
    struct reply r = ask(s, "/api/v1/version");
    json_t *o = json_loadb(r.data, r.bytes, 0, NULL);
    const char *schema = json_string_value(json_object_get(o, "schema"));
    const char *version = json_string_value(json_object_get(o, "version"));
    json_int_t format = json_integer_value(json_object_get(o, "region_format"));
    bool is_ours = schema != NULL && strncmp(schema, "mpalloc.version/", 16) == 0;

    if (!is_ours && r.status != 401) {
        doctor_say(f, must_be ? DOCTOR_BAD : DOCTOR_WARN, "exporter",
            "something else than mpalloc serve listens at %s: choose another port "
            "(--listen)",
            s->url);
    } else if (is_ours && format != MP_REGION_VERSION) {
        doctor_say(f, DOCTOR_WARN, "exporter",
            "mpalloc serve %s at %s reads regions of format %lld, this library writes "
            "%d: "
            "upgrade the server",
            version != NULL ? version : "?", s->url, (long long)format,
            MP_REGION_VERSION);
    } else {
        doctor_say(f, DOCTOR_GOOD, "exporter", "mpalloc serve %s%sat %s",
            version != NULL ? version : "", version != NULL ? " " : "", s->url);
    }
    json_decref(o);
    free(r.data);
    return is_ours || r.status == 401;
}

/* Where it should be; must: it has to be there. */
static void check_server(struct findings *f, const struct server *s, bool must_be)
{
    struct reply r = ask(s, "/readyz");

    if (r.code == CURLE_COULDNT_CONNECT) {
        doctor_say(f, must_be ? DOCTOR_BAD : DOCTOR_GOOD, "exporter",
            "no server at %s (mpalloc serve starts one)",
            s->unix_path != NULL ? s->unix_path : s->url);
    } else if (r.code != CURLE_OK) {
        doctor_say(f, must_be ? DOCTOR_BAD : DOCTOR_WARN, "exporter",
            "%s does not answer as a server would: %s", s->url,
            curl_easy_strerror(r.code));
    } else if (check_version(f, s, must_be)) {
        check_metrics(f, s);
    }
    free(r.data);
}

static char *read_token(
    struct findings *f, const struct doctor_serve *s, const struct config *c)
{
    const char *path = s->token_file    ? s->token_file
                       : s->url == NULL ? c->serve.token_file
                                        : NULL;
    struct mp_error error = {""};
    char *token = path != NULL ? push_read_token(path, &error) : NULL;

    if (path != NULL && token == NULL && s->token_file != NULL) {
        doctor_say(f, DOCTOR_BAD, "exporter", "--token-file: %s", error.text);
    }
    return token;
}

void doctor_check_serve(struct findings *f, const struct doctor_serve *s)
{
    struct server server = {0};
    struct mp_error error = {""};
    struct config *c = NULL;

    if (config_load(s->config, &c, &error) != 0) {
        doctor_say(f, DOCTOR_BAD, "config", "%s", error.text);
        return;
    }
    if (c->path != NULL) {
        doctor_say(f, DOCTOR_GOOD, "config", "%s", c->path);
        check_files(f, c);
    }
    if (s->url != NULL) {
        size_t n = strlen(s->url);

        snprintf(server.url, sizeof(server.url), "%s", s->url);
        while (n > 0 && n < sizeof(server.url) && server.url[n - 1] == '/') {
            server.url[--n] = '\0';
        }
    } else {
        set_url(&server, c->serve.listen != NULL ? c->serve.listen : USUAL,
            c->serve.certificate != NULL);
    }
    server.token = read_token(f, s, c);
    check_server(f, &server, s->url != NULL);
    free(server.token);
    if (s->url == NULL && c->serve.unix_path != NULL
        && access(c->serve.unix_path, F_OK) == 0) {
        server =
            (struct server){.url = "http://localhost", .unix_path = c->serve.unix_path};
        check_server(f, &server, false);
    }
    config_free(c);
}
