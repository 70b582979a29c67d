/*
 * access - the figures of an image, one function for each kind
 */
#include "image.h"
#include "site_sums.h"

const char *mp_image_path(const mp_image_t *image)
{
    return image->path;
}

unsigned mp_image_flags(const mp_image_t *image)
{
    return image->flags;
}

uint64_t mp_image_file_bytes(const mp_image_t *image)
{
    return image->file_bytes;
}

const struct mp_region_process *mp_image_process(const mp_image_t *image)
{
    return &image->process;
}

const struct mp_region_totals *mp_image_totals(const mp_image_t *image)
{
    return &image->totals;
}

size_t mp_image_component_count(const mp_image_t *image)
{
    return image->component_count;
}

const struct mp_region_component *mp_image_component(
    const mp_image_t *image, size_t row)
{
    static const struct mp_region_component untagged = {.name = "(untagged)"};

    if (image->component_count == 0 && row == MP_REGION_UNTAGGED) {
        return &untagged; /* what was sampled before anything was counted, or is damaged */
    }
    return row < image->component_count ? &image->components[row] : NULL;
}

size_t mp_image_class_count(const mp_image_t *image)
{
    return image->class_count;
}

const struct mp_region_class *mp_image_class(const mp_image_t *image, size_t number)
{
    return number < image->class_count ? &image->classes[number] : NULL;
}

size_t mp_image_module_count(const mp_image_t *image)
{
    return image->module_count;
}

const struct mp_region_module *mp_image_module(const mp_image_t *image, size_t number)
{
    return number < image->module_count ? &image->modules[number] : NULL;
}

size_t mp_image_option_count(const mp_image_t *image)
{
    return image->option_count;
}

const struct mp_region_option *mp_image_option(const mp_image_t *image, size_t number)
{
    return number < image->option_count ? &image->options[number] : NULL;
}

const struct mp_region_cell *mp_image_cell(
    const mp_image_t *image, size_t row, size_t number)
{
    return row < image->cell_rows && number < MP_REGION_CLASSES
               ? &image->cells[row * MP_REGION_CLASSES + number]
               : NULL;
}

void mp_image_class_sum(
    const mp_image_t *image, size_t number, struct mp_region_cell *ret)
{
    *ret = (struct mp_region_cell){0};
    for (size_t row = 0; number < MP_REGION_CLASSES && row < image->cell_rows; row++) {
        const struct mp_region_cell *c =
            &image->cells[row * MP_REGION_CLASSES + number];

        ret->allocated_blocks_total += c->allocated_blocks_total;
        ret->freed_blocks_total += c->freed_blocks_total;
        ret->allocated_bytes_total += c->allocated_bytes_total;
        ret->freed_bytes_total += c->freed_bytes_total;
        ret->slab_bytes += c->slab_bytes;
    }
}

uint64_t mp_cell_free_bytes(const struct mp_region_cell *cell)
{
    uint64_t live = cell->allocated_bytes_total > cell->freed_bytes_total
                        ? cell->allocated_bytes_total - cell->freed_bytes_total
                        : 0;

    return cell->slab_bytes > live ? cell->slab_bytes - live : 0;
}

size_t mp_image_moment_count(const mp_image_t *image, unsigned tier)
{
    return tier < MP_REGION_TIMELINE_TIERS ? image->moment_count[tier] : 0;
}

const struct mp_region_moment *mp_image_moment(
    const mp_image_t *image, unsigned tier, size_t number)
{
    return number < mp_image_moment_count(image, tier) ? &image->moments[tier][number]
                                                       : NULL;
}

const struct mp_region_sampling *mp_image_sampling(const mp_image_t *image)
{
    return &image->samples.sampling;
}

size_t mp_image_frame_count(const mp_image_t *image)
{
    return image->samples.frame_count;
}

const struct mp_region_frame *mp_image_frame(const mp_image_t *image, size_t number)
{
    return number < image->samples.frame_count ? &image->samples.frames[number] : NULL;
}

size_t mp_image_site_count(const mp_image_t *image)
{
    return image->samples.site_count;
}

const struct mp_region_site *mp_image_site(const mp_image_t *image, size_t number)
{
    return number < image->samples.site_count ? &image->samples.sites[number] : NULL;
}

size_t mp_image_sample_count(const mp_image_t *image)
{
    return image->samples.sample_count;
}

const struct mp_region_sample *mp_image_sample(const mp_image_t *image, size_t number)
{
    return number < image->samples.sample_count ? &image->samples.samples[number]
                                                : NULL;
}

const char *mp_image_name(const mp_image_t *image, size_t number)
{
    return number > 0 && number < image->samples.name_count
               ? image->samples.names[number].name
               : "";
}

void mp_image_since(const mp_image_t *image, struct mp_since *ret)
{
    double allocated = 0;
    double freed = 0;

    *ret = (struct mp_since){0};
    for (size_t i = 0; i < image->samples.site_count; i++) {
        struct tally come;
        struct tally gone;

        site_sums_since(
            &image->samples.sites[i], image->totals.published_total, &come, &gone);
        ret->allocated_samples += come.samples;
        ret->freed_samples += gone.samples;
        allocated += come.bytes.value;
        freed += gone.bytes.value;
    }
    /* A site has 2^57 bytes at most: samples.c. */
    ret->allocated_bytes = (uint64_t)(allocated < 0x1p62 ? allocated : 0x1p62);
    ret->freed_bytes = (uint64_t)(freed < 0x1p62 ? freed : 0x1p62);
}
