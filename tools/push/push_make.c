#include "push_make.h"

#include "export.h"
#include "must.h"

#include <curl/curl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

struct push_message *push_message_new(enum push_signal signal, const char *url,
    const char *content_type, char *body, size_t bytes)
{
    struct push_message *m = must(calloc(1, sizeof(*m)));

    m->signal = signal;
    m->url = must(strdup(url));
    m->content_type = must(strdup(content_type));
    m->body = body;
    m->bytes = bytes;
    return m;
}

void push_message_compress(struct push_message *m)
{
    z_stream z = {.next_in = (Bytef *)m->body, .avail_in = (uInt)m->bytes};
    size_t room = compressBound(m->bytes) + 64;
    char *data;

    if (m->bytes > UINT32_MAX / 2
        || deflateInit2(
               &z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY)
               != Z_OK) {
        return; /* then as it is */
    }
    data = must(malloc(room));
    z.next_out = (Bytef *)data;
    z.avail_out = (uInt)room;
    if (deflate(&z, Z_FINISH) == Z_STREAM_END) {
        free(m->body);
        m->body = data;
        m->bytes = room - z.avail_out;
        m->content_encoding = "gzip";
    } else {
        free(data);
    }
    deflateEnd(&z);
}

/* ---- profiles ---- */

static struct profile *make_profile(const mp_image_t *image)
{
    struct profile *p = profile_create(image);

    if (export_prepare(p, false) != 0) {
        must(NULL);
    }
    return p;
}

char *push_pprof(const mp_image_t *image, size_t *ret_bytes)
{
    struct profile *p = make_profile(image);
    char *data = NULL;
    FILE *out = must(open_memstream(&data, ret_bytes));

    if (export_pprof(out, p, PROFILE_LIVE_BYTES) != 0 || fclose(out) != 0) {
        must(NULL);
    }
    profile_destroy(p);
    return data;
}

static const char *type_of(const struct push_options *o)
{
    return o->is_json ? "application/json" : "application/x-protobuf";
}

static struct push_message *make_otlp(enum push_signal signal, const char *url,
    const struct push_options *o, const ProtobufCMessage *from)
{
    size_t bytes;
    char *body = o->is_json ? otlp_json(from, &bytes) : otlp_protobuf(from, &bytes);
    struct push_message *m = push_message_new(signal, url, type_of(o), body, bytes);

    if (!o->is_plain) {
        push_message_compress(m);
    }
    return m;
}

struct push_message *push_otlp_metrics(
    const char *url, const struct push_options *o, const struct otlp_metrics *m)
{
    return make_otlp(PUSH_METRICS, url, o, otlp_metrics_message(m));
}

struct push_message *push_otlp_profiles(
    const char *url, const struct push_options *o, const struct push_process *process)
{
    struct otlp_resource resource = {o->label_count, o->labels};
    struct profile *p = make_profile(process->image);
    ProtobufCMessage *request = otlp_profiles(p, &resource);
    struct push_message *m = make_otlp(PUSH_PROFILES, url, o, request);

    protobuf_c_message_free_unpacked(request, NULL);
    profile_destroy(p);
    return m;
}

/* ---- labels ---- */

bool push_is_label(const char *name)
{
    static const char first[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

    return name[0] != '\0' && !(name[0] >= '0' && name[0] <= '9')
           && strspn(name, first) == strlen(name);
}

typedef void label_fn(void *arg, const char *name, const char *value);

/* Those that are known, and those of the user, which replace them. */
static void each_label(const struct push_options *o, const mp_image_t *image,
    const char *host_name, label_fn *fn, void *arg)
{
    char host[256] = "";
    char pid[24];
    const char *known[][2] = {{host_name, host}, {"pid", pid}};

    snprintf(
        pid, sizeof(pid), "%llu", (unsigned long long)mp_image_process(image)->pid);
    if (gethostname(host, sizeof(host) - 1) != 0) {
        host[0] = '\0';
    }
    for (size_t i = 0; i < 2; i++) {
        bool is_replaced = known[i][1][0] == '\0';

        for (size_t k = 0; k < o->label_count; k++) {
            is_replaced |= strcmp(o->labels[k].key, known[i][0]) == 0;
        }
        if (!is_replaced) {
            fn(arg, known[i][0], known[i][1]);
        }
    }
    for (size_t k = 0; k < o->label_count; k++) {
        fn(arg, o->labels[k].key, o->labels[k].text);
    }
}

static void name_of(const mp_image_t *image, char *ret, size_t size)
{
    const struct mp_region_process *p = mp_image_process(image);

    mp_text_escape(ret, size, p->service, sizeof(p->service));
    if (ret[0] == '\0') {
        snprintf(ret, size, "unknown");
    }
}

/* ---- Pyroscope ---- */

struct text {
    char *data;
    size_t bytes;
    FILE *out;
};

static void text_open(struct text *t)
{
    t->out = must(open_memstream(&t->data, &t->bytes));
}

static char *text_close(struct text *t)
{
    if (fclose(t->out) != 0) {
        must(NULL);
    }
    return t->data;
}

/* name{key=value,…} has no quotes: what would end a name or a value is replaced. */
static void put_plain(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        putc(strchr("{}=,\"", *text) != NULL ? '_' : *text, out);
    }
}

struct labels {
    FILE *out;
    bool has_one;
};

static void put_label(void *arg, const char *name, const char *value)
{
    struct labels *l = arg;

    if (l->has_one) {
        putc(',', l->out);
    }
    l->has_one = true;
    put_plain(l->out, name);
    putc('=', l->out);
    put_plain(l->out, value);
}

