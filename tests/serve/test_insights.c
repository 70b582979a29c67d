/* Insights: ends of processes are counted once, whoever scrapes, in whatever order. */
#include "tools/cli.h"
#include "tools/serve/insights.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The table of verbs is of the program. */
const struct verb *verb_find(const char *name)
{
    (void)name;
    return NULL;
}

static char directory[] = "/tmp/insights-XXXXXX";
static struct fleet
    *fleet; /* without processes: nothing is made of those in the lists */
static struct insights *insights;
static struct fleet_process process = {.id = "1-1", .pid = 1};

static void make(void)
{
    const char *directories[] = {directory};
    struct fleet_options options = {1, directories, 0, 0};

    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(fleet_create(&options, &fleet, NULL), 0);
    cr_assert_eq(insights_create(fleet, &(struct insights_options){0}, &insights), 0);
    process.image = (mp_image_t *)&process; /* that it has one is all that counts */
}

static void unmake(void)
{
    insights_destroy(insights);
    fleet_destroy(fleet);
    rmdir(directory);
}

TestSuite(insights, .init = make, .fini = unmake);

/* A scrape of the fleet's list number `serial`, in which the process is so, or is not. */
static void scrape(uint64_t serial, bool is_there, enum mp_life life)
{
    const struct fleet_process *all[] = {&process};
    struct fleet_list list = {.serial = serial, .count = is_there, .at = all};

    process.life = life;
    insights_lock(insights, &list);
    insights_unlock(insights);
}

/* It is in no list from that one on; what is being made of it may put off that it is counted. */
static void leave(uint64_t serial)
{
    for (unsigned i = 0; i < 200 && insights_count_ends(insights).exited == 0; i++) {
        scrape(serial, false, MP_LIFE_RUNNING);
        usleep(1000);
    }
}

Test(insights, an_end_is_counted_once)
{
    scrape(1, true, MP_LIFE_RUNNING);
    scrape(2, true, MP_LIFE_DIED);
    scrape(3, true, MP_LIFE_DIED);
    scrape(4, false, MP_LIFE_DIED);
    cr_assert_eq(insights_count_ends(insights).died, 1);
    cr_assert_eq(insights_count_ends(insights).exited, 0);
}

Test(insights, a_slower_scraper_brings_nobody_back)
{
    scrape(1, true, MP_LIFE_RUNNING);
    scrape(2, true, MP_LIFE_DIED);
    scrape(1, true, MP_LIFE_RUNNING); /* it held its list for longer */
    scrape(3, true, MP_LIFE_DIED);
    cr_assert_eq(insights_count_ends(insights).died, 1);
}

Test(insights, nor_one_that_left)
{
    scrape(1, true, MP_LIFE_RUNNING);
    leave(2);
    scrape(1, true, MP_LIFE_RUNNING);
    for (unsigned i = 0; i < 20; i++) {
        scrape(3, false, MP_LIFE_RUNNING);
        usleep(1000);
    }
    cr_assert_eq(insights_count_ends(insights).exited, 1);
}

Test(insights, one_that_came_later_has_not_left)
{
    scrape(2, true, MP_LIFE_RUNNING);
    scrape(1, false, MP_LIFE_RUNNING);
    cr_assert_eq(insights_count_ends(insights).exited, 0);
    scrape(3, true, MP_LIFE_RUNNING);
    leave(4);
    cr_assert_eq(insights_count_ends(insights).exited, 1);
}

Test(insights, lists_of_the_fleet_have_ascending_numbers)
{
    const struct fleet_list *first = fleet_hold(fleet, 0);
    const struct fleet_list *second;

    usleep(2000); /* figures are at most 0 ms old */
    second = fleet_hold(fleet, 0);
    cr_assert_gt(first->serial, 0);
    cr_assert_gt(second->serial, first->serial);
    fleet_release(fleet, first);
    fleet_release(fleet, second);
}
