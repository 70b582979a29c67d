/*
 * harness - a browser, a server that makes processes up, and what every test asks of a page: that
 * nothing fails, nothing is said on the console, and nothing is asked of anybody else
 */
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {existsSync} from "node:fs";
import {dirname, join} from "node:path";
import {createInterface} from "node:readline";
import process from "node:process";
import {fileURLToPath} from "node:url";

export const HERE = dirname(fileURLToPath(import.meta.url));
export const UPLOT = join(HERE, "../../tools/web/node_modules/uplot");
export const CHROMIUM = "/usr/bin/chromium";
const SHOTS = process.env.MPALLOC_TEST_SHOTS;
const WAIT_MS = 20000; // of a loaded machine

/* The module of playwright-core, or null after a line that says what is missing. */
export async function findPlaywright() {
    if (!existsSync(CHROMIUM)) {
        console.log(`skipped: no ${CHROMIUM}`);
        return null;
    }
    try {
        return await import("playwright-core");
    } catch {
        console.log("skipped: no tests/web/node_modules; run tools/install.sh test");
        return null;
    }
}

/* A program that prints its address in its first line, of standard output or `from`. */
export async function startServer(command, args, from = "stdout", env = process.env) {
    const child = spawn(command, args, {stdio: ["pipe", "pipe", "pipe"], env});
    const lines = createInterface({input: child[from]});
    child[from === "stdout" ? "stderr" : "stdout"].pipe(process.stderr);
    const base = await new Promise((done, fail) => {
        lines.on("line", (line) => {
            const found = /https?:\/\/\S+/.exec(line);
            if (found) {
                done(found[0].replace(/\/$/, ""));
            }
        });
        child.on("exit", (code) => fail(new Error(`${command} ended with ${code}`)));
    });
    child.removeAllListeners("exit");
    return {base, child, stop: () => new Promise((done) => {
        child.on("exit", done);
        child.kill();
    })};
}

export const startFake = (withUplot = true) => startServer("/usr/bin/python3",
    [join(HERE, "fake_server.py"), ...withUplot ? ["--uplot", UPLOT] : []]);

/* Of the processes of a test, which it has for itself. */
export async function order(server, name, what, more = {}) {
    const reply = await fetch(`${server.base}/test`, {method: "POST", headers: {"X-Test": name},
        body: JSON.stringify({do: what, ...more})});
    assert.equal(reply.status, 200);
    return reply.json();
}

/*
 * Runs `body(page)` with a page at `path`. options: name, of the test; width, height, dark;
 * mayFail: a pattern of what the console may say, where a test lets the server fail; own: it keeps
 * something in the browser.
 */
/* Kept, for one test at a time: what was fetched once is not fetched again. */
const contexts = new Map();

export async function withPage(browser, server, path, options, body) {
    const kind = JSON.stringify([options.width, options.dark, options.own && options.name]);
    const free = contexts.get(kind) ?? [];
    contexts.set(kind, free);
    const context = free.pop() ?? await browser.newContext({
        viewport: {width: options.width ?? 1280, height: options.height ?? 860},
        colorScheme: options.dark ? "dark" : "light", reducedMotion: "reduce",
        permissions: ["clipboard-read", "clipboard-write"]});
    const page = await context.newPage();
    await page.setExtraHTTPHeaders({"X-Test": options.name});
    const wrong = [];
    page.setDefaultTimeout(WAIT_MS);
    page.on("console", (m) => {
        const said = `${m.text()} (${m.location().url})`;
        if (["error", "warning"].includes(m.type()) && !options.mayFail?.test(said)) {
            wrong.push(`console: ${said}`);
        }
    });
    page.on("pageerror", (e) => wrong.push(`error: ${e.stack}`));
    page.on("request", (r) => {
        if (!r.url().startsWith(server.base) && !r.url().startsWith("blob:")) {
            wrong.push(`asked of others: ${r.url()}`);
        }
    });
    page.on("dialog", (d) => {
        wrong.push(`dialog: ${d.message()}`);
        d.dismiss();
    });
    try {
        await page.goto(server.base + path);
        await body(page);
        if (SHOTS) {
            await page.screenshot({path: join(SHOTS, `${options.name}.png`)});
        }
    } finally {
        await page.close();
        free.push(context);
    }
    assert.deepEqual(wrong, []);
}

/* Until `ask` says what is wanted; the last answer is in the message. */
export async function until(ask, isWanted, what) {
    const end = Date.now() + WAIT_MS;
    for (;;) {
        const answer = await ask();
        if (isWanted(answer)) {
            return answer;
        }
        assert.ok(Date.now() < end, `${what}: ${JSON.stringify(answer)}`);
        await new Promise((done) => setTimeout(done, 40));
    }
}

export const texts = (page, selector) => page.locator(selector).allInnerTexts();
export const live = (page) => page.locator("#connection[data-state=live]").waitFor();
