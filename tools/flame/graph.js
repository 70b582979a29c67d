/*
 * graph - the boxes: `layout` finds those of a window onto the tree, `draw` paints those in
 * sight, and moving the window is zooming
 */
const ROW = 20;        // pixels from row to row
const THINNEST = 0.5;  // boxes that are drawn, in pixels
const LABELLED = 26;   // boxes that have room for a text
const ZOOM_MS = 180;

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
    if (tree.change !== null && !search.match?.[tree.key[node]]) {
        const isDim = search.match !== null;
        return [paintChange(changeOf(tree, node).part, isDim), isDim ? look.dimInk : look.ink];
    }
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
