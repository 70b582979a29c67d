#include "misuse.h"

#include "check.h"
#include "guard.h"
#include "huge.h"
#include "options.h"
#include "probe.h"
#include "slab.h"

#include <string.h>

void misuse_found(const void *p, const char *what, const char *why)
{
    if (guard_holds(p)) {
        guard_refuse(p, what);
        return;
    }
    add_relaxed(&probe_passes.invalid_frees, 1);
    if (options.abort) {
        check_die("%s of %p (%s)", what, (void *)(uintptr_t)p, why);
    }
    if (options.log == LOG_DEBUG) {
        check_say("%s of %p (%s); ignored", what, (void *)(uintptr_t)p, why);
    }
}

void misuse_of_block(
    const struct span *s, const void *p, const char *what, const char *why)
{
    char text[128];

    check_format(text, sizeof(text), "%s, class %u", why,
        sizeclass_table[load_relaxed(&s->cls) % CLASS_SLAB_COUNT].bytes);
    misuse_found(p, what, text);
}

/* A free of what is free already is a double free; a realloc of it is no such thing. */
static const char *twice(const char *what)
{
    return strcmp(what, "invalid free") == 0 ? "double free" : what;
}

void misuse_in_span(const struct span *s, const void *p, const char *what)
{
    switch (load_relaxed(&s->kind)) {
    case SPAN_SLAB:
        misuse_of_block(s, p, what, "not the start of a block");
        break;
    case SPAN_TRACKED:
        if (slab_is_block(s, p)) {
            misuse_of_block(s, p, twice(what), "a block that is free");
        } else {
            misuse_of_block(s, p, what, "not the start of a block");
        }
        break;
    case SPAN_SAMPLED:
        misuse_found(p, what, "no block of a sample that lives");
        break;
    case SPAN_LARGE:
        misuse_found(p, what, "inside a large block");
        break;
    case SPAN_POCKETED:
    case SPAN_FREE_DIRTY:
    case SPAN_FREE_CLEAN:
    case SPAN_PURGING:
        misuse_found(p, twice(what), "its span is free");
        break;
    case SPAN_KEPT:
    case SPAN_CONFINED:
        misuse_found(p, twice(what), "a large block that is free");
        break;
    default:
        misuse_found(p, what, "no block is there");
        break;
    }
}

void misuse_outside(const void *p, const char *what)
{
    if (guard_holds(p)) {
        guard_refuse(p, what);
    } else if (huge_was_freed(p)) {
        misuse_found(p, twice(what), "huge block");
    } else {
        misuse_found(p, what, "not a block of mpalloc");
    }
}
