#include "push_config.h"

#include "must.h"

#include <errno.h>
#include <string.h>

enum { TOKEN_BYTES = 4096 };

char *push_read_token(const char *path, struct mp_error *error)
{
    char *token = must(malloc(TOKEN_BYTES));
    FILE *file = fopen(path, "re");
    bool has_line = false;

    if (file == NULL) {
        snprintf(error->text, sizeof(error->text), "%.200s cannot be read: %s", path,
            strerror(errno));
        free(token);
        return NULL;
    }
    has_line = fgets(token, TOKEN_BYTES, file) != NULL;
    fclose(file);
    token[has_line ? strcspn(token, "\r\n") : 0] = '\0';
    if (token[0] == '\0') {
        snprintf(error->text, sizeof(error->text),
            "%.200s has no token in its first line", path);
        free(token);
        return NULL;
    }
    return token;
}

static struct otlp_attribute *make_labels(const struct config_pairs *from)
{
    struct otlp_attribute *labels = must(calloc(from->count + 1, sizeof(*labels)));

    for (size_t i = 0; i < from->count; i++) {
        labels[i] = (struct otlp_attribute){from->at[i].key, from->at[i].value, 0};
    }
    return labels;
}

static char **make_headers(const struct config_pairs *from)
{
    char **headers = must(calloc(from->count + 1, sizeof(*headers)));

    for (size_t i = 0; i < from->count; i++) {
        size_t size = strlen(from->at[i].key) + strlen(from->at[i].value) + 3;

        headers[i] = must(malloc(size));
        snprintf(headers[i], size, "%s: %s", from->at[i].key, from->at[i].value);
    }
    return headers;
}

static void free_headers(char **headers)
{
    for (size_t i = 0; headers[i] != NULL; i++) {
        free(headers[i]);
    }
    free(headers);
}

/* Adds one push; a problem is told with where it stands in the file. */
static int add(struct push_list *list, const struct push_options *options,
    const struct config *config, unsigned line, struct mp_error *error)
{
    struct mp_error why = {""};
    struct push *p = NULL;
    int code = push_create(options, &p, &why);

    if (code != 0) {
        snprintf(error->text, sizeof(error->text), "%.100s:%u: %.200s",
            config->path != NULL ? config->path : "configuration", line, why.text);
        return code;
    }
    list->at = must(reallocarray(list->at, list->count + 1, sizeof(struct push *)));
    list->at[list->count++] = p;
    return 0;
}

static struct metric_options metrics_of(const struct config *config)
{
    return (struct metric_options){.components = (unsigned)config->metrics.components,
        .size_classes = config->metrics.size_classes};
}

static int add_otlp(struct push_list *list, const struct config *config,
    bool makes_insight, struct mp_error *error)
{
    const struct config_otlp *from = &config->otlp;
    struct otlp_attribute *labels = make_labels(&from->resource);
    char **headers = make_headers(&from->headers);
    struct push_options o = {.to = PUSH_TO_OTLP,
        .url = from->endpoint,
        .interval_ms = (unsigned)from->interval_ms,
        .label_count = from->resource.count,
        .labels = labels,
        .header_count = from->headers.count,
        .headers = (const char *const *)headers,
        .is_json = from->format == OTLP_JSON,
        .has_profiles = from->profiles,
        .makes_insight = makes_insight,
        .metrics = metrics_of(config)};
    int code = add(list, &o, config, from->line, error);

    free(labels);
    free_headers(headers);
    return code;
}

static int add_store(struct push_list *list, const struct config *config,
    const struct config_push *from, struct mp_error *error)
{
    struct otlp_attribute *labels = make_labels(&from->labels);
    struct mp_error why = {""};
    struct push_options o = {
        .to = from->kind == PUSH_PARCA ? PUSH_TO_PARCA : PUSH_TO_PYROSCOPE,
        .url = from->url,
        .interval_ms = (unsigned)from->interval_ms,
        .label_count = from->labels.count,
        .labels = labels,
        .tenant = from->tenant,
        .metrics = metrics_of(config)};
    char *token = NULL;
    int code = 0;

    if (from->token_file != NULL) {
        token = push_read_token(from->token_file, &why);
        if (token == NULL) {
            snprintf(error->text, sizeof(error->text), "%.100s:%u: token_file: %.200s",
                config->path != NULL ? config->path : "configuration", from->line,
                why.text);
            code = -EINVAL;
        }
    }
    o.token = token;
    if (code == 0) {
        code = add(list, &o, config, from->line, error);
    }
    free(token);
    free(labels);
    return code;
}

int push_list_make(const struct config *config, bool makes_insight,
    struct push_list *ret, struct mp_error *error)
{
    int code = 0;

    *ret = (struct push_list){0};
    if (config->otlp.endpoint != NULL) {
        code = add_otlp(ret, config, makes_insight, error);
    }
    for (size_t i = 0; i < config->push_count && code == 0; i++) {
        code = add_store(ret, config, &config->pushes[i], error);
    }
    if (code != 0) {
        push_list_free(ret);
    }
    return code;
}

void push_list_free(struct push_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        push_destroy(list->at[i]);
    }
    free(list->at);
    *list = (struct push_list){0};
}
