#include "document.h"

#include <string.h>

enum { VOCABULARY = 30000 };

/* SplitMix64. */
uint64_t random_draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint32_t below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(random_draw(state) % limit);
}

/* Low numbers are short words; every 64th word has a character that HTML escapes. */
void document_word(uint32_t number, char ret[WORD_MAX])
{
    static const char consonants[] = "bdfgklmnprstvz";
    static const char vowels[] = "aeiou";
    uint32_t rest = number;
    size_t length = 0;

    do {
        ret[length++] = consonants[rest % 14];
        ret[length++] = vowels[rest / 14 % 5];
        rest /= 70;
    } while (rest != 0);
    if (number % 64 == 63) {
        ret[length++] = "&<>"[number / 64 % 3];
        ret[length++] = 'o';
    }
    ret[length] = '\0';
}

static void add_escaped(struct buffer *b, const char *word)
{
    for (; *word != '\0'; word++) {
        switch (*word) {
        case '&':
            buffer_add(b, "&amp;", 5);
            break;
        case '<':
            buffer_add(b, "&lt;", 4);
            break;
        case '>':
            buffer_add(b, "&gt;", 4);
            break;
        default:
            buffer_add_byte(b, *word);
        }
    }
}

/* Words into the text, and escaped into the body when there is one. Few are common. */
static void add_words(
    struct buffer *text, struct buffer *body, uint64_t *state, uint32_t count)
{
    char word[WORD_MAX];

    for (uint32_t i = 0; i < count; i++) {
        document_word(below(state, 1 + below(state, VOCABULARY)), word);
        buffer_print(text, "%s ", word);
        if (body != NULL) {
            add_escaped(body, word);
            buffer_add_byte(body, i % 9 == 8 ? '\n' : ' ');
        }
    }
}

static void make_html(struct document *d, uint64_t *state)
{
    struct buffer *body = &d->body;
    uint32_t sections = 2 + below(state, 12);

    buffer_print(body, "<!doctype html>\n<html><head><title>");
    add_words(&d->text, body, state, 5);
    buffer_print(body,
        "</title><style>p > b { color: red }</style>"
        "<script>if (a < b && b > c) { run(); }</script></head>\n<body>");
    for (uint32_t i = 0; i < sections; i++) {
        buffer_print(
            body, "<div class=\"section s%u\" id=\"s-%u\"><h2>", below(state, 10), i);
        add_words(&d->text, body, state, 4);
        buffer_print(body, "</h2><!-- not <b>text</b> --><p>");
        add_words(&d->text, body, state, 20 + below(state, 60));
        buffer_print(body, "<br/></p><ul>");
        for (uint32_t item = below(state, 6); item > 0; item--) {
            buffer_print(body, "<li><a href=\"/d/%u\">", below(state, 100000));
            add_words(&d->text, body, state, 3);
            buffer_print(body, "</a></li>");
        }
        buffer_print(body, "</ul></div>\n");
    }
    buffer_print(body, "</body></html>\n");
}

static void add_object(struct buffer *body, const char *data, size_t length, bool hex)
{
    struct buffer packed = {0};

    for (size_t i = 0; i < length;) {
        size_t run = 1;

        if (hex) {
            buffer_print(&packed, "%02x", (unsigned char)data[i]);
        } else {
            while (run < 255 && i + run < length && data[i + run] == data[i]) {
                run++;
            }
            buffer_add_byte(&packed, (char)run);
            buffer_add_byte(&packed, data[i]);
        }
        i += run;
    }
    buffer_print(body, "obj %c %zu\n", hex ? 'H' : 'R', packed.length);
    buffer_add(body, packed.data, packed.length);
    buffer_print(body, "\nend\n");
    buffer_fini(&packed);
}

static void make_pdf(struct document *d, uint64_t *state)
{
    uint32_t objects = 1 + below(state, 8);

    buffer_print(&d->body, "%%PEF-1\n");
    for (uint32_t i = 0; i < objects; i++) {
        size_t start = d->text.length;

        add_words(&d->text, NULL, state, 50 + below(state, 400));
        add_object(&d->body, d->text.data + start, d->text.length - start, i % 2 != 0);
    }
    if (d->kind == DOCUMENT_DAMAGED_PDF) {
        d->body.length -= 3;
        d->text.length = 0;
    }
}

void document_init(struct document *d, uint64_t seed, uint32_t number)
{
    uint64_t state = seed * 0x100000001b3 + number;

    *d = (struct document){.kind = DOCUMENT_HTML};
    if (number % 3 == 2) {
        d->kind = number % 64 == 50 ? DOCUMENT_DAMAGED_PDF : DOCUMENT_PDF;
    }
    if (d->kind == DOCUMENT_HTML) {
        make_html(d, &state);
    } else {
        make_pdf(d, &state);
    }
}

void document_fini(struct document *d)
{
    buffer_fini(&d->body);
    buffer_fini(&d->text);
}
