/*
 * sheet_html - a sheet as one web page that needs nothing else: no script, no font, no network
 *
 * Light and dark as the reader's system is; narrow screens scroll tables, not the page.
 */
#include "sheet_model.h"

#include "format.h"

enum { CHART_WIDTH = 960, CHART_HEIGHT = 180, BAR_HUES = 12 };

static const char style[] =
    ":root{--back:#fbfaf8;--panel:#fff;--text:#23201c;--quiet:#6b645b;--line:#e2ddd5;"
    "--accent:#b4430a;--fill:#f7dfc9;color-scheme:light dark;"
    "--h0:#c2571a;--h1:#e8a56c;--h2:#8c7a5b;--h3:#4f7f8c;--h4:#7aa65a;--h5:#b08bbf;"
    "--h6:#5d6fa8;--h7:#a9a297;--h8:#d8c29a;--h9:#6f9f96;--h10:#94505a;--h11:#c9a0b4}"
    "@media(prefers-color-scheme:dark){:root{--back:#17150f;--panel:#1f1c16;--text:#"
    "ece6dc;"
    "--quiet:#a49b8e;--line:#38332a;--accent:#ff9d5c;--fill:#5a3518}}"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:64rem;padding:1.5rem 1rem "
    "4rem;"
    "background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}"
    "h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2rem 0 .5rem;"
    "border-bottom:1px solid var(--line);padding-bottom:.25rem}p{margin:.35rem 0}"
    "ul{margin:.35rem 0;padding-left:1.25rem}li{margin:.15rem 0}"
    "li.c{list-style:none}h3{font-size:1rem;margin:1rem 0 .25rem}"
    "code{font:13px/1.45 ui-monospace,Menlo,Consolas,monospace;color:var(--quiet);"
    "overflow-wrap:anywhere}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-"
    "nums;"
    "font-size:14px}th,td{padding:.2rem .75rem .2rem "
    "0;text-align:left;white-space:nowrap;"
    "border-bottom:1px solid var(--line)}th{color:var(--quiet);font-weight:500}"
    "td.r,th.r{text-align:right}td:last-child{white-space:normal;overflow-wrap:"
    "anywhere}"
    ".bar{display:flex;height:1.6rem;border-radius:4px;overflow:hidden;margin:.5rem 0}"
    ".bar "
    "i{display:block;min-width:1px}.key{display:inline-block;width:.8em;height:.8em;"
    "border-radius:2px;margin-right:.5em;vertical-align:-.05em}"
    "svg{display:block;width:100%;height:auto}svg text{font:12px system-ui,sans-serif;"
    "fill:var(--quiet)}summary{cursor:pointer;font-weight:600;margin-top:.75rem}"
    "details{margin:.25rem 0 .75rem}";

static void put_text(FILE *out, const char *text)
{
    while (*text != '\0') {
        format_put_xml(out, *text++);
    }
}

static void put_tagged(FILE *out, const char *tag, const char *text)
{
    fprintf(out, "<%s>", tag);
    put_text(out, text);
    fprintf(out, "</%s>\n", tag);
}

static void put_table(FILE *out, const struct sheet_block *b)
{
    size_t columns = b->column_count;

    fputs("<div class=wide><table>\n", out);
    for (size_t i = 0; i < b->count; i++) {
        const char *tag = i < columns ? "th" : "td";
        bool is_right = b->items[i % columns].align == SHEET_RIGHT;

        fprintf(out, "%s<%s%s>", i % columns == 0 ? "<tr>" : "", tag,
            is_right ? " class=r" : "");
        put_text(out, b->items[i].text);
        fprintf(out, "</%s>%s", tag, (i + 1) % columns == 0 ? "</tr>\n" : "");
    }
    fputs("</table></div>\n", out);
}

/* The parts that were named first have the strong colours: they are sorted by their maker. */
static void put_bar(FILE *out, const struct sheet_block *b)
{
    double whole = 0;

    for (size_t i = 0; i < b->count; i++) {
        whole += b->items[i].x;
    }
    fputs("<div class=bar role=img aria-label=\"parts\">", out);
    for (size_t i = 0; i < b->count; i++) {
        fprintf(out, "<i style=\"width:%.3f%%;background:var(--h%zu)\" title=\"",
            whole > 0 ? 100 * b->items[i].x / whole : 0, i % BAR_HUES);
        put_text(out, b->items[i].text);
        fputs("\"></i>", out);
    }
    fputs("</div>\n<div class=wide><table>\n", out);
    for (size_t i = 0; i < b->count; i++) {
        fputs("<tr><td class=r>", out);
        put_text(out, b->items[i].more);
        fprintf(out,
            "</td><td class=r>%s</td><td><span class=key "
            "style=\"background:var(--h%zu)\"></span>",
            format_percent(b->items[i].x, whole).text, i % BAR_HUES);
        put_text(out, b->items[i].text);
        fputs("</td></tr>\n", out);
    }
    fputs("</table></div>\n", out);
}

static double most_of(const struct sheet_block *b)
{
    double most = 0;

    for (size_t i = 0; i < b->count; i++) {
        most = b->items[i].y > most ? b->items[i].y : most;
    }
    return most;
}

