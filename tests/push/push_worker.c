/*
 * push_worker - what serve does with the sections otlp and push
 *
 *     push_worker CONFIG DIRECTORY
 *
 * Sends until its standard input ends, then prints "KIND URL MADE DELIVERED" of each server.
 */
#include "cli.h"
#include "serve/pushing.h"

#include <stdio.h>

/* The table of verbs is the command's. */
const struct verb *verb_find(const char *name)
{
    (void)name;
    return NULL;
}

int main(int argc, char **argv)
{
    struct mp_error error = {""};
    struct fleet_options options = {
        .directory_count = 1, .directories = (const char *const[]){argv[2]}};
    struct pushing *p = NULL;
    struct config *config;
    struct insights *insights;
    struct fleet *fleet;
    const char *to;
    const char *url;
    struct push_counts n;

    if (argc != 3 || fleet_create(&options, &fleet, &error) != 0
        || config_load(argv[1], &config, &error) != 0
        || pushing_start(config, fleet, &p, &error) != 0) {
        printf("error %s\n", error.text);
        return 1;
    }
    config_free(config);
    if (insights_create(fleet, &(struct insights_options){0}, &insights) != 0) {
        return 1;
    }
    pushing_show(p, insights);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    for (size_t i = 0; pushing_get(p, i, &to, &url, &n); i++) {
        printf("%s %s %llu %llu\n", to, url, (unsigned long long)n.made,
            (unsigned long long)n.delivered);
    }
    pushing_stop(p);
    insights_destroy(insights);
    fleet_destroy(fleet);
    return 0;
}
