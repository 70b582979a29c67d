/*
 * view_sizes - size classes: what is live in each, and what lies free in its slabs
 */
import {bytesText, el, exact, setBytes, setCount, setText} from "./dom.js";
import {choice} from "./parts.js";
import {choose, chosen} from "./routes.js";
import {makeTable, sorted} from "./table.js";
import {formatShare} from "./words.js";

/* Classes are told apart by bytes, as everywhere: "1,152 B", "64 KiB". */
const blockText = (n) => n % 1024 === 0 ? bytesText(n).replace(".0 ", " ")
    : `${n.toLocaleString("en-US")} B`;

const USUAL = {show: "", sort: "block", way: "up"};

export function sizesView(shared) {
    const order = {by: chosen("sort", USUAL.sort), descending: chosen("way", USUAL.way) === "down"};
    let filter = chosen("show");
    let most = 1;

    const columns = [
        {name: "block", label: "Block", align: "right", isHead: true,
            title: "Bytes of one block, as they are handed out", value: (c) => c.block_bytes,
            update(cell, c) {
                setText(cell, `${c.kind === "large" ? "≤ " : ""}${blockText(c.block_bytes)}`,
                    exact(c.block_bytes, "bytes"));
            }},
        {name: "live", label: "Live", align: "right", value: (c) => c.live_bytes,
            update: (cell, c) => setBytes(cell, c.live_bytes)},
        {name: "bar", label: "Live and free", title: "Dark: live; light: free blocks in its slabs",
            value: (c) => c.live_bytes + c.free_bytes,
            make: () => el("span", {class: "bar", "aria-hidden": "true"}),
            update(cell, c) {
                const bar = cell.firstChild;
                bar.style.setProperty("--whole",
                    `${(100 * (c.live_bytes + c.free_bytes) / most).toFixed(2)}%`);
                bar.style.setProperty("--own", `${(100 * c.live_bytes / most).toFixed(2)}%`);
                cell.title = `${exact(c.live_bytes, "bytes")} live, ${
                    exact(c.free_bytes, "bytes")} free`;
            }},
        {name: "blocks", label: "Blocks", align: "right", value: (c) => c.live_blocks,
            update: (cell, c) => setCount(cell, c.live_blocks, "live blocks")},
        {name: "free", label: "Free", align: "right", title: "Free blocks in its slabs",
            value: (c) => c.free_bytes, update: (cell, c) => setBytes(cell, c.free_bytes)},
        {name: "used", label: "In use", align: "right", title: "Live, of what its slabs hold",
            value: (c) => c.slab_bytes > 0 ? c.live_bytes / c.slab_bytes : null,
            update: (cell, c) => setText(cell, c.slab_bytes > 0
                ? formatShare(c.live_bytes, c.slab_bytes) : "–",
            c.slab_bytes > 0 ? `of ${exact(c.slab_bytes, "bytes")} of slabs` : "")},
        {name: "allocated", label: "Allocated", align: "right", title: "Blocks since the start",
            value: (c) => c.allocated_blocks_total,
            update(cell, c) {
                setCount(cell, c.allocated_blocks_total, "blocks");
                cell.title += `, ${exact(c.allocated_bytes_total, "bytes")}`;
            }},
    ];
    const table = makeTable({label: "Size classes", columns, order,
        keyOf: (c) => `${c.kind}${c.block_bytes}`, className: "sizes",
        onSort() {
            choose({sort: order.by, way: order.descending ? "down" : "up"}, USUAL);
            show();
        }});
    const summary = el("p", {class: "quiet"});
    const element = el("div", {class: "card"}, el("div", {class: "tools"}, summary,
        el("span", {class: "fill"}), choice("Which size classes", [["", "In use"],
            ["all", "All"]], filter, (name) => {
            filter = name;
            choose({show: name}, USUAL);
            show();
        })), table.element);

    function show() {
        const all = shared.snapshot.size_classes;
        const some = all.filter((c) => filter === "all" || c.live_blocks > 0);
        most = Math.max(1, ...some.map((c) => c.live_bytes + c.free_bytes));
        setText(summary, `${some.length} of ${all.length} size classes; ${bytesText(
            all.reduce((n, c) => n + c.free_bytes, 0))} lie free in slabs. Figures are exact.`);
        table.show(sorted(some, columns, order));
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
