/*
 * fail_on - what mpalloc run shall fail for: leaks, drift from a baseline
 *
 * Owns: what --fail-on says, and whether what is known of a program at its end meets it.
 * Does not own: verdicts (leaks.h), comparing (comparison.h), baselines.
 */
#ifndef FAIL_ON_H
#define FAIL_ON_H

#include <mpstats.h>

struct fail_on {
    bool lost;          /* blocks that nothing points to */
    bool growing;       /* stacks that grow without end */
    bool has_drift;     /* more than so much, of what the whole was */
    double drift;       /* 0.2: a fifth */
    char baseline[128]; /* that it is measured from; "": of the program's name */
    const char *label;  /* of the load; NULL: none */
};

static inline bool fail_on_any(const struct fail_on *f)
{
    return f->lost || f->growing || f->has_drift;
}

/*
 * One value of --fail-on: "leak", "leak=definite", "leak=growing", "drift=20%", "drift=20%:NAME",
 * or several with commas. Adds to what there is. The process ends with a line when it is none.
 */
void fail_on_add(struct fail_on *f, const char *text);

/* What would only show when the program has ended. EXIT_FINE, or a code after a line. */
int fail_on_prepare(struct fail_on *f, const char *program);

/*
 * EXIT_CONDITION after the leaks, or the table of what drifted, on standard error; EXIT_FINE;
 * another code after a line. The first run that is compared with a baseline that is not there
 * becomes it, and so does the first of each build that did not drift.
 */
int fail_on_check(const struct fail_on *f, const mp_image_t *image);

#endif
