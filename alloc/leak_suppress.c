#include "leak_suppress.h"

#include "bits.h"
#include "check.h"
#include "os.h"

#include <string.h>

enum {
    FILE_MOST = 1 << 20,
    LINES_MOST = 16 * 1024, /* of all rules */
    DEPTH_MOST = 64, /* of "..." within each other: as many frames as a stack has */
};

/* Lines of rules, one rule after the other. Their text is in the file's copy. */
enum kind { KIND_LEAK, KIND_START, KIND_FUN, KIND_OBJ, KIND_ANY, KIND_END };
struct line {
    enum kind kind;
    const char *pattern;
};

static struct line *lines;
static size_t line_count;
static const char *file_path;
static unsigned line_number;

static bool refuse(const char *what)
{
    check_say(
        "MPALLOC_LEAK_SUPPRESSIONS: %s, line %u: %s", file_path, line_number, what);
    return false;
}

/* ---- reading ---- */

static bool add(enum kind kind, const char *pattern)
{
    if (line_count == LINES_MOST) {
        return refuse("too many lines in all");
    }
    lines[line_count++] = (struct line){kind, pattern};
    return true;
}

/* The next line without blanks around it; NULL: there is none. */
static char *next_line(char **at)
{
    char *start = *at;
    char *end;

    if (*start == '\0') {
        return NULL;
    }
    line_number++;
    end = strchr(start, '\n');
    *at = end != NULL ? end + 1 : start + strlen(start);
    end = end != NULL ? end : *at;
    while (start < end && (*start == ' ' || *start == '\t')) {
        start++;
    }
    while (end > start && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) {
        end--;
    }
    *end = '\0';
    return start;
}

static bool is_after(const char *line, const char *start, const char **ret_rest)
{
    size_t n = strlen(start);

    *ret_rest = line + n;
    return strncmp(line, start, n) == 0;
}

static bool is_of_memcheck(const char *line)
{
    const char *rest;

    return is_after(line, "Memcheck:", &rest) && strcmp(rest, "Leak") == 0;
}

/* Lines of one frame each, up to the brace. */
static bool read_frames(char **at, bool is_wanted)
{
    bool is_ours = is_wanted;
    size_t first = line_count;
    const char *rest;
    char *line;

    while ((line = next_line(at)) != NULL) {
        bool is_good = true;

        if (strcmp(line, "}") == 0) {
            if (!is_ours || line_count == first) {
                line_count = first - 1; /* and its start */
                return true;
            }
            return add(KIND_END, "");
        }
        if (is_after(line, "match-leak-kinds:", &rest)) {
            is_ours &= strstr(rest, "definite") != NULL || strstr(rest, "all") != NULL;
        } else if (is_after(line, "fun:", &rest)) {
            is_good = add(KIND_FUN, rest);
        } else if (is_after(line, "obj:", &rest)) {
            is_good = add(KIND_OBJ, rest);
        } else if (strcmp(line, "...") == 0) {
            is_good = add(KIND_ANY, "");
        } else if (line[0] != '\0' && line[0] != '#' && is_wanted
                   && !is_after(line, "src:", &rest)) {
            return refuse("expected fun:, obj:, match-leak-kinds:, \"...\" or \"}\"");
        }
        if (!is_good) {
            return false;
        }
    }
    return refuse("expected \"}\" before the end of the file");
}

static bool read_rule(char **at)
{
    char *line = next_line(at);

    if (line == NULL || line[0] == '\0' || line[0] == '}') {
        return refuse("expected the name of the suppression");
    }
    line = next_line(at);
    if (line == NULL || strchr(line, ':') == NULL) {
        return refuse("expected a tool and a kind, such as Memcheck:Leak");
    }
    return add(KIND_START, "") && read_frames(at, is_of_memcheck(line));
}

static bool read_rules(char *text)
{
    const char *rest;
    char *line;

    while ((line = next_line(&text)) != NULL) {
        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }
        if (strcmp(line, "{") == 0) {
            if (!read_rule(&text)) {
                return false;
            }
        } else if (!is_after(line, "leak:", &rest) || *rest == '\0') {
            return refuse("expected leak:PATTERN, or \"{\" as valgrind has it");
        } else if (!add(KIND_LEAK, rest)) {
            return false;
        }
    }
    return true;
}

