/*
 * verdict_names - what verdicts, rules, severities and advice are called
 */
#include <mpstats.h>

const char *mp_verdict_name(enum mp_verdict_kind kind)
{
    static const char *const names[MP_VERDICTS] = {
        "lost", "growing", "suspect", "cache-like", "fine"};

    return kind < MP_VERDICTS ? names[kind] : "";
}

const char *mp_rule_name(unsigned rule)
{
    static const char *const names[MP_RULES] = {"growth", "large_site", "never_freed",
        "rising_floor", "slack_after_peak", "exponential", "large_churn", "loop",
        "unreachable", "marks"};

    for (unsigned i = 0; i < MP_RULES; i++) {
        if (rule == 1u << i) {
            return names[i];
        }
    }
    return "";
}

const char *mp_severity_name(enum mp_severity severity)
{
    static const char *const names[] = {"info", "warning", "critical"};

    return severity <= MP_SEVERITY_CRITICAL ? names[severity] : "";
}

const char *mp_advice_name(enum mp_advice advice)
{
    static const char *const names[MP_ADVICES] = {
        "none", "bound", "handler", "cycle", "shrink", "thread"};

    return advice < MP_ADVICES ? names[advice] : "";
}

const char *mp_advice_text(enum mp_advice advice)
{
    static const char *const texts[MP_ADVICES] = {"",
        "What comes in stays: give it a bound and evict the oldest, or free what was "
        "served.",
        "None of it was ever freed: take back what is registered, when its owner ends, "
        "or "
        "keep weak references.",
        "Nothing points to it any more: free it, or break the cycle with a weak "
        "reference.",
        "One block has most of it and stayed as large as it ever was: give back what "
        "is not "
        "needed (shrink_to_fit, realloc) once it is far above the usual.",
        "One thread keeps it: clear what it holds between jobs, and when it ends."};

    return advice < MP_ADVICES ? texts[advice] : "";
}
