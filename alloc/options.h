/*
 * options - the run-time options: MPALLOC_<NAME> in the environment, one table
 *
 * Owns: the values in force. They hold their defaults from the first instruction on and
 * are read from the environment once, by options_read, when the C library is up; before
 * that the allocator runs on the defaults.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPTION_TEXT_MAX = 256, OPTION_LIMITS_MAX = 4096 };

enum option_region { REGION_FILE, REGION_MEMFD, REGION_OFF };
enum option_leak_check { LEAK_CHECK_NO, LEAK_CHECK_SAY, LEAK_CHECK_QUIET };
enum option_log { LOG_QUIET, LOG_WARN, LOG_DEBUG };
enum option_deepbind { DEEPBIND_STRIP, DEEPBIND_KEEP };
enum option_huge_pages { HUGE_PAGES_AUTO, HUGE_PAGES_OFF };
enum option_origin { ORIGIN_DEFAULT, ORIGIN_ENVIRONMENT, ORIGIN_REFUSED };

#define PURGE_NEVER     UINT32_MAX
#define SAMPLE_MOST     (UINT64_C(1) << 40)
#define SAMPLE_STANDARD (UINT64_C(512) << 10)

struct options {
    enum option_region region;
    enum option_log log;
    enum option_deepbind deepbind;
    enum option_huge_pages huge_pages;
    uint64_t keep; /* 0, 1, or the one process that it is for */
    bool abort;
    bool harden;
    bool children;
    bool housekeeper;
    uint32_t purge_delay_ms;
    uint64_t sample_bytes;        /* interval; MP_SAMPLING_EXACT, MP_SAMPLING_OFF */
    uint64_t sample_memory_bytes; /* 0: what suits the mode */
    bool sample_governor;
    enum option_leak_check leak_check;
    uint64_t leak_exit;
    uint32_t leak_timeout_ms;
    struct option_pointers {
        bool low;
        bool high;
        bool interior;
        uint64_t offset; /* 0: none */
    } leak_pointers;
    char leak_suppressions[OPTION_TEXT_MAX];
    char limits[OPTION_LIMITS_MAX];
    uint64_t guard_bytes;      /* mean bytes between guarded samples; 0: none */
    char dir[OPTION_TEXT_MAX]; /* "": the default */
    char report[OPTION_TEXT_MAX];
    char service[OPTION_TEXT_MAX];
};

extern struct options options;

/* From the environment; one line on stderr for each value that is refused. */
void options_read(char **environment);

/*
 * The next of NAME=SOFT, NAME=SOFT:HARD or NAME=:HARD with commas between them; *at goes
 * behind it. False: there is none, and *at is "", or it is not so.
 */
struct option_limit {
    char name[96];
    uint64_t soft; /* bytes; 0: none */
    uint64_t hard;
};
bool options_next_limit(const char **at, struct option_limit *ret);

/* For listing: the number of options, and the i-th as text. */
size_t options_count(void);
struct option_view {
    const char *name;
    const char *value;
    enum option_origin origin;
};
struct option_view options_view(size_t i);

#endif
