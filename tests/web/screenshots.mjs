/*
 * screenshots - the pictures of README: tools/web/overview.png and tools/web/process.png
 *
 *     node tests/web/screenshots.mjs BUILD [SECONDS]
 *
 * Real programs on mpalloc (redis-server under load, the demo that leaks, python3, and one that is
 * killed) for so many seconds (150), and `mpalloc serve`; then Chromium.
 */
import {execFileSync, spawn} from "node:child_process";
import {mkdirSync, mkdtempSync, rmSync, statSync} from "node:fs";
import {tmpdir} from "node:os";
import {join, resolve} from "node:path";
import process from "node:process";
import {setTimeout as sleep} from "node:timers/promises";
import {CHROMIUM, findPlaywright, HERE, live, startServer} from "./harness.mjs";

const MOST_BYTES = 300 * 1024;
const build = resolve(process.argv[2]);
const seconds = Number(process.argv[3] ?? 150);
const out = join(HERE, "../../tools/web");
const dir = mkdtempSync(join(tmpdir(), "mpalloc-shots-"));
const command = join(build, "tools/mpalloc");
const env = {...process.env, MPALLOC_DIR: join(dir, "regions"),
    MPALLOC_HISTORY: join(dir, "history.db"), LD_PRELOAD: join(build, "alloc/libmpalloc.so"),
    MPALLOC_SAMPLE: "128k"};
const PORT = "17780";
const JOB = `
import json, time
rows, kept = [{"id": i, "tags": ["a", str(i)]} for i in range(3000)], []
while True:
    kept = [json.loads(json.dumps(rows)) for _ in range(4)]
    time.sleep(0.2)
`;

const playwright = await findPlaywright();
if (playwright === null) {
    process.exit(77);
}
mkdirSync(env.MPALLOC_DIR, {mode: 0o700});
const {LD_PRELOAD, ...plain} = env;
const start = (program, args, more = {}) => spawn(program, args, {cwd: build, stdio: "ignore", env,
    ...more});
const programs = [
    start("prlimit", ["--as=2147483648", "redis-server", "--port", PORT, "--save", ""]),
    start("tools/demo/extraction-server", ["--leak", "--load", "600", "--threads", "2",
        "--seconds", "3600"]),
    start("python3", ["-c", JOB], {env: {...env, MPALLOC_SERVICE: "billing-report"}}),
];
const victim = start("python3", ["-c", JOB], {env: {...env, MPALLOC_SERVICE: "thumbnailer"}});
const server = await startServer(command, ["serve", "--listen", "127.0.0.1:0", "--dir",
    env.MPALLOC_DIR], "stderr", plain);
try {
    await sleep(2000);
    const load = spawn("redis-benchmark", ["-p", PORT, "-t", "set,lpush", "-d", "400", "-r",
        "200000", "-n", "100000000", "-q", "-c", "4", "--threads", "1", "-P", "1"],
    {stdio: "ignore", env: plain});
    programs.push(load);
    await sleep(Math.min(20, seconds / 2) * 1000);
    load.kill("SIGSTOP"); // as large as it shall be
    victim.kill("SIGKILL");
    const browser = await playwright.chromium.launch({executablePath: CHROMIUM,
        args: ["--no-sandbox"]});
    const page = await browser.newPage({viewport: {width: 1200, height: 720},
        deviceScaleFactor: 1.25, colorScheme: "light"});
    await page.goto(server.base);
    await live(page);
    await page.getByRole("link", {name: "extraction-server"}).click();
    await sleep(Math.max(0, seconds - 20) * 1000); // its ledger is drawn meanwhile
    for (const [name, height, before] of [
        ["process", 980, async () => {}],
        ["overview", 480, async () => {
            await page.goto(server.base);
            await live(page);
            await sleep(4000);
        }]]) {
        await before();
        await page.setViewportSize({width: 1200, height});
        await page.evaluate(() => {
            document.getElementById("host").textContent = ""; // of whoever made the picture
            document.activeElement.blur();
        });
        await page.mouse.move(600, 1);
        await sleep(3000);
        const path = join(out, `${name}.png`);
        await page.screenshot({path});
        const {size} = statSync(path);
        console.log(`${path}: ${size} bytes`);
        if (size > MOST_BYTES) {
            throw new Error(`${path} is larger than ${MOST_BYTES} bytes`);
        }
    }
    console.log(execFileSync(command, ["ps"],
        {env: plain, encoding: "utf8"}));
    await browser.close();
} finally {
    programs.forEach((p) => p.kill("SIGKILL"));
    await server.stop();
    rmSync(dir, {recursive: true, force: true});
}
