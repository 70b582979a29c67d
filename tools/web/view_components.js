/*
 * view_components - the tree of components: what each holds, with and without those below it
 */
import {bytesText, el, exact, plural, setBytes, setCount, setText} from "./dom.js";
import {empty, searchBox, setMeter} from "./parts.js";
import {choose, chosen} from "./routes.js";
import {makeTable} from "./table.js";
import {formatShare} from "./words.js";

const USUAL = {q: "", sort: "tree", way: "down"};
const folded = new Map(); // of a process: names that are folded, while the page is open

const limitOf = (c) => c.limit_hard_bytes ?? c.limit_soft_bytes ?? null;
const lastOf = (name) => name.slice(name.lastIndexOf("/") + 1);

/* Rows in the order of the tree; of siblings the one that the order says first. */
function rowsOf(components, order, columns, isFolded, wanted) {
    const below = new Map();
    const names = new Set(components.map((c) => c.name));
    for (const c of components) {
        const up = names.has(c.parent) ? c.parent : null;
        below.set(up, [...below.get(up) ?? [], c]);
    }
    const matches = new Set();
    const low = wanted.trim().toLowerCase();
    for (const c of components) { // what is found is shown with all above it
        if (low === "" || c.name.toLowerCase().includes(low)) {
            for (let name = c.name; names.has(name) && !matches.has(name);
                name = components.find((o) => o.name === name).parent) {
                matches.add(name);
            }
        }
    }
    const column = columns.find((c) => c.name === order.by) ?? columns[1];
    const sign = order.descending ? -1 : 1;
    const rows = [];
    const visit = (list, level) => {
        const order_ = [...list].filter((c) => matches.has(c.name)).sort((a, b) => {
            const [x, y] = [column.value(a), column.value(b)];
            return sign * (typeof x === "string" ? x.localeCompare(y, "en") : x - y)
                || (a.name < b.name ? -1 : 1);
        });
        for (const c of order_) {
            const kids = (below.get(c.name) ?? []).filter((k) => matches.has(k.name));
            const isOpen = kids.length > 0 && (low !== "" || !isFolded.has(c.name));
            rows.push({...c, level, kids: kids.length, isOpen});
            if (isOpen) {
                visit(kids, level + 1);
            }
        }
    };
    visit(below.get(null) ?? [], 1);
    return rows;
}

