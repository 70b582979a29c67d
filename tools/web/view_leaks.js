/*
 * view_leaks - what leaks, with what speaks for it; and what would make the process smaller
 */
import {getJson, post} from "./api.js";
import {bytesText, countText, el, estimate, keyed, secondsText, setText, timeText,
    when} from "./dom.js";
import {badge, choice, empty, notice, searchBox, stackList, VERDICTS} from "./parts.js";
import {choose, chosen, processAddress} from "./routes.js";
import {formatShare} from "./words.js";

const WORDS = {lost: "Lost", growing: "Growing", suspect: "Suspect", "cache-like": "Like a cache",
    fine: "Fine"};
const RULES = (rule) => rule.replaceAll("_", " ");

const fact = (label, ...value) => el("div", el("dt", label), el("dd", ...value));

function leakCard(leak, isOpen) {
    const kind = VERDICTS[leak.verdict] ?? "calm";
    const facts = el("dl", {class: "facts-row"},
        fact("Live", estimate(leak.live_bytes)),
        leak.growth_bytes_per_hour ? fact("Grows by", estimate(leak.growth_bytes_per_hour,
            bytesText, "bytes in an hour", "/h")) : null,
        Number.isFinite(leak.limit_seconds?.value) ? fact("Memory is used up in",
            estimate(leak.limit_seconds, secondsText, "seconds")) : null,
        fact("Oldest sample", secondsText(leak.oldest_seconds)),
        fact("Samples", `${countText(leak.live_samples)} live, ${
            countText(leak.freed_samples)} freed`));
    const where = [leak.operation ? `operation ${leak.operation}` : "",
        leak.threads?.length > 0 ? `by ${leak.threads.join(", ")}` : ""].filter(Boolean);
    return [el("div", {class: "card-head"}, badge(WORDS[leak.verdict] ?? leak.verdict, kind),
        el("h3", {text: leak.component}), el("span", {class: "quiet", text: where.join(" · ")}),
        el("span", {class: "fill"}), el("code", {class: "quiet", text: leak.id,
            title: "Its number, for mpalloc leaks --ack"})),
    leak.acknowledged ? notice("calm", `Known${leak.acknowledged.note
        ? `: ${leak.acknowledged.note}` : ""}${leak.acknowledged.until
        ? ` (until ${timeText(leak.acknowledged.until)})` : ""}.`) : null,
    facts,
    el("ul", {class: "evidence"}, leak.evidence.map((line) => el("li", line))),
    leak.advice_text ? el("p", {class: "advice-line"}, el("b", "Advice: "), leak.advice_text)
        : null,
    stackList(leak.frames ?? [], isOpen ? Infinity : 5),
    el("p", {class: "quiet rules", text: (leak.rules ?? []).map(RULES).join(" · ")})];
}

export function leaksView(shared) {
    let filter = chosen("show");
    let wanted = chosen("q");
    let all = null; // with what is fine, when that is asked for
    let isAsking = false;
    const summary = el("div", {class: "verdicts"});
    const problem = el("div");
    const list = el("div", {class: "cards"});
    const none = el("div");
    const check = el("div");
    const search = searchBox("Component or function", wanted, (text) => {
        wanted = text;
        choose({q: text}, {q: ""});
        show();
    });
    const element = el("div", {class: "stack-of-cards"}, summary,
        el("div", {class: "tools"}, choice("Which verdicts", [["", "Leaks"],
            ["all", "All call stacks"]], filter, (name) => {
            filter = name;
            choose({show: name}, {show: ""});
            show();
            askAll();
        }), check, el("span", {class: "fill"}), search), problem, list, none);

    async function askAll() {
        if (filter !== "all" || isAsking) {
            return;
        }
        isAsking = true;
        try {
            all = await getJson(shared.path("leaks?all=1&rows=200"));
            problem.replaceChildren();
        } catch (e) {
            problem.replaceChildren(notice("warn", `Not all are known: ${e.message}.`));
        }
        isAsking = false;
        show();
    }

    async function scan(button) {
        button.disabled = true;
        setText(button, "Checking…");
        try {
            shared.leaks = await post(shared.path("scan?rows=50"));
            problem.replaceChildren();
            shared.speak("The check is done.");
        } catch (e) {
            problem.replaceChildren(notice("bad", `It could not be checked: ${e.message}.`));
        }
        button.disabled = false;
        setText(button, "Check what is reachable");
        show();
    }

    function isFound(leak) {
        const low = wanted.trim().toLowerCase();
        return low === "" || leak.component.toLowerCase().includes(low)
            || (leak.frames ?? []).some((f) => f.function.toLowerCase().includes(low));
    }

    function show() {
        const d = filter === "all" && all ? all : shared.leaks;
        const canAct = shared.version()?.allow_actions === true && !shared.isOver;
        when(check, canAct, () => canAct ? el("button", {text: "Check what is reachable",
            title: "Stops the process for milliseconds, twice", onclick: (event) =>
                scan(event.target)}) : []);
        if (!d) {
            setText(none, shared.problems.leaks ? `Leaks are not known: ${shared.problems.leaks}.`
                : "Asking what leaks…");
            return;
        }
        const v = d.verdicts;
        when(summary, [v, d.growth_bytes_per_hour, d.epochs, d.acknowledged, d.leak_check], () => [
            Object.keys(WORDS).map((name) => el("div", {class: `verdict ${v[name] > 0
                ? VERDICTS[name] : "none"}`}, el("b", countText(v[name])),
            el("span", WORDS[name]))),
            el("div", {class: "verdict-more"},
                v.lost + v.growing === 0 && v.suspect > 0
                    ? el("span", "Whether the suspects leak is not sure yet")
                    : el("span", "Leaks grow by ", estimate(d.growth_bytes_per_hour, bytesText,
                        "bytes in an hour", "/h")),
                el("span", {class: "quiet", text: `${d.epochs} epochs watched${d.acknowledged > 0
                    ? `, ${d.acknowledged} known` : ""}`}))]);
        const leaks = d.leaks.filter(isFound);
        keyed(list, leaks, (l) => l.id, () => el("article", {class: "card leak"}), (node, leak) => {
            // A stack that was unfolded stays so when its figures change.
            const isOpen = node.shows !== undefined && node.querySelector(".rest") === null;
            when(node, leak, () => leakCard(leak, isOpen));
        });
        when(none, [leaks.length, d.leaks.length, d.epochs, wanted], () => leaks.length > 0 ? []
            : d.leaks.length > 0 ? empty("None is like that") : empty("Nothing leaks, as far as it shows",
                el("p", {class: "quiet", text: d.epochs < 8
                    ? "It has not run for long: verdicts need some minutes."
                    : "No call stack grows without bound, and none lost its blocks."})));
    }
    askAll();
    return {
        element,
        update(what) {
            if (what !== "advice" && what !== "alerts") {
                if (what === "leaks") {
                    askAll();
                }
                show();
            }
        },
    };
}

