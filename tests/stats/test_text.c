/* Text of programs on a terminal: nothing that moves, hides or turns text gets through. */
#include <mpstats.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *escape(const char *from)
{
    static char to[512];
    size_t n = mp_text_escape(to, sizeof(to), from, strlen(from));

    cr_assert_eq(n, strlen(to));
    return to;
}

Test(stats_text, plain_text_stays_as_it_is)
{
    static const char *const plain[] = {"", "a b", "worker/3 (x) ~!@#$%^&*\"'<>", "é",
        "日本語", "Ελληνικά", "😀", "\xf3\x9f\xbf\xbd"};

    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        cr_assert_str_eq(escape(plain[i]), plain[i]);
    }
}

Test(stats_text, control_characters_are_escaped)
{
    cr_assert_str_eq(
        escape("a\tb\nc\rd\7\b\x7f"), "a\\x09b\\x0ac\\x0dd\\x07\\x08\\x7f");
    for (int c = 1; c < 0x20; c++) {
        char text[2] = {(char)c, '\0'};
        char expected[8];

        snprintf(expected, sizeof(expected), "\\x%02x", c);
        cr_assert_str_eq(escape(text), expected);
    }
}

Test(stats_text, terminal_sequences_are_escaped)
{
    cr_assert_str_eq(escape("\33[31mred\33[0m"), "\\x1b[31mred\\x1b[0m");
    cr_assert_str_eq(escape("\33]0;title\7"), "\\x1b]0;title\\x07");
    cr_assert_str_eq(escape("\xc2\x9b"
                            "31m"),
        "\\xc2\\x9b31m"); /* the CSI of one character */
    cr_assert_str_eq(escape("\x9b"
                            "31m"),
        "\\x9b31m");
}

Test(stats_text, the_backslash_is_escaped_so_that_escapes_are_not_forged)
{
    cr_assert_str_eq(escape("\\x1b"), "\\x5cx1b");
}

Test(stats_text, invalid_utf_8_is_escaped)
{
    static const char *const pairs[][2] = {{"\x80", "\\x80"}, {"\xff", "\\xff"},
        {"\xc3", "\\xc3"}, {"\xc3(", "\\xc3("}, {"\xe2\x82", "\\xe2\\x82"},
        {"\xe2\x82x", "\\xe2\\x82x"}, {"\xf0\x9f\x98", "\\xf0\\x9f\\x98"},
        {"\xc0\xaf", "\\xc0\\xaf"},                   /* "/" in two bytes */
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},          /* in three */
        {"\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"}, /* in four */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* half a surrogate pair */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* above U+10FFFF */
        {"\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"}};

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        cr_assert_str_eq(escape(pairs[i][0]), pairs[i][1]);
    }
}

static void encode(unsigned code, char *to)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    *to = '\0';
}

/* Bidi_Control, Default_Ignorable_Code_Point, Zl, Zp and Cc of Unicode 15. */
static const struct {
    unsigned first;
    unsigned last;
} harmful[] = {{0x1, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad}, {0x34f, 0x34f}, {0x61c, 0x61c},
    {0x115f, 0x1160}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164}, {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}};

Test(stats_text, characters_that_turn_or_hide_text_are_escaped)
{
    cr_assert_str_eq(escape("user\xe2\x80\xae"
                            "cod.exe"),
        "user\\xe2\\x80\\xaecod.exe");
    for (size_t i = 0; i < sizeof(harmful) / sizeof(harmful[0]); i++) {
        for (unsigned code = harmful[i].first; code <= harmful[i].last; code++) {
            char text[8];

            encode(code, text);
            cr_assert_eq(strncmp(escape(text), "\\x", 2), 0, "U+%04X", code);
        }
    }
}

Test(stats_text, what_does_not_fit_is_left_out_whole)
{
    char to[8];

    memset(to, '!', sizeof(to));
    cr_assert_eq(mp_text_escape(to, 1, "abc", 3), 0);
    cr_assert_str_eq(to, "");
    cr_assert_eq(to[1], '!');
    cr_assert_eq(mp_text_escape(to, 3, "abc", 3), 2);
    cr_assert_str_eq(to, "ab");
    cr_assert_eq(mp_text_escape(to, 4, "ab\n", 3), 2, "no half of an escape");
    cr_assert_eq(mp_text_escape(to, 4, "ab\xc3\xa9", 4), 2, "no half of a character");
    cr_assert_eq(mp_text_escape(to, 7, "ab\n", 3), 6);
    cr_assert_str_eq(to, "ab\\x0a");
    cr_assert_eq(to[7], '!');
}

Test(stats_text, reads_no_further_than_it_may)
{
    char *exact = malloc(3);
    char to[16];

    memcpy(exact, "ab\xe2", 3); /* not terminated, and a character begins at its end */
    cr_assert_eq(mp_text_escape(to, sizeof(to), exact, 3), 6);
    cr_assert_str_eq(to, "ab\\xe2");
    cr_assert_eq(mp_text_escape(to, sizeof(to), "ab\0cd", 5), 2, "ends at the NUL");
    cr_assert_eq(mp_text_escape(to, sizeof(to), "", 0), 0);
    free(exact);
}

Test(stats_text, whatever_comes_out_is_printable_utf_8_and_comes_out_the_same)
{
    unsigned state = 12345;

    for (unsigned round = 0; round < 200000; round++) {
        char from[24];
        char to[4 * sizeof(from) + 1];
        char again[4 * sizeof(to) + 1];
        size_t n;

        for (size_t i = 0; i < sizeof(from); i++) {
            state = state * 1103515245 + 12345;
            from[i] = (char)(state >> 16);
        }
        n = mp_text_escape(to, sizeof(to), from, sizeof(from));
        for (size_t i = 0; i < n; i++) {
            cr_assert_geq((unsigned char)to[i], 0x20);
            if (to[i] == '\\') {
                to[i] = '/';
            }
        }
        cr_assert_eq(mp_text_escape(again, sizeof(again), to, n), n);
        cr_assert_str_eq(again, to);
    }
}
