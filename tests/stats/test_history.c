/* What sites held before: read, completed, and judged. */
#include "made_image.h"

#include <series.h>
#include <thread_name.h>

#include <math.h>
#include <string.h>

static struct made made;

static void make(void)
{
    make_region(&made, &make_small);
}

static void unmake(void)
{
    make_region_free(&made);
}

TestSuite(stats_history, .init = make, .fini = unmake);

static struct mp_region_epochs *epochs(void)
{
    return made_record(&made, MP_SECTION_EPOCHS, 0);
}

static struct mp_region_site_epochs *row(size_t number)
{
    return made_record(&made, MP_SECTION_SITE_EPOCHS, number);
}

Test(stats_history, everything_is_there)
{
    mp_image_t *image = made_image(&made);

    cr_assert_eq(mp_image_flags(image), 0);
    cr_assert_eq(mp_image_epochs(image)->current, MAKE_EPOCHS);
    cr_assert_eq(mp_image_mark_count(image), MAKE_MARKS);
    cr_assert_str_eq(mp_image_mark(image, 1)->name, "round");
    cr_assert_eq(mp_image_site_epochs(image, 1)->live_bytes[2], 300);
    cr_assert_eq(mp_image_site_epochs(image, 2)->doublings, 0);
    cr_assert_null(mp_image_site_epochs(image, 3));
    cr_assert(mp_image_has_history(image, 3)); /* it has not changed since the first */
    mp_image_free(image);
}

static struct growth_past past_of(
    const struct series *s, const mp_image_t *image, uint32_t site)
{
    const struct mp_region_site *t = mp_image_site(image, site);
    struct growth_past past = {0};

    for (size_t i = 0; i < s->group_count; i++) {
        if (s->groups[i].frame == t->frame && s->groups[i].component == t->component) {
            series_past(image, s, &s->groups[i], &past);
            return past;
        }
    }
    cr_assert_fail("site %u is in no group", site);
    return past;
}

Test(stats_history, rows_are_completed_by_what_is_live)
{
    mp_image_t *image = made_image(&made);
    struct series s;
    struct growth_past past;
    double live;

    cr_assert_eq(series_make(image, &s), 0);
    past = past_of(&s, image, 1);
    live =
        mp_image_site(image, 1)->allocated_bytes - mp_image_site(image, 1)->freed_bytes;
    cr_assert_eq(past.epochs, MAKE_EPOCHS);
    cr_assert_eq(past.live[4], 500);
    cr_assert_float_eq(past.live[5], live, 1e-6); /* now */
    cr_assert_eq(past.floor[5], 20);              /* of the site */
    past = past_of(&s, image, 2); /* shorter epochs: 8 of them, the last not ended */
    live =
        mp_image_site(image, 2)->allocated_bytes - mp_image_site(image, 2)->freed_bytes;
    cr_assert_eq(past.live[0], 200); /* the end of its second */
    cr_assert_eq(past.live[2], 600);
    cr_assert_float_eq(past.live[3], live, 1e-6);
    cr_assert_eq(past.floor[0], 50); /* the lesser of two */
    cr_assert_eq(past.floor[3], 20);
    cr_assert_float_eq(past.floor[4], live, 1e-6);
    cr_assert_eq(past.marks, 2);
    cr_assert_eq(past.mark_live[0], 500);
    cr_assert_float_eq(past.mark_live[1], live, 1e-6); /* after its row was written */
    series_free(&s);
    mp_image_free(image);
}

Test(stats_history, damage_costs_the_history_and_nothing_else)
{
    mp_image_t *image;

    row(1)->live_bytes[0] = NAN;
    row(1)->floor_bytes[1] = -5;
    row(2)->site = 4;
    ((struct mp_region_site *)made_record(&made, MP_SECTION_SITES, 3))->epochs_row = 99;
    image = made_image(&made);
    cr_assert_eq(mp_image_site_epochs(image, 1)->live_bytes[0], 0);
    cr_assert_eq(mp_image_site_epochs(image, 1)->floor_bytes[1], 0);
    cr_assert(!mp_image_has_history(image, 2));
    cr_assert(!mp_image_has_history(image, 3));
    mp_image_free(image);
    epochs()->current = MP_REGION_EPOCHS;
    image = made_image(&made);
    cr_assert_eq(mp_image_epochs(image)->current, 0);
    cr_assert(!mp_image_has_history(image, 1));
    cr_assert_eq(mp_image_mark_count(image), 0);
    mp_image_free(image);
}

