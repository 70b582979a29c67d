#include "suppressions.h"

#include "cli.h"
#include "leaks.h"
#include "must.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { LEAK, FUNCTION, MODULE, ANY };

struct line {
    enum kind kind;
    char *pattern;
};

/* One leak: line, or the frames of one of valgrind's. */
struct rule {
    size_t count;
    struct line *lines;
};

struct rules {
    size_t count;
    struct rule *all;
    const char *error; /* NULL: none */
    unsigned error_line;
};

static void add_line(struct rule *r, enum kind kind, const char *pattern)
{
    r->lines = must(realloc(r->lines, (r->count + 1) * sizeof(*r->lines)));
    r->lines[r->count++] = (struct line){kind, must(strdup(pattern))};
}

static void clear_rule(struct rule *r)
{
    while (r->count > 0) {
        free(r->lines[--r->count].pattern);
    }
    free(r->lines);
    r->lines = NULL;
}

static void add_rule(struct rules *rules, struct rule *r)
{
    rules->all = must(realloc(rules->all, (rules->count + 1) * sizeof(*rules->all)));
    rules->all[rules->count++] = *r;
    *r = (struct rule){0};
}

/* The next line without blanks around it, and how many there were; NULL: the end. */
static char *next(FILE *f, char *line, size_t size, unsigned *number)
{
    char *end;

    if (fgets(line, (int)size, f) == NULL) {
        return NULL;
    }
    ++*number;
    line += strspn(line, " \t");
    end = line + strlen(line);
    while (end > line && strchr(" \t\r\n", end[-1]) != NULL) {
        *--end = '\0';
    }
    return line;
}

static const char *after(const char *line, const char *start)
{
    size_t n = strlen(start);

    return strncmp(line, start, n) == 0 ? line + n : NULL;
}

/* From behind "{" to "}". Rules for other tools and kinds are passed over. */
static const char *read_block(FILE *f, struct rules *rules, unsigned *number)
{
    char room[4096];
    struct rule r = {0};
    const char *what = NULL;
    const char *rest;
    char *line = next(f, room, sizeof(room), number); /* its name */
    bool is_ours = false;

    line = line != NULL ? next(f, room, sizeof(room), number) : NULL;
    if (line == NULL || strchr(line, ':') == NULL) {
        return "expected a name, then a tool and a kind, such as Memcheck:Leak";
    }
    is_ours = strcmp(line, "Memcheck:Leak") == 0;
    while ((line = next(f, room, sizeof(room), number)) != NULL
           && strcmp(line, "}") != 0) {
        if ((rest = after(line, "match-leak-kinds:")) != NULL) {
            is_ours &= strstr(rest, "definite") != NULL || strstr(rest, "all") != NULL;
        } else if ((rest = after(line, "fun:")) != NULL) {
            add_line(&r, FUNCTION, rest);
        } else if ((rest = after(line, "obj:")) != NULL) {
            add_line(&r, MODULE, rest);
        } else if (strcmp(line, "...") == 0) {
            add_line(&r, ANY, "");
        }
    }
    what = line == NULL ? "expected \"}\" before the end of the file" : NULL;
    if (what == NULL && is_ours && r.count > 0) {
        add_rule(rules, &r);
    }
    clear_rule(&r);
    return what;
}

/* False: errno says why the file cannot be read; or rules->error. */
static bool read_rules(const char *path, struct rules *rules)
{
    char room[4096];
    unsigned number = 0;
    FILE *f = fopen(path, "re");
    char *line;

    if (f == NULL) {
        return false;
    }
    while (
        rules->error == NULL && (line = next(f, room, sizeof(room), &number)) != NULL) {
        const char *rest = after(line, "leak:");
        struct rule r = {0};

        if (strcmp(line, "{") == 0) {
            rules->error = read_block(f, rules, &number);
        } else if (rest != NULL && rest[0] != '\0') {
            add_line(&r, LEAK, rest);
            add_rule(rules, &r);
        } else if (line[0] != '\0' && line[0] != '#') {
            rules->error = "expected leak:PATTERN, or \"{\" as valgrind has it";
        }
    }
    rules->error_line = number;
    fclose(f);
    return rules->error == NULL;
}

