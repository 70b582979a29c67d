#include "canary.h"

#include <criterion/criterion.h>

enum { BYTES = 192, LEAST = CANARY_BYTES };

static _Alignas(16) char memory[3 * BYTES];

/* The middle of three blocks side by side, all free. */
static char *new_block(void)
{
    canary_secret = 0x0123456789abcdefu;
    memset(memory, 0, sizeof(memory));
    return memory + BYTES;
}

Test(canary, says_what_was_asked_for)
{
    char *p = new_block();

    for (size_t size = 0; size <= BYTES - LEAST; size++) {
        uint32_t tail;

        memset(p, 0x5a, BYTES - CANARY_BYTES);
        canary_set(p, size, BYTES);
        tail = *canary_tail(p, BYTES);
        cr_assert_eq(canary_slack(p, tail), BYTES - size);
        cr_assert(canary_is_fenced(p, size, tail));
        cr_assert(canary_is_set(p, size, BYTES));
        for (size_t i = 0; i < size; i++) {
            cr_assert_eq(p[i], 0x5a, "byte %zu of %zu was touched", i, size);
        }
    }
}

Test(canary, tells_every_slack_apart_and_has_no_zero_byte)
{
    for (size_t slack = 0; slack <= CANARY_SLACK_MAX; slack++) {
        uint32_t mixed = canary_mix(slack);
        uint32_t tail = canary_of(new_block()) ^ mixed;

        cr_assert_eq(canary_unmix(mixed), slack);
        cr_assert_eq(tail & 0x01010101u, 0x01010101u);
    }
}

Test(canary, every_byte_behind_the_request_that_is_changed_is_noticed)
{
    char *p = new_block();

    for (size_t size = BYTES - 40; size <= BYTES - LEAST; size++) {
        for (size_t i = size; i < size + CANARY_BYTES; i++) {
            for (unsigned change = 1; change < 256; change++) {
                canary_set(p, size, BYTES);
                p[i] = (char)(p[i] ^ (int)change);
                cr_assert_not(canary_is_set(p, size, BYTES));
                p[i] = (char)(p[i] ^ (int)change);
            }
        }
        for (size_t i = BYTES - CANARY_BYTES; i < BYTES; i++) {
            canary_set(p, size, BYTES);
            p[i] = (char)(p[i] ^ 0x10);
            cr_assert_neq(canary_slack(p, *canary_tail(p, BYTES)), BYTES - size);
        }
    }
}

Test(canary, right_neighbour_sees_a_tail_in_use_or_none)
{
    char *p = new_block();
    char *right = p + BYTES;

    cr_assert(
        canary_is_left_intact(memory, memory, BYTES), "the first has no neighbour");
    cr_assert(canary_is_left_intact(memory, right, BYTES), "it is free");
    for (size_t size = 1; size <= BYTES - LEAST; size++) {
        canary_set(p, size, BYTES);
        cr_assert(canary_is_left_intact(memory, right, BYTES));
        right[-1] = (char)(right[-1] ^ 0x42);
        cr_assert_not(canary_is_left_intact(memory, right, BYTES));
        canary_clear(p, BYTES);
        cr_assert(canary_is_left_intact(memory, right, BYTES));
    }
}

Test(canary, clears_the_whole_block_and_no_more)
{
    char *p = new_block();

    for (size_t bytes = 16; bytes <= BYTES; bytes += 16) {
        memset(memory, 0x77, sizeof(memory));
        canary_clear(p, bytes);
        cr_assert(canary_is_zero(p, bytes));
        cr_assert_eq(p[-1], 0x77);
        cr_assert_eq(p[bytes], 0x77);
        for (size_t i = 0; i < bytes; i++) {
            cr_assert_eq(p[i], 0);
            p[i] = 1;
            cr_assert_not(canary_is_zero(p, bytes), "byte %zu of %zu", i, bytes);
            p[i] = 0;
        }
    }
}

Test(canary, is_taken_once)
{
    char *p = new_block();
    uint32_t tail;

    canary_set(p, 100, BYTES);
    tail = *canary_tail(p, BYTES);
    cr_assert(canary_take(p, BYTES, tail));
    canary_clear(p, BYTES);
    cr_assert_eq(canary_slack(p, *canary_tail(p, BYTES)) <= BYTES, false);
}
