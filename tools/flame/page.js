/*
 * page - all around the graph: tip, table, head, buttons, mouse and keyboard
 *
 * Texts of the program get into the page as text only, never as HTML.
 */
const TOP_ROWS = 200; // of the table

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
    if (tree.change !== null) {
        const c = changeOf(tree, node);
        const signed = (v) => `${v < 0 ? "−" : "+"}${tree.format(Math.abs(v))}`;
        facts.push(["before", tree.format(c.before)], ["after", tree.format(c.after)],
            ["change", `${signed(c.change)}${c.low === c.high ? ""
                : `, ${signed(c.low)} to ${signed(c.high)}`}${c.part === 0 && c.change !== 0
                ? ": may be noise" : ""}`]);
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
    short: ["Short-lived", "Freed soon after it was allocated"],
    before: ["Before", "Held at the earlier moment"],
    grown: ["Grown", "What stacks hold more than before"],
    shrunk: ["Shrunk", "What stacks hold less than before"]};

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

/* A page around this one has a choice of its own (tools/web/theme.js). */
const wantsDark = () => window.isDarkChosen?.() ?? darkness.matches;

function showTheme() {
    const dark = state.theme === "dark" || (state.theme !== "light" && wantsDark());
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
    addEventListener("themechange", () => {
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
setLook(wantsDark());
showHead();
makeChoices();
listen();
refresh();
document.documentElement.dataset.drawn = Math.round(performance.now());
