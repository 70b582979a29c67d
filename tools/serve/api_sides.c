#include "api_sides.h"

#include "../cli.h"
#include "../comparison_baseline.h"
#include "../comparison_moment.h"
#include "../history.h"
#include "../view.h"

#include <string.h>

enum { NAME_MOST = 128 };

bool sides_ask(struct request *r, struct sides *ret)
{
    *ret = (struct sides){.process = api_process(r),
        .baseline = request_value(r, "baseline"),
        .label = request_value(r, "label"),
        .since = request_value(r, "since")};
    if (ret->process == NULL || !api_seconds(r, &ret->seconds)) {
        return false;
    }
    ret->label = ret->label != NULL ? ret->label : "";
    if ((ret->baseline != NULL) + (ret->seconds != 0) + (ret->since != NULL) > 1) {
        reply_problem(r, 400, "takes one of baseline, since and seconds, not both");
        return false;
    }
    if (ret->since != NULL
        && !comparison_try_time(
            ret->since, (int64_t)(view_now_ns() / 1000000000u), &ret->since_s)) {
        reply_problem(
            r, 400, "since takes " COMPARISON_TIMES ", not \"%.100s\"", ret->since);
        return false;
    }
    if (strlen(ret->label) >= NAME_MOST
        || (ret->baseline != NULL && strlen(ret->baseline) >= NAME_MOST)) {
        reply_problem(r, 400, "baselines and labels are shorter than %d", NAME_MOST);
        return false;
    }
    ret->after = ret->process->image;
    return true;
}

bool sides_are_kept(const struct sides *s)
{
    return s->baseline != NULL || s->since != NULL;
}

bool sides_are_two(const struct sides *s)
{
    return sides_are_kept(s) || s->seconds != 0;
}

bool sides_take(struct request *r, struct sides *s)
{
    if (s->baseline != NULL) {
        snprintf(s->key, sizeof(s->key), "of %zu %s\n%s", strlen(s->baseline),
            s->baseline, s->label);
        return true;
    }
    if (s->since != NULL) {
        snprintf(s->key, sizeof(s->key), "since %s", s->since);
        return true;
    }
    if (s->seconds == 0) {
        return true;
    }
    s->later = api_later(r, s->process, s->seconds);
    if (s->later == NULL) {
        return false;
    }
    s->before = s->process->image;
    s->after = s->later->image;
    snprintf(s->key, sizeof(s->key), "from %llu to %llu",
        (unsigned long long)s->process->read_ns, (unsigned long long)s->later->read_ns);
    return true;
}

void sides_release(struct request *r, struct sides *s)
{
    if (s->later != NULL) {
        fleet_release_one(request_serve(r)->fleet, s->later);
        s->later = NULL;
    }
}

/* One whose name is all of it, or "NAME:BUILD". */
static int find(sqlite3 *db, const struct sides *s, struct baseline *ret)
{
    bool is_new;

    if (strchr(s->baseline, ':') != NULL) {
        return comparison_find_baseline(
            "serve", db, s->baseline, s->label[0] != '\0' ? s->label : NULL, ret);
    }
    return comparison_its_baseline(
        "serve", db, s->baseline, s->label, s->after, ret, &is_new);
}

static int open_baseline(const struct sides *s, struct comparison *c, sqlite3 *db)
{
    struct baseline b;
    int code = find(db, s, &b);

    return code == EXIT_FINE ? comparison_open_baseline("serve", c, 0, db, &b) : code;
}

bool sides_open_kept(const struct sides *s, struct comparison *c, struct made *made)
{
    struct said said;
    struct said *outer;
    sqlite3 *db = NULL;
    int code;

    if (!sides_are_kept(s)) {
        return true;
    }
    outer = said_keep(&said);
    code = history_open("serve", NULL, HISTORY_READ, &db);
    if (code == EXIT_FINE) {
        code = s->baseline != NULL
                   ? open_baseline(s, c, db)
                   : comparison_open_moment("serve", c, 0, db, s->after, s->since_s);
    }
    history_close(db);
    said_keep(outer);
    if (code != EXIT_FINE) {
        api_made_problem(made, api_status_of_code(code), "%s", said.text);
    }
    return code == EXIT_FINE;
}
