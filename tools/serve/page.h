/*
 * page - the pages of mpalloc serve: files of tools/web/ that the build put into the command
 */
#ifndef PAGE_H
#define PAGE_H

#include "http.h"

/* / and /processes/… (the same page, which looks at its address), /flame, /assets/{name} */
extern const struct route page_routes[];

#endif
