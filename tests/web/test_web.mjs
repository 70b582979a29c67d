/*
 * test_web - the pages of `mpalloc serve` in Chromium, of processes that are made up
 *
 *     node test_web.mjs [NAME]      only the tests whose names have that
 *
 * Skipped (77) without chromium or node_modules. MPALLOC_TEST_SHOTS=DIRECTORY keeps pictures.
 */
import assert from "node:assert/strict";
import process from "node:process";
import {after, before, describe, test} from "node:test";
import {CHROMIUM, findPlaywright, live, order, startFake, texts, until,
    withPage} from "./harness.mjs";

const SERVER = "/processes/4711-4711000";
const HOSTILE = '<img src=x onerror="document.title=`pwned`">';
const PARTS = ["", "/components", "/sizes", "/leaks", "/advice", "/flame", "/facts"];
const NETWORK = /Failed to load resource|net::ERR/;

const playwright = await findPlaywright();
if (playwright === null) {
    process.exit(77);
}

let browser;
let server;
let plain;
before(async () => {
    [browser, server, plain] = await Promise.all([
        playwright.chromium.launch({executablePath: CHROMIUM, args: ["--no-sandbox"]}),
        startFake(), startFake(false)]);
});
after(async () => {
    await Promise.all([browser?.close(), server?.stop(), plain?.stop()]);
});

const only = process.argv[2];
const checks = [];
/* body(page, tell): tell("die", {id}) changes what the server says. */
function check(name, path, options, body) {
    if (only === undefined || name.includes(only)) {
        const key = name.replaceAll(/\W+/g, "_");
        checks.push([name, () => {
            const of = options.isPlain ? plain : server;
            return withPage(browser, of, path, {...options, name: key}, (page) =>
                body(page, (what, more) => order(of, key, what, more), of.base));
        }]);
    }
}

const rowOf = (page, name) => page.locator("tbody tr").filter({hasText: name});
const names = (page) => texts(page, ".processes tbody .name");
const cell = (page, name, label) => rowOf(page, name).locator(`[data-label="${label}"]`);
const numberOf = (title) => Number(title.replace(/[^0-9].*$/, "") || NaN);
const exactOf = async (locator) => numberOf((await locator.getAttribute("title"))
    .replaceAll(",", ""));

check("overview lists processes, the largest first", "/", {}, async (page) => {
    await live(page);
    assert.deepEqual(await names(page), ["extraction-server", "redis-server", "python3", HOSTILE]);
    assert.equal(await page.locator("#summary").innerText(),
        "4 running, 0 ended · 259.5 MiB live · 389.3 MiB RSS");
    assert.equal(await cell(page, "redis", "Live").innerText(), "64.0 MiB");
    assert.equal(await cell(page, "redis", "Live").getAttribute("title"), "67,108,864 bytes");
    assert.equal(await cell(page, "redis", "Of limit").innerText(), "9.4 %");
    assert.equal(await cell(page, "redis", "Alerts").innerText(), "0");
    assert.equal(await cell(page, "extraction", "Alerts").innerText(), "1");
    assert.equal(await cell(page, "extraction", "Leaks").innerText(), "1");
    assert.equal(await page.locator(".spark").count(), 4);
    assert.equal(await page.locator("#host").innerText(), "testhost");
    assert.equal(await page.title(), "mpalloc: processes");
});

check("a click on a head sorts, and the address keeps it", "/", {}, async (page) => {
    await live(page);
    await page.getByRole("button", {name: "Process"}).click();
    assert.deepEqual(await names(page), [HOSTILE, "extraction-server", "python3", "redis-server"]);
    await page.getByRole("button", {name: "Process"}).click();
    assert.equal((await names(page))[0], "redis-server");
    assert.equal(await page.locator("th[data-name=name]").getAttribute("aria-sort"), "descending");
    assert.match(page.url(), /\?sort=name$/);
    await page.getByRole("button", {name: "RSS"}).click();
    await page.getByRole("button", {name: "RSS"}).click();
    await page.reload();
    await live(page);
    assert.equal((await names(page))[3], "extraction-server");
});

