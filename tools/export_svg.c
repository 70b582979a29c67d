#include "export.h"

#include "format.h"
#include "profile_tree.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * A flame graph: a box for each frame, as wide as its share, on top of its caller. Static, for
 * documents; boxes have titles, which browsers show on hovering. What is thinner than a fifth
 * of a pixel is left out, and so is the height that it alone would need.
 */

enum {
    WIDTH = 1200,
    MARGIN = 10,
    ROW = 18,
    HEAD = 62,
    LETTER = 67,   /* at most so wide, at 11 pixels, in tenths of one */
    THINNEST = 20, /* boxes, in hundredths of a pixel */
    SHORT = 256,   /* bytes of a name made short */
};

struct graph {
    FILE *out;
    const char *unit;
    bool is_difference;
    uint64_t whole;
    size_t depth; /* the highest row that is drawn */
};

/* "operator<" and its kin have what elsewhere is a bracket in their names. */
static bool ends_in_operator(const char *name, size_t length)
{
    static const char word[] = "operator";
    size_t n = length;

    while (n > 0 && strchr("<>-(", name[n - 1]) != NULL) {
        n--;
    }
    return n >= strlen(word)
           && memcmp(name + n - strlen(word), word, strlen(word)) == 0;
}

/*
 * "std::vector<int, std::allocator<int> >::push_back(int&&)" becomes
 * "std::vector<…>::push_back": what is in brackets seldom tells functions apart. false:
 * brackets do not match, nothing is left, or it is too long.
 */
static bool try_shorten(const char *name, char ret[SHORT])
{
    static const char anonymous[] = "(anonymous namespace)";
    size_t length = 0;
    unsigned depth = 0;
    bool has_letters = false;

    for (const char *at = name; *at != '\0'; at++) {
        const char *put = NULL; /* of put_bytes: goes into the short name */
        size_t put_bytes = 1;

        if (depth == 0 && strncmp(at, anonymous, strlen(anonymous)) == 0) {
            put = anonymous;
            put_bytes = strlen(anonymous);
            at += put_bytes - 1;
        } else if (strchr("<(", *at) != NULL && ends_in_operator(ret, length)
                   && depth == 0) {
            put = at;
        } else if (strchr("<(", *at) != NULL) {
            put = depth++ == 0 && *at == '<' ? "<…>" : NULL;
            put_bytes = strlen("<…>");
        } else if (strchr(">)", *at) != NULL && depth > 0) {
            depth--;
        } else if (depth == 0) {
            put = at;
            has_letters |= strchr("<> ", *at) == NULL;
        }
        if (put != NULL && length + put_bytes >= SHORT) {
            return false;
        }
        if (put != NULL) {
            memcpy(ret + length, put, put_bytes);
            length += put_bytes;
        }
    }
    ret[length] = '\0';
    return depth == 0 && has_letters;
}

/* Characters, of UTF-8. */
static size_t letters(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

/* At most `most` characters, the last of them "…" when it is cut. */
static void put_text(FILE *out, const char *text, size_t most)
{
    bool is_cut = letters(text) > most;
    size_t count = 0;

    for (const char *at = text; *at != '\0'; at++) {
        if (((unsigned char)*at & 0xc0) != 0x80 && count++ + is_cut == most) {
            bool is_there = at - text >= 3 && memcmp(at - 3, "…", 3) == 0;

            fputs(is_there ? "" : "…", out);
            return;
        }
        format_put_xml(out, *at);
    }
}

/* The same for the same name: reds to yellows, light enough for black text; notes are grey. */
static unsigned color_of(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    if (name[0] == '(' && name[strlen(name) - 1] == ')') {
        return 0xd0d0d0;
    }
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    }
    return 0xe00000 + (hash % 31 << 16) + ((110 + (hash >> 8) % 110) << 8) + 60
           + (hash >> 16) % 50;
}

/* Of what changed: red came, blue went, stronger the larger its part; grey may be noise. */
static unsigned color_of_change(double part)
{
    unsigned faded = 200 - (unsigned)(fmin(fabs(part), 1) * 110);

    return part == 0  ? 0xdcdcdc
           : part > 0 ? 0xf00000 + (faded << 8) + faded - 20
                      : (faded << 16) + ((faded + 20) << 8) + 0xf0;
}

static struct format amount(const struct graph *g, uint64_t value)
{
    return strcmp(g->unit, "bytes") == 0 ? format_bytes((double)value)
                                         : format_count((double)value);
}

static void put_label(
    const struct graph *g, const char *name, double x, size_t y, size_t most)
{
    char brief[SHORT];

    fprintf(g->out, "<text x=\"%.2f\" y=\"%zu\">", x + 3, y + ROW - 6);
    put_text(
        g->out, letters(name) > most && try_shorten(name, brief) ? brief : name, most);
    fputs("</text>", g->out);
}

