/*
 * dom - elements made by calls: texts get into them as texts only, never as HTML
 */
import {formatBytes, formatCount} from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
    for (const [name, value] of Object.entries(properties)) {
        if (value === null || value === undefined || value === false) {
            continue;
        }
        if (name === "text") {
            node.textContent = value;
        } else if (name === "data") {
            Object.assign(node.dataset, value);
        } else if (name === "style") {
            for (const [key, v] of Object.entries(value)) {
                node.style.setProperty(key, v);
            }
        } else if (name.startsWith("on")) {
            node.addEventListener(name.slice(2), value);
        } else {
            node.setAttribute(name, value === true ? "" : value);
        }
    }
    node.append(...children.flat(2).filter((c) => c !== null && c !== undefined && c !== false));
    return node;
}

/* el("p", {class: "quiet", text: "…"}) or el("p", "…") or el("ul", {}, items…) */
export function el(tag, properties = {}, ...children) {
    if (typeof properties === "string" || properties instanceof Node
        || Array.isArray(properties)) {
        children.unshift(properties);
        properties = {};
    }
    return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), properties, children);
}

/* Only what differs is written: what a person selected or reads aloud stays. */
export function setText(node, text, title) {
    if (node.textContent !== text) {
        node.textContent = text;
    }
    if (title !== undefined && node.title !== title) {
        node.title = title;
    }
    return node;
}

export function setClass(node, name) {
    if (node.className !== name) {
        node.className = name;
    }
}

/*
 * The children of `parent`, one for each item, kept where the key is the same: focus, open
 * parts and selections outlive an update.
 */
export function keyed(parent, items, keyOf, make, update) {
    const known = parent.keyed ??= new Map();
    const wanted = new Set();
    let at = parent.firstElementChild;
    for (const item of items) {
        const key = keyOf(item);
        let node = known.get(key);
        if (node === undefined) {
            node = make(item);
            known.set(key, node);
        }
        wanted.add(key);
        update?.(node, item);
        if (node === at) {
            at = at.nextElementSibling;
        } else {
            const focus = node.contains(document.activeElement) ? document.activeElement : null;
            parent.insertBefore(node, at);
            focus?.focus({preventScroll: true});
        }
    }
    for (const [key, node] of known) {
        if (!wanted.has(key)) {
            node.remove();
            known.delete(key);
        }
    }
}

/* Made again only when what it shows has changed. */
export function when(node, value, make) {
    const now = JSON.stringify(value);
    if (node.shows !== now) {
        node.shows = now;
        node.replaceChildren(...[make(value)].flat(2).filter(Boolean));
    }
}

/* ---- figures ---- */

const isNumber = (n) => typeof n === "number" && Number.isFinite(n);
export const exact = (n, unit) => isNumber(n) ? `${Math.round(n).toLocaleString("en-US")} ${unit}`
    : "not known";

export const bytesText = (n) => !isNumber(n) ? "–" : n < 0 ? `−${formatBytes(-n)}` : formatBytes(n);
export const countText = (n) => !isNumber(n) ? "–" : n < 0 ? `−${formatCount(-n)}` : formatCount(n);

export const plural = (n, what) => `${countText(n)} ${what}${n === 1 ? "" : "s"}`;

export function setBytes(node, n) {
    return setText(node, bytesText(n), exact(n, "bytes"));
}

export function setCount(node, n, unit = "") {
    return setText(node, countText(n), exact(n, unit).trim());
}

export const bytes = (n, tag = "span") => setBytes(el(tag, {class: "figure"}), n);
export const count = (n, unit, tag = "span") => setCount(el(tag, {class: "figure"}), n, unit);

/* {value, low, high}: "45.6 MiB ± 12 %", or a range where it is wide or lopsided. */
export function boundOf(e, format) {
    if (!isNumber(e?.low) || !isNumber(e?.high) || e.low === e.high) {
        return "";
    }
    const half = Math.max(e.value - e.low, e.high - e.value);
    const percent = Math.ceil(100 * half / Math.abs(e.value));
    return e.value !== 0 && percent < 50 ? `± ${Math.max(1, percent)} %`
        : `${format(e.low)} to ${format(e.high)}`;
}

export function estimate(e, format = bytesText, unit = "bytes", suffix = "") {
    const node = el("span", {class: "estimate"});
    const value = isNumber(e) ? e : e?.value;
    if (!isNumber(value)) {
        return setText(node, "–", "not known");
    }
    const bound = boundOf(e, format);
    node.append(el("span", {class: "figure", text: format(value) + suffix}));
    node.title = exact(value, unit);
    if (bound !== "") {
        node.append(" ", el("small", {text: bound}));
        node.title = `${exact(value, unit)}; in 95 of 100 cases from ${
            exact(e.low, unit)} to ${exact(e.high, unit)}`;
    }
    return node;
}

/* "4.2 s", "12 min", "3.1 h", "8 days" */
export function secondsText(s) {
    if (!isNumber(s)) {
        return "–";
    }
    const steps = [[1e-3, "µs", 1e6], [1, "ms", 1e3], [60, "s", 1], [3600, "min", 1 / 60],
        [172800, "h", 1 / 3600], [Infinity, "days", 1 / 86400]];
    const [, unit, factor] = steps.find(([end]) => s < end);
    const n = s * factor;
    return `${n < 9.95 ? n.toFixed(1).replace(/\.0$/, "") : Math.round(n)} ${unit}`;
}

const pad = (n) => String(n).padStart(2, "0");
export const clock = (date) => `${pad(date.getHours())}:${pad(date.getMinutes())}:${
    pad(date.getSeconds())}`;
export const dayOf = (date) => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${
    pad(date.getDate())}`;

export function timeText(text) {
    const date = new Date(text);
    if (text === null || text === undefined || Number.isNaN(date.getTime())) {
        return "–";
    }
    return dayOf(date) === dayOf(new Date()) ? clock(date) : `${dayOf(date)} ${clock(date)}`;
}

export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name)
    .trim();
