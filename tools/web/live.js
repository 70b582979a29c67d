/*
 * live - figures as they change: a stream of events, or by asking again where there is none
 *
 * One watch at a time, of all processes or of one. States: connecting, live, polling, offline,
 * ended (the process is gone), paused (nobody looks).
 */
import {events, getJson, Problem, processPath} from "./api.js";

const POLL_MS = 2000;
const SILENT_MS = 20000; // then the stream is taken for dead
const RETRY_MS = [1000, 2000, 4000, 8000, 15000];

const pause = (ms, signal) => new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
        clearTimeout(timer);
        done();
    }, {once: true});
});

/*
 * handlers: processes(document), snapshot(document), alerts(document), state(name, text).
 * process: an id, or null for all. Returns what ends it.
 */
export function watch(process, handlers) {
    let current = new AbortController();
    let isOver = false;
    let state = "";
    const setState = (name, text = "") => {
        if (!isOver && (name !== state || text !== "")) {
            state = name;
            handlers.state?.(name, text);
        }
    };
    const streamPath = `/api/v1/events${process === null ? ""
        : `?process=${encodeURIComponent(process)}`}`;
    const pollPath = process === null ? "/api/v1/processes" : processPath(process, "snapshot");
    const isGone = (e) => process !== null && e instanceof Problem
        && (e.status === 404 || e.status === 410);

    async function poll(signal) {
        const document = await getJson(pollPath, {signal});
        handlers[process === null ? "processes" : "snapshot"]?.(document);
    }

    async function stream(signal) {
        let heard = Date.now();
        const inner = new AbortController();
        const stop = () => inner.abort();
        signal.addEventListener("abort", stop, {once: true});
        const watchdog = setInterval(() => {
            if (Date.now() - heard > SILENT_MS) {
                inner.abort();
            }
        }, 1000);
        try {
            for await (const {event, data} of events(streamPath, inner.signal)) {
                heard = Date.now();
                if (signal.aborted) {
                    return;
                }
                if (event === "gone") {
                    throw new Problem(404, "the process is gone");
                }
                if (data && handlers[event]) {
                    handlers[event](JSON.parse(data));
                    setState("live");
                }
            }
        } finally {
            clearInterval(watchdog);
            signal.removeEventListener("abort", stop);
        }
    }

    async function run() {
        const {signal} = current;
        setState("connecting");
        for (let tries = 0; !signal.aborted; tries++) {
            const began = Date.now();
            try {
                await stream(signal);
            } catch (e) {
                if (signal.aborted) {
                    return;
                }
                if (isGone(e)) {
                    setState("ended");
                    return;
                }
                if (!(e instanceof Problem) && e.name !== "AbortError") {
                    console.error(e);
                }
            }
            tries = Date.now() - began > SILENT_MS ? 0 : tries;
            const until = Date.now() + RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
            do { // by asking, until the stream is tried again
                if (signal.aborted) {
                    return;
                }
                try {
                    await poll(signal);
                    setState("polling");
                } catch (e) {
                    if (signal.aborted) {
                        return;
                    }
                    if (isGone(e)) {
                        setState("ended");
                        return;
                    }
                    if (!(e instanceof Problem) && e.name !== "TimeoutError") {
                        console.error(e);
                    }
                    setState("offline", e.message);
                }
                await pause(Math.min(POLL_MS, Math.max(200, until - Date.now())), signal);
            } while (Date.now() < until);
        }
    }

    const onVisible = () => {
        if (document.hidden) {
            current.abort();
            setState("paused");
        } else if (current.signal.aborted && state !== "ended") {
            current = new AbortController();
            run();
        }
    };
    document.addEventListener("visibilitychange", onVisible);
    run();
    return () => {
        isOver = true;
        document.removeEventListener("visibilitychange", onVisible);
        current.abort();
    };
}
