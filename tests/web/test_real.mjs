/*
 * test_real - the pages of a real `mpalloc serve`: what they show of a program that leaks is what
 * the commands say
 *
 *     node test_real.mjs COMMAND LIBRARY SERVER      the command, libmpalloc.so, tools/demo's server
 *
 * Skipped (77) without chromium or node_modules.
 */
import assert from "node:assert/strict";
import {execFileSync, spawn} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import process from "node:process";
import {after, before, test} from "node:test";
import {CHROMIUM, findPlaywright, live, startServer, texts, until, withPage} from "./harness.mjs";

const [COMMAND, LIBRARY, DEMO] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), "mpalloc-web-"));
const env = {...process.env, MPALLOC_DIR: dir, MPALLOC_HISTORY: join(dir, "history.db")};

const playwright = await findPlaywright();
if (playwright === null) {
    process.exit(77);
}

let browser;
let server;
let demo;
const run = (...args) => execFileSync(COMMAND, args, {env, encoding: "utf8"});
const snapshot = () => JSON.parse(run("snapshot", "--json", String(demo.pid)));

const html = () => snapshot().components.find((c) => c.name === "extraction/html").live_bytes;

before(async () => {
    demo = spawn(DEMO, ["--leak", "--load", "1000", "--threads", "2", "--seconds", "120"],
        {env: {...env, LD_PRELOAD: LIBRARY, MPALLOC_SAMPLE: "32k"}, stdio: "ignore"});
    [browser, server] = await Promise.all([
        playwright.chromium.launch({executablePath: CHROMIUM, args: ["--no-sandbox"]}),
        startServer(COMMAND, ["serve", "--listen", "127.0.0.1:0", "--dir", dir,
            "--allow-actions"], "stderr", env)]);
});
after(async () => {
    demo.kill("SIGKILL");
    await Promise.all([browser?.close(), server?.stop()]);
    rmSync(dir, {recursive: true, force: true});
});

test("a process is there, opened, looked at from all sides, and dies", {timeout: 90000}, () =>
    withPage(browser, server, "/", {name: "real"}, async (page) => {
        await live(page);
        await page.getByRole("link", {name: "extraction-server"}).click();
        await live(page);
        const before_ = snapshot().live_bytes;
        const shown = await until(async () => Number((await page.locator(".tile dd").first()
            .getAttribute("title")).replace(/[^0-9]/g, "")), (n) => n >= before_, "live bytes");
        assert.ok(shown <= snapshot().live_bytes + (64 << 20), String(shown));
        const ledger = await page.locator("#ledger > .quiet").innerText();
        assert.match(ledger, /^Sum (\S+ MiB), the kernel says \1\.$/);
        await page.locator("#past canvas").waitFor();

        await page.keyboard.press("2");
        await until(() => texts(page, ".components th[scope=row] span"), (names) =>
            ["cache", "index", "extraction", "html"].every((n) => names.includes(n)), "the tree");
        await page.keyboard.press("3");
        assert.ok(await page.locator(".sizes tbody tr").count() > 10);
        await page.keyboard.press("4");
        await page.getByRole("button", {name: "All call stacks"}).click();
        await page.locator(".leak .stack", {hasText: "html_extract"}).first().waitFor();
        await page.keyboard.press("5");
        await page.locator(".tiles.small").getByText("Asked for").waitFor();
        await page.keyboard.press("7");
        await page.locator("#options").getByText("SAMPLE", {exact: true}).waitFor();

        await page.keyboard.press("6");
        const frame = page.frameLocator("iframe");
        await frame.locator("#rows tr", {hasText: "context_create"}).first().waitFor();
        await page.getByLabel("Name of a baseline").fill("here");
        await page.getByRole("button", {name: "Save as baseline"}).click();
        const option = page.locator("option", {hasText: "baseline here"});
        await option.waitFor({state: "attached"});
        const leaked = html();
        await until(html, (n) => n > leaked + (1 << 20), "it leaks");
        await page.getByLabel("Compare with").selectOption({label: await option.innerText()});
        await frame.getByRole("button", {name: "Grown"}).click();
        await frame.locator("#rows tr", {hasText: "context_create"}).first().waitFor();
        // And with what the server itself kept, when it began to look.
        const earlier = page.locator("optgroup[label='Earlier, in the history'] option").last();
        await page.getByLabel("Compare with").selectOption({label: await earlier.innerText()});
        await until(() => page.url(), (u) => /compare=then%3A20/.test(u), "the address");
        await frame.getByRole("button", {name: "Grown"}).click();
        await frame.locator("#rows tr", {hasText: "context_create"}).first().waitFor();
        await page.keyboard.press("1");

        demo.kill("SIGKILL");
        await page.getByText("The process died").waitFor();
        await page.keyboard.press("g");
        await page.locator("tr", {hasText: "extraction-server"}).getByText("Died").waitFor();
    }));
