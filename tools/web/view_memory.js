/*
 * view_memory - what a process holds and takes now, how that went, and what RSS is made of
 */
import {getJson} from "./api.js";
import {hasLibrary, timeChart} from "./chart.js";
import {bytesText, countText, el, estimate, exact, keyed, plural, secondsText, setBytes, setText,
    timeText, when} from "./dom.js";
import {badge, choice, notice, section, setMeter, SEVERITIES} from "./parts.js";
import {choose, chosen} from "./routes.js";
import {formatShare} from "./words.js";

/* What the process keeps itself, and what was recorded of it and of earlier runs. */
const SPANS = [["", "All"], ["0", "By second"], ["1", "By minute"], ["2", "By 10 minutes"],
    ["1h", "Last hour"], ["24h", "Last day"], ["7d", "Last week"]];
const AGAIN_MS = {0: 5000, 1: 30000, 2: 60000};
const isRecorded = (span) => /[hd]$/.test(span);

/* Parts of the ledger that belong together, from the bottom of the chart to its top. */
const LEDGER = [
    ["live", "Live: asked for", "--h0", ["live", "requested"]], // live: where none were sampled
    ["slack", "Live: beyond that", "--h10", ["slack"]],
    ["cached", "Free blocks among live ones", "--h1", ["cached"]],
    ["unexplained", "Spans, newer than the figures", "--h8", ["unexplained", "huge_page"]],
    ["dirty", "Free, not yet given back", "--h2", ["dirty"]],
    ["own", "Allocator and profiler", "--h3", ["metadata_span", "metadata_heap", "region"]],
    ["other", "Other memory, stacks", "--h5", ["other_anon", "stack", "brk", "special"]],
    ["files", "Code, files, shared", "--h7", ["file_data", "files", "shared"]],
];
const PAST = [
    {name: "live", label: "Live", color: "--h0", title: "What the program holds: exact"},
    {name: "kept", label: "Free in the heap", color: "--h1",
        title: "Resident, not live: free blocks and caches"},
    {name: "dirty", label: "Not yet given back", color: "--h2",
        title: "Free pages that go back to the kernel after a while"},
    {name: "own", label: "Allocator and profiler", color: "--h3", title: "Tables, heaps, the region"},
    {name: "rss", label: "RSS", color: "--text", isLine: true, title: "Of the kernel"},
];

export function limitOf(s) {
    const all = [["cgroup", s.limits?.cgroup_bytes], ["address space", s.limits?.rlimit_as_bytes],
        ["data", s.limits?.rlimit_data_bytes], ["machine", s.limits?.physical_bytes]]
        .filter(([, n]) => Number.isFinite(n));
    return all.reduce((least, one) => least === null || one[1] < least[1] ? one : least, null);
}

