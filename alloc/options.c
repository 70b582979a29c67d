#include "options.h"

#include "bits.h"
#include "check.h"
#include "fault.h"

#include <mpalloc/region.h>

#include <string.h>

struct options options = {
    .region = REGION_FILE,
    .log = LOG_WARN,
    .deepbind = DEEPBIND_STRIP,
    .huge_pages = HUGE_PAGES_AUTO,
    .keep = 0,
    .abort = true,
    .harden = CONFIG_HARDENED,
    .children = true,
    .purge_delay_ms = 1000,
    .sample_bytes = SAMPLE_STANDARD,
    .sample_governor = true,
    .leak_exit = 23,
    .leak_timeout_ms = 60000,
};

#define GUARD_STANDARD ((uint64_t)4 << 20)
#define BYTES_MOST     ((uint64_t)1 << 40)

enum type { BOOL, NUMBER, TIME, TEXT, CHOICE };

enum id {
#define OPTION(name, NAME, type, standard, range, help) ID_##name,
#include <mpalloc/options.def>
#undef OPTION
    ID_COUNT
};

struct entry {
    const char *name;
    enum type type;
    const char *standard;
    const char *range;
};

static const struct entry table[ID_COUNT] = {
#define OPTION(name, NAME, type, standard, range, help) {NAME, type, standard, range},
#include <mpalloc/options.def>
#undef OPTION
};

static struct {
    char text[96]; /* as given, for listings; cut */
    enum option_origin origin;
} given[ID_COUNT];

static bool parse_bool(const char *text, bool *ret)
{
    if ((text[0] != '0' && text[0] != '1') || text[1] != '\0') {
        return false;
    }
    *ret = text[0] == '1';
    return true;
}

