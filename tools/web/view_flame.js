/*
 * view_flame - the flame graph, by itself or compared: a frame around the page that draws it
 *
 * What is zoomed and searched is in the hash of the address, as on that page.
 */
import {getJson, post} from "./api.js";
import {bytesText, clock, el, secondsText, setText, timeText, when} from "./dom.js";
import {profileOf} from "./flame_loader.js";
import {notice} from "./parts.js";
import {choose, chosen} from "./routes.js";

const MOMENTS_MS = 60000; // the history has a new one at most so often

window.flameMarks ??= new Map(); // of an id: moments by their time, for the frame

export function flameView(shared) {
    let compare = chosen("compare");
    let baselines = [];
    let moments = [];
    let isOver = false;
    const marks = window.flameMarks.get(shared.id) ?? new Map();
    window.flameMarks.set(shared.id, marks);

    const problem = el("div");
    const frame = el("iframe", {title: "Flame graph", class: "flame-frame"});
    const select = el("select", {id: "compare", onchange: () => {
        compare = select.value;
        choose({compare});
        load(false);
    }, onblur: showOptions});
    const refresh = el("button", {text: "Refresh", title: "Draw it anew, of now",
        onclick: () => load(true)});
    const mark = el("button", {text: "Mark this moment",
        title: "Keep it in this page, to compare later moments with it", onclick: keepMark});
    const save = el("span");
    const alone = el("a", {target: "_blank", text: "Open alone", class: "button"});
    const asked = el("output", {class: "quiet", for: "compare"});
    const key = el("ul", {class: "legend change"}, [["grown", "Grown"], ["same", "Not sure"],
        ["shrunk", "Shrunk"]].map(([name, text]) => el("li",
        el("i", {class: name, "aria-hidden": "true"}), text)));
    const element = el("div", {class: "flame-part"},
        el("div", {class: "tools"}, el("label", {for: "compare"}, "Compare with "), select, mark,
            save, key, asked, el("span", {class: "fill"}), refresh, alone), problem, frame);

    function groups() {
        const ago = (t) => `${secondsText((Date.now() - Date.parse(t)) / 1000)} ago`;
        return [
            ["", [["", "nothing"]]],
            ["Earlier, in the history", moments.map((m) => [`then:${m.time}`,
                `${timeText(m.time)}, ${ago(m.time)}: ${bytesText(m.live_bytes)}`])],
            ["Marked in this page", [...marks.keys()].map((t) => [`mark:${t}`,
                `this page’s moment ${t}`])],
            ["Baselines", baselines.map((b) => [`baseline:${b.name}`,
                `baseline ${b.name}${b.label ? ` (${b.label})` : ""}, ${timeText(b.made)}`])],
            ["From now on", shared.isOver ? [] : [["next:10", "what is in 10 s"],
                ["next:60", "what is in a minute"]]]];
    }

    function showOptions() {
        const all = groups();
        if (!all.some(([, options]) => options.some(([value]) => value === compare))) {
            all[0][1].push([compare, compare.startsWith("then:") ? timeText(compare.slice(5))
                : compare.replace(":", " ")]);
        }
        const make = ([value, text]) => el("option", {value, text});
        if (document.activeElement !== select) { // an open list stays as it is
            when(select, all, () => all.map(([label, options]) => label === ""
                ? options.map(make) : options.length > 0
                    ? el("optgroup", {label}, options.map(make)) : null));
        }
        select.value = compare;
        key.hidden = compare === "";
    }

    /* The frame's own address is replaced, so that "back" leaves the part at once. */
    function load(keepState) {
        const address = `/flame?process=${encodeURIComponent(shared.id)}${compare
            ? `&compare=${encodeURIComponent(compare)}` : ""}&at=${Date.now()}${
            keepState ? location.hash : ""}`;
        if (!keepState) {
            history.replaceState(null, "", location.pathname + location.search);
        }
        problem.replaceChildren();
        if (frame.contentWindow && frame.isConnected) {
            frame.contentWindow.location.replace(address);
        } else {
            frame.src = address;
        }
        alone.href = address.replace(/&at=\d+/, "");
        alone.hidden = compare.startsWith("mark:");
        setText(asked, `of ${clock(new Date())}`);
        showOptions();
    }

    async function keepMark() {
        mark.disabled = true;
        try {
            const data = await profileOf(shared.id);
            marks.set(clock(new Date(data.process.published_ms)), data);
            shared.speak("Marked.");
            problem.replaceChildren();
        } catch (e) {
            problem.replaceChildren(notice("bad", `The moment could not be kept: ${e.message}.`));
        }
        mark.disabled = false;
        showOptions();
    }

    /* What there is to compare with. */
    async function askKept() {
        if (shared.isOver) {
            return;
        }
        try {
            baselines = (await getJson(shared.path("baselines"))).baselines ?? [];
            moments = ((await getJson(shared.path("moments"))).moments ?? []).reverse();
        } catch {
            // none were kept, or there is no history
        }
        if (!isOver) {
            showOptions();
        }
    }

    async function saveBaseline(name) {
        try {
            await post(shared.path(`baselines/${encodeURIComponent(name)}`));
            problem.replaceChildren();
            await askKept();
        } catch (e) {
            problem.replaceChildren(notice("bad", `It was not saved: ${e.message}.`));
        }
    }

    function showActions() {
        const canAct = shared.version()?.allow_actions === true && !shared.isOver;
        when(save, canAct, () => canAct ? el("form", {class: "inline", onsubmit: (event) => {
            event.preventDefault();
            saveBaseline(event.target.elements[0].value);
        }}, el("input", {placeholder: "Name", "aria-label": "Name of a baseline", required: true,
            maxlength: "127", size: "8"}), el("button", "Save as baseline")) : []);
        mark.disabled = shared.isOver;
    }

    const onState = (event) => {
        if (location.hash !== event.detail) {
            history.replaceState(null, "", location.pathname + location.search + event.detail);
        }
    };
    const onNotes = (event) => problem.replaceChildren(...event.detail.map((text) =>
        notice("calm", text)));
    addEventListener("flamestate", onState);
    addEventListener("flamenotes", onNotes);
    showOptions();
    load(true);
    askKept();
    const asking = setInterval(askKept, MOMENTS_MS);
    return {
        element,
        update: showActions,
        end() {
            isOver = true;
            clearInterval(asking);
            removeEventListener("flamestate", onState);
            removeEventListener("flamenotes", onNotes);
        },
    };
}
