/*
 * chart_plain - a chart without a library, for a build that had none: the same areas and lines,
 * with the least and the most of each axis
 */
import {bytesText, clock, el, svg} from "./dom.js";

const WIDE = 1000, HIGH = 200;

export function plainChart(space, series, onPoint) {
    const picture = svg("svg", {class: "plain", viewBox: `0 0 ${WIDE} ${HIGH}`,
        preserveAspectRatio: "none"});
    const most = el("span");
    const first = el("span");
    const last = el("span");
    let times = [];
    space.replaceChildren(el("div", {class: "ends"}, most), picture,
        el("div", {class: "ends"}, first, last));
    const near = (event) => {
        const box = picture.getBoundingClientRect();
        const wanted = times[0] + (event.clientX - box.left) / box.width
            * (times.at(-1) - times[0]);
        let at = 0;
        times.forEach((t, i) => {
            at = Math.abs(t - wanted) < Math.abs(times[at] - wanted) ? i : at;
        });
        onPoint(times.length > 0 ? at : null);
    };
    picture.addEventListener("mousemove", near);
    picture.addEventListener("mouseleave", () => onPoint(null));

    /* The points of a column as parts of a path; where there is nothing it begins anew. */
    function pathOf(column, x, y, isArea) {
        let text = "";
        let start = null;
        column.forEach((v, i) => {
            if (v === null) {
                text += isArea && start !== null ? `L${x(i - 1)} ${HIGH}Z` : "";
                start = null;
                return;
            }
            text += start === null ? (isArea ? `M${x(i)} ${HIGH}L` : "M") : "L";
            start ??= i;
            text += `${x(i)} ${y(v)}`;
        });
        return text + (isArea && start !== null ? `L${x(column.length - 1)} ${HIGH}Z` : "");
    }

    return {
        set(newTimes, columns) {
            times = newTimes;
            if (times.length < 2) {
                picture.replaceChildren();
                return;
            }
            const sums = [];
            let below = null;
            series.forEach((s, i) => {
                const base = below;
                if (!s.isLine) {
                    below = columns[i].map((v, n) => v === null ? null : v + (base?.[n] ?? 0));
                }
                sums.push(s.isLine ? columns[i] : below);
            });
            const top = Math.max(1, ...sums.flat().filter(Number.isFinite)) * 1.06;
            const span = Math.max(times.at(-1) - times[0], 1e-9);
            const x = (i) => ((times[i] - times[0]) / span * WIDE).toFixed(1);
            const y = (v) => (HIGH * (1 - v / top)).toFixed(1);
            const paths = series.map((s, i) => {
                const path = svg("path", {class: s.isLine ? "line" : "area",
                    d: pathOf(sums[i], x, y, !s.isLine)});
                path.style.setProperty("--color", `var(${s.color})`);
                return path;
            });
            picture.replaceChildren(...paths.filter((_, i) => !series[i].isLine).reverse(),
                ...paths.filter((_, i) => series[i].isLine));
            most.textContent = `up to ${bytesText(top / 1.06)}`;
            first.textContent = clock(new Date(times[0] * 1000));
            last.textContent = clock(new Date(times.at(-1) * 1000));
        },
        end() {
            space.replaceChildren();
        },
    };
}
