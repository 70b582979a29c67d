/*
 * verb_alerts - mpalloc alerts: what of processes is to be told to somebody
 */
#include "cli.h"
#include "configuration.h"

#include <stdio.h>

const char help_alerts[] =
    "  --config FILE        the configuration\n"
    "  --check-config FILE  say what is wrong with a configuration, and end\n"
    "\n"
    "Examples:\n"
    "  mpalloc alerts --check-config /etc/mpalloc/mpalloc.yaml\n";

static int check_config(const char *path)
{
    struct config *c;
    int code = config_open("alerts", path, NULL, &c);

    if (code == EXIT_FINE) {
        printf("%s is fine: preset %s, %zu rules, %zu sinks\n", path,
            mp_preset_name(c->preset), c->rule_count, c->sink_count);
        config_free(c);
    }
    return code;
}

int verb_alerts(int argc, char **argv)
{
    enum { CHECK_CONFIG = 1, CONFIG };
    static const struct option options[] = {COMMON_OPTIONS,
        {"check-config", required_argument, NULL, CHECK_CONFIG},
        {"config", required_argument, NULL, CONFIG}, {0}};
    struct common common = {0};
    int o;

    while ((o = cli_next_option("alerts", argc, argv, options, false, &common)) != -1) {
        if (o == CHECK_CONFIG) {
            return check_config(optarg);
        }
    }
    return cli_fail("alerts", EXIT_USAGE, "give --check-config FILE");
}
