#include "routes.h"

#include "basic.h"

const struct route *const routes[] = {
    basic_routes,
    NULL,
};
