#include "site_peak.h"

#include "region.h"

struct site_peak site_peak __attribute__((aligned(CACHE_LINE)));

void site_peak_count_locked(
    uint64_t live_bytes, uint64_t highest_bytes, uint64_t now_ns)
{
    double live = (double)live_bytes;
    double peak = site_peak_bytes();

    store_relaxed(&site_peak.missing, site_bits_of(live - site_live_now()));
    /* A thread that finds a peak of its own meanwhile is as right: it is the same moment. */
    if (live_bytes >= highest_bytes && peak != live) {
        store_relaxed(&site_peak.bits, site_bits_of(live));
        add_relaxed(&site_peak.number, 1);
        store_relaxed(&site_peak.ns, now_ns);
    } else if (peak > (double)highest_bytes) {
        store_relaxed(&site_peak.bits, site_bits_of((double)highest_bytes));
    }
}

void site_peak_tell(void)
{
    struct mp_region_sampling *out = region_sampling_ready();
    uint64_t number;

    do {
        number = load_relaxed(&site_peak.number);
        if (out != NULL) {
            store_relaxed(&out->peak_number, number);
        }
    } while (UNLIKELY(
        load_relaxed(&site_peak.number) != number)); /* else an old one stays */
}
