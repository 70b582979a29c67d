#include "alert_notice.h"

#include "document.h"
#include "format.h"
#include "must.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

void alert_process_make(struct alert_process *p, const mp_image_t *image)
{
    const struct mp_region_process *r = mp_image_process(image);
    const char *path = mp_image_path(image);
    const char *slash = strrchr(path, '/');
    char id[sizeof(p->id)];
    size_t length;

    *p = (struct alert_process){.pid = r->pid};
    snprintf(id, sizeof(id), "%llu-%llu", (unsigned long long)r->pid,
        (unsigned long long)r->start_ticks);
    /* As the file is named, where it is: /proc names those of a memfd otherwise. */
    path = slash != NULL ? slash + 1 : path;
    length = strcspn(path, ".");
    if (length < sizeof(id) && strspn(path, "0123456789-") == length && length > 0
        && strchr(path, '-') != NULL && strcmp(path + length, ".mp") == 0) {
        snprintf(id, sizeof(id), "%.*s", (int)length, path);
    }
    strcpy(p->id, id);
    format_name(p->name, sizeof(p->name), r->service, 60);
    memcpy(p->run_id, r->run_id, sizeof(p->run_id));
}

void alert_notice_make(struct alert_notice *n, const struct mp_alert *alert,
    const struct alert_process *process)
{
    *n = (struct alert_notice){.process = *process,
        .measure = alert->rule->measure,
        .state = alert->state,
        .severity = alert->severity,
        .since_ns = alert->since_ns,
        .fired_ns = alert->fired_ns,
        .resolved_ns = alert->resolved_ns,
        .value = alert->value,
        .threshold = alert->rule->threshold};
    strcpy(n->name, alert->rule->name);
    strcpy(n->silenced_by, alert->silenced_by != NULL ? alert->silenced_by->name : "");
    strcpy(n->text, alert->text);
}

const char *alert_runbook(const char *rule, char *ret, size_t size)
{
    static const char base[] = MPALLOC_RUNBOOK;
    size_t at;

    ret[0] = '\0';
    if (mp_alert_rule_text(rule)[0] == '\0') {
        return ret;
    }
    at = (size_t)snprintf(ret, size, "%s#", base);
    for (; *rule != '\0' && at < size - 1; rule++) {
        ret[at++] = (char)tolower((unsigned char)*rule);
    }
    ret[at < size ? at : size - 1] = '\0';
    return ret;
}

static uint64_t moment_of(const struct alert_notice *n)
{
    return n->state == MP_ALERT_RESOLVED ? n->resolved_ns
           : n->state == MP_ALERT_FIRING ? n->fired_ns
                                         : n->since_ns;
}

json_t *alert_notice_json(const struct alert_notice *n)
{
    json_t *o = must(json_object());
    json_t *p = must(json_object());
    char runbook[512];

    document_set_text(p, "id", n->process.id);
    document_set_bytes(p, "pid", n->process.pid);
    document_set_text(p, "name", n->process.name);
    document_set(o, "process", p);
    document_set_text(o, "name", n->name);
    document_set_text(o, "severity", mp_severity_name(n->severity));
    document_set_text(o, "state", mp_alert_state_name(n->state));
    document_set_time(o, "since", moment_of(n));
    document_set_time(o, "beyond_since", n->since_ns);
    document_set_text(o, "measure", mp_measure_name(n->measure));
    document_set(o, "value", document_number(n->value));
    document_set(o, "threshold", document_number(n->threshold));
    document_set_text(o, "text", n->text);
    document_set(o, "silenced_by",
        n->silenced_by[0] != '\0' ? json_string(n->silenced_by) : json_null());
    alert_runbook(n->name, runbook, sizeof(runbook));
    document_set(o, "runbook", runbook[0] != '\0' ? json_string(runbook) : json_null());
    return o;
}

/* ---- words ---- */

bool alert_notice_word(const struct alert_notice *n, unsigned number,
    const char **ret_key, char *ret_value, size_t size)
{
    static const char *const keys[] = {
        "name", "severity", "state", "process", "pid", "program", "value", "text"};

    if (number >= sizeof(keys) / sizeof(keys[0])) {
        return false;
    }
    *ret_key = keys[number];
    switch (number) {
    case 0:
        snprintf(ret_value, size, "%s", n->name);
        break;
    case 1:
        snprintf(ret_value, size, "%s", mp_severity_name(n->severity));
        break;
    case 2:
        snprintf(ret_value, size, "%s", mp_alert_state_name(n->state));
        break;
    case 3:
        snprintf(ret_value, size, "%s", n->process.id);
        break;
    case 4:
        snprintf(ret_value, size, "%llu", (unsigned long long)n->process.pid);
        break;
    case 5:
        snprintf(ret_value, size, "%s", n->process.name);
        break;
    case 6:
        mp_measure_format(n->measure, n->value, ret_value, size);
        break;
    default:
        snprintf(ret_value, size, "%s", n->text);
    }
    return true;
}

char *alert_notice_fill(const struct alert_notice *n, const char *pattern)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = must(open_memstream(&text, &bytes));

    while (*pattern != '\0') {
        char value[512];
        const char *key;
        bool is_word = false;

        for (unsigned i = 0; pattern[0] == '{' && !is_word
                             && alert_notice_word(n, i, &key, value, sizeof(value));
             i++) {
            size_t length = strlen(key);

            if (strncmp(pattern + 1, key, length) == 0 && pattern[length + 1] == '}') {
                fputs(value, out);
                pattern += length + 2;
                is_word = true;
            }
        }
        if (!is_word) {
            putc(*pattern++, out);
        }
    }
    fclose(out);
    return must(text);
}

/* Words with blanks, quotes or = are quoted. */
static int add_pair(char *ret, size_t size, const char *key, const char *value)
{
    char quoted[1024];
    size_t at = 0;

    if (value[0] != '\0' && strpbrk(value, " \"=\\") == NULL) {
        return snprintf(ret, size, " %s=%s", key, value);
    }
    for (; *value != '\0' && at < sizeof(quoted) - 3; value++) {
        if (*value == '"' || *value == '\\') {
            quoted[at++] = '\\';
        }
        quoted[at++] = *value;
    }
    quoted[at] = '\0';
    return snprintf(ret, size, " %s=\"%s\"", key, quoted);
}

size_t alert_notice_logfmt(
    const struct alert_notice *n, uint64_t now_ns, char *ret, size_t size)
{
    char value[512];
    const char *key;
    size_t at = (size_t)snprintf(ret, size, "time=%s", format_rfc3339(now_ns).text);

    for (unsigned i = 0; alert_notice_word(n, i, &key, value, sizeof(value)); i++) {
        int length = at < size ? add_pair(ret + at, size - at, key, value) : 0;

        at += length > 0 ? (size_t)length : 0;
    }
    return at < size ? at : size - 1;
}