/* The server shows its runbook as a page; rules that people made have addresses of their own. */
function runbookLink(place) {
    if (!place) {
        return null;
    }
    const own = /(?:^|\/)runbook\.md(#[\w-]*)?$/.exec(place);
    const href = /^https?:\/\//.test(place) ? place : own ? `/runbook${own[1] ?? ""}` : null;
    return href === null ? el("code", {text: place}) : el("a", {href, target: "_blank",
        rel: "noopener noreferrer", text: "What to do"});
}

function tile(label, title) {
    const value = el("dd");
    const more = el("dd", {class: "more"});
    return {value, more, element: el("div", {class: "tile", title},
        el("dt", label), value, more)};
}

function grouped(parts) {
    const byName = new Map(parts.map((p) => [p.name, p.bytes]));
    const known = new Set(LEDGER.flatMap(([, , , names]) => names));
    const rest = parts.filter((p) => !known.has(p.name) && p.bytes > 0)
        .reduce((n, p) => n + p.bytes, 0);
    return LEDGER.map(([name, , , names]) => names.reduce((n, k) => n
        + Math.max(0, byName.get(k) ?? 0), 0) + (name === "other" ? rest : 0));
}

const isEnded = (shared) => shared.isOver
    || !["running", "elsewhere"].includes(shared.snapshot.process.state);

export function memoryView(shared) {
    const tiles = {
        live: tile("Live", "What the program holds now: exact"),
        rss: tile("RSS", "Memory of the machine that the process takes"),
        limit: tile("Of the limit", "RSS as a part of the nearest limit"),
        peak: tile("Peak", "The most that was live"),
        rate: tile("Allocates", "Between the last two looks"),
        growth: tile("Leaks grow by", "The sum over call stacks that leak"),
        efficiency: tile("Efficiency", "What was asked for, of the resident heap"),
    };
    const meter = el("div");
    tiles.limit.value.append(meter);

    let span = chosen("span");
    const forecast = el("p", {class: "forecast"});
    const past = timeChart("Live and resident memory of the heap over time", PAST);
    const spans = choice("Of which time", SPANS, span, (name) => {
        span = name;
        choose({span: name});
        askPast();
    });
    const pastProblem = el("div");
    const ledgerBar = el("div", {class: "stacked", "aria-hidden": "true"});
    const ledgerRows = el("tbody");
    const ledgerSum = el("p", {class: "quiet"});
    const ledger = timeChart("RSS by what it is made of, since this page was opened",
        [...LEDGER.map(([name, label, color]) => ({name, label, color})),
            {name: "rss", label: "RSS", color: "--text", isLine: true}]);
    const since = el("div", el("h3", "Since this page was opened"), ledger.element);
    const alerts = el("ul", {class: "alerts"});
    const element = el("div", {class: "stack-of-cards"},
        el("dl", {class: "tiles"}, Object.values(tiles).map((t) => t.element)),
        section("Alerts", "alerts", alerts),
        section("Over time", "past", el("div", {class: "tools"}, spans), pastProblem, past.element,
            forecast,
            hasLibrary ? null : el("p", {class: "quiet plain-note", text: "Charts are plain: "
                + "this build was made without uPlot (tools/install.sh fetches it)."})),
        section("What RSS is made of", "ledger", ledgerBar,
            el("div", {class: "wide"}, el("table", {class: "ledger",
                "aria-label": "What RSS is made of"}, ledgerRows)), ledgerSum,
            since));

    let isOver = false;
    let wasSeen = false;
    let pastTimer = 0;
    let points = [];
    async function askPast() {
        clearTimeout(pastTimer);
        const wanted = span;
        let next = AGAIN_MS[0];
        try {
            const found = await getJson(shared.path(isRecorded(wanted) ? `history?since=${wanted}`
                : `timeline${wanted ? `?tier=${wanted}` : ""}`));
            if (isOver || wanted !== span) {
                return;
            }
            points = found.points ?? [];
            next = isRecorded(wanted) ? AGAIN_MS[1] : AGAIN_MS[found.tier ?? 0] ?? next;
            pastProblem.replaceChildren();
            showPast();
            when(forecast, found.forecast ?? null, forecastText);
        } catch (e) {
            if (isOver) {
                return;
            }
            if (!shared.isOver) {
                pastProblem.replaceChildren(notice("warn", `The past is not known: ${e.message}.`));
            }
        }
        if (!shared.isOver) {
            pastTimer = setTimeout(askPast, next);
        }
    }
    function showPast() {
        // What has no time of its own, or goes back in time, cannot be drawn.
        let last = -Infinity;
        const fit = points.filter((p) => {
            const t = Date.parse(p.time);
            const isFit = t > last;
            last = isFit ? t : last;
            return isFit;
        });
        const recorded = isRecorded(span); // then resident_bytes is of the kernel
        const part = (p, name) => (recorded ? p.parts?.[name] : p[name]) ?? null;
        const own = (p) => (part(p, "metadata_bytes") ?? 0) + (part(p, "profiler_bytes") ?? 0);
        const kept = (p) => p.live_bytes === null ? null : part(p, "cached_bytes") ?? Math.max(0,
            (recorded ? p.heap_bytes : p.resident_bytes - p.dirty_bytes) - p.live_bytes);
        past.set(fit.map((p) => Date.parse(p.time) / 1000), [fit.map((p) => p.live_bytes),
            fit.map(kept), fit.map((p) => part(p, "dirty_bytes") ?? 0), fit.map(own),
            fit.map((p) => recorded ? p.resident_bytes : null)]);
    }
    function forecastText(f) {
        if (f === null) {
            return [];
        }
        if (!f.grows) {
            return [el("span", {class: "quiet", text: "Forecast: no growth that is sure."})];
        }
        return ["Forecast: it grows by ", estimate(f.bytes_per_hour, bytesText,
            "bytes in an hour", "/h"), ...Number.isFinite(f.limit_seconds?.value)
            ? [`; ${bytesText(f.limit_bytes)} are reached in `, estimate(f.limit_seconds,
                secondsText, "seconds"), "."] : ["."]];
    }

    function showTiles() {
        const s = shared.snapshot;
        const rss = s.kernel?.resident_bytes ?? s.rss_ledger.rss_bytes;
        setBytes(tiles.live.value, s.live_bytes);
        setText(tiles.live.more, `${countText(s.live_blocks)} blocks`,
            exact(s.live_blocks, "blocks"));
        setBytes(tiles.rss.value, rss);
        setText(tiles.rss.more, `most ${bytesText(s.kernel?.resident_peak_bytes)}`,
            exact(s.kernel?.resident_peak_bytes, "bytes"));
        const limit = limitOf(s);
        setMeter(meter, rss ?? s.live_bytes, limit?.[1] ?? null);
        setText(tiles.limit.more, limit ? `${bytesText(limit[1])}, ${limit[0]}` : "no limit is known",
            exact(limit?.[1], "bytes"));
        setBytes(tiles.peak.value, s.live_peak_bytes);
        setText(tiles.peak.more, `at ${timeText(s.live_peak_time)}`);
        const b = shared.before;
        const hasEnded = isEnded(shared);
        const seconds = b && !hasEnded ? (Date.parse(s.process.published) - Date.parse(b.process.published))
            / 1000 : 0;
        tiles.rate.element.title = hasEnded ? "The mean of its life" : "Between the last two looks";
        if (seconds > 0 || !b || hasEnded) {
            const per = (name) => seconds > 0 ? (s[name] - b[name]) / seconds
                : s[name] / Math.max(s.process.ran_seconds, 1);
            const n = per("allocated_bytes_total");
            setText(tiles.rate.value, `${bytesText(n)}/s`, `${exact(n, "bytes")} in a second`);
            setText(tiles.rate.more, `${countText(per("allocated_blocks_total"))} blocks/s`);
        }
        if (shared.leaks) {
            const g = shared.leaks.growth_bytes_per_hour;
            const {lost, growing, suspect} = shared.leaks.verdicts;
            // Of suspects it is not sure yet: their growth is not counted, and not denied.
            when(tiles.growth.value, [g, lost + growing, suspect], ([e, sure, maybe]) =>
                sure === 0 && maybe > 0 ? ["not sure yet"]
                    : estimate(e, bytesText, "bytes in an hour", "/h"));
            setText(tiles.growth.more, `${plural(lost + growing, "call stack")}, ${
                suspect} suspect`);
        } else {
            setText(tiles.growth.value, "–");
        }
        if (shared.advice) {
            const e = shared.advice.efficiency;
            setText(tiles.efficiency.value, formatShare(e.ratio, 1));
            when(tiles.efficiency.more, e.slack_bytes, (slack) => ["slack ",
                estimate(slack)]);
        } else {
            setText(tiles.efficiency.value, "–");
        }
    }

    function showLedger() {
        const s = shared.snapshot;
        const values = grouped(s.rss_ledger.parts);
        const whole = values.reduce((n, v) => n + v, 0);
        // What is less than nothing has no place in the bar: pages that were never touched.
        const less = s.rss_ledger.parts.filter((p) => p.bytes < 0);
        const shown = LEDGER.map((l, i) => ({name: l[0], label: l[1], color: l[2],
            value: values[i], parts: s.rss_ledger.parts.filter((p) => l[3].includes(p.name)
                && p.bytes > 0)}));
        const rows = [...shown, {name: "less", label: "Of this never touched, or in swap", color: "--line",
            value: less.reduce((n, p) => n + p.bytes, 0), parts: less}];
        const sum = whole + rows.at(-1).value;
        keyed(ledgerBar, shown, (p) => p.name, (p) => {
            const part = el("i");
            part.style.setProperty("background", `var(${p.color})`);
            return part;
        }, (part, p) => {
            part.style.setProperty("width", `${whole > 0 ? 100 * p.value / whole : 0}%`);
            part.hidden = p.value === 0;
        });
        keyed(ledgerRows, rows, (p) => p.name, (p) => {
            const key = el("i", {class: "key", "aria-hidden": "true"});
            key.style.setProperty("--color", `var(${p.color})`);
            return el("tr", el("th", {scope: "row"}, key, p.label), el("td", {class: "right"}),
                el("td", {class: "right quiet"}), el("td", {class: "quiet parts"}));
        }, (row, p) => {
            setBytes(row.cells[1], p.value);
            setText(row.cells[2], p.value < 0 ? `−${formatShare(-p.value, sum)}`
                : formatShare(p.value, sum));
            setText(row.cells[3], p.parts.length > 1 ? p.parts.map((q) => `${
                q.label.replace("not mpalloc: ", "")} ${bytesText(q.bytes)}`).join(", ") : "");
            row.hidden = p.value === 0;
        });
        wasSeen ||= !isEnded(shared);
        since.hidden = !wasSeen; // of one that ended before there is nothing to draw
        const l = s.rss_ledger;
        setText(ledgerSum, l.rss_bytes === null ? "The kernel's figure is not known: the process "
            + "is not running here." : `Sum ${bytesText(l.total_bytes)}, the kernel says ${
            bytesText(l.rss_bytes)}.`, exact(l.total_bytes, "bytes"));
        ledger.set(shared.past.map((p) => p.time), [...LEDGER.map((_, i) =>
            shared.past.map((p) => grouped(p.parts)[i])), shared.past.map((p) => p.rss)]);
    }

    function showAlerts() {
        const list = shared.alerts;
        const node = element.querySelector("#alerts");
        node.hidden = !list || list.length === 0;
        keyed(alerts, list ?? [], (a) => a.name, () => el("li"), (item, a) => {
            when(item, a, () => [
                badge(a.state === "firing" ? a.severity : a.state,
                    a.state === "firing" ? SEVERITIES[a.severity] ?? "warn" : "calm"),
                el("span", {class: "alert-name", text: a.name}),
                el("span", {class: "quiet", text: a.since ? `since ${timeText(a.since)}` : ""}),
                a.text ? el("p", {text: a.text}) : null,
                runbookLink(a.runbook)]);
        });
    }

    askPast();
    return {
        element,
        update() {
            showTiles();
            showLedger();
            showAlerts();
        },
        end() {
            isOver = true;
            clearTimeout(pastTimer);
            past.end();
            ledger.end();
        },
    };
}
