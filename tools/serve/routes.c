#include "routes.h"

#include "basic.h"
#include "page.h"

const struct route *const routes[] = {
    basic_routes,
    page_routes,
    NULL,
};