check("filters and search choose rows", "/", {}, async (page, tell) => {
    await live(page);
    await tell("die", {id: "815"});
    await page.getByRole("button", {name: "Ended"}).click();
    await until(() => names(page), (n) => n.join() === "redis-server", "ended");
    await page.getByRole("button", {name: "With alerts"}).click();
    assert.deepEqual(await names(page), ["extraction-server"]);
    await page.getByRole("button", {name: "Leaking"}).click();
    assert.deepEqual(await names(page), ["extraction-server", HOSTILE]);
    await page.getByRole("searchbox").fill("IMG");
    await until(() => names(page), (n) => n.join() === HOSTILE, "searched");
    await page.getByRole("searchbox").fill("nobody");
    await page.getByRole("heading", {name: "None of them is like that"}).waitFor();
    await page.getByRole("button", {name: "Show all"}).click();
    assert.equal((await names(page)).length, 4);
    assert.equal(new URL(page.url()).search, "");
    await page.goto(`${server.base}/?q=42&show=running`);
    await until(() => names(page), (n) => n.join() === "python3", "by the address");
});

check("what the list does not say is asked for", "/", {}, async (page, tell) => {
    await tell("bare", {value: true});
    await page.reload();
    await until(() => cell(page, "extraction", "Leaks").innerText(), (t) => t === "1", "leaks");
    await until(() => cell(page, "extraction", "Alerts").innerText(), (t) => t === "1", "alerts");
    await until(() => cell(page, "extraction", "Of limit").innerText(), (t) => t === "105.5 %",
        "of the limit");
    await until(() => cell(page, "redis", "Trend").locator("path").count(), (n) => n === 2, "trend");
    const damaged = rowOf(page, "42-42000.mp");
    assert.equal(await damaged.locator("[data-label=State]").innerText(), "Damaged");
    assert.match(await damaged.innerText(), /section 3 is cut off <img/);
    assert.equal(await page.locator("main img").count(), 0);
    assert.match(await page.locator("#summary").innerText(), /^3 running, 1 ended/);
});

check("updates arrive, of processes old and new", "/", {}, async (page, tell) => {
    await live(page);
    const redis = cell(page, "redis", "Live");
    await redis.evaluate((node) => { node.isSame = true; });
    await tell("live", {id: "815", bytes: 500 << 20});
    await until(() => exactOf(redis), (n) => n > 480 << 20, "it grew");
    assert.equal((await names(page))[0], "redis-server");
    assert.ok(await redis.evaluate((node) => node.isSame), "cells are kept");
    await tell("add", {pid: 7, name: "newcomer"});
    await rowOf(page, "newcomer").waitFor();
});

check("a process that dies is shown so, one that is gone leaves", "/", {}, async (page, tell) => {
    await live(page);
    await tell("die", {id: "815"});
    await until(() => cell(page, "redis", "State").innerText(), (t) => t === "Died", "state");
    assert.match(await page.locator("#summary").innerText(), /^3 running, 1 ended/);
    await tell("gone", {id: "815"});
    await until(() => names(page), (n) => !n.includes("redis-server"), "gone");
});

check("without processes it says how to start one", "/", {}, async (page, tell) => {
    await tell("empty");
    await page.reload();
    await page.getByRole("heading", {name: "No process uses mpalloc yet"}).waitFor();
    await page.getByRole("button", {name: "Copy: mpalloc run -- PROG"}).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()),
        "mpalloc run -- PROG");
    await tell("add", {pid: 7, name: "first"});
    await rowOf(page, "first").waitFor();
    await until(() => page.getByRole("heading", {name: "No process uses"}).isVisible(), (v) => !v, "hint leaves");
});

