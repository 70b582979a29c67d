/*
 * plugin.h - what plugin.c has for loader.c and late.c
 */
#ifndef PLUGIN_H
#define PLUGIN_H

#include <stddef.h>

int plugin_resolved(void); /* whether the resolver of its IFUNC could allocate */
int plugin_is_fresh(void); /* whether its constructor ran since this was called last */
char *plugin_use_thread(void);
void plugin_forget_thread(void);
void *plugin_malloc(size_t bytes);
void plugin_free(void *p);
int plugin_churn(void);
const void *plugin_address_of_malloc(void);

#endif
