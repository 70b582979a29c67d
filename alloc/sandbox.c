/*
 * sandbox - prctl, so that a program that is about to forbid itself system calls is heard
 *
 * Filters often kill for a call that is not on their list, and what publishes here opens,
 * sizes and unlinks files some time after the start: in a child of fork, at the end. Who
 * installs a filter sets PR_SET_NO_NEW_PRIVS before, by this function (OpenSSH, libseccomp,
 * browsers). From then on only memory is asked of the kernel: no region is opened, and the
 * one that there is stays behind as that of a process that ended; janitor.h takes it away.
 */
#include "os.h"
#include "region.h"

#include <stdarg.h>
#include <sys/prctl.h>

EXPORT int prctl(int option, ...)
{
    unsigned long argument[4];
    va_list ap;

    va_start(ap, option); /* as the C library: all four, whatever was given */
    for (unsigned i = 0; i < 4; i++) {
        argument[i] = va_arg(ap, unsigned long);
    }
    va_end(ap);
    /* A child of vfork must not speak for its parent. */
    if ((option == PR_SET_NO_NEW_PRIVS || option == PR_SET_SECCOMP)
        && (!region_is_open() || region_is_of_this_process())) {
        os_note_sandbox();
    }
    return os_prctl(option, argument);
}
