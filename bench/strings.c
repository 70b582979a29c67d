/*
 * strings - what text programs do: copy words, format lines, concatenate
 *
 * An operation is one string made. Every string is checked before it is freed: it is a
 * function of a number that its slot remembers.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

enum { SLOTS = 4096, BATCH = 256, WORD_MAX = 200 };

/* Words are short as a rule: half below 12 letters, one in 16 up to 200. */
static size_t word_length(uint64_t seed)
{
    uint64_t r = random_next(&seed);

    return r % 16 == 0 ? 32 + (r >> 32) % (WORD_MAX - 32) : 1 + (r >> 32) % 23;
}

static size_t word_write(char *at, uint64_t seed)
{
    size_t length = word_length(seed);

    for (size_t i = 0; i < length; i++) {
        at[i] = (char)('a' + (seed + i) % 26);
    }
    at[length] = '\0';
    return length;
}

static void word_check(const char *s, uint64_t seed)
{
    char expected[WORD_MAX + 1];

    word_write(expected, seed);
    if (strcmp(s, expected) != 0) {
        bench_fail("a copied word is wrong: %.20s", s);
    }
}

/* A table of words that are replaced by copies of others: strdup. */
static void copy_words(struct worker *w)
{
    char **word = array_map(SLOTS * (sizeof(char *) + sizeof(uint64_t)));
    uint64_t *seed = (uint64_t *)(word + SLOTS);
    char text[WORD_MAX + 1];

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            size_t at = random_below(&w->random, SLOTS);

            if (word[at] != NULL) {
                word_check(word[at], seed[at]);
                free(word[at]);
            }
            seed[at] = random_next(&w->random) | 1;
            word_write(text, seed[at]);
            word[at] = checked(strdup(text), 1);
        }
        w->ops += BATCH;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        free(word[i]);
    }
    array_unmap(word, SLOTS * (sizeof(char *) + sizeof(uint64_t)));
}

/* Lines of a log, 64 of them alive: asprintf, whose buffer is cut to length. */
static void format_lines(struct worker *w)
{
    enum { LINES = 64 };
    char *line[LINES] = {NULL};
    unsigned number[LINES] = {0};

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            size_t at = random_below(&w->random, LINES);
            unsigned read;

            if (line[at] != NULL) {
                if (sscanf(line[at], "request %u", &read) != 1 || read != number[at]) {
                    bench_fail("a formatted line is wrong: %.30s", line[at]);
                }
                free(line[at]);
            }
            number[at] = (unsigned)random_next(&w->random);
            if (asprintf(&line[at], "request %u: %.*s", number[at],
                    (int)(number[at] % 90),
                    "the quick brown fox jumps over the lazy dog, which has slept all "
                    "day long and does not care")
                < 0) {
                bench_fail("no line from asprintf");
            }
        }
        w->ops += BATCH;
    }
    for (unsigned i = 0; i < LINES; i++) {
        free(line[i]);
    }
}

/* A document put together from words in a buffer that doubles, then cut to its length. */
static void concatenate(struct worker *w)
{
    enum { WORDS = 400 };

    while (worker_more(w)) {
        uint64_t seed = random_next(&w->random) | 1, again = seed;
        size_t length = 0, room = 16;
        char *s = checked(malloc(room), room);

        for (unsigned i = 0; i < WORDS; i++) {
            char *piece = checked(malloc(WORD_MAX + 1), WORD_MAX + 1);
            size_t more = word_write(piece, random_next(&seed));

            while (length + more + 1 > room) {
                room *= 2;
                s = checked(realloc(s, room), room);
            }
            memcpy(s + length, piece, more + 1);
            length += more;
            free(piece);
        }
        s = checked(realloc(s, length + 1), length + 1);
        for (unsigned i = 0, at = 0; i < WORDS; i++) {
            char expected[WORD_MAX + 1];
            size_t more = word_write(expected, random_next(&again));

            if (memcmp(s + at, expected, more) != 0) {
                bench_fail("word %u of a document is wrong", i);
            }
            at += (unsigned)more;
        }
        free(s);
        w->ops += WORDS;
    }
}

#define STRINGS .groups = "string_allocations", .threads = 1, .at_least = 1

const struct workload strings_workloads[] = {
    {"string-copy", "4,096 words replaced by copies of others, strdup", STRINGS,
        .ops = 6000000, .work = copy_words},
    {"string-format", "64 lines of a log, asprintf", STRINGS, .ops = 2000000,
        .work = format_lines},
    {"string-concat", "documents of 400 words in a buffer that doubles", STRINGS,
        .ops = 6000000, .work = concatenate},
    {0},
};
