/*
 * export_rules - mpalloc export rules: the file of rules for Prometheus
 */
#ifndef EXPORT_RULES_H
#define EXPORT_RULES_H

/* Of the words after "rules"; an exit code. */
int export_rules(int argc, char **argv);

#endif
