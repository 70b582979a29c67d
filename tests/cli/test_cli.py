"""The mpalloc command, as its users and scripts see it.

    test_cli.py COMMAND TARGET LIBRARY

Exact figures of a process with known memory, every document against its schema, every exit
code, and what is said when a target is missing, foreign, damaged or hostile.
"""

import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import struct
import subprocess
import time
import unittest

import jsonschema

from command import COMMAND, LIBRARY, SCHEMAS, TARGET, CommandTest, main

VERBS = ("run ps top snapshot report leaks flame diff baseline alerts record export trim "
         "sample options doctor completion help version").split()


class Cli(CommandTest):
    # Figures.

    def test_snapshot_has_the_exact_figures(self):
        p = self.start("quiet")
        d = self.document("snapshot", p.pid)
        parts = {c["name"]: c for c in d["components"]}
        cart, shop = parts["shop/cart"], parts["shop"]
        self.assertEqual((cart["live_blocks"], cart["live_bytes"]), (1000, 1008 * 1000))
        self.assertEqual(cart["allocated_blocks_total"], 1500)
        self.assertEqual(cart["freed_bytes_total"], 500 * 208)
        self.assertEqual((shop["live_blocks"], shop["live_bytes"]), (10, 10 * 102400))
        self.assertEqual(cart["parent"], "shop")
        self.assertEqual(shop["tree_live_bytes"], cart["live_bytes"] + shop["live_bytes"])
        for key in ("live_bytes", "live_blocks", "allocated_bytes_total", "freed_blocks_total"):
            self.assertEqual(sum(c[key] for c in d["components"]), d[key], key)
            self.assertEqual(sum(c[key] for c in d["size_classes"]), d[key], key)
        by_size = {c["block_bytes"]: c for c in d["size_classes"]}
        self.assertEqual(by_size[208]["live_blocks"], 0)
        self.assertGreaterEqual(by_size[1008]["live_blocks"], 1000)
        self.assertGreater(d["refills_total"], 0)

    def test_ledger_adds_up_to_what_the_kernel_says(self):
        p = self.start("garbage")
        d = self.document("snapshot", p.pid)
        ledger = d["rss_ledger"]
        self.assertTrue(ledger["measured"])
        self.assertEqual(sum(part["bytes"] for part in ledger["parts"]), ledger["total_bytes"])
        self.assertEqual(ledger["total_bytes"], ledger["rss_bytes"])
        status = pathlib.Path(f"/proc/{p.pid}/status").read_text()
        rss = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024
        self.assertLess(abs(ledger["rss_bytes"] - rss), 0.02 * rss)
        part = {x["name"]: x["bytes"] for x in ledger["parts"]}
        # By chance nothing was sampled: then what was asked for is not known.
        live = part["live"] if "live" in part else part["requested"] + part["slack"]
        self.assertGreater(live + part["cached"] + part["dirty"], 0.3 * rss)
        self.assertEqual(live, d["live_bytes"])

    def test_report_in_every_form(self):
        p = self.start()
        time.sleep(2.5)
        d = self.document("report", p.pid)
        self.assertGreaterEqual(len(d["timeline"]["seconds"]), 2)
        self.assertTrue(any(m["path"].endswith("/target") for m in d["modules"]))
        text = self.command("report", p.pid).stdout
        for wanted in ("shop/cart", "Where resident memory is", "Size classes", "1,008 B",
                       "Live bytes over time", "Own cost", "984.4 KiB"):
            self.assertIn(wanted, text)
        self.assertNotIn("\x1b", text)
        self.assertTrue(all(len(line) < 120 for line in text.splitlines()))
        self.assertIn("\x1b[1m", self.command("report", p.pid, "--color", "always").stdout)
        path = self.dir / "report.txt"
        self.command("report", p.pid, "--output", path)
        self.assertIn("shop/cart", path.read_text())
        self.fails(1, "report", p.pid, "--output", "/nonexistent/x", says="cannot be written")

    def test_pools_and_counters_of_the_program(self):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
        p = self.start("pools")
        d = self.document("snapshot", p.pid)
        pool, = d["pools"]
        self.assertEqual(pool, {"number": 1, "component": "shop/pool", "object_bytes": 600,
                                "keep": 1000, "gets_total": 250, "hits_total": 150,
                                "misses_total": 100, "freed_total": 0, "kept": 70, "live": 30,
                                "peak": 100})
        self.assertEqual(d["user_counters"], [{"name": "headers_inline", "value": -12}])
        text = self.command("report", p.pid).stdout
        self.assertRegex(text, r"Pools of objects\n.*\n +600 B +250 +60.0 ?% +30 +70 +100  shop/pool")
        self.assertRegex(text, r"Counters of the program\n +-12  headers_inline")
        metrics = self.command("export", "--format", "openmetrics", p.pid).stdout
        of = '{pool="1",component="shop/pool"}'
        self.assertIn(f"mpalloc_pool_gets_total{of} 250\n", metrics)
        self.assertIn(f"mpalloc_pool_hits_total{of} 150\n", metrics)
        self.assertIn('mpalloc_user_value{name="headers_inline"} -12\n', metrics)
        list(text_string_to_metric_families(metrics))  # raises where it is no OpenMetrics
        self.assertEqual(self.document("snapshot", self.start("quiet").pid)["pools"], [])

    def test_limits_of_components_are_shown(self):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
        p = self.start("quiet", MPALLOC_LIMITS="shop=1m:1g,shop/cart=500k:2m,else=:1m")
        rows = {c["name"]: c for c in self.document("snapshot", p.pid)["components"]}
        of = {k: v for k, v in rows["shop"].items() if "limit" in k}
        self.assertEqual(of, {"limit_soft_bytes": 1 << 20, "limit_hard_bytes": 1 << 30,
                              "limit_hits_total": 1, "limit_refused_total": 0,
                              "is_over_limit": True})
        self.assertEqual(rows["else"]["limit_soft_bytes"], None)
        self.assertFalse(rows["else"]["is_over_limit"] or rows["(untagged)"]["is_over_limit"])
        self.assertEqual(self.document("report", p.pid)["components"],
                         self.document("snapshot", p.pid)["components"])
        text = self.command("report", p.pid).stdout
        self.assertRegex(text, r"  shop, over 1.0 MiB\n.*  shop/cart, over 500.0 KiB\n")
        self.assertRegex(text, r"Limits: .*\n.*\n +\S+ MiB +1.0 MiB +1.0 GiB +1 +0  shop, over")
        for kind in ("md", "html"):
            self.assertIn("shop/cart, over 500.0 KiB",
                          self.command("report", p.pid, "--format", kind).stdout)
        top = self.command("top", p.pid, "--json", "--iterations", "1").stdout
        self.assertEqual({c["name"]: c["is_over_limit"] for c in json.loads(top)["components"]},
                         {"shop": True, "shop/cart": True} | {
                             c["name"]: False for c in json.loads(top)["components"]
                             if not c["name"].startswith("shop")})
        self.assertIn("shop/cart, over 500.0 KiB",
                      self.command("top", p.pid, "--plain", "--iterations", "1").stdout)
        metrics = self.command("export", "--format", "openmetrics", p.pid).stdout
        list(text_string_to_metric_families(metrics))
        for line in ('limit_bytes{component="shop",kind="soft"} 1048576',
                     'limit_bytes{component="else",kind="hard"} 1048576',
                     'limit_hits_total{component="shop/cart"} 1',
                     'limit_refused_total{component="shop"} 0'):
            self.assertIn(f"mpalloc_component_{line}\n", metrics)
        self.assertNotIn('limit_bytes{component="else",kind="soft"}', metrics)
        self.assertNotIn("Limits", self.command("report", self.start("quiet").pid).stdout)

    def test_pressure_is_shown_with_its_parts(self):
        p = self.start_limited(1 << 30)
        d = self.document("snapshot", p.pid)["pressure"]
        self.assertEqual(d["limit_bytes"], 1 << 30)
        self.assertAlmostEqual(d["parts"]["limit"]["value"], d["used_bytes"] / 2**30)
        self.assertGreater(d["used_bytes"], 1 << 20)
        self.assertEqual(d["value"], max(part["value"] or 0 for part in d["parts"].values()))
        self.assertIn("of 1.0 GiB used, by this process", d["parts"]["limit"]["text"])
        self.assertIsNone(d["parts"]["time"]["value"])
        self.assertIn("too few points", d["parts"]["time"]["text"])
        self.assertEqual(self.document("report", p.pid)["pressure"]["limit_bytes"], 1 << 30)
        text = self.command("report", p.pid).stdout
        self.assertRegex(text, r"Memory pressure\n +0\.\d\d  limit  .* of 1\.0 GiB used")
        for kind in ("md", "html"):
            self.assertRegex(self.command("report", p.pid, "--format", kind).stdout,
                             r"Memory pressure(?s:.*)limit 0\.\d\d: ")
        metrics = self.command("export", "--format", "openmetrics", p.pid).stdout
        self.assertRegex(metrics, r'mpalloc_memory_pressure_ratio\{part="limit"\} 0\.0')
        p.kill()
        p.wait()
        dead = self.document("snapshot", self.region_of(p))["pressure"]
        self.assertIn("does not run", dead["parts"]["stall"]["text"])
        self.assertGreater(dead["parts"]["limit"]["value"], 0)

    def test_targets_by_pid_file_and_name(self):
        p = self.start("quiet", MPALLOC_SERVICE="my shop")
        for words in ((p.pid,), (self.region_of(p),), ("--name", "my shop"), ("my shop",)):
            self.assertIn("my shop", self.command("snapshot", *words).stdout)
        self.start("quiet", MPALLOC_SERVICE="my shop")
        self.fails(2, "snapshot", "--name", "my shop", says="names 2 processes")
        self.fails(4, "snapshot", "--name", "other", says="no process is named")
        self.fails(2, "snapshot", says="needs a PID")
        self.fails(2, "snapshot", p.pid, "--name", "x", says="not both")
        self.fails(4, "snapshot", "0", says="process 0")

    # The dead.

    def test_after_sigkill_everything_is_there(self):
        p = self.start("busy")
        before = self.document("snapshot", p.pid)
        p.send_signal(signal.SIGKILL)
        p.wait()
        d = self.document("report", p.pid)
        self.assertEqual(d["process"]["state"], "died")
        self.assertIsNone(d["rss_ledger"]["rss_bytes"])
        shop = {c["name"]: c["live_bytes"] for c in d["components"]}
        for c in before["components"][2:]:
            self.assertEqual(shop[c["name"]], c["live_bytes"])
        row = [x for x in self.document("ps")["processes"] if x.get("pid") == p.pid]
        self.assertEqual(row[0]["state"], "died")
        self.assertRegex(self.command("ps").stdout, rf"{p.pid}\s+died")
        self.fails(4, "trim", p.pid, says="runs no more")

    def test_clean_exit_leaves_nothing(self):
        p = self.start("quiet")
        p.communicate()
        self.assertEqual(list(self.dir.iterdir()), [])
        self.fails(4, "report", p.pid, says="does not exist")

    # Wrong targets.

    def test_processes_without_mpalloc(self):
        p = subprocess.Popen(["/bin/sleep", "60"])
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        for verb in ("report", "snapshot", "trim", "top", "options"):
            self.fails(4, verb, p.pid, says="runs, but without mpalloc")
            self.fails(4, verb, 4194305, says="does not exist")
        self.assertIn("was not started with mpalloc", self.command("doctor", p.pid, code=4).stdout)

    def test_damaged_files(self):
        p = self.start("quiet")
        good = self.region_of(p).read_bytes()[:65536]
        cases = {"empty": b"", "short": good[:100], "noise": os.urandom(65536),
                 "truncated": good, "text": b"hello\n" * 1000,
                 "version": good[:8] + struct.pack("<I", 99) + good[12:],
                 "sections": good[:24] + struct.pack("<I", 999) + good[28:]}
        for name, data in cases.items():
            path = self.dir / f"{name}.mp"
            path.write_bytes(data)
            for verb in ("report", "snapshot", "top"):
                with self.subTest(name=name, verb=verb):
                    self.fails(6, verb, path, says=str(path))
        self.fails(6, "report", self.dir, says=str(self.dir))
        self.fails(4, "report", self.dir / "none.mp", says="none.mp")
        os.rename(self.dir / "noise.mp", self.dir / "77-88.mp")
        listed = self.document("ps", "--dir", self.dir)["processes"] # others may run
        self.assertEqual(sorted(x["state"] for x in listed), ["damaged", "running"])

    @unittest.skipUnless(os.geteuid() == 0, "becomes another user")
    def test_processes_of_others(self):
        nobody = pwd.getpwnam("nobody")
        p = self.start("quiet")
        copy = self.dir.parent / f"mpalloc-cli-{os.getpid()}"
        shutil.copy(COMMAND, copy)
        copy.chmod(0o755)
        self.addCleanup(copy.unlink)
        for words in (("report", p.pid), ("trim", p.pid), ("report", self.region_of(p))):
            done = subprocess.run([copy, *map(str, words)], env=self.env, text=True, cwd="/",
                                  capture_output=True, user=nobody.pw_uid, group=nobody.pw_gid)
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_hostile_names_are_shown_harmlessly(self):
        p = self.start("quiet", MPALLOC_SERVICE="\x1b]0;evil\x07\n\x1b[31mred")
        for verb in ("snapshot", "report"):
            out = self.command(verb, p.pid).stdout
            self.assertNotIn("\x1b", out)
            self.assertIn("\\x1b]0;evil\\x07\\x0a", out)
        self.assertNotIn("\x1b", self.command("snapshot", p.pid, "--json").stdout)

    def test_processes_that_end_by_exit_without_destructors_leave_nothing(self):
        done = self.command("run", "--report", "--", "/bin/dash", "-c", "true")
        self.assertIn("exited", done.stderr)
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_processes_are_named_as_they_were_called(self):
        (self.dir / "bin").mkdir()
        link = self.dir / "bin" / "other-name"
        link.symlink_to(TARGET)
        p = subprocess.Popen([link, "quiet"], env=self.env, text=True, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.end, p)
        p.stdout.readline()
        self.assertEqual(self.document("snapshot", "--name", "other-name")["process"]["pid"],
                         p.pid)

    def test_the_first_publication_is_plausible(self):
        p = subprocess.Popen(["/bin/sleep", "60"], env={**self.env, "LD_PRELOAD": LIBRARY})
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        time.sleep(0.3)
        for part in self.document("snapshot", p.pid)["rss_ledger"]["parts"]:
            self.assertLess(abs(part["bytes"]), 64 << 20, part)

    def test_trim_gives_back(self):
        p = self.start("garbage", MPALLOC_PURGE_DELAY="never")
        d = self.document("trim", p.pid)
        self.assertGreater(d["trimmed_bytes"], 30_000_000)
        self.assertIn("given back", self.command("trim", p.pid).stdout)
        quiet = self.start("quiet")
        self.fails(1, "trim", quiet.pid, "--timeout", "200ms", says="did not enter")

    def test_sample_changes_a_running_process(self):
        p = self.start("garbage")
        d = self.document("sample", p.pid, "64k")
        self.assertEqual(d["interval_bytes"], 65536)
        self.assertIn("one allocation in 1 MiB", self.command("sample", p.pid, "1m").stdout)
        self.assertIn("every allocation", self.command("sample", p.pid, "exact").stdout)
        self.assertIn("nothing", self.command("sample", p.pid, "off").stdout)
        for rate in ("0", "banana", "2t", "64kb", ""):
            self.fails(2, "sample", p.pid, rate, says="takes bytes from 1 to 1t")
            self.fails(2, "run", "--sample", rate, "--", "true", says="takes bytes")
        self.fails(2, "sample", p.pid, says="needs a target and a rate")
        self.fails(1, "sample", self.start("quiet").pid, "64k", "--timeout", "200ms",
            says="did not enter")

    def test_a_copy_is_called_one(self):
        p = self.start("quiet")
        copy = self.dir / "copy.mp"
        shutil.copy(self.region_of(p), copy)
        self.assertEqual(self.document("snapshot", copy)["process"]["state"], "copy")
        self.assertIn(" copy ", self.command("snapshot", copy).stdout)
        self.assertRegex(self.command("report", copy).stdout, r"copy  ran .* of .* ago")
        self.assertFalse(self.document("report", copy)["rss_ledger"]["measured"])
        p.kill()
        p.wait()
        self.assertEqual(self.document("snapshot", copy)["process"]["state"], "died")

    def test_what_was_replaced_gets_no_names(self):
        program = self.dir / "program"
        shutil.copy("/usr/bin/sleep", program)
        p = subprocess.Popen([COMMAND, "run", "--sample", "exact", "--", program, "100"],
                             env=self.env, stderr=subprocess.DEVNULL)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = [x for x in self.document("ps")["processes"] if x.get("name") == "program"]
            if found:
                break
            time.sleep(0.05)
        pid = found[0]["pid"]
        named = self.command("export", "--format", "collapsed", "--value", "peak-bytes", pid)
        self.assertEqual(named.stderr, "")
        os.kill(pid, signal.SIGKILL)
        p.wait()
        program.unlink()
        shutil.copy("/usr/bin/true", program)
        done = self.command("export", "--format", "collapsed", "--value", "peak-bytes", pid)
        self.assertRegex(done.stderr, r"^mpalloc: .*program: .*build id.*\n$")
        self.assertIn("program+0x", done.stdout)

    def test_options_and_their_origin(self):
        p = self.start("quiet", MPALLOC_PURGE_DELAY="5s", MPALLOC_ABORT="maybe")
        found = {o["name"]: o for o in self.document("options", p.pid)["options"]}
        self.assertEqual(found["PURGE_DELAY"]["origin"], "environment")
        self.assertEqual(found["PURGE_DELAY"]["value"], "5s")
        self.assertEqual(found["ABORT"]["origin"], "refused")
        self.assertEqual(found["KEEP"]["origin"], "default")
        self.assertEqual(found.keys(),
                         {o["name"] for o in self.document("options")["options"]})
        self.assertIn("MPALLOC_PURGE_DELAY", self.command("options").stdout)

    def test_top_without_a_terminal(self):
        p = self.start("busy")
        out = self.command("top", p.pid, "--iterations", 2, "--interval", "600ms").stdout
        self.assertEqual(len(re.findall("^ +live +blocks", out, re.M)), 2)
        self.assertIn("shop/cart", out)
        self.assertIn("1,008 B", self.command("top", p.pid, "--iterations", 1, "--classes").stdout)
        lines = self.command("top", p.pid, "--json", "--iterations", 3, "--interval", "600ms")
        frames = [json.loads(line) for line in lines.stdout.splitlines()]
        rules = json.loads((SCHEMAS / "top.json").read_text())
        for frame in frames:
            jsonschema.Draft202012Validator(rules).validate(frame)
        self.assertEqual(len(frames), 3)
        self.assertGreater(frames[-1]["allocated_blocks_per_second"], 10)
        self.fails(2, "top", p.pid, "--sort", "age", says="--sort takes")
        self.fails(2, "top", p.pid, "--interval", "1ms", says="--interval takes")

    def test_top_ends_with_the_process(self):
        p = self.start("busy")
        top = subprocess.Popen([COMMAND, "top", str(p.pid), "--interval", "100ms"],
                               env=self.env, stdout=subprocess.PIPE, text=True)
        self.addCleanup(top.stdout.close)
        time.sleep(0.5)
        p.communicate()
        self.assertEqual(top.wait(10), 0)

    def alerting(self):
        """A configuration with an alert that fires at once."""
        path = self.dir / "alerting.yaml"
        path.write_text("alerts:\n  - {name: TestSpread, when: live, above: 1k, for: 0s, "
                        "severity: critical}\n")
        return path

    def test_top_views(self):
        p = self.start("busy")
        env = {"MPALLOC_CONFIG": str(self.alerting()), "XDG_STATE_HOME": str(self.dir / "s")}

        def view(name):
            return self.command("top", p.pid, "--plain", "--iterations", "1", "--view", name,
                                env=env).stdout

        self.assertEqual(view("components").splitlines()[2].split()[-1], "component")
        self.assertEqual(view("classes").splitlines()[2].split()[-2:], ["block", "size"])
        ledger = view("ledger")
        parts = [float(n) * {"B": 1, "KiB": 2 ** 10, "MiB": 2 ** 20}[unit]
                 for n, unit in re.findall(r"(?m)^ +(-?[\d.]+) (B|KiB|MiB) ", ledger)]
        self.assertGreater(len(parts), 4, ledger)
        self.assertAlmostEqual(sum(parts[1:]) / parts[0], 1, delta=0.02)
        self.assertIn("0 lost, 0 growing", view("leaks"))
        self.assertRegex(view("advice"), r"efficiency 0\.\d")
        alerts = view("alerts").splitlines()[2:]
        self.assertRegex(alerts[0], r"^  firing +critical +TestSpread +\S+ MiB since \d{4}-")
        self.assertTrue(any("MpallocAllocFailures" in line for line in alerts), alerts)
        self.fails(2, "top", p.pid, "--view", "pie", says="--view takes components, classes")
        self.fails(2, "top", p.pid, "--view", "leaks", "--json", says="--json has components")
        broken = self.dir / "broken.yaml"
        broken.write_text("alerts: 3\n")
        env["MPALLOC_CONFIG"] = str(broken)
        self.assertRegex(view("alerts"), r"no rules: .*broken.yaml:1")

    @unittest.skipUnless(shutil.which("tmux"), "tmux is not installed")
    def test_top_on_a_terminal(self):
        p = self.start("busy")
        self.env["MPALLOC_CONFIG"] = str(self.alerting())
        self.env["XDG_STATE_HOME"] = str(self.dir / "state")
        socket = self.dir / "tmux"

        def tmux(*words):
            return subprocess.run(["tmux", "-u", "-S", socket, *words], env=self.env, text=True,
                                  capture_output=True, timeout=20).stdout

        def screen(wanted):
            for _ in range(50):
                text = tmux("capture-pane", "-p")
                if re.search(wanted, text):
                    return text
                time.sleep(0.1)
            self.fail(f"{wanted} is not on the screen:\n{text}")

        tmux("new-session", "-d", "-x", "80", "-y", "24",
             f"{COMMAND} top {p.pid}; echo code $?; sleep 60")
        self.addCleanup(tmux, "kill-server")
        text = screen("shop/cart")
        self.assertIn("q quit", text)
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
        self.assertNotRegex(text, r"(?m)^\S{1,20}$", "a line went on in the next")
        self.assertRegex(text, r"LIVE\*")
        tmux("send-keys", "Tab")
        screen("1,008 B")
        tmux("send-keys", "b")
        screen(r"BLOCKS\*")
        for key, wanted in (
                ("Tab", r"(?s)WHERE RESIDENT MEMORY IS.*the kernel's figure.*%.*live blocks"),
                ("4", r"LEAKS: WHAT IS LOST.*\n *target \d+, running: 0 lost"),
                ("5", r"(?s)WHAT TO DO.*efficiency 0\.\d"),
                ("6", r"(?s)ALERTS.*firing +critical +TestSpread .*since.*inactive"),
                ("1", r"shop/cart"), ("BTab", r"ALERTS: STATE"), ("2", r"1,008 B")):
            tmux("send-keys", key)
            text = screen(wanted)
            self.assertIn("1 components  2 classes  3 ledger  4 leaks  5 advice  6 alerts", text)
            self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
            self.assertIn("q quit", text)
            self.assertNotIn("mpalloc leaks:", text, "of standard error")
        tmux("send-keys", "6")
        screen(r"ALERTS: STATE")
        tmux("send-keys", "NPage")
        screen(r"(?s)\A(?!.*TestSpread).*ALERTS: STATE.*not known")
        tmux("send-keys", "PPage")
        screen("TestSpread")
        tmux("send-keys", "?")
        screen("close this help")
        tmux("send-keys", "q")
        screen("code 0")

    def test_doctor(self):
        d = self.document("doctor")
        self.assertTrue(d["healthy"], d)
        p = self.start("busy")
        self.assertTrue(self.document("doctor", p.pid)["healthy"])
        self.dir.chmod(0o755)
        out = self.command("doctor", code=1).stdout
        self.assertIn("chmod 700", out)
        self.dir.chmod(0o700)
        out = self.command("doctor", code=1, env={"MPALLOC_DIR": "/proc/none"}).stdout
        self.assertIn("/proc/none cannot be made", out)
        self.assertIn("MPALLOC_PURGE is no option",
                      self.command("doctor", env={"MPALLOC_PURGE": "1"}).stdout)
        off = self.start("quiet", MPALLOC_REGION="off")
        self.assertIn("MPALLOC_REGION=off", self.command("doctor", off.pid, code=4).stdout)
        lost = self.start("quiet", MPALLOC_DIR="/proc/none")
        out = self.command("doctor", lost.pid, code=1).stdout
        self.assertIn("it is a memfd", out)
        self.assertIn("/proc/none cannot be made", out)
        self.assertEqual(self.document("snapshot", lost.pid)["process"]["pid"], lost.pid)
        self.assertIn(lost.pid, [x.get("pid") for x in self.document("ps")["processes"]])

    def test_help_usage_and_completion(self):
        overview = self.command("help").stdout
        for verb in VERBS:
            self.assertRegex(overview, rf"(?m)^  {verb} ")
            self.assertIn("Example", self.command("help", verb).stdout)
            if verb not in ("help", "version"):
                self.assertIn("Example", self.command(verb, "--help").stdout)
                self.fails(2, verb, "--wrong", says="unknown option --wrong")
        self.assertIn("0.", self.command("version").stdout)
        self.fails(2, "wrong", says="no verb wrong")
        self.assertEqual(self.command(code=2).stdout, "")
        script = self.command("completion", "bash").stdout
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        words = subprocess.run(
            ["bash", "-c", script + "\nCOMP_WORDS=(mpalloc re); COMP_CWORD=1; _mpalloc; "
             'echo "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True)
        self.assertEqual(words.stdout.split(), ["report", "record"])
        self.assertIn("#compdef", self.command("completion", "zsh").stdout)
        self.fails(2, "completion", "fish", says="bash or zsh")

    def test_a_full_disk_is_said(self):
        for words in (["options", "--json"], ["options"], ["ps"], ["doctor"], ["help"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([COMMAND, *words], env=self.env, stdout=full,
                                      stderr=subprocess.PIPE, text=True)
            if words != ["ps"] or done.returncode: # ps has nothing to say
                self.assertEqual(done.returncode, 1, words)
                self.assertIn("cannot be written", done.stderr)


if __name__ == "__main__":
    main()
