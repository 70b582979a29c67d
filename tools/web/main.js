/*
 * main - which page is shown, and what is around it: connection, theme, keys, the token
 */
import {getJson, setToken} from "./api.js";
import {el, setText} from "./dom.js";
import {overviewPage} from "./overview.js";
import {empty} from "./parts.js";
import {processPage} from "./process.js";
import {go, listenToLinks, PARTS, processAddress, whereNow} from "./routes.js";

const $ = (id) => document.getElementById(id);
const main = $("main");

const CONNECTION = {
    connecting: ["Connecting…", "calm"], live: ["Live", "good"],
    polling: ["Every 2 s", "warn"], offline: ["No connection", "bad"],
    paused: ["Paused", "calm"], ended: ["Ended", "calm"],
    unknown: ["No such process", "calm"],
};
const CONNECTION_TITLE = {
    live: "Figures come as they change",
    polling: "The stream of events is not to be had: the page asks again every 2 seconds",
    offline: "The server does not answer; the page tries again",
    paused: "Nobody looks at the page",
    ended: "The process is gone; these are its last figures",
};

let page = null;   // what is shown, and how it ends
let shownAt = {};  // of whereNow()
let version = null;

function setState(name, text = "") {
    const [label, kind] = CONNECTION[name] ?? [name, "calm"];
    const node = $("connection");
    node.className = `link-state ${kind}`;
    node.dataset.state = name;
    setText(node, label, text ? `${CONNECTION_TITLE[name] ?? ""}: ${text}`
        : CONNECTION_TITLE[name] ?? "");
}

function speak(text) {
    $("spoken").textContent = text;
}

const context = {
    setState, speak,
    setHost() {
        askVersion();
    },
    version: () => version,
};

let versionAsked = false;

async function askVersion() {
    if (versionAsked) {
        return;
    }
    versionAsked = true;
    try {
        version = await getJson("/api/v1/version");
        setText($("host"), version.host ?? "", `mpalloc ${version.version ?? ""}`);
        page?.versionKnown?.();
    } catch {
        versionAsked = false; // asked again with the next figures
    }
}

function show() {
    const where = whereNow();
    const isSame = where.page === shownAt.page && where.id === shownAt.id;
    if (page !== null && where.page === "process" && isSame) {
        if (where.part !== shownAt.part) {
            page.setPart(where.part);
        }
        shownAt = where;
        return;
    }
    page?.end();
    page = null;
    const isFirst = shownAt.page === undefined;
    shownAt = where;
    scrollTo(0, 0);
    if (where.page === "overview") {
        document.title = "mpalloc: processes";
        page = overviewPage(main, context);
    } else if (where.page === "process") {
        page = processPage(main, where.id, where.part, context);
    } else {
        document.title = "mpalloc: not here";
        setState("connecting");
        main.replaceChildren(el("div", {class: "page"}, empty("There is no such page",
            el("p", el("a", {href: "/", text: "All processes"})))));
    }
    if (!isFirst) {
        main.focus({preventScroll: true});
        speak(document.title);
    }
}

/* ---- keys ---- */

/* Those that are pressed in the frame of the flame graph, too. */
function onPlainKey(key) {
    const part = PARTS[Number(key) - 1];
    if (key === "d") {
        switchTheme();
    } else if (key === "g") {
        go("/");
    } else if (shownAt.page === "process" && part !== undefined) {
        go(processAddress(shownAt.id, part[0]));
    } else {
        return false;
    }
    return true;
}

function onKey(event) {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping
        || document.querySelector("dialog[open]")) {
        return;
    }
    if (event.key === "/") {
        const box = [...document.querySelectorAll("[data-search]")]
            .find((b) => b.offsetParent !== null);
        if (box) {
            box.select();
            box.focus();
        } else if (shownAt.page === "process" && shownAt.part === "flame") {
            document.querySelector("iframe")?.focus();
            document.querySelector("iframe")?.contentDocument?.getElementById("search")?.focus();
        } else {
            go("/");
            document.querySelector("[data-search]")?.focus();
        }
    } else if (event.key === "?") {
        $("keys").showModal();
    } else if (!onPlainKey(event.key)) {
        return;
    }
    event.preventDefault();
}

$("theme").addEventListener("click", () => switchTheme());
$("help").addEventListener("click", () => $("keys").showModal());
document.addEventListener("keydown", onKey);
addEventListener("framekey", (event) => onPlainKey(event.detail));
addEventListener("routechange", show);
addEventListener("tokenwanted", () => {
    if (!$("token-dialog").open) {
        $("token-dialog").showModal();
    }
});
$("token-dialog").addEventListener("close", () => {
    if ($("token").value !== "") {
        setToken($("token").value.trim());
        $("token").value = "";
        location.reload();
    }
});
listenToLinks();
show();