check("two hundred processes", "/", {}, async (page, tell) => {
    await tell("many");
    await until(() => page.locator("tbody tr").count(), (n) => n === 204, "rows");
    // Processor time of the page, for the clock runs on when others have the processors.
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable", {timeDomain: "threadTicks"});
    const used = async () => (await session.send("Performance.getMetrics")).metrics
        .find((m) => m.name === "TaskDuration").value;
    const began = await used();
    await page.evaluate(() => new Promise((done) => {
        document.querySelector("[data-name=name] button").click();
        requestAnimationFrame(() => setTimeout(done));
    }));
    const took = await used() - began;
    assert.ok(took > 0 && took < 1, `sorting took ${took} s`);
    await page.getByRole("searchbox").fill("worker-19");
    await until(() => names(page), (n) => n.length === 11, "found");
});

check("without a stream it asks, and says so", "/", {mayFail: NETWORK}, async (page, tell) => {
    await live(page);
    await tell("stream", {value: false});
    await page.locator("#connection[data-state=polling]").waitFor();
    await tell("live", {id: "815", bytes: 500 << 20});
    await until(() => exactOf(cell(page, "redis", "Live")), (n) => n > 480 << 20, "polled");
    await tell("down", {value: true});
    await page.locator("#connection[data-state=offline]").waitFor();
    assert.equal((await names(page)).length, 4, "what was known stays");
    await tell("down", {value: false});
    await tell("stream", {value: true});
    await live(page);
});

check("a token is asked for, and kept", "/", {mayFail: NETWORK}, async (page, tell) => {
    await tell("token", {value: "s3cret"});
    await page.reload();
    await page.getByLabel("Token", {exact: true}).fill("s3cret");
    await page.keyboard.press("Enter");
    await live(page);
    await page.reload();
    await live(page);
    assert.equal(await page.locator("#token-dialog").isVisible(), false);
    await page.goto(`${server.base}${SERVER}/flame`);
    await page.frameLocator("iframe").locator("#canvas").waitFor();
});

check("memory: figures, charts, what RSS is made of", SERVER, {}, async (page) => {
    await live(page);
    assert.equal(await page.title(), "extraction-server (4711): mpalloc");
    const tiles = await texts(page, ".tile");
    assert.match(tiles.join("|"), /Live\n180\.0 MiB\n943\.7 k blocks/);
    await until(() => texts(page, ".tile"), (t) => /Leaks grow by\n1\.1 GiB\/h\s+± 30 %\s+1 call stack/
        .test(t.join("|")), "growth has its interval");
    assert.match((await texts(page, ".tile")).join("|"), /Efficiency\n74\.0 %\nslack .* ± 4[01] %/);
    await page.getByText("MpallocMemoryHigh").waitFor();
    assert.equal(await page.getByRole("link", {name: "What to do"}).getAttribute("href"),
        "/runbook#mpallocmemoryhigh");
    // Something is painted in the colour of what is live.
    const painted = () => page.evaluate(() => [...document.querySelectorAll("canvas")].map((c) => {
        const copy = new OffscreenCanvas(c.width, c.height).getContext("2d",
            {willReadFrequently: true}); // what is read often by itself is warned of
        copy.drawImage(c, 0, 0);
        const {data} = copy.getImageData(0, 0, c.width, c.height);
        let n = 0;
        for (let i = 0; i < data.length; i += 4) {
            n += data[i] === 0xc2 && data[i + 1] === 0x57 && data[i + 2] === 0x1a ? 1 : 0;
        }
        return n / (data.length / 4);
    }));
    await until(painted, ([past, ledger]) => past > 0.3 && ledger > 0.3, "charts are painted");
    await page.locator("#past .u-over").hover({position: {x: 300, y: 100}});
    await until(() => page.locator("#past .at").innerText(), (t) => /^\d\d:\d\d:\d\d$/.test(t),
        "the time pointed at");
    await page.getByText("By minute").click();
    assert.match(page.url(), /\?span=1$/);
    await page.getByText("Last day").click();
    await page.getByText(/Forecast: it grows by 12\.0 MiB\/h ± 20 %; 256\.0 MiB are reached in 6\.\d h/)
        .waitFor();
    assert.match(await page.locator("#past .legend").innerText(), /RSS 270\.0 MiB/);
    await page.locator("#past summary").click();
    await until(() => page.locator("#past tbody tr").count(), (n) => n > 40, "rows");
    // What was never touched is taken off; so rows, and their parts, add up to the kernel's figure.
    const column = (n) => page.locator(`#ledger .ledger td:nth-child(${n})`).evaluateAll((cells) =>
        cells.filter((c) => !c.parentNode.hidden).map((c) => c.title || c.textContent));
    const parts = await column(2);
    assert.match(parts.at(-1), /^-4,\d{3},\d{3} bytes$/);
    assert.match((await column(3)).at(-1), /^−\d\.\d %$/);
    const shares = (await column(3)).map((t) => Number.parseFloat(t.replace("−", "-")) || 0);
    assert.ok(Math.abs(shares.reduce((n, v) => n + v, 0) - 100) < 0.5, shares.join());
    const sum = parts.reduce((n, t) => n + Number.parseInt(t.replaceAll(",", ""), 10), 0);
    assert.equal(sum, await exactOf(page.locator("#ledger > .quiet")));
});

