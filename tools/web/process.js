/*
 * process - the pages of one process: head, parts, and what is asked of the server for them
 *
 * `shared` is what parts show. A part is {element, update(what), end()}; `what` names the figures
 * that are new: snapshot, leaks, advice, alerts, version, state.
 */
import {getJson, Problem, processPath} from "./api.js";
import {el, setClass, setText, timeText, when} from "./dom.js";
import {watch} from "./live.js";
import {badge, empty, notice, stateBadge} from "./parts.js";
import {PARTS, processAddress} from "./routes.js";
import {componentsView} from "./view_components.js";
import {adviceView, leaksView} from "./view_leaks.js";
import {factsView} from "./view_facts.js";
import {flameView} from "./view_flame.js";
import {memoryView} from "./view_memory.js";
import {sizesView} from "./view_sizes.js";

const VIEWS = {memory: memoryView, components: componentsView, sizes: sizesView,
    leaks: leaksView, advice: adviceView, flame: flameView, facts: factsView};
const ASK_MS = {leaks: 15000, advice: 30000, alerts: 10000};
const KEPT = 1800; // snapshots whose ledger is kept: an hour of them

export function processPage(main, id, part, context) {
    const shared = {id, snapshot: null, leaks: null, advice: null, alerts: null, past: [],
        problems: {}, isOver: false, version: context.version, speak: context.speak,
        ask, path: (rest) => processPath(id, rest)};
    const over = new AbortController();
    let view = null;
    let lastTime = 0;

    const name = el("h1", id);
    const state = el("span");
    const facts = el("p", {class: "quiet facts"});
    const banner = el("div");
    const tabs = el("nav", {class: "tabs", "aria-label": "Parts of the process"});
    const body = el("div", {class: "view"});
    main.replaceChildren(el("div", {class: "page"},
        el("nav", {class: "crumbs", "aria-label": "Where"}, el("a", {href: "/",
            text: "Processes"}), el("span", {"aria-hidden": "true", text: "›"}),
        el("span", {class: "here"})),
        el("div", {class: "title"}, el("div", {class: "name-line"}, name, state), facts),
        banner, tabs, body));
    const here = main.querySelector(".here");
    const links = Object.fromEntries(PARTS.map(([key, label]) => {
        const mark = el("span");
        const link = el("a", {href: processAddress(id, key)}, label, mark);
        link.mark = mark;
        tabs.append(link);
        return [key, link];
    }));

    function showHead() {
        const p = shared.snapshot?.process;
        if (!p) {
            return;
        }
        const title = p.name || "(no name)";
        setText(name, title, p.exe);
        setText(here, title);
        document.title = `${title} (${p.pid}): mpalloc`;
        when(state, shared.isOver && p.state === "running" ? "gone" : p.state, (s) =>
            s === "gone" ? badge("Gone", "calm") : stateBadge(s));
        when(facts, [p.pid, p.command, p.started, p.published], () => [`pid ${p.pid}`,
            ` · since ${timeText(p.started)}`, ` · figures of ${timeText(p.published)}`,
            p.command ? el("code", {class: "command-line", text: p.command,
                title: p.command}) : null]);
    }

    function showMarks() {
        const verdicts = shared.leaks?.verdicts;
        const bad = (verdicts?.lost ?? 0) + (verdicts?.growing ?? 0);
        const all = bad + (verdicts?.suspect ?? 0);
        const firing = shared.alerts?.filter((a) => a.state === "firing").length ?? 0;
        const put = (link, n, kind) => {
            setText(link.mark, n > 0 ? String(n) : "");
            setClass(link.mark, n > 0 ? `badge ${kind}` : "");
        };
        put(links.leaks, all, bad > 0 ? "bad" : "warn");
        put(links.advice, shared.advice?.advice.filter((a) => a.unit !== "none").length ?? 0,
            "calm");
        put(links.memory, firing, "bad");
    }

    function showBanner() {
        const s = shared.snapshot;
        const p = s?.process;
        const text = !s ? "" : shared.isOver
            ? `The process ended. These are its last figures, of ${timeText(p.published)}.`
            : p.state === "died" ? `The process died${p.ended ? ` at ${timeText(p.ended)}` : ""}. ${
                ""}What it held then is kept, and can be looked at.`
            : p.state !== "running" ? `The process ended${p.ended ? ` at ${timeText(p.ended)}`
                : ""}; its figures were kept.` : "";
        when(banner, [text, s?.warnings], ([t, warnings]) => [
            t ? notice("calm", t) : null,
            (warnings ?? []).map((w) => notice("warn", w))]);
    }

    function update(what) {
        showHead();
        showMarks();
        showBanner();
        view?.update?.(what);
    }

    function setPart(wanted) {
        part = wanted;
        for (const [key, link] of Object.entries(links)) {
            if (key === part) {
                link.setAttribute("aria-current", "page");
                link.scrollIntoView({block: "nearest", inline: "center"});
            } else {
                link.removeAttribute("aria-current");
            }
        }
        view?.end?.();
        view = null;
        body.replaceChildren();
        if (shared.snapshot) {
            view = VIEWS[part](shared);
            setClass(body, `view ${part}`);
            body.replaceChildren(view.element);
            view.update?.("snapshot");
            ask(part === "advice" || part === "leaks" ? part : "leaks");
        } else {
            body.replaceChildren(el("p", {class: "loading", role: "status",
                text: "Asking for its figures…"}));
        }
    }

    function takeSnapshot(s) {
        const isFirst = shared.snapshot === null;
        shared.before = shared.snapshot;
        shared.snapshot = s;
        const time = Date.parse(s.generated) / 1000;
        if (time > lastTime) {
            lastTime = time;
            shared.past.push({time, live: s.live_bytes, parts: s.rss_ledger.parts,
                rss: s.rss_ledger.rss_bytes ?? s.kernel?.resident_bytes ?? null});
            shared.past.splice(0, shared.past.length - KEPT);
        }
        context.setHost();
        if (isFirst) {
            setPart(part);
            for (const what of Object.keys(ASK_MS)) {
                askAgain(what);
            }
        }
        update("snapshot");
    }

    function showProblem(text) {
        if (shared.snapshot === null) {
            document.title = "mpalloc: no such process";
            tabs.hidden = true;
            body.replaceChildren(empty("There is no such process",
                el("p", text), el("p", {class: "quiet", text: "One that ended in order leaves "
                    + "nothing, unless it ran with MPALLOC_KEEP=1."}),
                el("p", el("a", {href: "/", text: "All processes"}))));
        }
    }

    /* One of ASK_MS, now. Problems are kept: a part says what it lacks. */
    async function ask(what) {
        if (shared.isOver && shared[what] !== null) {
            return;
        }
        const path = {leaks: "leaks?rows=50", advice: "advice", alerts: "alerts"}[what];
        try {
            const found = await getJson(processPath(id, path), {signal: over.signal});
            shared[what] = what === "alerts" ? found.alerts ?? [] : found;
            delete shared.problems[what];
        } catch (e) {
            if (over.signal.aborted) {
                return;
            }
            if (!(e instanceof Problem)) {
                console.error(e);
            }
            shared.problems[what] = e.message;
        }
        update(what);
    }

    async function askAgain(what) {
        while (!over.signal.aborted && !shared.isOver) {
            if (!document.hidden) {
                await ask(what);
            }
            await new Promise((done) => setTimeout(done, ASK_MS[what]));
        }
    }

    setPart(part);
    const stop = watch(id, {
        state(stateName, text) {
            context.setState(stateName === "ended" && shared.snapshot === null ? "unknown"
                : stateName, text);
            if (stateName === "ended") {
                const wasThere = shared.snapshot !== null;
                shared.isOver = true;
                if (wasThere) {
                    context.speak("The process ended.");
                    update("state");
                } else {
                    showProblem(`Nothing is known of “${id}”.`);
                }
            } else if (stateName === "offline" && shared.snapshot === null) {
                when(banner, text, () => notice("bad", `No figures: ${text}.`));
            }
        },
        snapshot: takeSnapshot,
        problem(document_) { // it cannot be read: that may pass
            if (shared.snapshot === null) {
                when(banner, document_, (d) => notice("bad", d.detail ?? "It cannot be read."));
            }
        },
        alerts(document_) {
            const mine = (document_.alerts ?? []).filter((a) => a.process?.id === undefined
                || a.process.id === id || a.process.pid === shared.snapshot?.process.pid);
            shared.alerts = mine;
            update("alerts");
        },
    });

    return {
        setPart,
        versionKnown: () => update("version"),
        end() {
            over.abort();
            stop();
            view?.end?.();
        },
    };
}

