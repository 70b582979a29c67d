/*
 * profile - the samples of the page, as export_html.c writes them, and what is asked of them
 *
 * Keys are what boxes are of: a function, or with `lines` a line of it, a part of a
 * component's name, or a note. Stacks are numbers of frames; keysNow() has a frame's key.
 */
const data = JSON.parse($("data").textContent);

/* Stacks as data have them: what each has in common with the one before is left out. */
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
