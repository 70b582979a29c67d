/*
 * overview - all processes: a table that sorts, filters and searches, and follows what happens
 */
import {getJson, processPath} from "./api.js";
import {bytesText, el, secondsText, setBytes, setText, timeText} from "./dom.js";
import {watch} from "./live.js";
import {badge, choice, command, drawSparkline, empty, notice, searchBox, setMeter,
    stateBadge} from "./parts.js";
import {choose, chosen, processAddress} from "./routes.js";
import {makeTable, sorted} from "./table.js";

const RECENT = 60;       // values of a sparkline
const DETAIL_MS = 30000; // how old leaks and limits may be, where the list has none
const AT_ONCE = 4;

const FILTERS = [["", "All"], ["running", "Running"], ["ended", "Ended"],
    ["alerts", "With alerts"], ["leaks", "Leaking"]];
const USUAL = {q: "", show: "", sort: "live", way: "down"};

const sum = (o, ...names) => o ? names.reduce((n, name) => n + (o[name] ?? 0), 0) : null;

export function overviewPage(main, {setState, setHost, speak}) {
    const details = new Map(); // of an id: {recent, limit, leaks, at}, as far as asked
    const queue = new Set();
    let asking = 0;
    let rows = [];
    let alerts = new Map();
    let isOver = false;
    const order = {by: chosen("sort", USUAL.sort), descending: chosen("way", USUAL.way) === "down"};
    let wanted = chosen("q");
    let filter = chosen("show");

    const detailOf = (row) => {
        if (!details.has(row.id)) {
            details.set(row.id, {recent: [], limit: undefined, leaks: undefined, at: 0});
        }
        return details.get(row.id);
    };
    const limitOf = (row) => row.limit_bytes !== undefined ? row.limit_bytes
        : detailOf(row).limit ?? null;
    const leaksOf = (row) => row.leaks
        ? sum(row.leaks, "lost", "growing", "suspect") : detailOf(row).leaks ?? null;
    const sureLeaks = (row) => row.leaks ? sum(row.leaks, "lost", "growing") : leaksOf(row);
    const alertsOf = (row) => row.alerts ? sum(row.alerts, "firing")
        : alerts.get(row.id)?.firing ?? (alerts.known ? 0 : null);
    const recentOf = (row) => row.recent?.length > 1 ? row.recent : detailOf(row).recent;

    const columns = [
        {name: "name", label: "Process", isHead: true, value: (r) => r.name,
            make: () => [el("a", {class: "name"}), el("small")],
            update(cell, r) {
                const [link, small] = cell.children;
                const address = processAddress(r.id);
                if (link.getAttribute("href") !== address) {
                    link.setAttribute("href", address);
                }
                setText(link, r.name, r.command ?? r.name);
                setText(small, r.error ?? `pid ${r.pid}`, r.error ? r.region : "");
            }},
        {name: "state", label: "State", value: (r) => r.state,
            update(cell, r) {
                if (cell.state !== r.state) {
                    cell.state = r.state;
                    cell.replaceChildren(stateBadge(r.state));
                }
                cell.title = r.error ?? (r.ended ? `since ${timeText(r.ended)}` : "");
            }},
        {name: "live", label: "Live", align: "right", title: "Bytes that the program holds",
            value: (r) => r.live_bytes, update: (cell, r) => setBytes(cell, r.live_bytes)},
        {name: "rss", label: "RSS", align: "right", title: "Memory of the machine that it takes",
            value: (r) => r.rss_bytes, update: (cell, r) => setBytes(cell, r.rss_bytes)},
        {name: "limit", label: "Of limit", title: "RSS, or what is live, as a part of the limit",
            value: (r) => limitOf(r) ? (r.rss_bytes ?? r.live_bytes) / limitOf(r) : null,
            make: () => el("div"),
            update: (cell, r) => setMeter(cell.firstChild, r.rss_bytes ?? r.live_bytes,
                limitOf(r))},
        {name: "trend", label: "Trend", title: "What was live, up to now",
            value: (r) => {
                const list = recentOf(r);
                return list.length > 1 ? list.at(-1) / Math.max(1, list[0]) : 0;
            },
            make: () => el("div", {class: "trend"}),
            update: (cell, r) => drawSparkline(cell.firstChild, recentOf(r))},
        {name: "alerts", label: "Alerts", align: "right", value: alertsOf,
            update(cell, r) {
                const n = alertsOf(r);
                setMark(cell, n, n > 0 ? "bad" : "", "alerts fire", r, "memory");
            }},
        {name: "leaks", label: "Leaks", align: "right", value: leaksOf,
            update(cell, r) {
                const n = leaksOf(r);
                setMark(cell, n, sureLeaks(r) > 0 ? "bad" : "warn", "call stacks that leak",
                    r, "leaks");
            }},
        {name: "ran", label: "Ran", align: "right", value: (r) => r.ran_seconds,
            update: (cell, r) => setText(cell, secondsText(r.ran_seconds),
                r.started ? `since ${timeText(r.started)}` : "")},
    ];

    function setMark(cell, n, kind, what, row, part) {
        const now = `${n}${kind}${row.id}`;
        if (cell.shows === now) {
            return;
        }
        cell.shows = now;
        cell.replaceChildren(n > 0 ? el("a", {href: processAddress(row.id, part), tabindex: "-1",
            "aria-label": `${n} ${what}`}, badge(String(n), kind)) : el("span", {class: "quiet",
            text: n === 0 ? "0" : "–"}));
    }

    const table = makeTable({label: "Processes", columns, order, keyOf: (r) => r.id,
        className: "processes",
        onSort() {
            choose({sort: order.by, way: order.descending ? "down" : "up"}, USUAL);
            show();
        },
        onKey(key, row) {
            if (key === "Enter" && document.activeElement === row) {
                row.querySelector("a").click();
                return true;
            }
            return false;
        }});
    const summary = el("p", {class: "quiet", id: "summary"});
    const search = searchBox("Name, PID or command", wanted, (text) => {
        wanted = text;
        choose({q: text}, USUAL);
        show();
    });
    const filters = choice("Which processes", FILTERS, filter, (name) => {
        filter = name;
        choose({show: name}, USUAL);
        show();
    });
    const none = el("div");
    const problem = el("div");
    const tools = el("div", {class: "tools"}, filters, el("span", {class: "fill"}), search);
    main.replaceChildren(el("div", {class: "page"},
        el("div", {class: "title"}, el("h1", "Processes"), summary), problem, tools,
        table.element, none));
    tools.hidden = table.element.hidden = true;
    none.append(el("p", {class: "loading", role: "status", text: "Looking for processes…"}));

    /* Rows in sight, without what the list could say: a few at a time. */
    const inSight = new IntersectionObserver((entries) => {
        for (const entry of entries) {
            entry.target.isInSight = entry.isIntersecting;
        }
        askDetails();
    });
    function askDetails() {
        for (const tr of table.body.rows) {
            const row = tr.item;
            const d = row && detailOf(row);
            const isWanted = row && !row.error && (row.limit_bytes === undefined || !row.leaks
                || row.recent === undefined);
            if (isWanted && tr.isInSight && Date.now() - d.at > DETAIL_MS && !queue.has(row.id)) {
                queue.add(row.id);
            }
        }
        while (asking < AT_ONCE && queue.size > 0) {
            const [id] = queue;
            queue.delete(id);
            const row = rows.find((r) => r.id === id);
            if (row) {
                asking++;
                askDetail(row).finally(() => {
                    asking--;
                    if (!isOver) {
                        show();
                        askDetails();
                    }
                });
            }
        }
    }
    async function askDetail(row) {
        const d = detailOf(row);
        d.at = Date.now();
        const attempt = async (path, use) => {
            try {
                use(await getJson(processPath(row.id, path)));
            } catch {
                // it is gone, or not known here: the place stays empty
            }
        };
        if (!row.leaks) { // nobody looked yet
            await attempt("leaks?summary=1", (l) => {
                d.leaks = l.potential_leak_count ?? null;
            });
        }
        if (row.limit_bytes === undefined && d.limit === undefined) {
            await attempt("snapshot", (s) => {
                d.limit = Math.min(s.limits?.cgroup_bytes ?? Infinity,
                    s.limits?.rlimit_as_bytes ?? Infinity, s.limits?.physical_bytes ?? Infinity);
                d.limit = Number.isFinite(d.limit) ? d.limit : null;
            });
        }
        if (row.recent === undefined && d.recent.length < RECENT / 2) {
            await attempt("timeline?tier=0", (t) => {
                d.recent = [...(t.points ?? []).map((p) => p.live_bytes), ...d.recent]
                    .slice(-RECENT);
            });
        }
    }

    function isShown(row) {
        const low = wanted.trim().toLowerCase();
        const isFound = low === "" || row.name.toLowerCase().includes(low)
            || String(row.pid ?? "").startsWith(low) || (row.command ?? "").toLowerCase().includes(low);
        return isFound && (filter === "" || (filter === "running" && row.state === "running")
            || (filter === "ended" && row.state !== "running")
            || (filter === "alerts" && alertsOf(row) > 0)
            || (filter === "leaks" && leaksOf(row) > 0));
    }

    function show() {
        const some = sorted(rows.filter(isShown), columns, order);
        const running = rows.filter((r) => r.state === "running");
        const total = (name) => running.reduce((n, r) => n + (r[name] ?? 0), 0);
        setText(summary, rows.length === 0 ? "" : `${running.length} running, ${
            rows.length - running.length} ended · ${bytesText(total("live_bytes"))} live · ${
            bytesText(total("rss_bytes"))} RSS`);
        tools.hidden = rows.length === 0;
        table.element.hidden = some.length === 0;
        table.show(some, (tr, row) => {
            tr.classList.toggle("gone", row.state !== "running");
            if (tr.isInSight === undefined) {
                tr.isInSight = false;
                inSight.observe(tr);
            }
        });
        none.hidden = some.length > 0;
        if (rows.length === 0) {
            showNone("none", () => empty("No process uses mpalloc yet",
                el("p", "Start a program on it, and it is here within seconds:"),
                command("mpalloc run -- PROG"),
                el("p", {class: "quiet"}, "For example ",
                    el("code", "mpalloc run -- redis-server --port 7777"),
                    ". Nothing has to be built again, and processes that run already cannot be ",
                    "added. Processes of other users are seen by root only.")));
        } else if (some.length === 0) {
            showNone("filtered", () => empty("None of them is like that",
                el("button", {text: "Show all", onclick: () => {
                    wanted = filter = "";
                    search.querySelector("input").value = "";
                    filters.set("");
                    choose({q: "", show: ""}, USUAL);
                    show();
                }})));
        } else {
            none.shows = "";
        }
    }
    function showNone(what, make) {
        if (none.shows !== what) {
            none.shows = what;
            none.replaceChildren(make());
            speak(none.firstChild.firstChild.textContent);
        }
    }

    const end = watch(null, {
        state(name, text) {
            setState(name, text);
            if (name === "offline" && rows.length === 0) {
                problem.replaceChildren(notice("bad", `No figures: ${text}.`));
            } else {
                problem.replaceChildren();
            }
        },
        processes(document_) {
            problem.replaceChildren();
            setHost(document_);
            rows = document_.processes ?? [];
            for (const row of rows) {
                row.id ??= String(row.pid);
                row.name ||= row.region?.split("/").pop() ?? "(no name)";
                const {recent} = detailOf(row);
                if (row.recent === undefined && Number.isFinite(row.live_bytes)) {
                    recent.push(row.live_bytes);
                    recent.splice(0, recent.length - RECENT);
                }
            }
            const ids = new Set(rows.map((r) => r.id));
            for (const id of details.keys()) {
                if (!ids.has(id)) {
                    details.delete(id);
                }
            }
            show();
            askDetails();
        },
        alerts: showAlerts,
    });
    function showAlerts(document_) {
        alerts = new Map();
        alerts.known = true;
        for (const a of document_.alerts ?? []) {
            const key = a.process.id;
            const one = alerts.get(key) ?? {firing: 0};
            one.firing += a.state === "firing" ? 1 : 0;
            alerts.set(key, one);
        }
        show();
    }
    getJson("/api/v1/alerts").then((d) => isOver || showAlerts(d)).catch(() => {});

    return {
        end() {
            isOver = true;
            inSight.disconnect();
            end();
        },
    };
}
