/*
 * push_make - messages for each kind of server
 */
#ifndef PUSH_MAKE_H
#define PUSH_MAKE_H

#include "push.h"

/* A message of bytes that it takes; url and type are copied. */
struct push_message *push_message_new(enum push_signal signal, const char *url,
    const char *content_type, char *body, size_t bytes);

/* The same compressed by gzip, as its encoding says. */
void push_message_compress(struct push_message *m);

/* url: whole, as push_url_for gives it. now_s, before_s: of this and of the last look. */
struct push_message *push_pyroscope(const char *url, const struct push_options *o,
    const struct push_process *process, uint64_t before_s, uint64_t now_s);
struct push_message *push_parca(
    const char *url, const struct push_options *o, const struct push_process *process);
struct push_message *push_otlp_profiles(
    const char *url, const struct push_options *o, const struct push_process *process);
struct push_message *push_otlp_metrics(
    const char *url, const struct push_options *o, const struct otlp_metrics *m);

/* The pprof of a process, gzipped; free it. */
char *push_pprof(const mp_image_t *image, size_t *ret_bytes);

/* Whether servers of profiles take that as the name of a label. */
bool push_is_label(const char *name);

#endif
