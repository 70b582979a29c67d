/*
 * flame_loader - fetches a profile, or two, and lets the scripts of tools/flame/ draw it
 *
 *     /flame?process=ID&compare=…    nothing; then:TIME, out of the history; baseline:NAME;
 *                                    next:SECONDS; mark:TIME, a moment that the page around this
 *                                    one keeps (view_flame.js)
 */
import {getJson, getText, processPath} from "./api.js";
import {fromDiff, fromProfiles} from "./difference.js";

const query = new URLSearchParams(location.search);
const id = query.get("process") ?? "";
const [kind, ...rest] = (query.get("compare") ?? "").split(":");
const what = rest.join(":");
const isInside = parent !== window;
const LONG_MS = 120000;

/* The page of `mpalloc flame` has it in its middle, as JSON in which no "<" is. */
export async function profileOf(process) {
    const page = await getText(processPath(process, "profile?format=html"), {ms: LONG_MS});
    const begin = page.indexOf('id="data">') + 'id="data">'.length;
    return JSON.parse(page.slice(begin, page.indexOf("<", begin)));
}

async function load() {
    const by = {baseline: "baseline", next: "seconds", then: "since"}[kind];
    if (by !== undefined) {
        const d = await getJson(processPath(id, `diff?${by}=${encodeURIComponent(what)}&value=live${
            ""}&all=1&rows=100000`), {ms: LONG_MS + 1000 * (Number(what) || 0)});
        if (isInside && d.notes?.length > 0) {
            parent.dispatchEvent(new CustomEvent("flamenotes", {
                detail: d.notes.map((n) => `${n.text[0].toUpperCase()}${n.text.slice(1)}.`)}));
        }
        return fromDiff(d);
    }
    const now = await profileOf(id);
    if (kind === "mark") {
        const before = isInside ? parent.flameMarks?.get(id)?.get(what) : undefined;
        if (before === undefined) {
            throw new Error("that moment is not kept any more: mark one anew");
        }
        return fromProfiles(before, now, what);
    }
    return now;
}

function tellOfState() {
    for (const name of ["pushState", "replaceState"]) {
        const usual = history[name].bind(history);
        history[name] = (...args) => {
            usual(...args);
            parent.dispatchEvent(new CustomEvent("flamestate", {detail: location.hash}));
        };
    }
}

/* Keys of the page around this one; those of the flame graph are letters besides. */
function passKeys() {
    document.addEventListener("keydown", (event) => {
        if (/^[1-9gd]$/.test(event.key) && !/^(INPUT|SELECT)$/.test(event.target.tagName)
            && !event.ctrlKey && !event.metaKey && !event.altKey) {
            parent.dispatchEvent(new CustomEvent("framekey", {detail: event.key}));
            event.preventDefault();
        }
    });
}

async function start() {
    const loading = document.getElementById("loading");
    document.documentElement.classList.toggle("embedded", isInside);
    if (isInside) {
        passKeys();
    }
    loading.textContent = kind === "next" ? `Waiting for ${what} s to pass…`
        : "Naming functions…";
    try {
        const data = await load();
        const place = document.createElement("script");
        place.type = "application/json";
        place.id = "data";
        place.textContent = JSON.stringify(data);
        document.body.append(place);
        document.documentElement.classList.toggle("difference", data.difference !== undefined);
        if (isInside) {
            tellOfState();
        }
        loading.remove();
        const script = document.createElement("script");
        script.src = "/assets/flame.js";
        document.body.append(script);
    } catch (e) {
        loading.className = "failed";
        loading.textContent = `There is no flame graph: ${e.message}.`;
    }
}

if (document.getElementById("loading")) { // not when profileOf is all that is wanted
    start();
}
