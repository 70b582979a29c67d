/*
 * push_config - what the configuration file says of sending: one push for each server of it
 */
#ifndef PUSH_CONFIG_H
#define PUSH_CONFIG_H

#include "../configuration.h"
#include "push.h"

struct push_list {
    size_t count;
    struct push **at;
};

/*
 * makes_insight: see push_options. The sections otlp and push; none of them is no error. 0, or a negative errno after a line
 * "FILE:LINE: …" in *error. Texts are copied.
 */
int push_list_make(const struct config *config, bool makes_insight,
    struct push_list *ret, struct mp_error *error);
void push_list_free(struct push_list *list);

/* The first line of a file, to be freed. NULL after a line in *error. */
char *push_read_token(const char *path, struct mp_error *error);

#endif
