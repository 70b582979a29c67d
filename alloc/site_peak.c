#include "site_peak.h"

#include "region.h"

struct site_peak site_peak __attribute__((aligned(CACHE_LINE)));

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