check("the process dies while it is looked at", SERVER, {mayFail: NETWORK}, async (page, tell) => {
    await live(page);
    await tell("die", {id: "4711"});
    await page.getByText("The process died").waitFor();
    await page.getByText("Died", {exact: true}).waitFor();
    await page.locator("[title='The mean of its life']").waitFor();
    await page.reload(); // now it was never seen running
    await page.getByText("The process died").waitFor();
    await until(() => page.getByRole("heading", {name: "Since this page was opened"}).isVisible(), (v) => !v,
        "no chart of what stands still");
    await tell("gone", {id: "4711"});
    await page.getByText(/The process ended. These are its last figures/).waitFor();
    assert.equal(await page.locator("#connection").getAttribute("data-state"), "ended");
    await page.getByRole("link", {name: "Components"}).click();
    await page.locator(".components tbody tr").first().waitFor();
    assert.match(await page.locator(".components tbody").innerText(), /cache/);
    await page.reload();
    await page.getByText("There is no such process").waitFor();
    assert.equal(await page.locator("#connection").innerText(), "No such process");
    await page.locator(".empty").getByRole("link", {name: "All processes"}).click();
    await live(page);
});

check("components are a tree", `${SERVER}/components`, {}, async (page) => {
    await live(page);
    const shown = () => texts(page, ".components th[scope=row] span");
    await until(shown, (n) => n.length === 6, "rows");
    const share = page.locator("tr", {hasText: "html"}).locator("[data-label='Of all']");
    assert.match(await share.innerText(), /^30\.0 %$/);
    const limit = (name) => page.locator("tr", {has: page.getByText(name, {exact: true})})
        .locator("[data-label='Of its limit']");
    assert.equal(await limit("cache").innerText(), "160.0 %");
    assert.match(await limit("cache").getAttribute("title"), /^soft –, hard 45\.0 MiB, reached 0/);
    assert.equal(await limit("index").innerText(), "–");
    assert.ok((await shown()).indexOf("html") === (await shown()).indexOf("extraction") + 1);
    await page.locator("tr", {hasText: "extraction"}).locator(".fold").click();
    await until(shown, (n) => !n.includes("html"), "folded");
    await page.getByRole("searchbox").fill("pdf");
    await until(shown, (n) => n.join() === "extraction,pdf", "what is found, and what it is in");
    assert.match(page.url(), /\?q=pdf$/);
});

