/*
 * init - what happens when the library is loaded and when the program ends
 *
 * The allocator needs none of this: it works from the first call on, before any
 * constructor and after the last destructor. Here it gets its options, its fork handlers
 * and its region.
 */
#include "attr.h"
#include "check.h"
#include "fork.h"
#include "harden.h"
#include "housekeeper.h"
#include "options.h"
#include "os.h"
#include "publish.h"

#include <stdlib.h>
#include <unistd.h>

__attribute__((destructor(101))) static void end(void)
{
    housekeeper_stop();
    publish_end();
}

/* 101: before the constructors of the program, behind those of the C library. */
__attribute__((constructor(101))) static void begin(void)
{
    check_remember_stderr();
    fork_register_handlers();
    if (!os_is_secure()) {
        options_read(environ);
    }
    if (options.harden) {
        harden_start();
    }
    at_quick_exit(end);
    publish_start();
    housekeeper_allow();
}
