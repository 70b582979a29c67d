/*
 * init - what happens when the library is loaded and when the program ends
 *
 * The allocator needs none of this: it works from the first call on, before any
 * constructor and after the last destructor. Here it gets its options, its fork handlers
 * and its region; where another malloc is the program's, nothing.
 */
#include "attr.h"
#include "check.h"
#include "exit.h"
#include "fork.h"
#include "guard.h"
#include "harden.h"
#include "housekeeper.h"
#include "leak_exit.h"
#include "limit.h"
#include "loader.h"
#include "options.h"
#include "os.h"
#include "publish.h"
#include "sizeclass.h"
#include "unwind.h"

#include <stdlib.h>
#include <unistd.h>

static bool is_started;

__attribute__((destructor(101))) static void end(void)
{
    struct unwind_context here;
    int code;

    if (!is_started) {
        return;
    }
    housekeeper_stop();
    unwind_capture(&here);
    code = publish_is_own() ? leak_exit_check(&here) : -1;
    publish_end();
    if (code
        >= 0) { /* the rest of exit is passed over, but for what the program wrote */
        exit_flush();
        os_exit(code);
    }
}

/* 101: before the constructors of the program, behind those of the C library. */
__attribute__((constructor(101))) static void begin(void)
{
    check_remember_stderr();
    if (os_page_bytes() > SPAN_BYTES) {
        check_die(
            "pages of %zu bytes: mpalloc works with 64 KiB at most", os_page_bytes());
    }
    fork_register_handlers();
    if (!os_is_secure()) {
        options_read(environ);
    }
    if (loader_begin != NULL && !loader_begin()) {
        return;
    }
    is_started = true;
    if (options.harden) {
        harden_start();
    } else {
        guard_init();
    }
    limit_start();
    at_quick_exit(end);
    publish_start();
    housekeeper_allow();
}
