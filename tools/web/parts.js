/*
 * parts - small pieces that pages are made of: states, sparklines, meters, notices
 */
import {bytesText, el, exact, setText, svg} from "./dom.js";
import {formatShare} from "./words.js";

export const STATES = {
    running: ["Running", "good"], exited: ["Ended", "calm"], died: ["Died", "bad"],
    replaced: ["Replaced", "calm"], elsewhere: ["Elsewhere", "calm"],
    copy: ["Copy", "calm"],
    damaged: ["Damaged", "bad"], // its region cannot be read
};
export const SEVERITIES = {critical: "bad", error: "bad", warning: "warn", info: "calm"};
export const VERDICTS = {lost: "bad", growing: "bad", suspect: "warn", "cache-like": "calm",
    fine: "good"};

export const badge = (text, kind, title) => el("span", {class: `badge ${kind}`, text, title});

export function stateBadge(state) {
    const [label, kind] = STATES[state] ?? [state, "calm"];
    return badge(label, kind);
}

export function section(title, id, ...children) {
    return el("section", {class: "card", "aria-labelledby": `${id}-title`, id},
        el("h2", {id: `${id}-title`, text: title}), ...children);
}

export const notice = (kind, ...children) => el("div", {class: `notice ${kind}`,
    role: kind === "bad" ? "alert" : "status"}, ...children);

export const codeText = (text) => el("code", {text});

/* A command to type, and a button that copies it. */
export function command(text) {
    const button = el("button", {text: "Copy", "aria-label": `Copy: ${text}`, onclick: async () => {
        try {
            await navigator.clipboard.writeText(text);
            button.textContent = "Copied";
        } catch {
            button.textContent = "Select it";
        }
    }});
    return el("div", {class: "command"}, codeText(text), button);
}

const WIDE = 120, HIGH = 28;

/* values: numbers, oldest first. Said as text for those who do not see it. */
export function drawSparkline(node, values) {
    const list = (values ?? []).filter((v) => Number.isFinite(v));
    const now = `${list.length}:${list[0]}:${list.at(-1)}:${list.at(-2)}`;
    if (node.shows === now) {
        return;
    }
    node.shows = now;
    if (list.length < 2) {
        node.replaceChildren(el("span", {class: "quiet", text: "–"}));
        return;
    }
    const most = Math.max(...list);
    const least = Math.min(...list);
    // What moves by less than 2 % is flat, not a mountain.
    const span = Math.max(most - least, most * 0.02, 1);
    const middle = (most + least) / 2;
    const points = list.map((v, i) => `${(i / (list.length - 1) * WIDE).toFixed(1)} ${
        (HIGH / 2 - (v - middle) / span * (HIGH - 4)).toFixed(1)}`);
    const text = `from ${bytesText(list[0])} to ${bytesText(list.at(-1))}`;
    node.replaceChildren(svg("svg", {class: "spark", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img",
        preserveAspectRatio: "none", "aria-label": text},
    svg("title", {text}),
    svg("path", {class: "under", d: `M0 ${HIGH}L${points.join("L")}L${WIDE} ${HIGH}Z`}),
    svg("path", {class: "line", d: `M${points.join("L")}`})));
}

/* A part of a whole as a bar; `limit` is what it is a part of. */
export function setMeter(node, part, whole) {
    if (!node.bar) {
        node.bar = el("i");
        node.label = el("span");
        node.classList.add("meter");
        node.append(el("span", {class: "track", "aria-hidden": "true"}, node.bar), node.label);
    }
    const share = whole > 0 && Number.isFinite(part) ? part / whole : 0;
    node.bar.style.setProperty("width", `${Math.min(100, 100 * share).toFixed(2)}%`);
    node.classList.toggle("high", share > 0.8);
    node.classList.toggle("none", !(whole > 0));
    setText(node.label, whole > 0 ? formatShare(part, whole) : "–",
        whole > 0 ? `${exact(part, "bytes")} of ${exact(whole, "bytes")}` : "no limit is known");
    return node;
}

/* Frames of a call stack, the one that allocated first. */
export function stackList(frames, shown = 4) {
    const list = el("ol", {class: "stack"});
    const item = (frame) => {
        const place = frame.file ? `${frame.file.split("/").pop()}${frame.line ? `:${frame.line}`
            : ""}` : (frame.module ?? "").split("/").pop();
        return el("li", {title: [frame.function, frame.file, frame.module].filter(Boolean)
            .join("\n")},
        el("span", {class: "function", text: frame.function}),
        place ? el("span", {class: "place", text: place}) : null);
    };
    list.append(...frames.slice(0, shown).map(item));
    if (frames.length > shown) {
        const rest = frames.length - shown;
        const button = el("button", {class: "plain", text: `${rest} more`, onclick: () => {
            button.parentElement.remove();
            const more = frames.slice(shown).map(item);
            list.append(...more);
            more[0].tabIndex = -1;
            more[0].focus();
        }});
        list.append(el("li", {class: "rest"}, button));
    }
    return list;
}

/* A group of buttons of which one is pressed. */
export function choice(label, options, value, onChange) {
    const buttons = options.map(([name, text, title]) => el("button", {text, title: title ?? "",
        data: {name}, onclick: () => {
            set(name);
            onChange(name);
        }}));
    const set = (name) => buttons.forEach((b) =>
        b.setAttribute("aria-pressed", String(b.dataset.name === name)));
    set(value);
    const node = el("div", {class: "choice", role: "group", "aria-label": label}, buttons);
    node.set = set;
    return node;
}

export function searchBox(label, value, onInput) {
    const input = el("input", {type: "search", placeholder: label, "aria-label": label,
        spellcheck: "false", autocomplete: "off", data: {search: ""}, value});
    let typed = 0;
    input.addEventListener("input", () => {
        clearTimeout(typed);
        typed = setTimeout(() => onInput(input.value), 60);
    });
    input.addEventListener("keydown", (event) => {
        if (event.key === "Escape") {
            input.value = "";
            onInput("");
            input.blur();
            event.stopPropagation();
        }
    });
    return el("div", {class: "search", role: "search"}, input,
        el("kbd", {"aria-hidden": "true", text: "/"}));
}

export function empty(title, ...children) {
    return el("div", {class: "empty"}, el("h2", title), ...children);
}
