#include "configuration.h"

#include "cli.h"
#include "config_schema.h"
#include "config_text.h"
#include "config_values.h"
#include "must.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES_MAX = 1 << 20 };

/* ---- what libcyaml says, as one line ---- */

struct complaint {
    char what[200];   /* the first line */
    char key[64];     /* the innermost that was named, */
    char section[64]; /* and the outermost */
    unsigned line;
};

/* First what is wrong, then where, from the inside out: "  in mapping field 'x' (line: 3, …". */
__attribute__((format(printf, 3, 0))) static void hear(
    cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct complaint *c = context;
    char line[256];
    const char *at;

    (void)level;
    vsnprintf(line, sizeof(line), format, arguments);
    at = strstr(line, "(line: ");
    if (at != NULL) {
        const char *field = strstr(line, "field '");

        if (c->line == 0) {
            sscanf(at, "(line: %u", &c->line);
        }
        if (field != NULL) {
            sscanf(field, "field '%63[^']", c->section);
            if (c->key[0] == '\0') {
                memcpy(c->key, c->section, sizeof(c->key));
            }
        }
    } else if (c->what[0] == '\0') {
        const char *text = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;

        snprintf(c->what, sizeof(c->what), "%.*s", (int)strcspn(text, "\n"), text);
    }
}

static bool complain(struct config_text *text, const struct complaint *c)
{
    static const char unknown[] = "Unexpected key: ";
    static const char twice[] = "Mapping field already seen: ";
    char keys[240];

    if (strncmp(c->what, unknown, sizeof(unknown) - 1) == 0) {
        const char *key = c->what + sizeof(unknown) - 1;
        config_schema_list_keys(c->section, keys, sizeof(keys));
        return config_text_fail(text, config_text_find_key(text, c->line, key),
            "there is no key %s%s%s; there are: %s", key,
            c->section[0] != '\0' ? " in " : "", c->section, keys);
    }
    if (strncmp(c->what, twice, sizeof(twice) - 1) == 0) {
        return config_text_fail(text, c->line, "the key %s is there twice: remove one",
            c->what + sizeof(twice) - 1);
    }
    if (strncmp(c->what, "Expecting ", 10) == 0) {
        const char *wanted = strncmp(c->what + 10, "SEQUENCE", 8) == 0 ? "a list: [ … ]"
                             : strncmp(c->what + 10, "MAPPING", 7) == 0
                                 ? "keys with values: {key: value}"
                                 : "one value";

        return config_text_fail(text, c->line, "%s wants %s",
            c->key[0] != '\0' ? c->key : "the file", wanted);
    }
    return config_text_fail(text, c->line, "%s", c->what);
}

/* ---- from a text ---- */

bool config_find_preset(const char *name, enum mp_alert_preset *ret)
{
    for (unsigned i = 0; i < MP_PRESETS; i++) {
        if (strcmp(name, mp_preset_name((enum mp_alert_preset)i)) == 0) {
            *ret = (enum mp_alert_preset)i;
            return true;
        }
    }
    return false;
}

static bool make_preset(
    struct config *c, const struct raw_config *raw, struct config_text *text)
{
    if (raw->preset == NULL || config_find_preset(raw->preset, &c->preset)) {
        return true;
    }
    return config_text_fail(text,
        config_text_key_line(text, config_text_root(text), "preset"),
        "preset is production or development, not %s", raw->preset);
}

static bool make(struct config *c, const struct raw_config *raw,
    struct config_text *text, const enum mp_alert_preset *preset)
{
    if (!make_preset(c, raw, text)) {
        return false;
    }
    if (preset != NULL) {
        c->preset = *preset;
    }
    return config_make_rules(c, raw, text) && config_make_sinks(c, raw, text)
           && config_make_sections(c, raw, text);
}

static bool parse(struct config *c, struct config_text *text, const char *bytes,
    size_t count, const enum mp_alert_preset *preset)
{
    static const struct raw_config nothing;
    struct complaint complaint = {.what = ""};
    cyaml_config_t how = {.log_fn = hear,
        .log_ctx = &complaint,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_NO_ALIAS};
    struct raw_config *raw = NULL;
    cyaml_err_t code;
    bool is_good;

    if (config_text_root(text) == NULL) {
        return make(c, &nothing, text, preset); /* comments at most */
    }
    code = cyaml_load_data((const uint8_t *)bytes, count, &how, &config_schema,
        (cyaml_data_t **)&raw, NULL);
    if (code == CYAML_ERR_OOM) {
        must(NULL);
    }
    if (code == CYAML_ERR_ALIAS) {
        is_good = config_text_fail(
            text, complaint.line, "aliases (*name) are not understood: write it out");
    } else if (code != CYAML_OK) {
        if (complaint.what[0] == '\0') {
            snprintf(
                complaint.what, sizeof(complaint.what), "%s", cyaml_strerror(code));
        }
        complaint.line += complaint.line == 0;
        is_good = complain(text, &complaint);
    } else {
        is_good = make(c, raw != NULL ? raw : &nothing, text, preset);
    }
    cyaml_free(&how, &config_schema, raw, 0);
    return is_good;
}

int config_parse(const char *bytes, size_t count, const char *name,
    const enum mp_alert_preset *preset, struct config **ret, struct mp_error *error)
{
    struct config *c = must(calloc(1, sizeof(*c)));
    struct config_text text;
    bool is_good;

    *ret = NULL;
    config_set_defaults(c);
    is_good = config_text_read(&text, name, bytes, count, error)
              && parse(c, &text, bytes, count, preset);
    config_text_fini(&text);
    if (!is_good) {
        config_free(c);
        return -EINVAL;
    }
    *ret = c;
    return 0;
}