export function componentsView(shared) {
    if (!folded.has(shared.id)) {
        folded.set(shared.id, new Set());
    }
    const isFolded = folded.get(shared.id);
    const order = {by: chosen("sort", USUAL.sort), descending: chosen("way", USUAL.way) === "down"};
    let wanted = chosen("q");
    let whole = 1;

    const fold = (name, isClosed) => {
        isFolded[isClosed ? "add" : "delete"](name);
        show();
    };
    const barOf = (cell, value, own) => {
        const [bar] = cell.children;
        bar.style.setProperty("--whole", `${(100 * value / whole).toFixed(2)}%`);
        bar.style.setProperty("--own", `${(100 * own / whole).toFixed(2)}%`);
        setText(cell.lastChild, formatShare(value, whole));
        cell.title = `${exact(own, "bytes")} its own, ${exact(value - own, "bytes")} below it`;
    };
    const columns = [
        {name: "name", label: "Component", isHead: true, value: (c) => c.name,
            make: () => [el("button", {class: "fold", tabindex: "-1", "aria-hidden": "true",
                onclick: (event) => {
                    const row = event.target.closest("tr");
                    fold(row.item.name, row.item.isOpen);
                }}), el("span")],
            update(cell, c) {
                const [button, name] = cell.children;
                setText(button, c.isOpen ? "▾" : "▸");
                button.disabled = c.kids === 0;
                setText(name, c.level > 1 ? lastOf(c.name) : c.name, c.name);
                cell.style.setProperty("--level", c.level - 1);
            }},
        {name: "tree", label: "Live", align: "right", title: "With those below it",
            value: (c) => c.tree_live_bytes,
            update: (cell, c) => setBytes(cell, c.tree_live_bytes)},
        {name: "share", label: "Of all", title: "Dark: its own; light: those below it",
            value: (c) => c.tree_live_bytes,
            make: () => [el("span", {class: "bar", "aria-hidden": "true"}), el("span")],
            update: (cell, c) => barOf(cell, c.tree_live_bytes, c.live_bytes)},
        {name: "limit", label: "Of its limit", title: "The hard one, else the soft one",
            value: (c) => limitOf(c) ? c.tree_live_bytes / limitOf(c) : null,
            make: () => el("div"),
            update(cell, c) {
                setMeter(cell.firstChild, c.tree_live_bytes, limitOf(c));
                cell.title = limitOf(c) ? `soft ${bytesText(c.limit_soft_bytes)}, hard ${
                    bytesText(c.limit_hard_bytes)}, reached ${c.limit_hits_total} times` : "";
            }},
        {name: "own", label: "Own", align: "right", title: "Without those below it",
            value: (c) => c.live_bytes, update: (cell, c) => setBytes(cell, c.live_bytes)},
        {name: "blocks", label: "Blocks", align: "right", value: (c) => c.live_blocks,
            update: (cell, c) => setCount(cell, c.live_blocks, "live blocks")},
        {name: "peak", label: "Peak", align: "right", title: "The most that was live, with those "
            + "below it", value: (c) => c.tree_live_peak_bytes,
        update: (cell, c) => setBytes(cell, c.tree_live_peak_bytes)},
        {name: "free", label: "Free", align: "right", title: "Free blocks in its slabs",
            value: (c) => c.free_bytes, update: (cell, c) => setBytes(cell, c.free_bytes)},
        {name: "allocated", label: "Allocated", align: "right", title: "Since the start",
            value: (c) => c.allocated_bytes_total,
            update(cell, c) {
                setBytes(cell, c.allocated_bytes_total);
                cell.title = `${exact(c.allocated_bytes_total, "bytes")} in ${
                    exact(c.allocated_blocks_total, "blocks")}`;
            }},
    ];
    const table = makeTable({label: "Components", columns, order, keyOf: (c) => c.name,
        className: "components",
        onSort() {
            choose({sort: order.by, way: order.descending ? "down" : "up"}, USUAL);
            show();
        },
        onKey(key, row) {
            const c = row.item;
            if (key === "ArrowRight" && c.kids > 0 && !c.isOpen) {
                fold(c.name, false);
            } else if (key === "ArrowLeft" && c.isOpen) {
                fold(c.name, true);
            } else if (key === "ArrowLeft" && c.parent !== null) {
                [...table.body.rows].find((r) => r.item.name === c.parent)?.focus();
            } else if (key === "Enter" && c.kids > 0) {
                fold(c.name, c.isOpen);
            } else {
                return false;
            }
            return true;
        }});
    table.table.setAttribute("role", "treegrid");
    const search = searchBox("Filter components", wanted, (text) => {
        wanted = text;
        choose({q: text}, USUAL);
        show();
    });
    const summary = el("p", {class: "quiet"});
    const none = el("div");
    const element = el("div", {class: "card"},
        el("div", {class: "tools"}, summary, el("span", {class: "fill"}), search),
        table.element, none);

    function show() {
        const all = shared.snapshot.components.filter((c) => c.allocated_blocks_total > 0
            || c.tree_live_bytes > 0 || !/^\(.*\)$/.test(c.name));
        whole = Math.max(1, shared.snapshot.live_bytes);
        const rows = rowsOf(all, order, columns, isFolded, wanted);
        setText(summary, `${plural(all.length, "component")}, ${
            bytesText(shared.snapshot.live_bytes)} live. Figures are exact.`);
        table.element.hidden = rows.length === 0;
        none.replaceChildren(...rows.length > 0 ? [] : [empty(all.length === 0
            ? "It has no components" : "None is called so")]);
        table.table.classList.toggle("limitless", !all.some(limitOf));
        table.show(rows, (tr, c) => {
            tr.setAttribute("role", "row");
            tr.setAttribute("aria-level", c.level);
            if (c.kids > 0) {
                tr.setAttribute("aria-expanded", String(c.isOpen));
            } else {
                tr.removeAttribute("aria-expanded");
            }
        });
    }
    return {
        element,
        update(what) {
            if (what === "snapshot") {
                show();
            }
        },
    };
}