check("size classes", `${SERVER}/sizes`, {}, async (page) => {
    await live(page);
    const rows = page.locator(".sizes tbody tr");
    await until(() => rows.count(), (n) => n === 26, "those in use");
    await page.getByRole("button", {name: "All", exact: true}).click();
    assert.equal(await rows.count(), 40);
    const blocks = await texts(page, ".sizes tbody th");
    assert.equal(new Set(blocks).size, 40, blocks.join());
    assert.deepEqual(blocks.slice(-3), ["608 B", "1,152 B", "64 KiB"]);
    await page.getByRole("button", {name: "Block", exact: true}).click();
    assert.equal(await rows.first().locator("th").getAttribute("title"), "65,536 bytes");
});

check("leaks: verdicts, evidence, stacks", `${SERVER}/leaks`, {}, async (page) => {
    await live(page);
    const card = page.locator(".leak").first();
    await card.waitFor();
    const text = await card.innerText();
    assert.match(text, /Growing\s+extraction\/html/);
    assert.match(text, /GROWS BY|Grows by\n1\.1 GiB\/h ± 30 %/);
    assert.match(text, /used up in\n21 h ± 10 %/);
    assert.match(text, /grew by 45\.6 MiB/);
    assert.match(text, /memory_take\s*memory\.c:44/);
    assert.equal(await card.locator(".stack li").count(), 6);
    await card.getByRole("button", {name: "3 more"}).click();
    assert.equal(await card.locator(".stack li").count(), 8);
    assert.equal(await page.getByRole("button", {name: /Check what/}).count(), 0);
    await page.getByRole("button", {name: "All call stacks"}).click();
    await until(() => page.locator(".leak").count(), (n) => n === 6, "with what is fine");
    await page.getByRole("searchbox").fill("nothing like it");
    await page.getByText("None is like that").waitFor();
});

check("a leak check, where the server allows it", "/", {}, async (page, tell) => {
    await tell("actions", {value: true});
    await page.goto(`${server.base}${SERVER}/leaks`);
    await page.getByRole("button", {name: "Check what is reachable"}).click();
    await until(() => texts(page, ".verdict"), (v) => /1\s*Lost/.test(v[0]), "it is lost");
    assert.deepEqual((await tell("stream", {value: true})).posted.length, 1);
});

check("advice, with gain and interval", `${SERVER}/advice`, {}, async (page) => {
    const card = page.locator("article").first();
    await card.waitFor();
    assert.match(await card.innerText(),
        /POOL\s+Use a pool\s+in extraction\/pdf\s+gain 120\.0 k calls\/s ± 10 % · 4\.0 %/);
    await card.getByRole("link", {name: "in extraction/pdf"}).click();
    await page.locator(".components tbody tr").first().waitFor();
    assert.match(page.url(), /components\?q=extraction%2Fpdf$/);
});

check("facts", `${SERVER}/facts`, {}, async (page) => {
    await live(page);
    const text = await page.locator(".columns").innerText();
    for (const wanted of [/Control group\s+256\.0 MiB, \d+\.\d % used/, /Parent\s+1\n/,
        /Publishing took\s+70 ms, 0\.01\d* % of the time/, /DIR\s+\/dev\/shm\/x\s+environment/]) {
        assert.match(text, wanted);
    }
});

check("flame graph: zoomed, searched, in the address", `${SERVER}/flame`, {}, async (page) => {
    const frame = page.frameLocator("iframe");
    await frame.locator("#rows tr").first().waitFor();
    await frame.locator("#search").fill("html_extract");
    await until(() => page.url(), (u) => u.includes("#search=html_extract"), "the address");
    await frame.locator("#matched", {hasText: "1 matched"}).waitFor();
    await page.reload();
    await page.frameLocator("iframe").locator("#matched", {hasText: "1 matched"}).waitFor();
    assert.equal(await frame.locator("header").isVisible(), false);
});

