/* made_image - a made region as its reader sees it; the test fails if it is refused. */
#ifndef MADE_IMAGE_H
#define MADE_IMAGE_H

#include "make_region.h"

#include <mpstats.h>

#include <criterion/criterion.h>
#include <unistd.h>

/* The caller frees it. */
static inline mp_image_t *made_image(const struct made *m)
{
    struct mp_error error = {{0}};
    mp_image_t *image = NULL;
    int fd = made_memfd(m);
    int code = mp_image_read(fd, "made", &image, &error);

    close(fd);
    cr_assert_eq(code, 0, "%s", error.text);
    return image;
}

#endif