static void put_axes(FILE *out, const struct sheet_block *b)
{
    fprintf(out, "<line x1=0 x2=%d y1=%d y2=%d stroke=\"var(--line)\"/>", CHART_WIDTH,
        CHART_HEIGHT + 20, CHART_HEIGHT + 20);
    fputs("<text x=0 y=14>", out);
    put_text(out, b->most);
    fprintf(out, "</text><text x=0 y=%d>", CHART_HEIGHT + 36);
    put_text(out, b->first);
    fprintf(
        out, "</text><text x=%d y=%d text-anchor=end>", CHART_WIDTH, CHART_HEIGHT + 36);
    put_text(out, b->last);
    fputs("</text></svg>\n", out);
}

static void begin_chart(FILE *out, const struct sheet_block *b)
{
    fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=img aria-label=\"", CHART_WIDTH,
        CHART_HEIGHT + 40);
    put_text(out, b->text);
    fputs("\">", out);
}

/* Layers, each as long as the first: a beginning with a name, then its points. */
static size_t layer_length(const struct sheet_block *b)
{
    size_t n = 1;

    while (n < b->count && b->items[n].text == NULL) {
        n++;
    }
    return n;
}

/* From the top one, of which those below cover the rest. */
static void put_layers(FILE *out, const struct sheet_block *b)
{
    size_t length = layer_length(b);
    size_t layers = b->count / length;
    double last = b->items[length - 1].x;
    double most = 0;

    for (size_t i = 1; i < length; i++) {
        double sum = 0;

        for (size_t k = 0; k < layers; k++) {
            sum += b->items[k * length + i].y;
        }
        most = sum > most ? sum : most;
    }
    if (most <= 0 || last <= 0) {
        return;
    }
    begin_chart(out, b);
    for (size_t k = layers; k-- > 0;) {
        fprintf(out, "<path fill=\"var(--h%zu)\" d=\"M0 %d", k % BAR_HUES,
            CHART_HEIGHT + 20);
        for (size_t i = 1; i < length; i++) {
            double sum = 0;

            for (size_t below = 0; below <= k; below++) {
                sum += b->items[below * length + i].y;
            }
            fprintf(out, "L%.1f %.1f", CHART_WIDTH * b->items[i].x / last,
                20 + CHART_HEIGHT * (1 - sum / most));
        }
        fprintf(out, "L%d %dZ\"/>", CHART_WIDTH, CHART_HEIGHT + 20);
    }
    put_axes(out, b);
    fputs("<p>", out);
    for (size_t k = 0; k < layers; k++) {
        fprintf(out, "<span class=key style=\"background:var(--h%zu)\"></span>",
            k % BAR_HUES);
        put_text(out, b->items[k * length].text);
        fputs(" ", out);
        put_text(out, b->items[k * length].more);
        fputs(" &ensp;", out);
    }
    fputs("</p>\n", out);
}

static void put_chart(FILE *out, const struct sheet_block *b)
{
    double most = most_of(b);
    double last = b->count > 0 ? b->items[b->count - 1].x : 0;

    if (b->count > 0 && b->items[0].text != NULL) {
        put_layers(out, b);
        return;
    }
    if (most <= 0 || last <= 0) {
        return;
    }
    begin_chart(out, b);
    fprintf(out, "<path fill=\"var(--fill)\" stroke=\"var(--accent)\" d=\"M0 %d",
        CHART_HEIGHT + 20);
    for (size_t i = 0; i < b->count; i++) {
        fprintf(out, "L%.1f %.1f", CHART_WIDTH * b->items[i].x / last,
            20 + CHART_HEIGHT * (1 - b->items[i].y / most));
    }
    fprintf(out, "L%d %dZ\"/>", CHART_WIDTH, CHART_HEIGHT + 20);
    put_axes(out, b);
}

static bool is_listed(enum sheet_kind kind)
{
    return kind == SHEET_POINT || kind == SHEET_CODE;
}

static void put_block(FILE *out, const struct sheet_block *b)
{
    switch (b->kind) {
    case SHEET_HEADING:
        put_tagged(out, "h2", b->text);
        break;
    case SHEET_TITLE:
        put_tagged(out, "h3", b->text);
        break;
    case SHEET_LINE:
        put_tagged(out, "p", b->text);
        break;
    case SHEET_POINT:
        put_tagged(out, "li", b->text);
        break;
    case SHEET_CODE:
        fputs("<li class=c>", out);
        put_tagged(out, "code", b->text);
        fputs("</li>\n", out);
        break;
    case SHEET_FOLD:
        fputs("<details>", out);
        put_tagged(out, "summary", b->text);
        break;
    case SHEET_UNFOLD:
        fputs("</details>\n", out);
        break;
    case SHEET_TABLE:
        put_table(out, b);
        break;
    case SHEET_BAR:
        put_bar(out, b);
        break;
    case SHEET_CHART:
        put_chart(out, b);
        break;
    }
}

void sheet_put_html(const struct sheet *s, FILE *out)
{
    bool in_list = false;

    fputs("<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
          "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n"
          "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; "
          "style-src 'unsafe-inline'\">\n",
        out);
    put_tagged(out, "title", s->title);
    fprintf(out, "<style>%s</style></head><body>\n", style);
    put_tagged(out, "h1", s->title);
    for (size_t i = 0; i < s->count; i++) {
        bool is_item = is_listed(s->blocks[i].kind);

        if (is_item != in_list) {
            fputs(is_item ? "<ul>\n" : "</ul>\n", out);
            in_list = is_item;
        }
        put_block(out, &s->blocks[i]);
    }
    fprintf(out, "%s</body></html>\n", in_list ? "</ul>" : "");
}