/* ": 1.0 MiB, then 3.0 MiB: +2.0 MiB" */
static void put_change(const struct graph *g, const struct profile_node *n)
{
    bool has_grown = n->after >= n->before;
    uint64_t change = has_grown ? n->after - n->before : n->before - n->after;

    fprintf(g->out, ": %s", amount(g, n->before).text);
    fprintf(g->out, ", then %s", amount(g, n->after).text);
    fprintf(g->out, ": %s%s%s",
        change == 0 ? ""
        : has_grown ? "+"
                    : "-",
        amount(g, change).text,
        change != 0 && profile_tree_change(n) == 0 ? ", which may be noise" : "");
}

static void put_box(const struct graph *g, const struct profile_node *n, double x,
    double wide, size_t row)
{
    size_t y = HEAD + (g->depth - row) * ROW;

    fputs("<g><title>", g->out);
    put_text(g->out, n->name, SIZE_MAX);
    if (g->is_difference) {
        put_change(g, n);
        fputs("</title>", g->out);
    } else {
        fprintf(g->out, ": %s", amount(g, n->total).text);
        fprintf(
            g->out, ", %.1f %%</title>", 100.0 * (double)n->total / (double)g->whole);
    }
    fprintf(g->out,
        "<rect x=\"%.2f\" y=\"%zu\" width=\"%.2f\" height=\"%d\" rx=\"1\" "
        "fill=\"#%06x\"/>",
        x, y, wide > 1 ? wide - 0.5 : wide, ROW - 1,
        g->is_difference ? color_of_change(profile_tree_change(n))
        : row == 0       ? 0xdddddd
                         : color_of(n->name));
    if (wide * 10 >= 4 * LETTER) {
        put_label(g, n->name, x, y, (size_t)((wide - 6) * 10) / LETTER);
    }
    fputs("</g>\n", g->out);
}

static void put_tree(const struct graph *g, const struct profile_node *n, double x,
    double wide, size_t row)
{
    if (wide * 100 < THINNEST) {
        return;
    }
    put_box(g, n, x, wide, row);
    for (const struct profile_node *c = n->child; c != NULL; c = c->next) {
        double part = wide * (double)c->total / (double)n->total;

        put_tree(g, c, x, part, row + 1);
        x += part;
    }
}

/* The highest row with a box in it. */
static size_t find_depth(const struct profile_node *n, double wide)
{
    size_t deepest = 0;

    for (const struct profile_node *c = n->child; c != NULL; c = c->next) {
        double part = wide * (double)c->total / (double)n->total;
        size_t depth = part * 100 < THINNEST ? 0 : 1 + find_depth(c, part);

        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

static void put_head(const struct graph *g, const struct profile *p, const char *value,
    const struct profile_node *root)
{
    const struct mp_region_process *process = mp_image_process(p->image);
    char name[4 * MP_REGION_NAME_BYTES + 1];
    char caption[512];

    mp_text_escape(name, sizeof(name), process->service, MP_REGION_NAME_BYTES);
    fprintf(g->out,
        "<text x=\"%d\" y=\"24\" font-size=\"15\" font-family=\"sans-serif\">", MARGIN);
    put_text(g->out, name, 60);
    if (g->is_difference) {
        fprintf(g->out, ": %s", value);
        put_change(g, root);
    } else {
        fprintf(g->out, ": %s, %s", value, amount(g, g->whole).text);
    }
    fprintf(g->out,
        "</text>\n<text x=\"%d\" y=\"42\" fill=\"#555555\" font-family=\"sans-serif\">"
        "pid %llu, %s, ",
        MARGIN, (unsigned long long)process->pid,
        format_rfc3339(mp_image_totals(p->image)->published_ns).text);
    put_text(g->out, profile_describe(p, caption, sizeof(caption)), 100);
    fputs(g->is_difference ? ". Red came, blue went, grey is not sure</text>\n"
                           : "</text>\n",
        g->out);
}

int export_svg(FILE *out, const struct profile *p, enum profile_value value)
{
    struct profile_node *root = profile_tree_create(p, value);
    struct graph g = {.out = out,
        .unit = export_values[value].unit,
        .is_difference = p->before != NULL};
    size_t height;

    if (root == NULL) {
        return -ENOMEM;
    }
    g.whole = root->total;
    root->under = root->over = 0; /* the whole is counted */
    g.depth = g.whole != 0 ? find_depth(root, WIDTH - 2 * MARGIN) : 0;
    height = HEAD + (g.depth + 1) * ROW + MARGIN;
    fprintf(out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" "
        "viewBox=\"0 0 %d %zu\" font-family=\"monospace\" font-size=\"11\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
        WIDTH, height, WIDTH, height);
    put_head(&g, p, export_value_options[value], root);
    if (g.whole != 0) {
        put_tree(&g, root, MARGIN, WIDTH - 2 * MARGIN, 0);
    }
    fputs("</svg>\n", out);
    profile_tree_destroy(root);
    return 0;
}
