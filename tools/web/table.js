/*
 * table - a table that is sorted by its heads, walked by arrows, and updated in place
 *
 * columns: {name, label, title, align, value(item) to sort by, make(item) → cell's content,
 * update(cell, item)}; order: {by, descending}, changed by clicks on heads.
 */
import {el, keyed} from "./dom.js";

function headCell(column, order, onSort) {
    const cell = el("th", {scope: "col", class: column.align ?? "", data: {name: column.name}});
    if (!column.value) {
        cell.textContent = column.label;
        return cell;
    }
    cell.append(el("button", {text: column.label, title: column.title ?? "", onclick: () => {
        order.descending = order.by === column.name ? !order.descending
            : column.align === "right";
        order.by = column.name;
        onSort();
    }}));
    return cell;
}

const compare = (a, b) => typeof a === "string" || typeof b === "string"
    ? String(a ?? "").localeCompare(String(b ?? ""), "en") : (a ?? -Infinity) - (b ?? -Infinity);

export function sorted(items, columns, order) {
    const column = columns.find((c) => c.name === order.by) ?? columns[0];
    const sign = order.descending ? -1 : 1;
    return items.map((item, i) => [item, i]).sort(([a, i], [b, j]) =>
        sign * (compare(column.value(a), column.value(b)) || 0) || i - j).map(([item]) => item);
}

/*
 * Up, Down, Home, End go from row to row: what a row's first link, button or itself is has the
 * focus. `more(key, row)`: what else a key does; true when it did.
 */
function walk(event, body, more) {
    const row = event.target.closest("tr");
    const rows = [...body.rows].filter((r) => !r.hidden);
    const at = rows.indexOf(row);
    const to = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1}[event.key];
    if (at < 0 || event.ctrlKey || event.altKey || event.metaKey) {
        return;
    }
    if (to !== undefined && rows[to] !== undefined) {
        (rows[to].querySelector("a[href]") ?? rows[to]).focus();
        rows[to].scrollIntoView({block: "nearest"});
        event.preventDefault();
    } else if (more?.(event.key, row)) {
        event.preventDefault();
    }
}

export function makeTable({label, columns, order, keyOf, onSort, onKey, className = ""}) {
    const heads = columns.map((c) => headCell(c, order, onSort));
    const body = el("tbody");
    const table = el("table", {class: className, "aria-label": label},
        el("thead", el("tr", heads)), body);
    body.addEventListener("keydown", (event) => walk(event, body, onKey));

    const makeRow = (item) => {
        const row = el("tr");
        row.cellOf = columns.map((c) => {
            const cell = el(c.isHead ? "th" : "td", {class: c.align ?? "",
                scope: c.isHead ? "row" : null, data: {label: c.label}}, c.make?.(item) ?? []);
            row.append(cell);
            return cell;
        });
        return row;
    };
    const updateRow = (row, item) => {
        row.item = item;
        columns.forEach((c, i) => c.update?.(row.cellOf[i], item));
    };
    return {
        element: el("div", {class: "wide"}, table),
        table,
        body,
        /* In the order given; `decorate(row, item)` sets what is of whole rows. */
        show(items, decorate) {
            heads.forEach((cell, i) => {
                const isBy = columns[i].name === order.by;
                const way = order.descending ? "descending" : "ascending";
                if (columns[i].value) {
                    cell.setAttribute("aria-sort", isBy ? way : "none");
                }
            });
            keyed(body, items, keyOf, makeRow, (row, item) => {
                updateRow(row, item);
                decorate?.(row, item);
            });
            if (!body.querySelector("a[href]")) { // one row is reached by Tab, the others by arrows
                const rows = [...body.rows];
                const first = rows.find((r) => r === document.activeElement)
                    ?? rows.find((r) => r.tabIndex === 0 && !r.hidden)
                    ?? rows.find((r) => !r.hidden);
                for (const row of rows) {
                    row.tabIndex = row === first ? 0 : -1;
                }
            }
        },
    };
}
