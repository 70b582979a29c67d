#include "metric_table.h"

#define OF(record, field) offsetof(struct record, field)

/* A field of a record by the name of the metric, and with _total. */
#define GAUGE(prefix, name, unit, kind, from, record, help)                            \
    {                                                                                  \
        {"mpalloc_" prefix #name, unit, METRIC_##kind, help}, METRIC_FROM_##from,      \
            OF(record, name), false                                                    \
    }
#define COUNTER(prefix, name, unit, from, record, help, is_detail)                     \
    {                                                                                  \
        {"mpalloc_" prefix #name, unit, METRIC_COUNTER, help}, METRIC_FROM_##from,     \
            OF(record, name##_total), is_detail                                        \
    }
#define OTHER(name, unit, kind, from, at, help)                                        \
    {                                                                                  \
        {"mpalloc_" name, unit, METRIC_##kind, help}, METRIC_FROM_##from, at, false    \
    }

#define TOTAL(name, kind, help)                                                        \
    GAUGE("", name, "bytes", kind, TOTALS, mp_region_totals, help)
#define EVER(name, unit, help)                                                         \
    COUNTER("", name, unit, TOTALS, mp_region_totals, help, false)
#define KERNEL(name, kind, help)                                                       \
    GAUGE("process_", name, "bytes", kind, KERNEL, mp_proc, help)

const struct metric_row metric_table[] = {
    OTHER("process", "", INFO, INFO, 0,
        "The process: where its API is (id), what it runs, and its run."),
    OTHER("start_timestamp_seconds", "seconds", GAUGE, TIMES, 0,
        "When the process began to use mpalloc."),
    OTHER("published_timestamp_seconds", "seconds", GAUGE, TIMES, 1,
        "When the allocator wrote its counters last."),

    /* What is live, and where the rest of the heap is. */
    TOTAL(live_bytes, SUM, "Bytes of blocks in use."),
    GAUGE("", live_blocks, "blocks", SUM, TOTALS, mp_region_totals, "Blocks in use."),
    TOTAL(live_peak_bytes, GAUGE, "Highest live bytes that were seen."),
    OTHER("slack_bytes", "bytes", SUM, INSIGHT, METRIC_SLACK,
        "Bytes of blocks in use beyond what was asked for: an estimate, at most a "
        "minute "
        "old."),
    TOTAL(active_bytes, SUM, "Bytes of spans that hold live blocks."),
    TOTAL(cached_bytes, SUM, "Bytes of free blocks in such spans."),
    TOTAL(dirty_bytes, SUM, "Bytes of free spans still in memory."),
    TOTAL(retained_bytes, SUM, "Bytes of free spans given back to the kernel."),
    OTHER("metadata_bytes", "bytes", SUM, METADATA, 0,
        "The allocator's own memory: tables of spans, heaps, and the region."),
    TOTAL(mapped_bytes, SUM, "Bytes of writable address space."),
    OTHER("committed_bytes", "bytes", SUM, COMMITTED, 0,
        "The size of the heap: spans in use, free ones still in memory, and the "
        "allocator's own memory."),
    TOTAL(
        resident_bytes, SUM, "Bytes in memory as the allocator counts them, at most."),
    TOTAL(resident_peak_bytes, GAUGE, "Highest resident bytes that were seen."),
    TOTAL(large_bytes, SUM, "Bytes in blocks of whole spans."),
    TOTAL(huge_bytes, SUM, "Bytes in blocks with a mapping of their own."),
    OTHER("efficiency_ratio", "ratio", GAUGE, INSIGHT, METRIC_EFFICIENCY,
        "What was asked for of what is live, divided by the resident heap; at most a "
        "minute old."),
    OTHER("limit_bytes", "bytes", SUM, LIMIT, 0,
        "Memory that the process may use: of its cgroup, else its own limit, else of "
        "the "
        "machine."),

    OTHER("memory_pressure_ratio", "ratio", GAUGE, PRESSURE, 0,
        "How near the process is to having no more memory, by part: use of its limit, "
        "stalls (PSI), time to the limit. The highest part is the pressure."),

    /* What went on. */
    EVER(allocated_bytes, "bytes", "Bytes of blocks allocated."),
    EVER(allocated_blocks, "blocks", "Blocks allocated."),
    EVER(freed_bytes, "bytes", "Bytes of blocks freed."),
    EVER(freed_blocks, "blocks", "Blocks freed."),
    EVER(refills, "", "Lists of blocks taken from slabs."),
    EVER(allocation_failures, "", "Allocations that failed."),
    EVER(invalid_frees, "", "Frees of what was no block."),
    OTHER("reclaim_passes", "", COUNTER, RECLAIM, 0,
        "Passes that reclaim memory: blocks freed by other threads (fold), empty slabs "
        "(flush), spans back to the kernel (decay), trims that were asked for (trim)."),
    EVER(purged_bytes, "bytes", "Bytes given back to the kernel."),
    EVER(trimmed_bytes, "bytes", "Bytes given back by trims that were asked for."),
    GAUGE("", threads, "", SUM, TOTALS, mp_region_totals, "Threads that allocate."),
    OTHER("block_size_bytes", "bytes", HISTOGRAM, SIZES, 0,
        "Sizes of the blocks allocated; exact, by size class."),
    OTHER("block_lifetime_seconds", "seconds", HISTOGRAM, LIFETIMES, 0,
        "How long freed blocks lived; estimated from sampled ones."),

    /* By component, size class, pool, and counters of the program. */
    GAUGE("component_", live_bytes, "bytes", SUM, COMPONENTS, mp_region_component,
        "Live bytes of the component alone."),
    GAUGE("component_", live_blocks, "blocks", SUM, COMPONENTS, mp_region_component,
        "Live blocks of the component alone."),
    GAUGE("component_", live_peak_bytes, "bytes", GAUGE, COMPONENTS,
        mp_region_component,
        "Highest live bytes of the component alone that were seen."),
    GAUGE("component_", tree_live_bytes, "bytes", GAUGE, COMPONENTS,
        mp_region_component, "Live bytes of the component and all below it."),
    OTHER("component_limit_bytes", "bytes", GAUGE, LIMITS, METRIC_LIMIT_BYTES,
        "Most live bytes of the component and all below it that there should be (soft) "
        "or may be (hard)."),
    COUNTER("component_limit_", hits, "", LIMITS, mp_region_limit,
        "Times that the soft limit of the component was crossed.", false),
    COUNTER("component_limit_", refused, "", LIMITS, mp_region_limit,
        "Allocations of the component that failed for its hard limit.", false),
    COUNTER("component_", allocated_bytes, "bytes", COMPONENTS, mp_region_component,
        "Bytes of blocks allocated by the component.", false),
    COUNTER("component_", allocated_blocks, "blocks", COMPONENTS, mp_region_component,
        "Blocks allocated by the component.", false),
    COUNTER("component_", freed_bytes, "bytes", COMPONENTS, mp_region_component,
        "Bytes of blocks of the component freed.", true),
    COUNTER("component_", freed_blocks, "blocks", COMPONENTS, mp_region_component,
        "Blocks of the component freed.", true),
    OTHER("size_class_live_blocks", "blocks", SUM, CLASS_STATE, 0,
        "Live blocks of the size class."),
    OTHER("size_class_live_bytes", "bytes", SUM, CLASS_STATE, 1,
        "Live bytes of the size class."),
    OTHER("size_class_free_bytes", "bytes", SUM, CLASS_STATE, 2,
        "Free bytes between live blocks of the size class."),
    COUNTER("size_class_", allocated_bytes, "bytes", CLASSES, mp_region_cell,
        "Bytes of blocks allocated in the size class.", true),
    COUNTER("size_class_", allocated_blocks, "blocks", CLASSES, mp_region_cell,
        "Blocks allocated in the size class.", true),
    COUNTER("size_class_", freed_bytes, "bytes", CLASSES, mp_region_cell,
        "Bytes of blocks of the size class freed.", true),
    COUNTER("size_class_", freed_blocks, "blocks", CLASSES, mp_region_cell,
        "Blocks of the size class freed.", true),
    OTHER("site_live_bytes", "bytes", SUM, INSIGHT, METRIC_SITES,
        "Live bytes by call stack, the largest ones: an estimate, at most a minute "
        "old."),
    COUNTER(
        "pool_", gets, "", POOLS, mp_region_pool, "Objects got from the pool.", false),
    COUNTER("pool_", hits, "", POOLS, mp_region_pool,
        "Of them, those that the pool had kept.", false),
    COUNTER("pool_", misses, "", POOLS, mp_region_pool,
        "Of them, those that malloc gave.", true),
    GAUGE("pool_", kept, "", SUM, POOLS, mp_region_pool,
        "Objects that wait for the next get."),
    GAUGE("pool_", live, "", SUM, POOLS, mp_region_pool, "Objects in use."),
    GAUGE("pool_", object_bytes, "bytes", GAUGE, POOLS, mp_region_pool,
        "Bytes of each object."),
    OTHER("user_value", "", SUM, COUNTERS, 0, "Counters of the program's own."),

    /* Verdicts. */
    OTHER("leak_suspects", "", SUM, INSIGHT, METRIC_SUSPECTS,
        "Call stacks that are lost or grow and that nobody acknowledged; at most a "
        "minute "
        "old."),
    OTHER("leak_detections", "", COUNTER, INSIGHT, METRIC_DETECTIONS,
        "Call stacks that were found to leak since the exporter began to look."),
    OTHER("leak_growth_bytes_per_second", "", SUM, INSIGHT, METRIC_GROWTH,
        "Growth of all that leaks: the lower limit of its interval."),
    OTHER("alerts", "", COUNTER, ALERTS, 0,
        "Alerts of mpalloc serve itself that began to fire, since it runs."),
    OTHER("advice", "", SUM, INSIGHT, METRIC_ADVICE,
        "Findings of mpalloc report, by code."),
    OTHER("baseline_drift_bytes", "bytes", SUM, INSIGHT, METRIC_BASELINE_BYTES,
        "Live bytes now less those of the baseline."),
    OTHER("baseline_drift_ratio", "ratio", GAUGE, INSIGHT, METRIC_BASELINE_RATIO,
        "That, divided by live bytes of the baseline."),
    OTHER("baseline_significant_sites", "", SUM, INSIGHT, METRIC_BASELINE_SITES,
        "Call stacks that hold more or less than in the baseline, beyond noise."),
    OTHER("insight_age_seconds", "seconds", GAUGE, INSIGHT, METRIC_INSIGHT_AGE,
        "How old verdicts, advice, efficiency and drift are."),

    /* The profiler's own cost. */
    OTHER("profiler_enabled", "", SUM, PROFILER, METRIC_PROFILER_ENABLED,
        "Whether call stacks are sampled."),
    OTHER("profiler_sample_interval_bytes", "bytes", GAUGE, PROFILER,
        METRIC_PROFILER_INTERVAL, "Mean bytes between samples."),
    OTHER("profiler_samples", "", COUNTER, SAMPLING,
        OF(mp_region_sampling, allocated_total), "Samples taken."),
    OTHER("profiler_dropped_samples", "", COUNTER, PROFILER, METRIC_PROFILER_DROPPED,
        "Samples that found no room: missing in sums (memory), or without a stack of "
        "their own (table_full)."),
    OTHER("profiler_cut_stacks", "", COUNTER, PROFILER, METRIC_PROFILER_CUT,
        "Stacks without their first frames."),
    OTHER("profiler_throttles", "", COUNTER, SAMPLING,
        OF(mp_region_sampling, doublings_total),
        "Times that the interval was doubled, for sampling cost too much."),
    OTHER("profiler_cpu_seconds", "seconds", COUNTER, PROFILER, METRIC_PROFILER_SECONDS,
        "Time spent in sampling and in writing the region."),
    OTHER("profiler_memory_bytes", "bytes", SUM, SAMPLING,
        OF(mp_region_sampling, memory_bytes), "Memory of all that sampling needs."),
    OTHER("profiler_estimated_live_bytes", "bytes", SUM, PROFILER,
        METRIC_PROFILER_ESTIMATE,
        "Live bytes as samples alone have them: compare with mpalloc_live_bytes."),

    /* What the kernel says. */
    KERNEL(resident_bytes, SUM, "Resident memory of the process (VmRSS)."),
    KERNEL(resident_anon_bytes, SUM, "Of it, memory that is of no file."),
    KERNEL(resident_file_bytes, SUM, "Of it, pages of files."),
    KERNEL(resident_shmem_bytes, SUM, "Of it, shared memory."),
    KERNEL(resident_peak_bytes, GAUGE, "Highest resident memory (VmHWM)."),
    KERNEL(proportional_bytes, SUM, "Resident memory, shared pages in shares (Pss)."),
    KERNEL(virtual_bytes, SUM, "Address space of the process (VmSize)."),
    KERNEL(data_bytes, SUM, "Private writable mappings (VmData)."),
    KERNEL(text_bytes, SUM, "Mapped code (VmExe and VmLib)."),
    KERNEL(stack_bytes, SUM, "Stack of the main thread (VmStk)."),
    KERNEL(swap_bytes, SUM, "Memory that was swapped out (VmSwap)."),
    OTHER("process_page_faults", "", COUNTER, FAULTS, 0, "Page faults of the process."),
    OTHER("process_cpu_seconds", "seconds", COUNTER, CPU, 0,
        "Processor time of the process, user and system."),
    {.metric.name = NULL},
};