static char *pyroscope_url(const char *url, const struct push_options *o,
    const mp_image_t *image, uint64_t before_s, uint64_t now_s)
{
    char name[4 * MP_REGION_NAME_BYTES + 1];
    struct labels l = {NULL, false};
    struct text whole;
    struct text t;
    char *escaped;

    text_open(&t);
    l.out = t.out;
    name_of(image, name, sizeof(name));
    put_plain(t.out, name);
    putc('{', t.out);
    each_label(o, image, "hostname", put_label, &l);
    putc('}', t.out);
    text_close(&t);
    escaped = must(curl_easy_escape(NULL, t.data, 0));
    text_open(&whole);
    fprintf(whole.out, "%s?name=%s&from=%llu&until=%llu&spyName=mpalloc", url, escaped,
        (unsigned long long)before_s, (unsigned long long)now_s);
    curl_free(escaped);
    free(t.data);
    return text_close(&whole);
}

/* What the server should know of each type of sample: that they are levels, not sums over time. */
static char *sample_types(void)
{
    json_t *all = must(json_object());
    char *text;

    for (unsigned i = PROFILE_ALLOCATED_BLOCKS; i <= PROFILE_LIVE_BYTES; i++) {
        bool is_bytes = strcmp(export_values[i].unit, "bytes") == 0;

        json_object_set_new(all, export_values[i].name,
            must(json_pack("{s:s, s:s, s:s, s:b}", "units",
                is_bytes ? "bytes" : "objects", "display-name", export_values[i].name,
                "aggregation", "average", "sampled", 0)));
    }
    text = must(json_dumps(all, JSON_COMPACT));
    json_decref(all);
    return text;
}

static void put_part(FILE *out, const char *boundary, const char *name,
    const char *file, const void *data, size_t bytes)
{
    fprintf(out,
        "--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\n",
        boundary, name, file);
    fwrite(data, 1, bytes, out);
    fputs("\r\n", out);
}

/*
 * A form with the profile, and what its types of samples mean. The server takes it as a form only
 * if the address does not say format=pprof.
 */
struct push_message *push_pyroscope(const char *url, const struct push_options *o,
    const struct push_process *process, uint64_t before_s, uint64_t now_s)
{
    size_t bytes;
    char *pprof = push_pprof(process->image, &bytes);
    char *types = sample_types();
    char *whole = pyroscope_url(url, o, process->image, before_s, now_s);
    const uint8_t *id = mp_image_process(process->image)->run_id;
    char boundary[64] = "mpalloc-";
    char type[128];
    struct push_message *m;
    struct text t;

    /* Nobody knows it before, so no profile has it on purpose. */
    for (size_t i = 0; i < 16; i++) {
        snprintf(boundary + 8 + 2 * i, 3, "%02x", id[i] ^ (uint8_t)(now_s >> (i % 8)));
    }
    text_open(&t);
    put_part(t.out, boundary, "profile", "profile.pprof", pprof, bytes);
    put_part(t.out, boundary, "sample_type_config", "sample_type_config.json", types,
        strlen(types));
    fprintf(t.out, "--%s--\r\n", boundary);
    text_close(&t);
    snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
    m = push_message_new(PUSH_PROFILES, whole, type, t.data, t.bytes);
    free(whole);
    free(types);
    free(pprof);
    return m;
}

/* ---- Parca ---- */

static char *make_base64(const char *data, size_t bytes)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = must(malloc((bytes + 2) / 3 * 4 + 1));
    size_t n = 0;

    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        uint32_t three = (uint32_t)(uint8_t)data[i] << 16;

        three |= left > 1 ? (uint32_t)(uint8_t)data[i + 1] << 8 : 0;
        three |= left > 2 ? (uint8_t)data[i + 2] : 0;
        text[n++] = digits[three >> 18];
        text[n++] = digits[three >> 12 & 63];
        text[n++] = left > 1 ? digits[three >> 6 & 63] : '=';
        text[n++] = left > 2 ? digits[three & 63] : '=';
    }
    text[n] = '\0';
    return text;
}

static void add_label(void *arg, const char *name, const char *value)
{
    json_array_append_new(
        arg, must(json_pack("{s:s, s:s}", "name", name, "value", value)));
}

static bool is_given(const struct push_options *o, const char *key)
{
    for (size_t i = 0; i < o->label_count; i++) {
        if (strcmp(o->labels[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

/* WriteRaw, as its gateway has it in JSON. */
struct push_message *push_parca(
    const char *url, const struct push_options *o, const struct push_process *process)
{
    char name[4 * MP_REGION_NAME_BYTES + 1];
    json_t *labels = must(json_array());
    size_t bytes;
    char *pprof = push_pprof(process->image, &bytes);
    char *base64 = make_base64(pprof, bytes);
    struct push_message *m;
    json_t *whole;
    char *text;

    name_of(process->image, name, sizeof(name));
    if (!is_given(o, "__name__")) {
        add_label(labels, "__name__", "memory");
    }
    if (!is_given(o, "job")) {
        add_label(labels, "job", name);
    }
    each_label(o, process->image, "instance", add_label, labels);
    whole = must(json_pack("{s:[{s:{s:o}, s:[{s:s}]}], s:b}", "series", "labels",
        "labels", labels, "samples", "rawProfile", base64, "normalized", 0));
    text = must(json_dumps(whole, JSON_COMPACT));
    m = push_message_new(PUSH_PROFILES, url, "application/json", text, strlen(text));
    json_decref(whole);
    free(base64);
    free(pprof);
    return m;
}
