/*
 * texts - strings, each kept once: equal texts are equal pointers
 */
#ifndef TEXTS_H
#define TEXTS_H

struct texts {
    void *tree; /* tsearch: of char * */
};

/* The kept copy. It lives until texts_fini. */
const char *texts_keep(struct texts *t, const char *text);

/* The same of a text of others: cut, and fit to print. */
const char *texts_keep_escaped(struct texts *t, const char *text);

void texts_fini(struct texts *t);

#endif
