/*
 * api_parts - what the handlers of the API share: processes, parameters, replies
 *
 * Owns: which process a request means, how failures of tools become problems, what is left out for
 * those who are not trusted. A reply ends the handler: functions that say false or NULL have answered.
 */
#ifndef API_PARTS_H
#define API_PARTS_H

#include "../said.h"
#include "api.h"
#include "api_cache.h"
#include "http.h"
#include "serve.h"

enum {
    API_AGE_MS =
        3000, /* documents that take long are at most so old, besides their figures */
    API_NAMES_MS =
        3000, /* for names of functions, in one document; the rest come next time */
    API_SECONDS_MOST = 600,
};

/* The process of {id}, or of ?process=, or the only one that runs, with an image. */
const struct fleet_process *api_process(struct request *r);

/* ?seconds=, 0 when it is not given. */
bool api_seconds(struct request *r, uint64_t *ret);

/*
 * The process anew, after so many seconds in which the worker's place is free; for
 * fleet_release_one. NULL: it ended and left nothing, or too many wait; that was answered.
 */
const struct fleet_process *api_later(
    struct request *r, const struct fleet_process *p, uint64_t seconds);

/* What others of those handlers answer, too. */
bool api_leaks_asked(struct request *r, uint64_t *ret_rows, bool *ret_all);
enum answered api_leaks(
    struct request *r, const struct fleet_process *p, uint64_t rows, bool all);

/* How many call stacks leak, as far as anybody looked: for rows of processes. */
void api_note_leaks(
    struct serve *s, const struct fleet_process *p, const size_t of_kind[MP_VERDICTS]);
json_t *api_count_alerts(const json_t *alerts, const char *id);
json_t *api_known_leaks(struct serve *s, const struct fleet_process *p);

/* Takes the document; status 200. */
enum answered api_reply(struct request *r, json_t *document);

/* The same as text, as documents are written everywhere; for free(). Takes the document. */
char *api_text(json_t *document, bool is_trusted, size_t *ret_bytes);

/*
 * What is made for this process and key, by a function that gets `arg` and may look up names, once
 * for all who ask. The key begins with what differs between processes, without the caller's help.
 */
enum answered api_reply_made(struct request *r, const struct fleet_process *p,
    const char *key, make_fn *make, void *arg);

/* For make_fn: the document as text, or a problem. */
void api_made_document(struct made *made, json_t *document, bool is_trusted);
__attribute__((format(printf, 3, 4))) void api_made_problem(
    struct made *made, unsigned status, const char *format, ...);

/* What was made for the process is of before: it did something. */
void api_forget(struct request *r, const struct fleet_process *p);

/* "0" or "1"; false: it is something else. */
bool api_flag(struct request *r, const char *name, bool *ret);

/* One of several words, the last NULL; `usual` when it is not given. */
bool api_word(struct request *r, const char *name, const char *const *words,
    unsigned usual, unsigned *ret);

/* The status that says what an exit code of a tool, or a negative errno of libmpstats says. */
unsigned api_status_of_code(int exit_code);
unsigned api_status_of_errno(int error);

/* False: stack addresses are asked for by one who must not see them. */
bool api_may_see_code(struct request *r);

#endif
