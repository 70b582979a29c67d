#include "export.h"

#include "format.h"
#include "profile_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * A flame graph: a box for each frame, as wide as its share, on top of its caller. Static, for
 * documents; boxes have titles, which browsers show on hovering.
 */

enum {
    WIDTH = 1200,
    MARGIN = 10,
    ROW = 18,
    HEAD = 44,
    LETTER = 7,    /* at most so wide, at 11 pixels */
    THINNEST = 10, /* boxes, in hundredths of a pixel */
};

struct graph {
    FILE *out;
    const char *unit;
    uint64_t whole;
    size_t depth; /* the deepest row */
};

/* At most `most` characters, a sequence of UTF-8 whole. */
static void put_text(FILE *out, const char *text, size_t most)
{
    size_t count = 0;

    for (const char *at = text; *at != '\0'; at++) {
        if (((unsigned char)*at & 0xc0) != 0x80 && count++ == most) {
            fputs("…", out);
            return;
        }
        switch (*at) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            putc(*at, out);
        }
    }
}

/* The same for the same name: reds to yellows, light enough for black text. */
static unsigned color_of(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    }
    return 0xe00000 + (hash % 31 << 16) + ((110 + (hash >> 8) % 110) << 8) + 60
           + (hash >> 16) % 50;
}

static const char *amount(const struct graph *g, uint64_t value)
{
    static struct format f;

    f = strcmp(g->unit, "bytes") == 0 ? format_bytes((double)value)
                                      : format_count((double)value);
    return f.text;
}

static void put_box(const struct graph *g, const struct profile_node *n, double x,
    double wide, size_t row)
{
    size_t y = HEAD + (g->depth - row) * ROW;

    fputs("<g><title>", g->out);
    put_text(g->out, n->name, SIZE_MAX);
    fprintf(g->out, ": %s", amount(g, n->total));
    fprintf(g->out, ", %.1f %%</title>", 100.0 * (double)n->total / (double)g->whole);
    fprintf(g->out,
        "<rect x=\"%.2f\" y=\"%zu\" width=\"%.2f\" height=\"%d\" rx=\"1\" "
        "fill=\"#%06x\"/>",
        x, y, wide > 1 ? wide - 0.5 : wide, ROW - 1,
        row == 0 ? 0xdddddd : color_of(n->name));
    if (wide >= 4 * LETTER) {
        fprintf(g->out, "<text x=\"%.2f\" y=\"%zu\">", x + 3, y + ROW - 6);
        put_text(g->out, n->name, (size_t)(wide - 6) / LETTER);
        fputs("</text>", g->out);
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

int export_svg(FILE *out, const struct profile *p, enum profile_value value)
{
    struct profile_node *root = profile_tree_create(p, value);
    struct graph g = {.out = out, .unit = export_values[value].unit};
    char name[4 * MP_REGION_NAME_BYTES + 1];
    char how[100];
    size_t height;

    if (root == NULL) {
        return -ENOMEM;
    }
    g.whole = root->total;
    g.depth = profile_tree_depth(root);
    height = HEAD + (g.depth + 1) * ROW + MARGIN;
    mp_text_escape(
        name, sizeof(name), mp_image_process(p->image)->service, MP_REGION_NAME_BYTES);
    fprintf(out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" "
        "viewBox=\"0 0 %d %zu\" font-family=\"monospace\" font-size=\"11\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
        "<text x=\"%d\" y=\"24\" font-size=\"15\" font-family=\"sans-serif\">",
        WIDTH, height, WIDTH, height, MARGIN);
    put_text(out, name, 60);
    fprintf(out, ": %s, %s (%s)</text>\n", export_values[value].name,
        amount(&g, g.whole), profile_describe(p, how, sizeof(how)));
    if (g.whole != 0) {
        put_tree(&g, root, MARGIN, WIDTH - 2 * MARGIN, 0);
    }
    fputs("</svg>\n", out);
    profile_tree_destroy(root);
    return 0;
}
