/*
 * tree - from samples to sums: who calls whom, how sure that is, and what a search finds
 */
const FEW = 3; // samples that say no more than "less than"

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
        below, name: v.name, format: formatOf(v.name), twin, hasBound: v.hasBound !== false,
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
    sumChange(t);
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

/* Of two moments (tools/web/difference.js): what nodes were and are, whatever is shown. */
function sumChange(t) {
    const d = data.difference?.[isBytes(t.name) ? "bytes" : "blocks"];
    if (d === undefined) {
        t.change = null;
        return;
    }
    const empty = () => new Float64Array(t.count);
    const c = t.change = {before: empty(), after: empty(), under: empty(), over: empty()};
    for (let n = 0; n < t.list.length; n++) {
        const [i, at] = [t.list[n], t.leaf[n]];
        c.before[at] += d.before[i];
        c.after[at] += d.after[i];
        c.under[at] += d.under[i] ** 2;
        c.over[at] += d.over[i] ** 2;
    }
    for (let n = t.count - 1; n > 0; n--) {
        for (const sums of [c.before, c.after, c.under, c.over]) {
            sums[t.parent[n]] += sums[n];
        }
    }
}

/*
 * {change, low, high, part}: part is 0 when it may be noise, else the change of the larger one. Rows
 * of all that is live add up to counters.
 */
function changeOf(t, node) {
    const [before, after] = [t.change.before[node], t.change.after[node]];
    const change = after - before;
    const isWhole = node === 0 && state.component === "" && state.operation === ""
        && state.thread === "";
    const low = change - (isWhole ? 0 : Math.sqrt(t.change.under[node]));
    const high = change + (isWhole ? 0 : Math.sqrt(t.change.over[node]));
    return {before, after, change, low, high,
        part: low <= 0 && high >= 0 ? 0 : change / Math.max(before, after, 1)};
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
    if (!t.hasBound && node !== 0) {
        return {text: `≈ ${t.format(value)}`, bound: "", range: ""};
    }
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