check("flame graph of a difference", `${SERVER}/flame`, {}, async (page) => {
    const frame = page.frameLocator("iframe");
    await frame.locator("#rows tr").first().waitFor();
    await page.getByLabel("Compare with").selectOption({label: await page.locator(
        "option", {hasText: "baseline monday"}).innerText()});
    await frame.getByRole("button", {name: "Shrunk"}).waitFor();
    assert.match(page.url(), /compare=baseline%3Amonday/);
    const colours = () => page.frames()[1].evaluate(() => {
        const c = document.querySelector("#canvas");
        const copy = new OffscreenCanvas(c.width, c.height).getContext("2d",
            {willReadFrequently: true});
        copy.drawImage(c, 0, 0);
        const {data} = copy.getImageData(0, 0, c.width, c.height);
        const sum = {red: 0, blue: 0};
        for (let i = 0; i < data.length; i += 4) {
            sum.red += data[i] > data[i + 2] + 40 ? 1 : 0;
            sum.blue += data[i + 2] > data[i] + 40 ? 1 : 0;
        }
        return sum;
    });
    await until(colours, ({red, blue}) => red > 1000 && blue > 1000, "what grew, and shrank");
    await frame.locator("#graph").focus();
    for (const key of ["ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp"]) {
        await page.keyboard.press(key);
    }
    const tip = await frame.locator("#tip").innerText();
    assert.match(tip, /before\s+\d+\.\d MiB\s+after\s+\d+\.\d MiB\s+change\s+[+−]\d/);
    await frame.getByRole("button", {name: "Grown"}).click();
    await until(() => frame.locator("#rows tr").first().innerText(), (t) => /3\d\.\d MiB/.test(t),
        "a tenth grew to three");
});