Test(stats_history, regions_of_an_earlier_library_have_none)
{
    mp_verdicts_t *verdicts;
    mp_image_t *image;

    for (unsigned id = MP_SECTION_EPOCHS; id <= MP_SECTION_MARKS; id++) {
        made_remove(&made, (enum mp_region_section_id)id);
    }
    for (size_t i = 1; i < MAKE_SITES; i++) {
        ((struct mp_region_site *)made_record(&made, MP_SECTION_SITES, i))->epochs_row =
            0;
    }
    image = made_image(&made);
    cr_assert_eq(mp_image_epochs(image)->current, 0);
    cr_assert_eq(mp_verdicts_make(image, NULL, &verdicts), 0);
    for (size_t i = 0; i < mp_verdicts_count(verdicts); i++) {
        cr_assert_geq(mp_verdicts_at(verdicts, i)->kind, MP_VERDICT_SUSPECT);
    }
    mp_verdicts_free(verdicts);
    mp_image_free(image);
}

/* A scan says what is lost; one round is not believed. */
Test(stats_history, what_two_scans_found_is_lost)
{
    struct mp_scanned scanned[MAKE_SITES] = {[2] = {2, 6400, 640, 0, 0}};
    struct mp_verdict_options options = {.scanned = scanned};
    const struct mp_verdict *lost;
    mp_verdicts_t *verdicts;
    mp_image_t *image = made_image(&made);

    cr_assert_eq(mp_verdicts_make(image, &options, &verdicts), 0);
    cr_assert_eq(mp_verdicts_at(verdicts, 0)->kind, MP_VERDICT_LOST);
    cr_assert_eq(mp_verdicts_at(verdicts, 0)->frame, mp_image_site(image, 2)->frame);
    cr_assert_eq(mp_verdicts_at(verdicts, 0)->advice, MP_ADVICE_CYCLE);
    cr_assert_not_null(strstr(mp_verdicts_at(verdicts, 0)->line[0], "nothing points"));
    mp_verdicts_free(verdicts);
    scanned[2].indirect_bytes = 1e12; /* of samples that weigh too much */
    cr_assert_eq(mp_verdicts_make(image, &options, &verdicts), 0);
    lost = mp_verdicts_at(verdicts, 0);
    cr_assert_eq(lost->kind, MP_VERDICT_LOST);
    cr_assert_float_eq(lost->scanned.definite_bytes + lost->scanned.indirect_bytes,
        lost->live_bytes.high, 1, "not more than it holds");
    mp_verdicts_free(verdicts);
    scanned[2].rounds = 1;
    cr_assert_eq(mp_verdicts_make(image, &options, &verdicts), 0);
    cr_assert_neq(mp_verdicts_at(verdicts, 0)->kind, MP_VERDICT_LOST);
    cr_assert_eq(mp_verdicts_count(verdicts), MAKE_SITES - 1); /* (overflow) has none */
    cr_assert_null(mp_verdicts_at(verdicts, MAKE_SITES));
    mp_verdicts_free(verdicts);
    mp_image_free(image);
}

/* "One thread keeps it" is no advice where all threads are called so. */
Test(stats_history, names_that_all_threads_have)
{
    struct mp_region_process *p = made_record(&made, MP_SECTION_PROCESS, 0);
    mp_image_t *image;

    strcpy(p->service, "shop");
    strcpy(p->exe, "/usr/local/bin/extraction-server");
    strcpy(p->command, "/usr/bin/python3 jobs/nightly-clean-up-of-all --now");
    image = made_image(&made);
    cr_assert(thread_name_is_common(image, "shop"));
    cr_assert(thread_name_is_common(image, "extraction-serv"), "the kernel cuts it");
    cr_assert(thread_name_is_common(image, "python3"));
    cr_assert(thread_name_is_common(image, "nightly-clean-u"), "the script's");
    cr_assert_not(thread_name_is_common(image, "extraction"));
    cr_assert_not(thread_name_is_common(image, "worker-3"));
    cr_assert_not(thread_name_is_common(image, "--now"));
    cr_assert_not(thread_name_is_common(image, ""));
    mp_image_free(image);
}
