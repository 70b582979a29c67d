/*
 * finding_names - what advice and its gains are called
 */
#include <mpstats.h>

const char *mp_finding_name(enum mp_finding_code code)
{
    static const char *const names[MP_FINDINGS] = {"POOL", "ARENA", "BATCH", "CHUNK",
        "RESIZE", "TRIM", "SPREAD", "BOUND", "HANDLER", "CYCLE", "THREAD", "SHRINK",
        "HOT", "RESERVE", "ALIGN"};

    return code < MP_FINDINGS ? names[code] : "";
}

const char *mp_finding_text(enum mp_finding_code code)
{
    static const char *const texts[MP_FINDINGS] = {
        [MP_FINDING_POOL] = "Keep freed objects and use them again (mp_pool_create), "
                            "or put them on the stack.",
        [MP_FINDING_ARENA] = "Take them from a request arena (mp_arena_create) and "
                             "give all back at once.",
        [MP_FINDING_BATCH] = "Allocate several of them in one block.",
        [MP_FINDING_CHUNK] =
            "Read, work and write in pieces, so that no block has to hold the whole.",
        [MP_FINDING_RESIZE] = "Make the object a little smaller, or fill its block: "
                              "see the size classes.",
        [MP_FINDING_TRIM] =
            "mpalloc trim gives it back now; a shorter MPALLOC_PURGE_DELAY, or "
            "MPALLOC_HOUSEKEEPER in a program that sleeps, does so by itself.",
        [MP_FINDING_SPREAD] = "Blocks that stay lie among blocks that went: give what "
                              "stays a component of its "
                              "own (MP_SCOPE), so that spans get empty.",
        [MP_FINDING_RESERVE] =
            "Ask for the final size at once (reserve), grow by half or twice, or keep "
            "a "
            "list of pieces (CHUNK): each move copies all that is there.",
        [MP_FINDING_ALIGN] = "Ask for the alignment that is needed: most data need 16, "
                             "a cache line is 64; or put several into one block.",
        [MP_FINDING_SHRINK] = "Buffers that one large request made large stay so: give "
                              "back what is above "
                              "the usual (shrink_to_fit, realloc) when it is served, "
                              "or BOUND what is kept.",
        [MP_FINDING_HOT] = "Whatever is won in it counts most: look here first.",
    };

    switch (code) {
    case MP_FINDING_BOUND:
        return mp_advice_text(MP_ADVICE_BOUND);
    case MP_FINDING_HANDLER:
        return mp_advice_text(MP_ADVICE_HANDLER);
    case MP_FINDING_CYCLE:
        return mp_advice_text(MP_ADVICE_CYCLE);
    case MP_FINDING_THREAD:
        return mp_advice_text(MP_ADVICE_THREAD);
    default:
        return code < MP_FINDINGS ? texts[code] : "";
    }
}

const char *mp_gain_unit_name(enum mp_gain_unit unit)
{
    static const char *const names[] = {"bytes", "peak_bytes", "bytes_per_hour",
        "calls_per_second", "copied_bytes_per_second", "none"};

    return unit <= MP_GAIN_NONE ? names[unit] : "";
}
