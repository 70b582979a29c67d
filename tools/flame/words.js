/*
 * words - numbers, names and colours as people read them
 */
const $ = (id) => document.getElementById(id);

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

/* Of what changed by that part of itself, from -1 to 1: blue shrank, red grew, grey is not sure. */
function paintChange(part, dim) {
    const [base, dimBase] = isDark ? [0.66, 0.34] : [0.84, 0.94];
    const strength = Math.min(1, Math.abs(part));
    if (dim || part === 0) {
        return oklch(dim ? dimBase : base, part === 0 ? 0.008 : 0.03,
            part === 0 ? 80 : part > 0 ? 27 : 245);
    }
    return oklch(base - strength * (isDark ? 0.02 : 0.14), 0.05 + 0.11 * strength,
        part > 0 ? 27 : 245);
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