/* ---- advice ---- */

const CODES = {POOL: "Use a pool", ARENA: "Use an arena", BATCH: "Allocate in batches",
    CHUNK: "Allocate in chunks", RESIZE: "Grow in larger steps", TRIM: "Give memory back",
    SPREAD: "Spread what is kept", BOUND: "Set a bound", HANDLER: "Free in the handler",
    CYCLE: "Break the cycle", THREAD: "Clear what the thread keeps",
    SHRINK: "Shrink what stays", HOT: "Where it counts most",
    RESERVE: "Reserve the size", ALIGN: "Ask for less alignment"};
const UNITS = {bytes: [bytesText, "bytes", ""], peak_bytes: [bytesText, "bytes", " of the peak"],
    bytes_per_hour: [bytesText, "bytes in an hour", "/h"],
    calls_per_second: [countText, "calls in a second", " calls/s"],
    copied_bytes_per_second: [bytesText, "bytes copied in a second", "/s copied"]};

export function adviceView(shared) {
    const list = el("div", {class: "cards"});
    const none = el("div");
    const efficiency = el("dl", {class: "tiles small"});
    const element = el("div", {class: "stack-of-cards"}, efficiency, list, none);

    function show() {
        const d = shared.advice;
        if (!d) {
            setText(none, shared.problems.advice ? `Advice is not to be had: ${
                shared.problems.advice}.` : "Looking for what would help…");
            return;
        }
        const e = d.efficiency;
        const tile = (label, value, title) => el("div", {class: "tile", title}, el("dt", label),
            el("dd", value));
        when(efficiency, e, () => [
            tile("Efficiency", formatShare(e.ratio, 1), "What was asked for, of the resident heap"),
            tile("Asked for", estimate(e.requested_bytes), ""),
            tile("Slack", estimate(e.slack_bytes), "Blocks are larger than was asked for"),
            tile("Free", bytesText(e.free_bytes), "Free blocks and pages in the heap"),
            tile("Metadata", bytesText(e.metadata_bytes), "The allocator's own")]);
        keyed(list, d.advice, (a) => `${a.code} ${a.component} ${a.frames[0]?.function} ${
            a.frames[0]?.line}`, () => el("article", {class: "card"}), (node, a) => {
            when(node, a, () => {
                const [format, unit, suffix] = UNITS[a.unit] ?? [countText, "", ""];
                return [el("div", {class: "card-head"}, badge(a.code, "calm"),
                    el("h3", {text: CODES[a.code] ?? a.code}),
                    a.component ? el("a", {class: "quiet", text: `in ${a.component}`,
                        href: `${processAddress(shared.id, "components")}?q=${
                            encodeURIComponent(a.component)}`}) : null,
                    el("span", {class: "fill"}),
                    a.gain ? el("span", {class: "gain"}, "gain ", estimate(a.gain, format, unit,
                        suffix), a.share > 0 ? ` · ${formatShare(a.share, 1)}` : "") : null),
                    el("p", a.text),
                    el("ul", {class: "evidence"}, a.evidence.map((line) => el("li", line))),
                    a.frames.length > 0 ? stackList(a.frames, 4) : null];
            });
        });
        when(none, d.advice.length, (n) => n > 0 ? [] : empty("Nothing stands out",
            el("p", {class: "quiet", text: "No pool, arena or other change would win much, as far "
                + "as the samples tell."})));
    }
    return {
        element,
        update(what) {
            if (what === "advice" || what === "snapshot") {
                show();
            }
        },
    };
}
