/*
 * bignum - arithmetic on integers of any size, every result a new small block
 *
 * Continued fractions of square roots: the convergents p / q of sqrt(d) satisfy
 * p p - d q q = (-1)^n a, where a comes from the recurrence; that identity checks every
 * block that was involved. Numbers have a handful of limbs, most live for one operation.
 */
#include "bench.h"

#include <string.h>

enum { LIMBS_MAX = 6, OPS_A_STEP = 12 };

struct number {
    uint32_t count; /* limbs in use; 0 is zero */
    uint32_t limb[];
};

static struct number *number_new(uint32_t count)
{
    size_t size = sizeof(struct number) + count * sizeof(uint32_t);
    struct number *n = checked(malloc(size), size);

    n->count = count;
    return n;
}

/* Numbers carry no leading zeros; the block stays as long as it is. */
static struct number *number_trim(struct number *n)
{
    while (n->count > 0 && n->limb[n->count - 1] == 0) {
        n->count--;
    }
    return n;
}

static struct number *number_of(uint64_t value)
{
    struct number *n = number_new(2);

    n->limb[0] = (uint32_t)value;
    n->limb[1] = (uint32_t)(value >> 32);
    return number_trim(n);
}

static struct number *number_add(const struct number *a, const struct number *b)
{
    uint32_t most = a->count > b->count ? a->count : b->count;
    struct number *sum = number_new(most + 1);
    uint64_t carry = 0;

    for (uint32_t i = 0; i < most; i++) {
        carry +=
            (uint64_t)(i < a->count ? a->limb[i] : 0) + (i < b->count ? b->limb[i] : 0);
        sum->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    sum->limb[most] = (uint32_t)carry;
    return number_trim(sum);
}

static struct number *number_multiply(const struct number *a, const struct number *b)
{
    struct number *product = number_new(a->count + b->count);

    memset(product->limb, 0, product->count * sizeof(uint32_t));
    for (uint32_t i = 0; i < a->count; i++) {
        uint64_t carry = 0;

        for (uint32_t j = 0; j < b->count; j++) {
            carry += (uint64_t)a->limb[i] * b->limb[j] + product->limb[i + j];
            product->limb[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        product->limb[i + b->count] = (uint32_t)carry;
    }
    return number_trim(product);
}

static bool number_equal(const struct number *a, const struct number *b)
{
    return a->count == b->count
           && memcmp(a->limb, b->limb, a->count * sizeof(uint32_t)) == 0;
}

/* a * x + b, as three numbers of which one stays. */
static struct number *number_next(
    const struct number *x, uint64_t a, const struct number *b)
{
    struct number *factor = number_of(a);
    struct number *product = number_multiply(factor, x);
    struct number *sum = number_add(product, b);

    free(factor);
    free(product);
    return sum;
}

/* p p == d q q + a, or p p + a == d q q. */
static void identity_check(
    const struct number *p, const struct number *q, uint64_t d, uint64_t a, bool plus)
{
    struct number *square = number_multiply(p, p);
    struct number *other = number_multiply(q, q);
    struct number *scaled = number_next(other, d, &(struct number){0});
    struct number *rest = number_of(a);
    struct number *sum = number_add(plus ? scaled : square, rest);

    if (!number_equal(sum, plus ? square : scaled)) {
        bench_fail("a convergent of sqrt(%llu) is wrong", (unsigned long long)d);
    }
    free(square);
    free(other);
    free(scaled);
    free(rest);
    free(sum);
}

static uint64_t root_of(uint64_t d)
{
    uint64_t root = 1;

    while ((root + 1) * (root + 1) <= d) {
        root++;
    }
    return root;
}

/* The convergents of sqrt(d), until they have LIMBS_MAX limbs. */
static void expand(struct worker *w, uint64_t d, uint64_t root)
{
    uint64_t m = 0, a = 1, term = root;
    struct number *p = number_of(root), *p_before = number_of(1);
    struct number *q = number_of(1), *q_before = number_of(0);

    for (unsigned n = 1; p->count < LIMBS_MAX && q->count < LIMBS_MAX; n++) {
        struct number *p_next, *q_next;

        m = term * a - m;
        a = (d - m * m) / a;
        identity_check(p, q, d, a, n % 2 == 0);
        term = (root + m) / a;
        p_next = number_next(p, term, p_before);
        q_next = number_next(q, term, q_before);
        free(p_before);
        free(q_before);
        p_before = p;
        q_before = q;
        p = p_next;
        q = q_next;
        w->ops += OPS_A_STEP;
    }
    free(p);
    free(q);
    free(p_before);
    free(q_before);
}

static void work(struct worker *w)
{
    while (worker_more(w)) {
        uint64_t d = 2 + random_below(&w->random, 1000000);
        uint64_t root = root_of(d);

        if (root * root != d) {
            expand(w, d, root);
        }
    }
}

const struct workload bignum_workloads[] = {
    {"bignum", "continued fractions, every number a block of 8 to 56 B",
        .groups = "short_lived", .threads = 1, .at_least = 1, .ops = 20000000,
        .work = work},
    {0},
};
