/*
 * api - asks the server: JSON, actions, and its stream of events
 *
 * The token, when one is wanted, is kept until the tab is closed. Events come through fetch, not
 * EventSource, which could not send it.
 */
const TOKEN = "mpalloc.token";
const WAIT_MS = 30000;

export class Problem extends Error {
    constructor(status, detail) {
        super(detail);
        this.status = status; // of HTTP; 0: no answer
    }
}

let token = null;

function readToken() {
    try {
        token ??= sessionStorage.getItem(TOKEN);
    } catch {
        token ??= "";
    }
    return token;
}

export function setToken(value) {
    token = value;
    try {
        sessionStorage.setItem(TOKEN, value);
    } catch {
        // it is kept while the page is
    }
}

async function ask(path, options = {}) {
    const headers = {...options.headers};
    if (readToken()) {
        headers.Authorization = `Bearer ${token}`;
    }
    let reply;
    try {
        reply = await fetch(path, {cache: "no-store", credentials: "same-origin", ...options,
            headers});
    } catch (e) {
        throw e.name === "AbortError" ? e : new Problem(0, "the server does not answer");
    }
    if (!reply.ok) {
        const text = await reply.text().catch(() => "");
        let detail = reply.statusText || `status ${reply.status}`;
        try {
            const problem = JSON.parse(text);
            detail = problem.detail ?? problem.title ?? detail;
        } catch {
            // no problem+json
        }
        if (reply.status === 401) {
            dispatchEvent(new Event("tokenwanted"));
        }
        throw new Problem(reply.status, detail);
    }
    return reply;
}

const bounded = (signal, ms) => AbortSignal.any?.([...signal ? [signal] : [],
    AbortSignal.timeout(ms)]) ?? signal;

async function parsed(reply, parse) {
    try {
        return await reply[parse]();
    } catch (e) {
        throw e.name === "AbortError" ? e : new Problem(0, "the answer was cut off");
    }
}

export async function getJson(path, {signal, ms = WAIT_MS} = {}) {
    return parsed(await ask(path, {signal: bounded(signal, ms)}), "json");
}

export async function getText(path, {signal, ms = WAIT_MS} = {}) {
    return parsed(await ask(path, {signal: bounded(signal, ms)}), "text");
}

export async function post(path, body) {
    const reply = await ask(path, {method: "POST", signal: bounded(null, 120000),
        headers: {"Content-Type": "application/json"}, body: JSON.stringify(body ?? {})});
    return reply.status === 204 ? null : parsed(reply, "json");
}

export const processPath = (id, rest = "") => `/api/v1/processes/${encodeURIComponent(id)}${
    rest ? `/${rest}` : ""}`;

/*
 * {event, data} as they come, and {event: "comment"} for what keeps the line open. Ends when the
 * server ends it; throws a Problem, or AbortError.
 */
export async function* events(path, signal) {
    const reply = await ask(path, {signal, headers: {Accept: "text/event-stream"}});
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
        let step;
        try {
            step = await reader.read();
        } catch (e) {
            throw e.name === "AbortError" ? e : new Problem(0, "the stream broke off");
        }
        if (step.done) {
            return;
        }
        rest += step.value;
        const blocks = rest.split(/\r?\n\r?\n/);
        rest = blocks.pop();
        for (const block of blocks) {
            const found = {event: "comment", data: ""};
            for (const line of block.split(/\r?\n/)) {
                const [, field, value] = /^(\w*): ?(.*)$/.exec(line) ?? [];
                if (field === "event") {
                    found.event = value;
                } else if (field === "data") {
                    found.data += (found.data ? "\n" : "") + value;
                }
            }
            yield found;
        }
    }
}
