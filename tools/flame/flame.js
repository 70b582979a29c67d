/*
 * flame - draws the profile that lies in this page: export_html.c writes it
 *
 * From samples to boxes: `decode` unpacks them, `build` makes the tree of what is asked for,
 * `layout` finds the boxes of a window onto it, `draw` paints those in sight. Texts of the
 * program get into the page as text only, never as HTML.
 */
"use strict";
(() => {

const ROW = 20;          // pixels from row to row
const THINNEST = 0.5;    // boxes that are drawn, in pixels
const LABELLED = 26;     // boxes that have room for a text
const TOP_ROWS = 200;    // of the table
const ZOOM_MS = 180;
const FEW = 3;           // samples that say no more than "less than"

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);

/* ---- numbers and names for people ---- */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

function formatBytes(n) {
    let unit = 0;
    while (n >= 1023.95 && unit < UNITS.length - 1) {
        n /= 1024;
        unit++;
    }
    return `${n.toFixed(unit === 0 ? 0 : 1)} ${UNITS[unit]}`;
}

function formatCount(n) {
    if (n < 99999.5) {
        return Math.round(n).toLocaleString("en-US");
    }
    let unit = -1;
    do {
        n /= 1000;
        unit++;
    } while (n >= 999.95 && unit < 5);
    return `${n.toFixed(1)} ${"kMGTPE"[unit]}`;
}

function formatShare(part, whole) {
    const percent = whole > 0 ? 100 * part / whole : 0;
    return percent > 0 && percent < 0.05 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}

const isBytes = (name) => name.endsWith("-bytes");
const formatOf = (name) => isBytes(name) ? formatBytes : formatCount;
const baseName = (path) => path.slice(path.lastIndexOf("/") + 1);

const ANONYMOUS = "(anonymous namespace)";

/*
 * "std::vector<int, std::allocator<int> >::push_back(int&&)" as
 * "std::vector<…>::push_back": what is between brackets seldom tells functions apart. What
 * does not close, or has nothing outside, stays whole.
 */
function shorten(name, open = "<(", close = ">)") {
    let short = "";
    let depth = 0;
    for (let i = 0; i < name.length; i++) {
        const c = name[i];
        if (depth === 0 && open.includes(c) && /\boperator[<>(-]*$/.test(short)) {
            short += c;
        } else if (depth === 0 && name.startsWith(ANONYMOUS, i)) {
            short += ANONYMOUS;
            i += ANONYMOUS.length - 1;
        } else if (open.includes(c)) {
            if (depth++ === 0 && c === "<") {
                short += "<…>";
            }
        } else if (close.includes(c) && depth > 0) {
            depth--;
        } else if (depth === 0) {
            short += c;
        }
    }
    return depth === 0 && /[^<>… ]/.test(short) ? short.replace(/ const$/, "") : name;
}

/* ---- colours ---- */

function hash(text) {
    let h = 2166136261;
    for (let i = 0; i < text.length; i++) {
        h = Math.imul(h ^ text.charCodeAt(i), 16777619);
    }
    h ^= h >>> 15;
    h = Math.imul(h, 0x2c1b3c6d);
    return (h ^ h >>> 13) >>> 0;
}

/* OKLCH has a lightness that eyes agree with: texts stay readable on any of its hues. */
function oklch(l, c, hue) {
    const a = c * Math.cos(hue * Math.PI / 180);
    const b = c * Math.sin(hue * Math.PI / 180);
    const [x, y, z] = [l + 0.3963377774 * a + 0.2158037573 * b,
        l - 0.1055613458 * a - 0.0638541728 * b,
        l - 0.0894841775 * a - 1.291485548 * b].map((v) => v ** 3);
    const channels = [4.0767416621 * x - 3.3077115913 * y + 0.2309699292 * z,
        -1.2684380046 * x + 2.6097574011 * y - 0.3413193965 * z,
        -0.0041960863 * x - 0.7034186147 * y + 1.707614701 * z];
    return "#" + channels.map((v) => {
        const s = v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055;
        return Math.round(255 * Math.min(1, Math.max(0, s))).toString(16).padStart(2, "0");
    }).join("");
}

const FUNCTION = 0, GROUP = 1, NOTE = 2; // kinds of keys

let isDark = false;
let look = {}; // colours of what is no function

function setLook(dark) {
    isDark = dark;
    look = dark
        ? {back: "#1f1c16", ink: "#150d04", rest: "#3a352c", restInk: "#b0a799",
            dimInk: "#c6bdaf", match: oklch(0.74, 0.14, 290), matchInk: "#110a2c",
            edge: "#ffffff", focus: "#ffffff"}
        : {back: "#ffffff", ink: "#22160a", rest: "#e4e0d9", restInk: "#5f584f",
            dimInk: "#5f584f", match: oklch(0.5, 0.19, 285), matchInk: "#ffffff",
            edge: "#000000", focus: "#000000"};
}

/* Hue by module, shade by function: warm, from red to yellow. */
function paint(key, dim) {
    const [base, dimBase] = isDark ? [0.68, 0.34] : [0.80, 0.93];
    if (key.kind === NOTE) {
        return oklch(dim ? dimBase : base, 0.008, 80);
    }
    const own = hash(key.name);
    if (key.kind === GROUP) {
        return oklch((dim ? dimBase : base) + own % 7 / 160, dim ? 0.015 : 0.055, 245);
    }
    const hue = 32 + hash(key.module || key.name) % 46 + own % 23;
    return oklch((dim ? dimBase : base) + ((own >>> 8) % 16 - 6) / 150,
        dim ? 0.02 : 0.115 + (own >>> 16) % 8 / 250, hue);
}

/* ---- the profile ---- */

/*
 * Keys are what boxes are of: a function, or with `lines` a line of it, a part of a
 * component's name, or a note. Stacks are numbers of frames; keyOf says a frame's key.
 */
function decode() {
    const s = data.samples;
    const count = s.shared.length;
    const start = new Uint32Array(count + 1);
    for (let i = 0; i < count; i++) {
        start[i + 1] = start[i] + s.shared[i] + s.added[i];
    }
    const frames = new Uint32Array(start[count]);
    for (let i = 0, at = 0; i < count; i++) {
        const from = start[i];
        if (i > 0) {
            frames.copyWithin(from, start[i - 1], start[i - 1] + s.shared[i]);
        }
        for (let n = 0; n < s.added[i]; n++) {
            frames[from + s.shared[i] + n] = s.frames[at++];
        }
    }
    return {count, start, frames};
}

const samples = decode();
const FRAMES = data.has_stacks ? "functions" : "components and size classes";
const text = (number) => data.texts[number];
const column = (name) => data.samples[name] ?? null;

const keys = [];
const keyNumbers = new Map();

function keyNumber(kind, name, module, detail) {
    const id = `${kind} ${detail} ${module} ${name}`;
    let number = keyNumbers.get(id);
    if (number === undefined) {
        number = keys.length;
        keyNumbers.set(id, number);
        keys.push({kind, name, short: null, module, file: "", lines: new Set(),
            inlined: false, color: null, dim: null});
    }
    return number;
}

function keysOfFrames(lines) {
    const f = data.frames;
    return Uint32Array.from(f.function, (name, i) => {
        const module = f.module[i] >= 0 ? text(f.module[i]) : "";
        const file = f.file[i] >= 0 ? text(f.file[i]) : "";
        const isNote = module === "" && file === "" && text(name).startsWith("(");
        const number = keyNumber(isNote ? NOTE : FUNCTION, text(name), module,
            lines ? `${file}:${f.line[i]}` : "");
        const key = keys[number];
        key.file ||= file;
        if (f.line[i] > 0 && file === key.file) {
            key.lines.add(f.line[i]);
        }
        key.inlined ||= f.inlined?.[i] === 1;
        return number;
    });
}

const keysBy = [keysOfFrames(false), null]; // by function, and by line when asked for
const keysNow = () => keysBy[+state.lines] ??= keysOfFrames(true);
const CUT = keyNumber(NOTE, "(callers not recorded)", "", "");
const NO_STACK = keyNumber(NOTE, "(not sampled)", "", "");

/* What samples are told apart by; those that are the same in all of them are left out. */
const DIMENSIONS = [["component", "Component"], ["operation", "Operation"],
    ["thread", "Thread"]].map(([name, label]) => {
    const values = column(name);
    const present = values === null ? [] : [...new Set(values)].map(text);
    return {name, label, values, present};
}).filter((d) => d.present.length > 1);

const partsOf = (dimension, value) => dimension.name === "component"
    ? value.split("/").filter((part) => part !== "") : [value || "(none)"];

/* ---- state, which the address keeps ---- */

const VALUES = data.values.length > 0 ? data.values.map((v) => v.name) : ["live-bytes"];
const START = {value: data.shown, layout: "flame", invert: false, lines: false,
    group: "", search: "", regex: false, zoom: [], top: true, sort: "self", theme: "",
    component: "", operation: "", thread: ""};
const state = {...START};

function writeAddress(push) {
    const parts = [];
    for (const [name, start] of Object.entries(START)) {
        const value = state[name];
        if (name === "zoom") {
            if (value.length > 0) {
                parts.push(`zoom=${value.map(encodeURIComponent).join(";")}`);
            }
        } else if (value !== start) {
            parts.push(`${name}=${encodeURIComponent(
                typeof value === "boolean" ? +value : value)}`);
        }
    }
    const address = `#${parts.join("&")}`;
    if (address === (location.hash || "#")) {
        return;
    }
    try {
        history[push ? "pushState" : "replaceState"](null, "", address);
    } catch {
        location.replace(address); // where pages in files have no history
    }
}

function decodePart(part) {
    try {
        return decodeURIComponent(part);
    } catch {
        return part;
    }
}

function readAddress() {
    Object.assign(state, START, {zoom: []});
    for (const part of location.hash.slice(1).split("&")) {
        const at = part.indexOf("=");
        const name = part.slice(0, at);
        const value = part.slice(at + 1);
        if (name === "zoom") {
            state.zoom = value === "" ? [] : value.split(";").map(decodePart);
        } else if (typeof START[name] === "boolean") {
            state[name] = value === "1";
        } else if (typeof START[name] === "string") {
            state[name] = decodePart(value);
        }
    }
    if (!VALUES.includes(state.value)) {
        state.value = VALUES.includes(START.value) ? START.value : VALUES[0];
    }
    if (!DIMENSIONS.some((d) => d.name === state.group)) {
        state.group = "";
    }
}

/* ---- the tree ---- */

const EMPTY = [];
let tree = null;

function valueColumns(name) {
    return data.values.find((v) => v.name === name);
}

function isWanted() {
    const wanted = DIMENSIONS.filter((d) => state[d.name] !== "").map((d) => {
        const only = state[d.name];
        return [d.values, new Set(d.present.filter((v) => v === only
            || (d.name === "component" && v.startsWith(`${only}/`))))];
    });
    return (i) => wanted.every(([values, only]) => only.has(text(values[i])));
}

/* The samples that are wanted; those of a group one after the other. */
function chosen(values) {
    const wants = isWanted();
    const list = [];
    for (let i = 0; i < samples.count; i++) {
        if (values[i] > 0 && wants(i)) {
            list.push(i);
        }
    }
    const group = DIMENSIONS.find((d) => d.name === state.group);
    if (group !== undefined) {
        const rank = new Map([...group.present].sort().map((v, n) => [v, n]));
        list.sort((a, b) => rank.get(text(group.values[a])) - rank.get(text(group.values[b]))
            || a - b);
    }
    return {list, group};
}

/*
 * Nodes are numbers, the root 0, callers before what they call. Sums of values, their other
 * unit, samples, and squares of the halves of intervals: the errors of samples are
 * independent, so it is squares that add up.
 */
function build() {
    const v = valueColumns(state.value) ?? {name: "live-bytes", value: EMPTY};
    const twin = valueColumns(isBytes(v.name) ? v.name.replace("-bytes", "-blocks")
        : v.name.replace("-blocks", "-bytes"));
    const takenColumn = column(/^live/.test(v.name) ? "live_taken" : "taken");
    const cut = column("cut");
    const {list, group} = chosen(v.value);
    const keyOf = keysNow();
    const groupKeys = new Map(group?.present.map((name) => [name,
        partsOf(group, name).map((part) => keyNumber(GROUP, part, "", ""))]));
    const room = keys.length;
    const parent = [0];
    const key = [-1];
    const kids = new Map();
    const leaf = new Int32Array(list.length);
    const below = new Uint32Array(list.length); // where the frames of the stack begin
    let path = [];
    let nodes = [];
    let before = [];
    let beforeNodes = [];

    for (let n = 0; n < list.length; n++) {
        const i = list[n];
        path.length = 0;
        if (group !== undefined) {
            path.push(...groupKeys.get(text(group.values[i])));
        }
        below[n] = path.length;
        const first = samples.start[i];
        const end = samples.start[i + 1];
        if (first === end) {
            path.push(NO_STACK);
        }
        if (state.invert) {
            for (let at = end - 1; at >= first; at--) {
                path.push(keyOf[samples.frames[at]]);
            }
            if (cut?.[i]) {
                path.push(CUT);
            }
        } else {
            if (cut?.[i]) {
                path.push(CUT);
            }
            for (let at = first; at < end; at++) {
                path.push(keyOf[samples.frames[at]]);
            }
        }
        let same = 0;
        while (same < path.length && same < before.length && path[same] === before[same]) {
            same++;
        }
        nodes.length = 0;
        let at = 0;
        for (let d = 0; d < path.length; d++) {
            if (d < same) {
                at = beforeNodes[d];
            } else {
                const id = at * room + path[d];
                let child = kids.get(id);
                if (child === undefined) {
                    child = parent.length;
                    kids.set(id, child);
                    parent.push(at);
                    key.push(path[d]);
                }
                at = child;
            }
            nodes.push(at);
        }
        leaf[n] = at;
        [path, before] = [before, path];
        [nodes, beforeNodes] = [beforeNodes, nodes];
    }

    const count = parent.length;
    const t = {count, parent: Int32Array.from(parent), key: Int32Array.from(key), list, leaf,
        below, name: v.name, format: formatOf(v.name), twin,
        total: new Float64Array(count), self: new Float64Array(count),
        other: new Float64Array(count), under: new Float64Array(count),
        over: new Float64Array(count), taken: new Float64Array(count),
        depth: new Uint16Array(count), start: new Float64Array(count),
        first: new Uint32Array(count + 1), child: new Uint32Array(Math.max(count - 1, 0))};
    for (let n = 0; n < list.length; n++) {
        const i = list[n];
        const at = leaf[n];
        t.self[at] += v.value[i];
        t.total[at] += v.value[i];
        t.other[at] += twin?.value[i] ?? 0;
        t.under[at] += (v.under?.[i] ?? 0) ** 2;
        t.over[at] += (v.over?.[i] ?? 0) ** 2;
        t.taken[at] += takenColumn?.[i] ?? 0;
    }
    for (let n = count - 1; n > 0; n--) {
        const up = t.parent[n];
        t.total[up] += t.total[n];
        t.other[up] += t.other[n];
        t.under[up] += t.under[n];
        t.over[up] += t.over[n];
        t.taken[up] += t.taken[n];
    }
    order(t);
    return t;
}

/* Children beside each other, the largest first, and where each begins. */
function order(t) {
    for (let n = 1; n < t.count; n++) {
        t.first[t.parent[n] + 1]++;
        t.depth[n] = t.depth[t.parent[n]] + 1;
    }
    for (let n = 0; n < t.count; n++) {
        t.first[n + 1] += t.first[n];
    }
    const next = t.first.slice(0, t.count);
    for (let n = 1; n < t.count; n++) {
        t.child[next[t.parent[n]]++] = n;
    }
    for (let n = 0; n < t.count; n++) {
        const list = t.child.subarray(t.first[n], t.first[n + 1]);
        if (list.length > 1) {
            list.sort((a, b) => t.total[b] - t.total[a]
                || (keys[t.key[a]].name < keys[t.key[b]].name ? -1 : 1));
        }
        let at = t.start[n];
        for (const c of list) {
            t.start[c] = at;
            at += t.total[c];
        }
    }
}

const nameOf = (node) => node === 0 ? "all" : keys[tree.key[node]].name;

function pathOf(node) {
    const path = [];
    for (; node !== 0; node = tree.parent[node]) {
        path.unshift(node);
    }
    return path;
}

/* As far down the names as the tree has them. */
function findPath(names) {
    let node = 0;
    for (const name of names) {
        const list = tree.child.subarray(tree.first[node], tree.first[node + 1]);
        const found = list.find((c) => keys[tree.key[c]].name === name);
        if (found === undefined) {
            break;
        }
        node = found;
    }
    return node;
}

/*
 * Counters are exact, and samples are made to add up to them: so are sums of whole
 * components, of what is live and what was allocated.
 */
function estimate(t, node) {
    const value = t.total[node];
    const under = Math.sqrt(t.under[node]);
    const over = Math.sqrt(t.over[node]);
    const isWhole = (node === 0 || (keys[t.key[node]].kind === GROUP
        && state.group === "component")) && state.operation === "" && state.thread === "";
    const isCounter = /^(live|allocated)/.test(t.name);
    if ((under === 0 && over === 0) || (isWhole && isCounter)) {
        return {text: t.format(value), bound: "exact", range: ""};
    }
    if (t.taken[node] < FEW || over >= value) {
        return {text: `< ${t.format(value + over)}`, bound: "", range:
            `about ${t.format(value)}, from too few samples to tell`};
    }
    return {text: t.format(value),
        bound: `± ${Math.max(1, Math.ceil(100 * Math.max(under, over) / value))} %`,
        range: `${t.format(Math.max(0, value - under))} to ${t.format(value + over)}`};
}

/* Only what is code has parts that may go. */
function shortOf(key) {
    return key.short ??= key.module !== "" ? shorten(key.name) : key.name;
}

/* ---- search ---- */

const search = {test: null, match: null, sum: 0, count: 0};

function compileSearch() {
    const wanted = state.search;
    $("search").classList.remove("wrong");
    if (wanted === "") {
        return null;
    }
    if (state.regex) {
        try {
            const pattern = new RegExp(wanted, "i");
            return (key) => pattern.test(key.name) || pattern.test(key.file)
                || pattern.test(key.module);
        } catch {
            $("search").classList.add("wrong");
            return () => false;
        }
    }
    if (/^".+"$/.test(wanted)) {
        const name = wanted.slice(1, -1);
        return (key) => key.name === name;
    }
    const low = wanted.toLowerCase();
    return (key) => key.name.toLowerCase().includes(low)
        || key.file.toLowerCase().includes(low) || key.module.toLowerCase().includes(low);
}

/* What matches below the zoomed box; of one match in another only the outer counts. */
function runSearch() {
    search.test = compileSearch();
    search.match = null;
    if (search.test === null) {
        $("matched").textContent = "";
        return;
    }
    const isMatch = keys.map((key) => search.test(key));
    const inside = new Uint8Array(tree.count); // 1: in the zoomed box, 2: in a match too
    search.match = isMatch;
    search.sum = 0;
    search.count = 0;
    inside[view.zoom] = 1;
    for (let n = view.zoom; n < tree.count; n++) {
        inside[n] ||= n === 0 ? 0 : inside[tree.parent[n]];
        if (inside[n] > 0 && n > 0 && isMatch[tree.key[n]]) {
            search.count++;
            if (inside[n] === 1) {
                search.sum += tree.total[n];
                inside[n] = 2;
            }
        }
    }
    $("matched").textContent = search.count === 0 ? "no match"
        : `${formatCount(search.count)} matched: ${tree.format(search.sum)}, `
            + formatShare(search.sum, tree.total[view.zoom]);
}

/* ---- boxes ---- */

const canvas = $("canvas");
const graph = $("graph");
const context = canvas.getContext("2d");
const FONT = `12px ${getComputedStyle(document.documentElement).getPropertyValue("--sans")}`;

const view = {
    zoom: 0,      // the node
    from: 0,      // of the tree's sum, at the left edge
    to: 1,
    wide: 0,      // pixels
    high: 0,
    content: 0,   // pixels, of all rows
    rows: [],     // of boxes: node (-1 - parent: what is too small), x, w
    hover: null,  // a box
    focus: -1,    // a node, by the keyboard
};

function layout() {
    const t = tree;
    const scale = view.wide / Math.max(view.to - view.from, Number.MIN_VALUE);
    const rows = [];
    const put = (depth, node, x, w) => {
        const row = rows[depth] ??= {node: [], x: [], w: []};
        const left = Math.max(0, x);
        row.node.push(node);
        row.x.push(left);
        row.w.push(Math.min(view.wide, x + w) - left);
    };
    const visit = (node, depth) => {
        put(depth, node, (t.start[node] - view.from) * scale, t.total[node] * scale);
        const end = t.first[node + 1];
        let at = t.first[node];
        for (let more = end - at; more > 0;) { // the first that ends in the window
            const half = more >> 1;
            const c = t.child[at + half];
            if (t.start[c] + t.total[c] <= view.from) {
                at += half + 1;
                more -= half + 1;
            } else {
                more = half;
            }
        }
        for (; at < end && t.start[t.child[at]] < view.to; at++) {
            const c = t.child[at];
            if (t.total[c] * scale < THINNEST) {
                const last = t.child[end - 1];
                const sum = t.start[last] + t.total[last] - t.start[c];
                if (sum * scale >= THINNEST) {
                    put(depth + 1, -1 - node, (t.start[c] - view.from) * scale, sum * scale);
                }
                return;
            }
            visit(c, depth + 1);
        }
    };
    if (t.total[0] > 0 && view.wide > 0) {
        visit(0, 0);
    }
    view.rows = rows;
    view.content = Math.max(view.high, rows.length * ROW + 8);
    $("space").style.height = `${view.content}px`;
}

/* From the top of the content; flames grow upwards from its end. */
const topOf = (depth) => state.layout === "flame" ? view.content - (depth + 1) * ROW - 3
    : depth * ROW + 3;

const letters = new Map();

function widthOf(label) {
    let wide = 0;
    for (const c of label) {
        let w = letters.get(c);
        if (w === undefined) {
            w = context.measureText(c).width;
            letters.set(c, w);
        }
        wide += w;
    }
    return wide;
}

function fit(label, room) {
    let wide = widthOf("…");
    let n = 0;
    for (const c of label) {
        wide += widthOf(c);
        if (wide > room) {
            break;
        }
        n += c.length;
    }
    return n >= 2 ? label.slice(0, n).replace(/…?$/, "…") : "";
}

function labelOf(key, room) {
    if (widthOf(key.name) <= room) {
        return key.name;
    }
    const short = shortOf(key);
    return widthOf(short) <= room ? short : fit(short, room);
}

function fillOf(node) {
    if (node < 0) {
        return [look.rest, look.restInk];
    }
    if (node === 0) {
        return [look.rest, isDark ? "#ece6dc" : look.ink];
    }
    const key = keys[tree.key[node]];
    if (search.match === null) {
        return [key.color ??= paint(key, false), look.ink];
    }
    return search.match[tree.key[node]] ? [look.match, look.matchInk]
        : [key.dim ??= paint(key, true), look.dimInk];
}

function outline(x, y, w, color) {
    context.strokeStyle = color;
    context.lineWidth = 2;
    context.strokeRect(x + 1, y + 1, Math.max(w - 2, 1), ROW - 3);
}

function drawRow(depth, y) {
    const row = view.rows[depth];
    for (let i = 0; i < row.node.length; i++) {
        const [node, x, w] = [row.node[i], row.x[i], row.w[i]];
        const [fill, ink] = fillOf(node);
        context.fillStyle = fill;
        context.fillRect(x, y, w > 3 ? w - 1 : w > 1.5 ? w - 0.5 : w, ROW - 1);
        if (w >= LABELLED) {
            const label = node < 0 ? fit("smaller ones", w - 9)
                : node === 0 ? fitRoot(w - 9) : labelOf(keys[tree.key[node]], w - 9);
            context.fillStyle = ink;
            context.fillText(label, x + 4, y + ROW / 2);
        }
        if (node >= 0 && node === view.focus) {
            outline(x, y, w, look.focus);
        }
    }
    if (view.hover !== null && view.hover.depth === depth) {
        outline(view.hover.x, y, view.hover.w, look.edge);
    }
}

function fitRoot(room) {
    const label = `all: ${tree.format(tree.total[0])}`;
    return widthOf(label) <= room ? label : "all";
}

function draw() {
    const ratio = devicePixelRatio || 1;
    const high = view.print ? view.content : view.high;
    const scroll = view.print ? 0 : graph.scrollTop;
    const [w, h] = [Math.round(view.wide * ratio), Math.round(high * ratio)];
    if (canvas.width !== w || canvas.height !== h) {
        canvas.width = w;
        canvas.height = h;
        canvas.style.width = `${view.wide}px`;
        canvas.style.height = `${high}px`;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = look.back;
    context.fillRect(0, 0, view.wide, high);
    context.font = FONT;
    context.textBaseline = "middle";
    for (let depth = 0; depth < view.rows.length; depth++) {
        const y = topOf(depth) - scroll;
        if (y > -ROW && y < high) {
            drawRow(depth, y);
        }
    }
}

let isDrawDue = false;

function drawSoon() {
    if (!isDrawDue) {
        isDrawDue = true;
        requestAnimationFrame(() => {
            isDrawDue = false;
            draw();
        });
    }
}

function boxAt(x, y) {
    const inside = y + graph.scrollTop;
    const depth = state.layout === "flame"
        ? Math.floor((view.content - 3 - inside) / ROW) : Math.floor((inside - 3) / ROW);
    const row = view.rows[depth];
    if (row === undefined) {
        return null;
    }
    let at = 0;
    for (let more = row.x.length; more > 0;) {
        const half = more >> 1;
        if (row.x[at + half] <= x) {
            at += half + 1;
            more -= half + 1;
        } else {
            more = half;
        }
    }
    at--;
    return at >= 0 && x < row.x[at] + Math.max(row.w[at], 1)
        ? {node: row.node[at], depth, x: row.x[at], w: row.w[at]} : null;
}

/* ---- the tip ---- */

function element(tag, content, className) {
    const e = document.createElement(tag);
    e.textContent = content;
    if (className !== undefined) {
        e.className = className;
    }
    return e;
}

function placeOf(key) {
    if (key.file === "") {
        return "";
    }
    const lines = [...key.lines].sort((a, b) => a - b);
    return lines.length === 0 ? key.file
        : `${key.file}:${lines.slice(0, 6).join(", ")}${lines.length > 6 ? ", …" : ""}`;
}

function otherUnit(node) {
    if (!tree.twin || tree.other[node] === 0) {
        return null;
    }
    const [bytes, blocks] = isBytes(tree.name) ? [tree.total[node], tree.other[node]]
        : [tree.other[node], tree.total[node]];
    const mean = `${formatBytes(bytes / blocks)} each`;
    return isBytes(tree.name) ? ["blocks", `${formatCount(blocks)}, ${mean}`]
        : ["bytes", `${formatBytes(bytes)}, ${mean}`];
}

/* Pairs of what is known of a node. */
function factsOf(node) {
    const facts = [];
    const up = tree.parent[node];
    const about = estimate(tree, node);
    if (about.range !== "") {
        facts.push([about.bound === "" ? "estimate" : "95 %", about.range]);
    }
    const twin = otherUnit(node);
    if (twin !== null) {
        facts.push(twin);
    }
    facts.push(["of all", formatShare(tree.total[node], tree.total[0])]);
    if (node !== 0 && up !== 0) {
        facts.push([state.invert ? "of callee" : "of caller",
            formatShare(tree.total[node], tree.total[up])]);
    }
    if (view.zoom !== 0 && view.zoom !== up && view.zoom !== node
        && tree.depth[node] > tree.depth[view.zoom]) {
        facts.push(["of the zoomed", formatShare(tree.total[node], tree.total[view.zoom])]);
    }
    if (tree.self[node] > 0 && tree.self[node] < tree.total[node]) {
        facts.push(["itself", tree.format(tree.self[node])]);
    }
    if (data.has_stacks) {
        facts.push(["samples", formatCount(tree.taken[node])]);
    }
    return facts;
}

function fillTip(tip, node) {
    tip.replaceChildren();
    if (node < 0) {
        const up = -1 - node;
        let count = 0;
        let sum = 0;
        const scale = view.wide / (view.to - view.from);
        for (const c of tree.child.subarray(tree.first[up], tree.first[up + 1])) {
            if (tree.total[c] * scale < THINNEST) {
                count++;
                sum += tree.total[c];
            }
        }
        tip.append(element("b", `${formatCount(count)} too small to draw`),
            element("strong", tree.format(sum)),
            element("span", `below ${nameOf(up)}: zoom into it to see them`, "code"));
        return;
    }
    tip.append(element("b", nameOf(node)));
    if (node !== 0) {
        const key = keys[tree.key[node]];
        const place = placeOf(key);
        if (key.kind === GROUP) {
            const path = pathOf(node).filter((n) => keys[tree.key[n]].kind === GROUP);
            tip.append(element("span", `${state.group} ${path.map(nameOf).join("/")}`, "code"));
        }
        if (place !== "") {
            tip.append(element("span", place + (key.inlined ? " (inlined)" : ""), "code"));
        }
        if (key.module !== "") {
            tip.append(element("span", key.module, "code"));
        }
    }
    const about = estimate(tree, node);
    const value = element("strong", `${about.text} `);
    value.append(element("small", about.bound));
    const list = document.createElement("dl");
    for (const [name, fact] of factsOf(node)) {
        list.append(element("dt", name), element("dd", fact));
    }
    tip.append(value, list);
}

function showTip(box, x, y) {
    const tip = $("tip");
    if (box === null) {
        tip.hidden = true;
        return;
    }
    if (tip.hidden || tip.node !== box.node) { // hidden whenever the tree changes
        fillTip(tip, box.node);
        tip.node = box.node;
        tip.hidden = false;
    }
    const {width, height} = tip.getBoundingClientRect();
    const left = x + 16 + width > innerWidth - 8 ? x - 12 - width : x + 16;
    const top = y + 18 + height > innerHeight - 8 ? y - 12 - height : y + 18;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${Math.max(8, top)}px`;
}

/* ---- zoom ---- */

let animation = 0;

function windowOf(node) {
    return [tree.start[node], tree.start[node] + tree.total[node]];
}

/* The zoomed box stays where it can be seen. */
function scrollToZoom() {
    const depth = tree.depth[view.zoom];
    const y = topOf(depth);
    if (state.layout === "flame") {
        graph.scrollTop = Math.max(0, y + ROW + Math.min(depth, 3) * ROW + 3 - view.high);
    } else {
        graph.scrollTop = Math.max(0, y - Math.min(depth, 3) * ROW - 3);
    }
}

function setWindow(from, to) {
    view.from = from;
    view.to = to;
    view.hover = null;
    layout();
}

function showZoom(animated) {
    const [from, to] = windowOf(view.zoom);
    const [oldFrom, oldTo] = [view.from, view.to];
    cancelAnimationFrame(animation);
    if (!animated || matchMedia("(prefers-reduced-motion: reduce)").matches) {
        setWindow(from, to);
        scrollToZoom();
        draw();
        return;
    }
    const began = performance.now();
    const step = (now) => {
        const part = Math.min(1, Math.max(0, (now - began) / ZOOM_MS));
        const ease = 1 - (1 - part) ** 3;
        setWindow(oldFrom + (from - oldFrom) * ease, oldTo + (to - oldTo) * ease);
        if (part < 1) {
            animation = requestAnimationFrame(step);
        } else {
            setWindow(from, to);
            scrollToZoom();
        }
        draw();
    };
    animation = requestAnimationFrame(step);
}

function zoomTo(node) {
    if (node < 0) {
        node = -1 - node;
    }
    if (node === view.zoom) {
        return;
    }
    view.zoom = node;
    state.zoom = pathOf(node).map(nameOf);
    $("tip").hidden = true;
    writeAddress(true);
    runSearch();
    showCrumbs();
    showTop();
    showZoom(true);
}

function showCrumbs() {
    const path = [0, ...pathOf(view.zoom)];
    $("crumbs").replaceChildren(...path.flatMap((node, i) => {
        const button = element("button", node === 0 ? "all" : shortOf(keys[tree.key[node]]));
        button.title = nameOf(node);
        button.disabled = node === view.zoom;
        button.addEventListener("click", () => zoomTo(node));
        return i === 0 ? [button] : [document.createTextNode("›"), button];
    }));
}

/* ---- the table ---- */

let topList = [];

/* Sums of functions below the zoomed box; a stack that has one twice counts once. */
function sumFunctions() {
    const t = tree;
    const inside = new Uint8Array(t.count);
    const seen = new Int32Array(keys.length).fill(-1);
    const total = new Float64Array(keys.length);
    const self = new Float64Array(keys.length);
    const values = valueColumns(t.name)?.value ?? EMPTY;
    inside[view.zoom] = 1;
    for (let n = view.zoom + 1; n < t.count; n++) {
        inside[n] ||= inside[t.parent[n]];
    }
    for (let n = 0; n < t.list.length; n++) {
        let at = t.leaf[n];
        if (inside[at] === 0) {
            continue;
        }
        const value = values[t.list[n]];
        const stackEnd = at;
        let root = -1; // the frame that allocated, of inverted stacks
        for (; at !== 0 && inside[at] === 1; at = t.parent[at]) {
            const k = t.key[at];
            if (keys[k].kind !== GROUP) {
                if (seen[k] !== n) {
                    seen[k] = n;
                    total[k] += value;
                }
                root = t.depth[at] === t.below[n] + 1 ? k : root;
            }
        }
        const own = state.invert ? root : t.key[stackEnd];
        if (own >= 0 && keys[own].kind !== GROUP) {
            self[own] += value;
        }
    }
    return keys.map((key, k) => ({key, self: self[k], total: total[k]}))
        .filter((row) => row.total > 0);
}

function amountCell(value, whole) {
    const cell = element("td", tree.format(value), "amount");
    cell.append(element("small", formatShare(value, whole)));
    cell.style.setProperty("--share", `${whole > 0 ? value / whole : 0}`);
    return cell;
}

function topRow(row, whole) {
    const line = document.createElement("tr");
    const name = element("td", "", "function");
    const label = document.createElement("span");
    const wanted = row.key.module !== "" ? shorten(row.key.name, "(", ")") : row.key.name;
    for (const part of wanted.split(/(?<=::|_|, |<)/)) {
        label.append(part, document.createElement("wbr"));
    }
    name.append(label);
    name.title = [row.key.name, placeOf(row.key), row.key.module].filter(Boolean).join("\n");
    name.append(element("small", [baseName(row.key.module), state.lines
        ? baseName(placeOf(row.key)) : ""].filter(Boolean).join(" · ")));
    line.append(amountCell(row.self, whole), amountCell(row.total, whole), name);
    line.classList.toggle("matched", search.test?.(row.key) ?? false);
    line.addEventListener("click", () => {
        const search = `"${row.key.name}"`;
        setSearch(state.search === search ? "" : search, false);
    });
    return line;
}

function showTop() {
    $("top").hidden = !state.top;
    if (!state.top) {
        return;
    }
    const whole = tree.total[view.zoom];
    const by = state.sort;
    topList = sumFunctions().sort((a, b) => b[by] - a[by] || b.total - a.total
        || (a.key.name < b.key.name ? -1 : 1));
    const more = topList.length - TOP_ROWS;
    $("caption").textContent = `Top ${FRAMES}${view.zoom !== 0
        ? ` in ${shortOf(keys[tree.key[view.zoom]])}` : ""}${more > 0
        ? `: ${TOP_ROWS} of ${formatCount(topList.length)}` : ""}`;
    $("rows").replaceChildren(...topList.slice(0, TOP_ROWS).map((row) => topRow(row, whole)));
    for (const name of ["self", "total"]) {
        $(`by-${name}`).setAttribute("aria-pressed", by === name);
    }
}

function saveCsv() {
    const quote = (s) => `"${String(s).replace(/"/g, '""')}"`;
    const lines = [["self", "total", "function", "file", "module"].join(","),
        ...topList.map((row) => [row.self, row.total, quote(row.key.name),
            quote(placeOf(row.key)), quote(row.key.module)].join(","))];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\r\n"), "\r\n"],
        {type: "text/csv"}));
    link.download = `${data.process.name}-${state.value}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/* ---- the head of the page ---- */

const KINDS = {live: ["Live", "Held now, or when the process ended"],
    peak: ["Peak", "Held when the process held most"],
    allocated: ["Allocated", "All that was allocated since the start"],
    short: ["Short-lived", "Freed soon after it was allocated"]};

function showHead() {
    const p = data.process;
    const totals = data.totals;
    const when = new Date(p.published_ms);
    document.title = `${p.name} (${p.pid}): memory`;
    $("name").textContent = p.name;
    $("facts").textContent = [`pid ${p.pid}`, p.state,
        p.published_ms > 0 ? when.toLocaleString() : "", data.caption]
        .filter(Boolean).join(" · ");
    if (p.command) {
        $("name").title = p.command;
    }
    const list = [["Live", formatBytes(totals.live_bytes),
        `in ${formatCount(totals.live_blocks)} blocks`],
    ["Peak", formatBytes(totals.live_peak_bytes), ""],
    ["Allocated", formatBytes(totals.allocated_bytes_total),
        `in ${formatCount(totals.allocated_blocks_total)} blocks`]];
    for (const [name, value, more] of list) {
        const box = document.createElement("div");
        const amount = element("dd", `${value} `);
        amount.append(element("small", more));
        box.append(element("dt", name), amount);
        $("totals").append(box);
    }
}

function choose(changes) {
    Object.assign(state, changes);
    writeAddress(false);
    refresh();
}

function addButton(parent, name, label, title, onClick) {
    const button = element("button", label);
    button.dataset.name = name;
    button.title = title;
    button.addEventListener("click", onClick);
    parent.append(button);
}

/* A value of that kind and unit, or the nearest there is. */
function valueLike(kind, unit) {
    return VALUES.find((v) => v === `${kind}-${unit}`)
        ?? VALUES.find((v) => v.startsWith(`${kind}-`)) ?? state.value;
}

function makeChoices() {
    for (const [kind, [label, title]] of Object.entries(KINDS)) {
        if (VALUES.some((v) => v.startsWith(`${kind}-`))) {
            addButton($("kinds"), kind, label, title, () =>
                choose({value: valueLike(kind, state.value.split("-")[1])}));
        }
    }
    for (const unit of ["bytes", "blocks"]) {
        addButton($("units"), unit, unit === "bytes" ? "Bytes" : "Blocks", "", () =>
            choose({value: valueLike(state.value.split("-")[0], unit)}));
    }
    $("group").append(new Option("nothing", ""));
    for (const d of DIMENSIONS) {
        $("group").append(new Option(d.label.toLowerCase(), d.name));
        const label = element("label", `${d.label} `);
        const select = document.createElement("select");
        select.id = `only-${d.name}`;
        select.append(new Option("all", ""));
        const names = new Set(d.present);
        if (d.name === "component") {
            for (const name of d.present) {
                const parts = name.split("/");
                parts.forEach((_, i) => names.add(parts.slice(0, i + 1).join("/")));
            }
        }
        names.delete("");
        for (const name of [...names].sort()) {
            select.append(new Option(name, name));
        }
        select.addEventListener("change", () => choose({[d.name]: select.value}));
        label.append(select);
        $("filters").append(label);
    }
    /* Without stacks the frames are the components' names, and have no lines. */
    $("frames").textContent = data.has_stacks ? "Function" : "Part";
    $("group-label").hidden = DIMENSIONS.length === 0 || !data.has_stacks;
    $("lines").hidden = !data.frames.line.some((line) => line > 0);
    $("group").addEventListener("change", () => choose({group: $("group").value}));
}

function showChoices() {
    const [kind, unit] = state.value.split("-");
    const press = (id, on) => $(id).setAttribute("aria-pressed", on);
    for (const button of $("kinds").children) {
        button.setAttribute("aria-pressed", button.dataset.name === kind);
    }
    for (const button of $("units").children) {
        button.setAttribute("aria-pressed", button.dataset.name === unit);
    }
    press("flame", state.layout === "flame");
    press("icicle", state.layout !== "flame");
    press("invert", state.invert);
    press("lines", state.lines);
    press("regex", state.regex);
    press("table", state.top);
    $("group").value = state.group;
    for (const d of DIMENSIONS) {
        $(`only-${d.name}`).value = state[d.name];
    }
    if ($("search").value !== state.search) {
        $("search").value = state.search;
    }
}

/* ---- what changes when ---- */

const darkness = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
    const dark = state.theme === "dark" || (state.theme !== "light" && darkness.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    setLook(dark && !view.print);
    for (const key of keys) {
        key.color = null;
        key.dim = null;
    }
}

/* What the tree depends on; it is made again when that changes. */
const treeOf = () => JSON.stringify([state.value, state.invert, state.lines, state.group,
    ...DIMENSIONS.map((d) => state[d.name])]);
let builtFor = "";

function refresh() {
    $("tip").hidden = true;
    if (builtFor !== treeOf()) {
        builtFor = treeOf();
        tree = build();
        view.focus = -1;
    }
    showTheme();
    showChoices();
    view.zoom = findPath(state.zoom);
    runSearch();
    showCrumbs();
    showTop();
    $("empty").hidden = tree.total[0] > 0;
    $("empty").textContent = "Nothing holds memory here.";
    resize();
}

function resize() {
    view.wide = graph.clientWidth;
    view.high = graph.clientHeight;
    showZoom(false);
}

function setSearch(wanted, regex) {
    state.search = wanted;
    state.regex = regex;
    writeAddress(false);
    showChoices();
    runSearch();
    showTop();
    drawSoon();
}

/* ---- mouse and keyboard ---- */

function place(event) {
    const box = graph.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
}

function onMove(event) {
    const box = boxAt(...place(event));
    if (box?.node !== view.hover?.node || box?.depth !== view.hover?.depth) {
        view.hover = box;
        graph.style.cursor = box === null ? "" : "pointer";
        drawSoon();
    }
    showTip(box, event.clientX, event.clientY);
}

function onLeave() {
    view.hover = null;
    $("tip").hidden = true;
    drawSoon();
}

/* To the box beside, or to one that can be seen there. */
function stepFocus(dx, dy) {
    const t = tree;
    let node = view.focus;
    if (node < 0) {
        node = view.zoom;
    } else if (dx !== 0) {
        const row = view.rows[t.depth[node]];
        let at = row?.node.indexOf(node) ?? -1;
        do {
            at += dx;
        } while (row?.node[at] < 0);
        node = row?.node[at] ?? node;
    } else if (dy < 0) {
        node = t.parent[node];
    } else if (t.first[node] < t.first[node + 1]) {
        const c = t.child[t.first[node]];
        node = view.rows[t.depth[c]]?.node.includes(c) ? c : node;
    }
    view.focus = node;
    const y = topOf(t.depth[node]);
    if (y < graph.scrollTop) {
        graph.scrollTop = y - ROW;
    } else if (y + ROW > graph.scrollTop + view.high) {
        graph.scrollTop = y + 2 * ROW - view.high;
    }
    $("spoken").textContent = `${nameOf(node)}: ${estimate(t, node).text} `
        + `${estimate(t, node).bound}, ${formatShare(t.total[node], t.total[0])} of all`;
    const row = view.rows[t.depth[node]];
    const at = row.node.indexOf(node);
    const frame = graph.getBoundingClientRect();
    showTip({node}, frame.left + row.x[at] + Math.min(row.w[at] / 2, 40),
        frame.top + y - graph.scrollTop + ROW);
    drawSoon();
}

function onEscape() {
    if (state.search !== "") {
        setSearch("", state.regex);
    } else {
        view.focus = -1;
        zoomTo(0);
        drawSoon();
    }
    $("search").blur();
    $("tip").hidden = true;
}

const ACTIONS = {
    "/": () => $("search").select(),
    "?": () => $("keys").showModal(),
    Escape: onEscape,
    Backspace: () => zoomTo(tree.parent[view.zoom]),
    l: () => choose({layout: state.layout === "flame" ? "icicle" : "flame"}),
    i: () => choose({invert: !state.invert, zoom: []}),
    n: () => $("lines").hidden || choose({lines: !state.lines}),
    t: () => choose({top: !state.top}),
};
const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

function onKey(event) {
    const isTyping = /^(INPUT|SELECT)$/.test(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open
        || (isTyping && event.key !== "Escape")) {
        return;
    }
    if (event.target === graph && MOVES[event.key] !== undefined) {
        const [dx, dy] = MOVES[event.key];
        stepFocus(dx, state.layout === "flame" ? -dy : dy);
    } else if (event.target === graph && event.key === "Enter" && view.focus >= 0) {
        zoomTo(view.focus);
    } else if (Object.hasOwn(ACTIONS, event.key)) {
        ACTIONS[event.key]();
    } else {
        return;
    }
    event.preventDefault();
}

function setPrint(on) {
    view.print = on;
    showTheme();
    draw();
}

function listen() {
    const click = (id, action) => $(id).addEventListener("click", action);
    let typed = 0;

    graph.addEventListener("mousemove", onMove);
    graph.addEventListener("mouseleave", onLeave);
    graph.addEventListener("scroll", () => {
        $("tip").hidden = true;
        drawSoon();
    }, {passive: true});
    graph.addEventListener("click", (event) => {
        const box = boxAt(...place(event));
        if (box !== null) {
            zoomTo(box.node);
        }
    });
    document.addEventListener("keydown", onKey);
    $("search").addEventListener("input", () => {
        clearTimeout(typed);
        typed = setTimeout(() => setSearch($("search").value, state.regex), 60);
    });
    click("regex", () => setSearch($("search").value, !state.regex));
    click("flame", () => choose({layout: "flame"}));
    click("icicle", () => choose({layout: "icicle"}));
    click("invert", ACTIONS.i);
    click("lines", ACTIONS.n);
    click("table", ACTIONS.t);
    click("help", ACTIONS["?"]);
    click("csv", saveCsv);
    click("by-self", () => choose({sort: "self"}));
    click("by-total", () => choose({sort: "total"}));
    click("theme", () => choose({theme:
        document.documentElement.dataset.theme === "dark" ? "light" : "dark"}));
    darkness.addEventListener("change", () => {
        showTheme();
        draw();
    });
    addEventListener("popstate", () => {
        readAddress();
        refresh();
    });
    addEventListener("beforeprint", () => setPrint(true));
    addEventListener("afterprint", () => setPrint(false));
    new ResizeObserver(() => {
        if (graph.clientWidth !== view.wide || graph.clientHeight !== view.high) {
            resize();
        }
    }).observe(graph);
}

readAddress();
setLook(darkness.matches);
showHead();
makeChoices();
listen();
refresh();
document.documentElement.dataset.drawn = Math.round(performance.now());
})();
