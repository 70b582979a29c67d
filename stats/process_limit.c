/*
 * process_limit - how much memory a process may have: the one place that chooses
 */
#include <mpstats.h>

uint64_t mp_process_limit(
    const mp_image_t *image, uint64_t cgroup_bytes, enum mp_limit_source *ret_source)
{
    const struct mp_region_process *p = mp_image_process(image);
    const uint64_t limit[] = {[MP_LIMIT_CGROUP] = cgroup_bytes != MP_UNKNOWN
                                                      ? cgroup_bytes
                                                      : p->limit_cgroup_bytes,
        [MP_LIMIT_AS] = p->limit_as_bytes,
        [MP_LIMIT_DATA] = p->limit_data_bytes};
    enum mp_limit_source source = MP_LIMIT_NONE;
    uint64_t least = MP_UNKNOWN;

    for (unsigned i = MP_LIMIT_CGROUP; i <= MP_LIMIT_DATA; i++) {
        if (limit[i] != 0 && limit[i] < least) {
            least = limit[i];
            source = (enum mp_limit_source)i;
        }
    }
    if (source == MP_LIMIT_NONE && p->physical_bytes != 0) {
        least = p->physical_bytes;
        source = MP_LIMIT_MACHINE;
    }
    if (ret_source != NULL) {
        *ret_source = source;
    }
    return least;
}