check("flame graph against an earlier time of the history", `${SERVER}/flame`, {}, async (page) => {
    const frame = page.frameLocator("iframe");
    await frame.locator("#rows tr").first().waitFor();
    const group = page.locator("optgroup[label='Earlier, in the history'] option");
    await until(() => group.allTextContents(), (t) => t.length === 3, "what is kept");
    const labels = await group.allTextContents();
    assert.match(labels[0], /^(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d, 1 min ago: 60\.0 MiB$/);
    assert.match(labels[1], /, 2 h ago: /);
    await page.getByLabel("Compare with").selectOption({label: labels[1]});
    await frame.getByRole("button", {name: "Shrunk"}).waitFor();
    assert.match(page.url(), /compare=then%3A20\d\d-/);
    assert.equal(await page.locator(".flame-part .notice").count(), 0);
    await page.reload();
    await frame.getByRole("button", {name: "Shrunk"}).waitFor();
    // Of a time that nothing is kept of the nearest is taken, and that is said.
    await page.goto(`${server.base}${SERVER}/flame?compare=then%3A2020-01-01T00%3A00%3A00Z`);
    await frame.getByRole("button", {name: "Shrunk"}).waitFor();
    await page.getByText("Of then nothing is kept: the nearest moment is 5 d later.").waitFor();
    await page.getByLabel("Compare with").selectOption("");
    await frame.locator("#rows tr").first().waitFor();
    assert.equal(await page.locator(".flame-part .notice").count(), 0);
});

check("flame graph against a moment that was marked", `${SERVER}/flame`, {}, async (page, tell) => {
    const frame = page.frameLocator("iframe");
    await frame.locator("#rows tr").first().waitFor();
    await page.getByRole("button", {name: "Mark this moment"}).click();
    const option = page.locator("option", {hasText: "this page’s moment"});
    await option.waitFor({state: "attached"});
    await tell("live", {id: "4711", bytes: 400 << 20});
    await page.getByLabel("Compare with").selectOption({label: await option.innerText()});
    await frame.getByRole("button", {name: "Grown"}).click();
    await until(() => frame.locator("#rows tr").first().innerText(), (t) =>
        /1\d\d\.\d MiB/.test(t), "it grew");
    await page.reload();
    await page.frameLocator("iframe").getByText(/that moment is not kept/).waitFor();
});

check("names are text, whatever they are", "/", {mayFail: NETWORK}, async (page) => {
    await live(page);
    for (const part of PARTS) {
        await page.goto(`${server.base}/processes/99-99000${part}`);
        await live(page);
        const body = part === "/flame" ? page.frameLocator("iframe").locator("#rows")
            : page.locator("main");
        await until(() => body.innerText(), (t) => t.includes("<img src=x"), `in ${part}`);
        for (const frame of page.frames()) {
            assert.equal(await frame.locator("main img, #rows img").count(), 0);
        }
        assert.ok(!(await page.title()).startsWith("pwned"));
    }
    await page.goto(`${server.base}/processes/${encodeURIComponent(HOSTILE)}-1`);
    await page.getByText("There is no such process").waitFor();
});

check("keys alone are enough", "/", {}, async (page) => {
    await live(page);
    const focus = () => page.evaluate(() => document.activeElement.textContent.trim());
    await page.keyboard.press("Tab");
    assert.equal(await focus(), "Skip to the content");
    await until(() => page.locator(".skip").boundingBox(), (b) => b.y >= 0, "it is to be seen");
    await page.keyboard.press("Enter");
    await until(() => page.evaluate(() => document.activeElement.id), (id) => id === "main",
        "it leads there");
    await page.keyboard.press("/");
    await page.keyboard.type("server");
    await until(() => names(page), (n) => n.length === 2, "searched");
    await page.keyboard.press("Tab");
    assert.equal(await focus(), "Process");
    for (let i = 0; i < 9; i++) {
        await page.keyboard.press("Tab");
    }
    assert.equal(await focus(), "extraction-server");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, "solid", "the focus is to be seen");
    await page.keyboard.press("ArrowDown");
    assert.equal(await focus(), "redis-server");
    await page.keyboard.press("Home");
    await page.keyboard.press("Enter");
    await until(() => page.title(), (t) => t.startsWith("extraction-server"), "opened");
    await live(page);
    await page.keyboard.press("2");
    await page.locator(".components tbody tr").first().waitFor();
    await page.locator(".components tbody tr[tabindex='0']").focus();
    await page.keyboard.press("End");
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowDown");
    assert.match(await focus(), /extraction/);
    await page.keyboard.press("ArrowLeft");
    const expanded = () => page.locator("tr[aria-level='1']", {hasText: "extraction"})
        .getAttribute("aria-expanded");
    await until(expanded, (e) => e === "false", "folded");
    await page.keyboard.press("ArrowRight");
    await until(expanded, (e) => e === "true", "unfolded");
    assert.match(await focus(), /extraction/, "updates leave the focus");
    await page.keyboard.press("?");
    await page.locator("#keys[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("6");
    await page.frameLocator("iframe").locator("#rows tr").first().waitFor();
    await page.frameLocator("iframe").locator("#graph").focus();
    await page.keyboard.press("g");
    await page.waitForURL(`${server.base}/`);
    await page.goBack();
    await page.waitForURL(`${server.base}${SERVER}/flame`);
});

/* WCAG's contrast of what is written, against the nearest background that is painted. */
function faintTexts() {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const parse = (color, under) => {
        canvas.fillStyle = `rgb(${under})`;
        canvas.fillRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    };
    const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92
        : ((v + 0.055) / 1.055) ** 2.4).reduce((n, v, i) => n + v * [0.2126, 0.7152, 0.0722][i], 0);
    const backOf = (e) => e === null ? [255, 255, 255]
        : parse(getComputedStyle(e).backgroundColor, backOf(e.parentElement));
    const faint = [];
    for (const e of document.querySelectorAll("body *")) {
        const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== "");
        const style = getComputedStyle(e);
        if (!own || !e.checkVisibility({visibilityProperty: true}) || e.closest("svg, .unseen, .skip")
            || e.matches(":disabled")) {
            continue;
        }
        const back = backOf(e);
        const [a, b] = [light(parse(style.color, back)), light(back)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) {
            faint.push(`${e.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
        }
    }
    return faint;
}

/* Controls without a name, ids that are there twice, and what is wider than the window. */
function flaws() {
    const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
    const nameless = [...document.querySelectorAll(
        "a, button, input, select, iframe, dialog, nav, section, [role=img], table")]
        .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.title
            || e.labels?.length > 0 || document.getElementById(e.getAttribute("aria-labelledby"))))
        .map((e) => e.outerHTML.slice(0, 100));
    const wide = [document.documentElement, ...document.querySelectorAll("button, a, input, select")]
        .filter((e) => !e.closest(".tabs, .wide, .choice, .skip")
            && Math.max(e.scrollLeft, e.getBoundingClientRect().right) > innerWidth)
        .map((e) => e.outerHTML.slice(0, 100));
    // Tables may be wider than a phone, but not the list of processes, whose rows are cards there.
    const list = document.querySelector(".page > .wide");
    if (list && list.scrollWidth > list.clientWidth) {
        wide.push(`the list: ${list.scrollWidth} in ${list.clientWidth}`);
    }
    return [...nameless, ...wide, ...ids.filter((id, i) => ids.indexOf(id) !== i),
        ...document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : []];
}

const LOOKS = {"wide and light": {}, "a phone, dark": {width: 390, height: 844, dark: true}};
for (const [look, options] of Object.entries(LOOKS)) {
    check(`all can be read, reached and named: ${look}`, "/", options, async (page, tell) => {
        await tell("actions", {value: true});
        for (const path of ["/", ...PARTS.map((part) => SERVER + part),
            "/processes/99-99000/leaks"]) {
            await page.goto(server.base + path);
            await live(page);
            await page.locator(".page .loading").waitFor({state: "hidden"});
            assert.deepEqual(await page.evaluate(faintTexts), [], path);
            assert.deepEqual(await page.evaluate(flaws), [], path);
        }
    });
}

check("light or dark: as the system has it, until one is chosen", "/", {own: true},
    async (page) => {
        await live(page);
        const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        assert.equal(await back(), "rgb(251, 250, 248)");
        await page.emulateMedia({colorScheme: "dark"});
        await until(back, (b) => b === "rgb(23, 21, 15)", "dark as the system");
        await page.getByRole("button", {name: "Light or dark"}).click();
        await until(back, (b) => b === "rgb(251, 250, 248)", "light was chosen");
        await page.goto(`${server.base}${SERVER}/flame`);
        const frame = page.frameLocator("iframe");
        await frame.locator("#rows tr").first().waitFor();
        const inside = () => page.frames()[1].evaluate(() =>
            getComputedStyle(document.querySelector("#graph")).backgroundColor);
        assert.equal(await inside(), "rgb(255, 255, 255)", "the choice is kept, and of the frame");
        await page.keyboard.press("d");
        await until(inside, (b) => b === "rgb(31, 28, 22)", "the frame follows");
    });

check("charts without a library", SERVER, {isPlain: true}, async (page) => {
    await live(page);
    await page.getByText("Charts are plain").waitFor();
    const areas = page.locator("#past .plain .area");
    await until(() => areas.count(), (n) => n === 4, "areas");
    const box = await areas.last().boundingBox();
    assert.ok(box.width > 800 && box.height > 80, JSON.stringify(box));
    await page.locator("#past .plain").hover({position: {x: 200, y: 50}});
    await until(() => page.locator("#past .at").innerText(), (t) => /^\d\d:/.test(t), "pointed");
    assert.equal(await page.locator("canvas").count(), 0);
});

describe("pages", {concurrency: 4}, () => {
    checks.forEach(([name, body]) => test(name, {timeout: 90000}, body));
});
