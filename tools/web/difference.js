/*
 * difference - two moments of a process as one profile that the flame graph can draw
 *
 * Values of such a profile: live (after), before, grown and shrunk, in bytes and blocks; and its
 * `difference` has the column `change` of each unit, with the distances to the ends of its
 * interval. Samples are told apart by component, operation, thread and frames.
 */
const ADDED = "\u0001";

class Builder {
    constructor() {
        this.texts = [];
        this.numbers = new Map();
        this.frames = {function: [], file: [], line: [], module: [], inlined: []};
        this.frameNumbers = new Map();
        this.rows = new Map();
    }

    text(t) {
        if (!this.numbers.has(t)) {
            this.numbers.set(t, this.texts.length);
            this.texts.push(t);
        }
        return this.numbers.get(t);
    }

    frame(f) {
        const key = [f.function, f.file ?? "", f.line ?? 0, f.module ?? ""].join(ADDED);
        if (!this.frameNumbers.has(key)) {
            this.frameNumbers.set(key, this.frames.function.length);
            this.frames.function.push(this.text(f.function));
            this.frames.file.push(f.file ? this.text(f.file) : -1);
            this.frames.line.push(f.line ?? 0);
            this.frames.module.push(f.module ? this.text(f.module) : -1);
            this.frames.inlined.push(f.inlined ? 1 : 0);
        }
        return this.frameNumbers.get(key);
    }

    /* The row of that key; frames: numbers, the root first. */
    row({component = "", operation = "", thread = "", cut = 0}, frames) {
        const key = [component, operation, thread, cut, frames.join(" ")].join(ADDED);
        if (!this.rows.has(key)) {
            const zero = () => ({before: 0, after: 0, under: 0, over: 0,
                ends: {before: [0, 0], after: [0, 0]}});
            this.rows.set(key, {component, operation, thread, cut, frames, taken: 0,
                bytes: zero(), blocks: zero()});
        }
        return this.rows.get(key);
    }

    document(process, caption, totals, hasEnds) {
        const rows = [...this.rows.values()];
        const column = (pick) => rows.map(pick);
        const values = [];
        const difference = {};
        for (const unit of ["bytes", "blocks"]) {
            const side = (name) => ({
                value: column((r) => r[unit][name]), hasBound: hasEnds,
                under: column((r) => r[unit].ends[name][0]),
                over: column((r) => r[unit].ends[name][1])});
            const part = (sign) => ({
                value: column((r) => Math.max(0, sign * (r[unit].after - r[unit].before))),
                under: column((r) => sign > 0 ? r[unit].under : r[unit].over),
                over: column((r) => sign > 0 ? r[unit].over : r[unit].under), hasBound: true});
            values.push({name: `live-${unit}`, ...side("after")},
                {name: `before-${unit}`, ...side("before")},
                {name: `grown-${unit}`, ...part(1)}, {name: `shrunk-${unit}`, ...part(-1)});
            difference[unit] = {before: column((r) => r[unit].before),
                after: column((r) => r[unit].after), under: column((r) => r[unit].under),
                over: column((r) => r[unit].over)};
        }
        return {format: 1, process, caption, has_stacks: true, shown: "live-bytes", totals,
            difference, texts: this.texts, frames: this.frames, values,
            samples: {shared: rows.map(() => 0), added: column((r) => r.frames.length),
                frames: rows.flatMap((r) => r.frames),
                component: column((r) => this.text(r.component)),
                operation: column((r) => this.text(r.operation)),
                thread: column((r) => this.text(r.thread)), taken: column((r) => r.taken),
                live_taken: column((r) => r.taken), cut: column((r) => r.cut)}};
    }
}

const totalsOf = (d, more = {}) => ({live_bytes: d.live_bytes?.after ?? 0,
    live_blocks: d.live_blocks?.after ?? 0, live_peak_bytes: d.live_peak_bytes?.after ?? 0,
    allocated_bytes_total: d.allocated_bytes_total?.after ?? 0,
    allocated_blocks_total: d.allocated_blocks_total?.after ?? 0, ...more});

/* Of the document of `mpalloc diff --all --json`. */
export function fromDiff(d) {
    const b = new Builder();
    for (const row of d.stacks ?? []) {
        const frames = [...row.frames].reverse().map((f) => b.frame(f));
        const to = b.row({component: row.component ?? "(rest)"}, frames);
        to.taken += row.samples ?? 0;
        for (const unit of ["bytes", "blocks"]) {
            const c = row[`live_${unit}`];
            to[unit].before += c?.before ?? 0;
            to[unit].after += c?.after ?? 0;
            const value = c?.value ?? 0;
            // What makes rows add up is known of nothing.
            const unsure = row.in === "neither" ? Math.abs(value) : 0;
            to[unit].under = Math.hypot(to[unit].under, unsure,
                Math.max(0, value - (c?.low ?? value)));
            to[unit].over = Math.hypot(to[unit].over, unsure,
                Math.max(0, (c?.high ?? value) - value));
        }
    }
    const p = d.after;
    return b.document({name: p.name, pid: p.pid, state: p.state,
        published_ms: Date.parse(p.published) || 0, command: p.command},
    `compared with ${d.before.label}`, totalsOf(d), false);
}

/* Rows of a profile as the page of `mpalloc flame` has it, with frames spelled out. */
function* rowsOf(data) {
    const s = data.samples;
    const text = (n) => n < 0 ? "" : data.texts[n];
    const spell = data.frames.function.map((name, i) => ({function: text(name),
        file: text(data.frames.file[i]), line: data.frames.line[i],
        module: text(data.frames.module[i]), inlined: data.frames.inlined?.[i]}));
    const value = (name) => data.values.find((v) => v.name === name);
    const columns = {bytes: value("live-bytes"), blocks: value("live-blocks")};
    let at = 0;
    let stack = [];
    for (let i = 0; i < s.shared.length; i++) {
        stack = [...stack.slice(0, s.shared[i]), ...s.frames.slice(at, at + s.added[i])];
        at += s.added[i];
        yield {tags: {component: text(s.component[i]), operation: text(s.operation[i]),
            thread: text(s.thread[i]), cut: s.cut?.[i] ?? 0},
        frames: stack.map((n) => spell[n]), taken: s.live_taken?.[i] ?? 0,
        of: (unit, name) => columns[unit]?.[name]?.[i] ?? 0};
    }
}

/* Of two profiles of one process; their errors are taken as independent, which they are at most. */
export function fromProfiles(before, after, label) {
    const b = new Builder();
    for (const [name, data] of [["before", before], ["after", after]]) {
        for (const row of rowsOf(data)) {
            const to = b.row(row.tags, row.frames.map((f) => b.frame(f)));
            to.taken = Math.max(to.taken, row.taken);
            for (const unit of ["bytes", "blocks"]) {
                to[unit][name] += row.of(unit, "value");
                to[unit].ends[name] = ["under", "over"].map((end, i) =>
                    Math.hypot(to[unit].ends[name][i], row.of(unit, end)));
            }
        }
    }
    for (const row of b.rows.values()) {
        for (const unit of ["bytes", "blocks"]) {
            const {before: [u1, o1], after: [u2, o2]} = row[unit].ends;
            row[unit].under = Math.hypot(u2, o1);
            row[unit].over = Math.hypot(o2, u1);
        }
    }
    return b.document(after.process, `compared with ${label}`, after.totals, true);
}
