/*
 * chart - values over time: areas on top of each other, lines above them
 *
 * Drawn by uPlot; by chart_plain.js where the build had none. A chart is
 * {element, set(times, columns), end()}. series: {name, label, color (a CSS variable), isLine}, the
 * lowest area first; columns in that order, null where there is nothing. Times in seconds.
 */
import {plainChart} from "./chart_plain.js";
import {bytesText, clock, css, dayOf, el, exact, setText} from "./dom.js";
import uPlot from "./uplot.js";

const NOW_S = 120; // of the process itself, which may be quiet
const HIGH = 230;
const TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
    86400, 172800, 604800]; // seconds
const STEPS = Array.from({length: 60}, (_, i) => 2 ** i);

export const hasLibrary = uPlot !== null;

function stack(series, columns) {
    const sums = [];
    let below = null;
    series.forEach((s, i) => {
        if (s.isLine) {
            sums.push(columns[i]);
            return;
        }
        const base = below;
        below = columns[i].map((v, n) => v === null ? null : v + (base?.[n] ?? 0));
        sums.push(below);
    });
    return sums;
}

const two = (n) => String(n).padStart(2, "0");

function timeLabels(u, splits, axis, space, step) {
    let day = "";
    return splits.map((s) => {
        const date = new Date(s * 1000);
        const time = step < 60 ? clock(date) : `${two(date.getHours())}:${two(date.getMinutes())}`;
        const today = dayOf(date);
        const isNew = day !== "" && today !== day;
        day = today;
        return step >= 86400 ? today.slice(5) : isNew ? `${time}\n${today.slice(5)}` : time;
    });
}

function uplotChart(space, series, onPoint) {
    // The highest sum is painted first, and what is below it over that.
    const areas = series.map((s, i) => [s, i]).filter(([s]) => !s.isLine).reverse();
    const lines = series.map((s, i) => [s, i]).filter(([s]) => s.isLine);
    const painted = [...areas, ...lines];
    const axis = {stroke: () => css("--quiet"), grid: {stroke: () => css("--line"), width: 1},
        ticks: {stroke: () => css("--line"), width: 1, size: 4},
        font: `12px ${css("--sans")}`};
    const options = {
        width: Math.max(space.clientWidth, 200), height: HIGH,
        padding: [10, 30, 0, 0],
        legend: {show: false},
        cursor: {y: false, points: {show: false}, drag: {setScale: false, x: false, y: false}},
        scales: {x: {time: true}, y: {range: (u, least, most) => [0, Math.max(most, 1) * 1.06]}},
        axes: [{...axis, values: timeLabels, incrs: TIMES, space: 80, size: 32, gap: 4},
            {...axis, incrs: STEPS, size: 76, space: 36, gap: 4,
                values: (u, splits) => splits.map((v) => bytesText(v).replace(".0 ", " "))}],
        series: [{}, ...painted.map(([s]) => ({label: s.label, points: {show: false},
            stroke: () => css(s.color), width: s.isLine ? 1.5 : 1,
            dash: s.isLine ? [5, 3] : undefined,
            fill: s.isLine ? undefined : () => css(s.color)}))],
        hooks: {setCursor: [(u) => onPoint(u.cursor.idx ?? null)]},
    };
    const u = new uPlot(options, [[], ...painted.map(() => [])], space);
    const redraw = () => u.redraw(false, true);
    addEventListener("themechange", redraw);
    const watcher = new ResizeObserver(() => {
        if (space.clientWidth > 0 && space.clientWidth !== u.width) {
            u.setSize({width: space.clientWidth, height: HIGH});
        }
    });
    watcher.observe(space);
    return {
        set(times, columns) {
            const sums = stack(series, columns);
            u.setData([times, ...painted.map(([, i]) => sums[i])]);
        },
        end() {
            removeEventListener("themechange", redraw);
            watcher.disconnect();
            u.destroy();
        },
    };
}

export function timeChart(label, series) {
    const space = el("div", {class: "canvas", "aria-hidden": "true"});
    const when_ = el("span", {class: "at quiet"});
    const values = series.map(() => el("b"));
    const legend = el("ul", {class: "legend"},
        [...series.keys()].reverse().map((i) => {
            const key = el("i", {class: series[i].isLine ? "line" : "", "aria-hidden": "true"});
            key.style.setProperty("--color", `var(${series[i].color})`);
            const item = el("li", {title: series[i].title ?? ""}, key, `${series[i].label} `,
                values[i]);
            values[i].item = item;
            return item;
        }));
    const said = el("p", {class: "unseen"});
    const rows = el("tbody");
    const table = el("details", {class: "data"}, el("summary", "As a table"),
        el("div", {class: "wide"}, el("table", el("thead", el("tr", el("th", "Time"),
            series.map((s) => el("th", {class: "right", text: s.label})))), rows)));
    const element = el("figure", {class: "chart", "aria-label": label}, space,
        el("figcaption", legend, when_), said, table);
    let data = [[], series.map(() => [])];
    let chart = null;
    let pointed = null;

    function showPoint() {
        const [times, columns] = data;
        const at = pointed !== null && pointed < times.length ? pointed : times.length - 1;
        setText(when_, times.length === 0 ? "no figures yet"
            : `${pointed !== null ? "" : Date.now() / 1000 - times[at] < NOW_S ? "now, "
                : "last, "}${clock(new Date(times[at] * 1000))}`);
        series.forEach((s, i) => {
            const v = columns[i][at];
            setText(values[i], bytesText(v), exact(v, "bytes"));
            values[i].item.hidden = columns[i].every((n) => !n);
        });
    }
    function showTable() {
        if (!table.open) {
            return;
        }
        const [times, columns] = data;
        const step = Math.max(1, Math.ceil(times.length / 60));
        const shown = times.map((_, i) => i).filter((i) => (times.length - 1 - i) % step === 0);
        rows.replaceChildren(...shown.reverse().map((i) => el("tr",
            el("td", clock(new Date(times[i] * 1000))),
            columns.map((c) => el("td", {class: "right", text: bytesText(c[i]),
                title: exact(c[i], "bytes")})))));
    }
    table.addEventListener("toggle", showTable);

    return {
        element,
        set(times, columns) {
            data = [times, columns];
            if (chart === null && space.isConnected) {
                chart = (hasLibrary ? uplotChart : plainChart)(space, series, (at) => {
                    pointed = at;
                    showPoint();
                });
            }
            chart?.set(times, columns);
            showPoint();
            showTable();
            const [first] = columns;
            setText(said, times.length < 2 ? "" : `${label}: ${series[0].label} from ${
                bytesText(first[0])} to ${bytesText(first.at(-1))}.`);
        },
        end() {
            chart?.end();
        },
    };
}
