/*
 * thread_name - whether a name tells one thread from the others
 */
#ifndef THREAD_NAME_H
#define THREAD_NAME_H

#include <mpstats.h>

/*
 * Whether threads of that process are called so that took no name of their own: after its program,
 * as far as the kernel keeps it, or after its service.
 */
bool thread_name_is_common(const mp_image_t *image, const char *name);

#endif
