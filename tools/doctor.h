/*
 * doctor - what the parts of mpalloc doctor share: how a finding is said
 *
 * verb_doctor.c looks at the machine, programs and processes; doctor_serve.c at mpalloc serve.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "configuration.h"

#include <jansson.h>

enum doctor_verdict { DOCTOR_GOOD, DOCTOR_WARN, DOCTOR_BAD };

struct findings {
    json_t *checks; /* NULL: text */
    unsigned bad;
    int code; /* exit code that says more than "failed", or 0 */
};

__attribute__((format(printf, 4, 5))) void doctor_say(struct findings *f,
    enum doctor_verdict verdict, const char *name, const char *format, ...);

/* What mpalloc serve of this machine, or that of an address, should be. */
struct doctor_serve {
    const char
        *url; /* it has to be there; NULL: of the configuration, if it is there */
    const char *token_file; /* NULL: of the configuration */
    const char *config;     /* --config; NULL: where it is usually */
};

/* The configuration, the files it names, the server, its /metrics, and what it sees. */
void doctor_check_serve(struct findings *f, const struct doctor_serve *s);

#endif