static bool parse_number(const char **text, uint64_t *ret)
{
    const char *at = *text;
    uint64_t value = 0;

    if (*at < '0' || *at > '9') {
        return false;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        if (value > (UINT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *text = at;
    *ret = value;
    return true;
}

/* Nothing but a number. */
static bool parse_whole(const char *text, uint64_t *ret)
{
    uint64_t value;

    if (!parse_number(&text, &value) || *text != '\0') {
        return false;
    }
    *ret = value;
    return true;
}

/* A number of bytes: "5000", "64k", "8m", "1g", "1t"; up to 1 TiB. */
static bool parse_bytes(const char *text, uint64_t *ret)
{
    static const char units[] = "kmgt";
    uint64_t value;
    unsigned shift = 0;

    if (!parse_number(&text, &value)) {
        return false;
    }
    for (unsigned i = 0; *text != '\0' && units[i] != '\0'; i++) {
        if ((*text | 0x20) == units[i] && text[1] == '\0') {
            shift = 10 * (i + 1);
        }
    }
    if ((*text != '\0' && shift == 0) || value > BYTES_MOST >> shift) {
        return false;
    }
    *ret = value << shift;
    return true;
}

/* "0", "1" (4 MiB), or a number of bytes. */
static bool parse_guard(const char *text, uint64_t *ret)
{
    if (!parse_bytes(text, ret)) {
        return false;
    }
    if (text[0] == '1' && text[1] == '\0') {
        *ret = GUARD_STANDARD;
    }
    return true;
}

static bool equals_any_case(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        char lower = *a >= 'A' && *a <= 'Z' ? (char)(*a - 'A' + 'a') : *a;

        if (lower != *b) {
            return false;
        }
    }
    return *a == *b;
}

/* "exact", "off", or a number of bytes, but 0. */
static bool parse_sample(const char *text, uint64_t *ret)
{
    uint64_t value;

    if (equals_any_case(text, "exact")) {
        *ret = MP_SAMPLING_EXACT;
        return true;
    }
    if (equals_any_case(text, "off")) {
        *ret = MP_SAMPLING_OFF;
        return true;
    }
    if (!parse_bytes(text, &value) || value == 0) {
        return false;
    }
    *ret = value == 1 ? MP_SAMPLING_EXACT : value;
    return true;
}

/* "auto", or a number of bytes from 1 MiB on. */
static bool parse_memory(const char *text, uint64_t *ret)
{
    uint64_t value;

    if (equals_any_case(text, "auto")) {
        *ret = 0;
        return true;
    }
    if (!parse_bytes(text, &value) || value < MIB) {
        return false;
    }
    *ret = value;
    return true;
}

/* "500ms", "10s", "2m", "1h", "0"; a bare number is milliseconds. Up to one hour. */
static bool parse_time(const char *text, uint32_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    uint64_t value;

    if (equals_any_case(text, "never")) {
        *ret_ms = PURGE_NEVER;
        return true;
    }
    if (!parse_number(&text, &value)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (equals_any_case(text, units[i].unit)) {
            if (value > 3600000 / units[i].ms) {
                return false;
            }
            *ret_ms = (uint32_t)(value * units[i].ms);
            return true;
        }
    }
    return false;
}

static bool parse_text(const char *text, bool is_path, char *ret)
{
    size_t n = strlen(text);

    if (n >= OPTION_TEXT_MAX || (is_path && n > 0 && text[0] != '/')) {
        return false;
    }
    memcpy(ret, text, n + 1);
    return true;
}

static bool parse_choice(const char *text, const char *const *words, unsigned *ret)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (equals_any_case(text, words[i])) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool parse_report(const char *text)
{
    bool is_flag = text[0] == '1' && text[1] == '\0';

    return parse_text(text, !is_flag, options.report);
}

static bool parse_exit(const char *text, uint64_t *ret)
{
    uint64_t value;

    if (!parse_whole(text, &value) || value > 255) {
        return false;
    }
    *ret = value;
    return true;
}

static bool parse_leak_timeout(const char *text, uint32_t *ret)
{
    uint32_t ms;

    if (!parse_time(text, &ms) || ms == PURGE_NEVER || ms < 10) {
        return false;
    }
    *ret = ms;
    return true;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* One of the words; *at goes behind it. */
static bool parse_pointer_word(const char **at, struct option_pointers *ret)
{
    size_t n = strcspn(*at, ",");

    if (**at >= '0' && **at <= '9') {
        return ret->offset == 0 && parse_number(at, &ret->offset) && ret->offset != 0;
    }
    if (is_word(*at, n, "low")) {
        ret->low = true;
    } else if (is_word(*at, n, "high")) {
        ret->high = true;
    } else if (is_word(*at, n, "interior")) {
        ret->interior = true;
    } else if (!is_word(*at, n, "plain")) {
        return false;
    }
    *at += n;
    return true;
}

static bool parse_pointers(const char *text, struct option_pointers *ret)
{
    struct option_pointers found = {0};

    while (parse_pointer_word(&text, &found)) {
        if (*text == '\0') {
            *ret = found;
            return true;
        }
        if (*text++ != ',') {
            return false;
        }
    }
    return false;
}

/* A number of bytes that ends at *end of text. */
static bool parse_bytes_until(const char *text, const char *end, uint64_t *ret)
{
    char copy[32];
    size_t n = (size_t)(end - text);

    if (n >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text, n);
    copy[n] = '\0';
    return parse_bytes(copy, ret);
}

bool options_next_limit(const char **at, struct option_limit *ret)
{
    const char *text = *at;
    const char *end = text + strcspn(text, ",");
    const char *equals = memchr(text, '=', (size_t)(end - text));
    size_t n = equals != NULL ? (size_t)(equals - text) : 0;
    const char *soft = text + n + 1;
    const char *colon = equals != NULL ? memchr(soft, ':', (size_t)(end - soft)) : NULL;

    *ret = (struct option_limit){.soft = 0};
    if (n == 0 || n >= sizeof(ret->name)) {
        return false;
    }
    memcpy(ret->name, text, n);
    if (colon != NULL && !parse_bytes_until(colon + 1, end, &ret->hard)) {
        return false;
    }
    if (colon != soft
        && !parse_bytes_until(soft, colon != NULL ? colon : end, &ret->soft)) {
        return false;
    }
    if (ret->soft != 0 && ret->hard != 0 && ret->soft > ret->hard) {
        return false;
    }
    *at = *end == ',' ? end + 1 : end;
    return true;
}

static bool parse_limits(const char *text)
{
    const char *at = text;
    size_t n = strlen(text);
    struct option_limit l;

    while (options_next_limit(&at, &l)) {
    }
    if (*at != '\0' || n >= OPTION_LIMITS_MAX || (n > 0 && text[n - 1] == ',')) {
        return false;
    }
    memcpy(options.limits, text, n + 1);
    return true;
}

/* In the order of their enum. */
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool option_set(enum id id, const char *text)
{
    unsigned i;

    switch (id) {
    case ID_region:
        if (parse_choice(text, WORDS("file", "memfd", "off"), &i)) {
            options.region = (enum option_region)i;
            return true;
        }
        break;
    case ID_dir:
        return parse_text(text, true, options.dir);
    case ID_keep:
        return parse_whole(text, &options.keep);
    case ID_report:
        return parse_report(text);
    case ID_service:
        return strlen(text) <= 95 && parse_text(text, false, options.service);
    case ID_purge_delay:
        return parse_time(text, &options.purge_delay_ms);
    case ID_huge_pages:
        if (parse_choice(text, WORDS("auto", "off"), &i)) {
            options.huge_pages = (enum option_huge_pages)i;
            return true;
        }
        break;
    case ID_sample:
        return parse_sample(text, &options.sample_bytes);
    case ID_sample_memory:
        return parse_memory(text, &options.sample_memory_bytes);
    case ID_sample_governor:
        return parse_bool(text, &options.sample_governor);
    case ID_leak_check:
        if (parse_choice(text, WORDS("0", "1", "quiet"), &i)) {
            options.leak_check = (enum option_leak_check)i;
            return true;
        }
        break;
    case ID_leak_exit:
        return parse_exit(text, &options.leak_exit);
    case ID_leak_suppressions:
        return parse_text(text, true, options.leak_suppressions);
    case ID_leak_pointers:
        return parse_pointers(text, &options.leak_pointers);
    case ID_leak_timeout:
        return parse_leak_timeout(text, &options.leak_timeout_ms);
    case ID_limits:
        return parse_limits(text);
    case ID_guard:
        return parse_guard(text, &options.guard_bytes);
    case ID_abort:
        return parse_bool(text, &options.abort);
    case ID_harden:
        return parse_bool(text, &options.harden);
    case ID_children:
        return parse_bool(text, &options.children);
    case ID_housekeeper:
        return parse_bool(text, &options.housekeeper);
    case ID_deepbind:
        if (parse_choice(text, WORDS("strip", "keep"), &i)) {
            options.deepbind = (enum option_deepbind)i;
            return true;
        }
        break;
    case ID_log:
        if (parse_choice(text, WORDS("quiet", "warn", "debug"), &i)) {
            options.log = (enum option_log)i;
            return true;
        }
        break;
    case ID_COUNT:
        break;
    }
    return false;
}

static void option_read(enum id id, const char *text)
{
    size_t n = bits_min(strlen(text), sizeof(given[id].text) - 1);

    memcpy(given[id].text, text, n);
    given[id].text[n] = '\0';
    given[id].origin = ORIGIN_ENVIRONMENT;
    if (!option_set(id, text)) {
        given[id].origin = ORIGIN_REFUSED;
        if (options.log != LOG_QUIET) {
            check_say("MPALLOC_%s=%s: takes %s; using %s", table[id].name,
                given[id].text, table[id].range,
                table[id].standard[0] != '\0' ? table[id].standard : "none");
        }
    }
}

/* The option that NAME=… of the environment sets; ID_COUNT for none. */
static enum id find_option(const char *name, size_t length)
{
    unsigned id;

    for (id = 0; id < ID_COUNT; id++) {
        if (strlen(table[id].name) == length
            && memcmp(table[id].name, name, length) == 0) {
            break;
        }
    }
    return (enum id)id;
}

void options_read(char **environment)
{
    static const char prefix[] = "MPALLOC_";
    /* Set by tools and tests for themselves; not options of the library. */
    static const char *const others[] = {"LIBRARY", "HISTORY", "SYMBOL_CACHE",
        "TEST_LIB", "TEST_BUILD", FAULTS ? "FAULT" : NULL, NULL};

    for (; environment != NULL && *environment != NULL; environment++) {
        const char *name = *environment + sizeof(prefix) - 1;
        const char *equals;
        enum id id;
        bool known = false;

        if (strncmp(*environment, prefix, sizeof(prefix) - 1) != 0) {
            continue;
        }
        equals = strchr(name, '=');
        if (equals == NULL) {
            continue;
        }
        id = find_option(name, (size_t)(equals - name));
        if (id != ID_COUNT) {
            option_read(id, equals + 1);
            continue;
        }
        for (size_t i = 0; others[i] != NULL; i++) {
            known |= strlen(others[i]) == (size_t)(equals - name)
                     && memcmp(name, others[i], (size_t)(equals - name)) == 0;
        }
        if (!known && options.log != LOG_QUIET) {
            check_say("%s is not an option (mpalloc options lists them); ignored",
                *environment);
        }
    }
}

size_t options_count(void)
{
    return ID_COUNT;
}

struct option_view options_view(size_t i)
{
    bool refused = given[i].origin == ORIGIN_REFUSED;
    bool standard = given[i].origin == ORIGIN_DEFAULT;

    return (struct option_view){
        .name = table[i].name,
        .value = refused || standard ? table[i].standard : given[i].text,
        .origin = given[i].origin,
    };
}