static void free_rules(struct rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        clear_rule(&rules->all[i]);
    }
    free(rules->all);
}

static const char *path_of(void)
{
    const char *path = getenv("MPALLOC_LEAK_SUPPRESSIONS");

    return path != NULL && path[0] != '\0' ? path : NULL;
}

int suppressions_check(const char *verb)
{
    struct rules rules = {0};
    int code = EXIT_FINE;

    if (path_of() != NULL && !read_rules(path_of(), &rules)) {
        code = rules.error != NULL
                   ? cli_fail(verb, EXIT_USAGE,
                       "MPALLOC_LEAK_SUPPRESSIONS: %s, line %u: %s", path_of(),
                       rules.error_line, rules.error)
                   : cli_fail(verb, EXIT_USAGE, "MPALLOC_LEAK_SUPPRESSIONS: %s: %s",
                       path_of(), strerror(errno));
    }
    free_rules(&rules);
    return code;
}

/* ---- matching ---- */

/* LeakSanitizer's: in the text, unless ^ or $ says that it begins or ends so; * is any text. */
static bool is_in(const char *pattern, const char *text)
{
    char whole[4200];
    size_t n = strlen(pattern);
    bool begins = n > 0 && pattern[0] == '^';
    bool ends = n > (begins ? 1u : 0u) && pattern[n - 1] == '$';
    size_t at = 0;

    if (!begins) {
        whole[at++] = '*';
    }
    for (size_t i = begins; i < n - ends; i++) {
        if (strchr("?[\\", pattern[i]) != NULL) { /* they stand for themselves */
            whole[at++] = '\\';
        }
        whole[at++] = pattern[i];
        if (at + 4 > sizeof(whole)) {
            return false;
        }
    }
    whole[at] = '\0';
    if (!ends) {
        strcat(whole, "*");
    }
    return fnmatch(whole, text, 0) == 0;
}

static bool frame_matches(const struct line *l, const struct stack_name *frame)
{
    const char *function = frame->function != NULL ? frame->function : "";
    const char *module = frame->module != NULL ? frame->module : "";

    switch (l->kind) {
    case LEAK:
        return is_in(l->pattern, function) || is_in(l->pattern, module);
    case FUNCTION:
        return fnmatch(l->pattern, function, FNM_NOESCAPE) == 0;
    case MODULE:
        return fnmatch(l->pattern, module, FNM_NOESCAPE) == 0;
    default:
        return true;
    }
}

/* From the innermost frame on; "..." is any number of them. */
static bool frames_match(
    const struct line *l, size_t lines, const struct stack_name *frames, size_t depth)
{
    while (lines > 0 && l->kind != ANY) {
        if (depth == 0 || !frame_matches(l, frames)) {
            return false;
        }
        l++, lines--, frames++, depth--;
    }
    if (lines == 0) {
        return true;
    }
    for (size_t skip = 0; skip <= depth; skip++) {
        if (frames_match(l + 1, lines - 1, frames + skip, depth - skip)) {
            return true;
        }
    }
    return false;
}

static bool rule_matches(const struct rule *r, const struct leak *k)
{
    if (r->lines[0].kind != LEAK) {
        return frames_match(r->lines, r->count, k->frames, k->depth);
    }
    for (size_t i = 0; i < k->depth; i++) {
        if (frame_matches(&r->lines[0], &k->frames[i])) {
            return true;
        }
    }
    return false;
}

void suppressions_apply(struct leaks *l)
{
    struct rules rules = {0};

    if (path_of() != NULL && read_rules(path_of(), &rules)) {
        for (size_t i = 0; i < l->count; i++) {
            struct leak *k = &l->all[i];

            for (size_t n = 0; n < rules.count && k->ack == NULL; n++) {
                if (k->depth > 0 && rule_matches(&rules.all[n], k)) {
                    k->ack = "MPALLOC_LEAK_SUPPRESSIONS";
                    k->ack_until_s = INT64_MAX;
                    l->acknowledged += k->verdict->kind <= MP_VERDICT_GROWING;
                }
            }
        }
    }
    free_rules(&rules);
}
