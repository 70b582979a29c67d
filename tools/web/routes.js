/*
 * routes - addresses of the pages: / and /processes/ID and /processes/ID/PART
 *
 * What is chosen on a page (a filter, an order) is in the query, and changes it in place.
 */
export const PARTS = [["memory", "Memory"], ["components", "Components"], ["sizes", "Sizes"],
    ["leaks", "Leaks"], ["advice", "Advice"], ["flame", "Flame graph"], ["facts", "Facts"]];

export const processAddress = (id, part = "memory") => `/processes/${encodeURIComponent(id)}${
    part === "memory" ? "" : `/${part}`}`;

function decoded(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

/* {page: "overview"}, {page: "process", id, part}, or {page: "unknown"} */
export function whereNow() {
    const steps = location.pathname.split("/").filter(Boolean).map(decoded);
    if (steps.length === 0) {
        return {page: "overview"};
    }
    const part = steps[2] ?? "memory";
    return steps[0] === "processes" && steps.length <= 3 && steps.length > 1
        && PARTS.some(([name]) => name === part) ? {page: "process", id: steps[1], part}
        : {page: "unknown"};
}

export function go(address) {
    history.pushState(null, "", address);
    dispatchEvent(new Event("routechange"));
}

export const chosen = (name, usual = "") =>
    new URLSearchParams(location.search).get(name) ?? usual;

/* {name: value}; what is as usual leaves the address. */
export function choose(changes, usual = {}) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
        if (value === null || value === "" || value === usual[name]) {
            query.delete(name);
        } else {
            query.set(name, value);
        }
    }
    const text = query.toString();
    history.replaceState(null, "", location.pathname + (text ? `?${text}` : "") + location.hash);
}

/* Links of the pages change the page in place, unless a new tab is asked for. */
export function listenToLinks() {
    addEventListener("popstate", () => dispatchEvent(new Event("routechange")));
    document.addEventListener("click", (event) => {
        const link = event.target.closest?.("a[href]");
        if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey
            || event.metaKey || event.shiftKey || event.altKey || link.target
            || link.origin !== location.origin || link.hasAttribute("download")) {
            return;
        }
        if (link.pathname === "/" || link.pathname.startsWith("/processes/")) {
            if (link.getAttribute("href").startsWith("#")) {
                return;
            }
            event.preventDefault();
            go(link.pathname + link.search + link.hash);
        }
    });
}