/* ---- from a file ---- */

__attribute__((format(printf, 2, 3))) static void fail(
    struct mp_error *error, const char *format, ...)
{
    va_list arguments;

    if (error != NULL) {
        va_start(arguments, format);
        vsnprintf(error->text, sizeof(error->text), format, arguments);
        va_end(arguments);
    }
}

/* It names programs to be run: nobody else may have a hand in it. */
static int check_owner(const char *path, const struct stat *st, struct mp_error *error)
{
    if (!S_ISREG(st->st_mode)) {
        fail(error, "the configuration %s is no file", path);
        return -EINVAL;
    }
    if ((st->st_uid != geteuid() && st->st_uid != 0) || (st->st_mode & S_IWOTH) != 0) {
        fail(error,
            "the configuration %s may be written by others: chown it to yourself, and "
            "chmod o-w it",
            path);
        return -EPERM;
    }
    if (st->st_size > BYTES_MAX) {
        fail(error, "the configuration %s is longer than 1 MiB", path);
        return -EFBIG;
    }
    return 0;
}

static int read_file(
    const char *path, char **ret, size_t *ret_count, struct mp_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    char *bytes = NULL;
    ssize_t n = 0;
    size_t count = 0;
    int code;

    if (fd < 0 || fstat(fd, &st) != 0) {
        code = -errno;
        fail(error, "the configuration %s cannot be read: %s", path, strerror(-code));
        if (fd >= 0) {
            close(fd);
        }
        return code;
    }
    code = check_owner(path, &st, error);
    if (code == 0) {
        bytes = must(malloc(BYTES_MAX + 1));
        while (
            count < BYTES_MAX && (n = read(fd, bytes + count, BYTES_MAX - count)) > 0) {
            count += (size_t)n;
        }
        if (n < 0) {
            code = -errno;
            fail(error, "the configuration %s cannot be read: %s", path,
                strerror(-code));
        }
    }
    close(fd);
    if (code != 0) {
        free(bytes);
        return code;
    }
    *ret = bytes;
    *ret_count = count;
    return 0;
}

static bool is_there(const char *folder, const char *rest, char *ret, size_t size)
{
    int n = folder != NULL && folder[0] == '/'
                ? snprintf(ret, size, "%s%s/mpalloc.yaml", folder, rest)
                : -1;

    return n > 0 && (size_t)n < size && access(ret, F_OK) == 0;
}

/* NULL: none. */
static const char *find(const char *path, char *buffer, size_t size)
{
    const char *named = getenv("MPALLOC_CONFIG");

    if (path != NULL) {
        return path;
    }
    if (named != NULL && named[0] != '\0') {
        return named;
    }
    return is_there(getenv("XDG_CONFIG_HOME"), "/mpalloc", buffer, size)
                   || is_there(getenv("HOME"), "/.config/mpalloc", buffer, size)
                   || is_there("/etc", "/mpalloc", buffer, size)
               ? buffer
               : NULL;
}

int config_load_preset(const char *path, const enum mp_alert_preset *preset,
    struct config **ret, struct mp_error *error)
{
    char buffer[PATH_MAX];
    const char *found = find(path, buffer, sizeof(buffer));
    char *bytes = NULL;
    size_t count = 0;
    int code;

    *ret = NULL;
    if (found == NULL) {
        return config_parse("", 0, "(built in)", preset, ret, error);
    }
    code = read_file(found, &bytes, &count, error);
    if (code == 0) {
        code = config_parse(bytes, count, found, preset, ret, error);
    }
    if (code == 0) {
        (*ret)->path = must(strdup(found));
    }
    free(bytes);
    return code;
}

int config_load(const char *path, struct config **ret, struct mp_error *error)
{
    return config_load_preset(path, NULL, ret, error);
}

int config_open(const char *verb, const char *path, const enum mp_alert_preset *preset,
    struct config **ret)
{
    struct mp_error error = {""};
    int code = config_load_preset(path, preset, ret, &error);

    return code == 0 ? EXIT_FINE
           : code == -EACCES || code == -EPERM
               ? (int)cli_fail(verb, EXIT_NOT_PERMITTED, "%s", error.text)
           : code == -EINVAL ? (int)cli_fail(verb, EXIT_USAGE, "%s", error.text)
                             : (int)cli_fail(verb, EXIT_FAILED, "%s", error.text);
}

/* ---- the end of one ---- */

static void free_pairs(struct config_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->at[i].key);
        free(pairs->at[i].value);
    }
    free(pairs->at);
}

static void free_words(struct config_words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        free(words->at[i]);
    }
    free(words->at);
}

static void free_sections(struct config *c)
{
    free(c->serve.listen);
    free(c->serve.unix_path);
    free(c->serve.token_file);
    free(c->serve.certificate);
    free(c->serve.key);
    free_words(&c->serve.directories);
    free_words(&c->serve.hosts);
    free(c->otlp.endpoint);
    free_pairs(&c->otlp.headers);
    free_pairs(&c->otlp.resource);
    for (size_t i = 0; i < c->push_count; i++) {
        free(c->pushes[i].url);
        free_pairs(&c->pushes[i].labels);
        free(c->pushes[i].tenant);
        free(c->pushes[i].token_file);
    }
    free(c->pushes);
}

void config_free(struct config *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->sink_count; i++) {
        free(c->sinks[i].to);
        free_words(&c->sinks[i].command);
        free_pairs(&c->sinks[i].headers);
        free_pairs(&c->sinks[i].labels);
    }
    free(c->sinks);
    free_sections(c);
    free(c->rules);
    free(c->path);
    free(c);
}
