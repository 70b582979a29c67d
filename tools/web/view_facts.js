/*
 * view_facts - what is known of the process besides: itself, limits, options, sampling, and what
 * all this costs it
 */
import {bytesText, countText, el, exact, secondsText, timeText, when} from "./dom.js";
import {badge, section} from "./parts.js";
import {formatShare} from "./words.js";

const pair = (label, value, title) => value === null || value === undefined || value === ""
    ? null : [el("dt", label), el("dd", {title: title ?? ""}, value)];
const size = (label, n) => pair(label, bytesText(n), exact(n, "bytes"));
const number = (label, n) => pair(label, countText(n), exact(n, ""));

function processFacts(p) {
    return [pair("Name", p.name), pair("Program", el("code", p.exe)),
        pair("Command", el("code", p.command)), pair("PID", String(p.pid)),
        pair("Parent", String(p.parent_pid)), pair("User", String(p.uid)),
        pair("State", p.state), pair("Started", timeText(p.started)),
        p.ended ? pair("Ended", timeText(p.ended)) : null,
        pair("Ran", secondsText(p.ran_seconds)),
        pair("Figures", `${secondsText(p.age_seconds)} old`, `published ${p.published}`),
        pair("Build", el("code", p.build_id ?? "not known")),
        pair("mpalloc", p.mpalloc_version), pair("Region", el("code", p.region))];
}

function limitFacts(l, s) {
    const limit = (label, n) => pair(label, Number.isFinite(n) ? `${bytesText(n)}, ${
        formatShare(s.kernel?.resident_bytes ?? s.live_bytes, n)} used` : "none",
    Number.isFinite(n) ? exact(n, "bytes") : "");
    return [limit("Control group", l.cgroup_bytes), limit("Address space", l.rlimit_as_bytes),
        limit("Data", l.rlimit_data_bytes), limit("Machine", l.physical_bytes)];
}

function costFacts(s) {
    const c = s.own_cost;
    const ran = Math.max(s.process.ran_seconds, 1e-9);
    const part = (seconds) => `${secondsText(seconds)}, ${(100 * seconds / ran).toFixed(3)
        .replace(/0+$/, "").replace(/\.$/, "")} % of the time`;
    return [size("Region", c.region_bytes), size("Table of spans", c.metadata_span_bytes),
        size("Heaps and threads", c.metadata_heap_bytes),
        pair("Published", `${countText(c.published_total)} times`),
        pair("Publishing took", part(c.publish_seconds_total)),
        pair("Sampling took", part(s.sampling.cost_seconds_total)),
        size("Memory of sampling", s.sampling.memory_bytes),
        c.components_missing > 0 ? number("Components left out", c.components_missing) : null];
}

function samplingFacts(m) {
    const lost = Object.entries(m).filter(([name, n]) => /_(lost|refused|truncated|unlisted)_total$/
        .test(name) && n > 0);
    return [pair("Mode", m.mode), m.mode === "sampled" ? size("One in", m.interval_bytes) : null,
        m.interval_bytes !== m.wanted_bytes ? size("Wanted", m.wanted_bytes) : null,
        number("Samples", m.samples_total), number("Freed again", m.freed_samples_total),
        number("Call stacks", m.sites), number("Frames", m.frames),
        lost.map(([name, n]) => number(name.replace(/_total$/, "").replaceAll("_", " "), n))];
}

function heapFacts(s) {
    return [size("Resident", s.resident_bytes), size("Most resident", s.resident_peak_bytes),
        size("Mapped", s.mapped_bytes), size("Slabs in use", s.active_bytes),
        size("Large blocks", s.large_bytes), size("Huge blocks", s.huge_bytes),
        size("Kept for later", s.retained_bytes), size("Given back", s.purged_bytes_total),
        number("Threads", s.threads), number("Most threads", s.threads_peak),
        number("Heaps", s.heaps), number("Failed allocations", s.allocation_failures_total),
        number("Invalid frees", s.invalid_frees_total)];
}

const ORIGINS = {default: null, environment: "environment"};

export function factsView(shared) {
    const parts = {process: el("dl", {class: "pairs"}), limits: el("dl", {class: "pairs"}),
        heap: el("dl", {class: "pairs"}), sampling: el("dl", {class: "pairs"}),
        cost: el("dl", {class: "pairs"})};
    const options = el("tbody");
    const counters = el("dl", {class: "pairs"});
    const own = section("Counters of the program", "counters", counters);
    const element = el("div", {class: "columns"},
        section("Process", "process", parts.process), section("Limits", "limits", parts.limits),
        section("Heap", "heap", parts.heap), section("Sampling", "sampling", parts.sampling),
        section("What mpalloc costs it", "cost", parts.cost), own,
        section("Options", "options", el("div", {class: "wide"}, el("table", {class: "options"},
            el("thead", el("tr", el("th", "MPALLOC_…"), el("th", "Value"), el("th", ""))),
            options))));
    return {
        element,
        update(what) {
            if (what !== "snapshot") {
                return;
            }
            const s = shared.snapshot;
            const put = (node, value, make) => when(node, value, () =>
                make(value, s).flat(3).filter(Boolean));
            put(parts.process, s.process, processFacts);
            put(parts.limits, s.limits, limitFacts);
            when(parts.heap, [s.resident_bytes, s.mapped_bytes, s.live_bytes], () =>
                heapFacts(s).flat(2).filter(Boolean));
            put(parts.sampling, s.sampling, samplingFacts);
            when(parts.cost, [s.own_cost, s.sampling], () => costFacts(s).flat(2).filter(Boolean));
            own.hidden = s.user_counters.length === 0;
            put(counters, s.user_counters, (list) => list.map((c) => number(c.name, c.value)));
            when(options, s.options, (list) => list.map((o) => el("tr",
                el("th", {scope: "row"}, el("code", o.name)),
                el("td", el("code", o.value === "" ? "–" : o.value)),
                el("td", o.origin !== "default" ? badge(ORIGINS[o.origin] ?? o.origin, "calm")
                    : ""))));
        },
    };
}