bool leak_suppress_read(const char *path)
{
    char *text = os_map(FILE_MOST);
    long n;

    lines = os_map(LINES_MOST * sizeof(*lines));
    file_path = path;
    line_number = 0;
    line_count = 0;
    if (text == NULL || lines == NULL) {
        check_say("MPALLOC_LEAK_SUPPRESSIONS: no memory to read %s", path);
        return false;
    }
    n = os_read_file(path, text, FILE_MOST);
    if (n < 0) {
        check_say(
            "MPALLOC_LEAK_SUPPRESSIONS: %s cannot be read (errno %d)", path, (int)-n);
        return false;
    }
    if (n == FILE_MOST - 1) {
        check_say("MPALLOC_LEAK_SUPPRESSIONS: %s is longer than 1 MiB", path);
        return false;
    }
    if (!read_rules(text)) {
        line_count = 0;
        return false;
    }
    return true;
}

/* ---- matching ---- */

/* Whole text; * is any text, ? one character unless that is what it says. */
static bool matches(const char *pattern, const char *text, bool has_question)
{
    const char *star = NULL;
    const char *again = NULL;

    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            again = text;
        } else if (*pattern == *text || (has_question && *pattern == '?')) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

/* Somewhere in the text, unless ^ and $ say otherwise. */
static bool matches_somewhere(const char *pattern, const char *text)
{
    char whole[512];
    bool is_at_start = *pattern == '^';
    size_t n;
    bool is_at_end;

    pattern += is_at_start;
    n = strlen(pattern);
    is_at_end = n > 0 && pattern[n - 1] == '$';
    n -= is_at_end;
    if (n > sizeof(whole) - 3 || *text == '\0') {
        return false;
    }
    whole[0] = '*';
    memcpy(whole + 1, pattern, n);
    memcpy(whole + 1 + n, is_at_end ? "" : "*", is_at_end ? 1 : 2);
    return matches(whole + is_at_start, text, false);
}

static bool matches_any(
    const char *pattern, const struct leak_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (matches_somewhere(pattern, frames[i].function)
            || matches_somewhere(pattern, frames[i].module)) {
            return true;
        }
    }
    return false;
}

/* The lines from `l` on, to the end of their rule, against all that is left of the stack. */
static bool matches_frames(
    const struct line *l, const struct leak_frame *frames, size_t count, unsigned depth)
{
    for (; l->kind != KIND_END; l++) {
        if (l->kind == KIND_ANY) {
            for (size_t skip = 0; skip <= count && depth < DEPTH_MOST; skip++) {
                if (matches_frames(l + 1, frames + skip, count - skip, depth + 1)) {
                    return true;
                }
            }
            return false;
        }
        if (count == 0
            || !matches(l->pattern,
                l->kind == KIND_FUN ? frames->function : frames->module, true)) {
            return false;
        }
        frames++;
        count--;
    }
    return true;
}

/* Valgrind's stacks begin in malloc, ours where it is called. */
static bool is_allocation(const struct line *l)
{
    static const char *const names[] = {"malloc", "calloc", "realloc", "memalign",
        "posix_memalign", "aligned_alloc", "_Znwm", "_Znam", "_Znw*", "_Zna*",
        "operator new(unsigned long)", "operator new[](unsigned long)", "*alloc"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (l->kind == KIND_FUN && strcmp(l->pattern, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool leak_suppress_match(const struct leak_frame *frames, size_t count)
{
    for (size_t i = 0; i < line_count; i++) {
        const struct line *l = &lines[i];

        if (l->kind == KIND_LEAK && matches_any(l->pattern, frames, count)) {
            return true;
        }
        if (l->kind == KIND_START
            && (matches_frames(l + 1, frames, count, 0)
                || (is_allocation(l + 1) && matches_frames(l + 2, frames, count, 0)))) {
            return true;
        }
    }
    return false;
}
