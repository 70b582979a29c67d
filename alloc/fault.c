#include "fault.h"

#include "atomic.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#    define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_WIPEONFORK
#    define MADV_WIPEONFORK 18
#endif

struct fault {
    uint64_t first; /* 0: none */
    uint64_t last;
    int error;
};

static const struct {
    const char *name;
    int error;
} table[FAULT_ENTRY_COUNT] = {
#define X(name, error) {#name, error},
    FAULT_ENTRIES(X)
#undef X
};

/*
 * All of it is read by any thread at any time and written while a plan is set: tests set
 * plans when their threads are quiet, and what is read torn only moves a fault.
 */
static struct fault plan[FAULT_ENTRY_COUNT];
static uint64_t counts[FAULT_ENTRY_COUNT];
static uint64_t budget; /* 0: none */
static uint64_t charged;
static uint32_t has_plan; /* of the environment */

static uint64_t parse_number(const char **at)
{
    uint64_t value = 0;

    while (**at >= '0' && **at <= '9') {
        value = value * 10 + (uint64_t)(*(*at)++ - '0');
    }
    return value;
}

static unsigned find_entry(const char *name, size_t length)
{
    unsigned i = 0;

    while (i < FAULT_ENTRY_COUNT
           && (strlen(table[i].name) != length
               || memcmp(table[i].name, name, length) != 0)) {
        i++;
    }
    return i;
}

/* ENTRY:N, ENTRY:N+, ENTRY:N-M, each with =ERRNO. */
static bool parse_fault(const char **at, struct fault *faults, uint64_t *ret_budget)
{
    const char *colon = strchr(*at, ':');
    size_t length = colon != NULL ? (size_t)(colon - *at) : 0;
    unsigned entry = find_entry(*at, length);
    bool is_budget = length == 6 && memcmp(*at, "budget", 6) == 0;
    struct fault f;

    if (colon == NULL || (entry == FAULT_ENTRY_COUNT && !is_budget)) {
        return false;
    }
    *at = colon + 1;
    f.first = f.last = parse_number(at);
    if (is_budget) {
        *ret_budget = f.first;
        return f.first != 0;
    }
    f.error = table[entry].error;
    if (**at == '+') {
        (*at)++;
        f.last = UINT64_MAX;
    } else if (**at == '-') {
        (*at)++;
        f.last = parse_number(at);
    }
    if (**at == '=') {
        (*at)++;
        f.error = (int)parse_number(at);
    }
    faults[entry] = f;
    return f.first != 0 && f.last >= f.first;
}

bool mpalloc_fault_set(const char *text)
{
    struct fault faults[FAULT_ENTRY_COUNT] = {{0, 0, 0}};
    uint64_t most = 0;

    while (*text != '\0') {
        if (!parse_fault(&text, faults, &most) || (*text != ',' && *text != '\0')) {
            return false;
        }
        text += *text == ',';
    }
    store_release(&has_plan, 1);
    memcpy(plan, faults, sizeof(plan));
    for (unsigned i = 0; i < FAULT_ENTRY_COUNT; i++) {
        store_relaxed(&counts[i], 0);
    }
    budget = most;
    return true;
}

unsigned long mpalloc_fault_count(const char *entry)
{
    unsigned i = find_entry(entry, strlen(entry));

    return i < FAULT_ENTRY_COUNT ? load_relaxed(&counts[i]) : 0;
}

const char *mpalloc_fault_name(unsigned i)
{
    return i < FAULT_ENTRY_COUNT ? table[i].name : NULL;
}

/* Before the C library has its environment there is no plan, and nothing is counted. */
static bool read_environment(void)
{
    static const char name[] = "MPALLOC_FAULT=";

    if (load_acquire(&has_plan) != 0) {
        return true;
    }
    if (environ == NULL) {
        return false;
    }
    store_release(&has_plan, 1);
    for (char **e = environ; *e != NULL; e++) {
        if (strncmp(*e, name, sizeof(name) - 1) == 0
            && !mpalloc_fault_set(*e + sizeof(name) - 1)) {
            static const char complaint[] = "mpalloc: MPALLOC_FAULT is not a plan\n";
            ssize_t done = write(STDERR_FILENO, complaint, sizeof(complaint) - 1);

            (void)done;
            _exit(2);
        }
    }
    return true;
}

bool fault_is_due(enum fault_entry entry)
{
    uint64_t n;

    if (!read_environment()) {
        return false;
    }
    n = add_relaxed(&counts[entry], 1) + 1;
    if (plan[entry].first == 0 || n < plan[entry].first || n > plan[entry].last) {
        return false;
    }
    if (plan[entry].error != 0) {
        errno = plan[entry].error;
    }
    return true;
}

bool fault_is_due_madvise(int advice)
{
    bool is_due = fault_is_due(FAULT_madvise);

    if (advice == MADV_DONTNEED) {
        is_due |= fault_is_due(FAULT_dontneed);
    } else if (advice == MADV_POPULATE_WRITE) {
        is_due |= fault_is_due(FAULT_populate);
    } else if (advice == MADV_WIPEONFORK) {
        is_due |= fault_is_due(FAULT_wipeonfork);
    }
    return is_due;
}

bool fault_is_due_syscall(long number)
{
    return (number == SYS_getrandom && fault_is_due(FAULT_getrandom))
           || (number == SYS_futex && fault_is_due(FAULT_futex))
           || (number == SYS_clone3 && fault_is_due(FAULT_clone))
           || (number == SYS_clone && fault_is_due(FAULT_clone));
}

/* ---- the budget ---- */

static bool is_charged(int protection, int flags)
{
    return (protection & PROT_WRITE) != 0 && (flags & MAP_PRIVATE) != 0;
}

bool fault_is_over_budget(size_t bytes, int protection, int flags)
{
    if (budget == 0 || !is_charged(protection, flags)
        || load_relaxed(&charged) + bytes <= budget) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

void *fault_mapped(void *start, size_t bytes, int protection, int flags)
{
    if (start != MAP_FAILED && is_charged(protection, flags)) {
        add_relaxed(&charged, bytes);
    }
    return start;
}

int fault_unmapped(int result, size_t bytes)
{
    if (result == 0) {
        sub_relaxed(&charged, bytes < charged ? bytes : charged);
    }
    return result;
}

void *fault_remapped(void *start, size_t old_bytes, size_t new_bytes)
{
    if (start != MAP_FAILED) {
        add_relaxed(&charged, new_bytes - old_bytes);
    }
    return start;
}
