"""The mpalloc command, as its users and scripts see it.

    test_cli.py COMMAND TARGET LIBRARY

Exact figures of a process with known memory, every document against its schema, every exit
code, and what is said when a target is missing, foreign, damaged or hostile.
"""

import gzip
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

import jsonschema

COMMAND, TARGET, LIBRARY = (os.path.realpath(p) for p in sys.argv[1:4])
SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "tools" / "schemas"
VERBS = ("run ps top snapshot report flame export trim sample options doctor completion "
         "help version").split()


class Cli(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-cli-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MPALLOC_")}
        self.env.update(MPALLOC_DIR=str(self.dir), MPALLOC_LIBRARY=LIBRARY, LC_ALL="C.UTF-8",
                        NO_COLOR="", TERM="xterm")
        self.env.pop("LD_PRELOAD", None)

    def command(self, *words, code=0, env=None, **more):
        done = subprocess.run([COMMAND, *map(str, words)], env={**self.env, **(env or {})},
                              capture_output=True, text=True, timeout=60, **more)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done

    def document(self, *words, schema=None, **more):
        text = self.command(*words, "--json", **more).stdout
        document = json.loads(text)
        name = schema or words[0]
        self.assertEqual(document["schema"], f"mpalloc.{name}/1")
        rules = json.loads((SCHEMAS / f"{name}.json").read_text())
        jsonschema.Draft202012Validator.check_schema(rules)
        jsonschema.Draft202012Validator(
            rules, format_checker=jsonschema.FormatChecker()).validate(document)
        return document

    def fails(self, code, *words, says, **more):
        done = self.command(*words, code=code, **more)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertRegex(lines[0], says)
        self.assertNotIn("\x1b", done.stderr)

    def start(self, mode="busy", *words, **env):
        p = subprocess.Popen([TARGET, mode, *words], env={**self.env, **env}, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        self.addCleanup(self.end, p)
        self.assertEqual(p.stdout.readline(), "ready\n")
        return p

    @staticmethod
    def end(p):
        p.kill()
        p.wait()
        for pipe in (p.stdin, p.stdout, p.stderr):
            pipe.close()

    def region_of(self, p):
        return next(self.dir.glob(f"{p.pid}-*.mp"))

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
        self.assertGreater(part["live"] + part["cached"] + part["dirty"], 0.3 * rss)

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

    # run.

    def test_run_passes_exit_codes_and_streams(self):
        for report in ([], ["--report"]):
            self.command("run", *report, "--", TARGET, "exit", "7", code=7)
            self.command("run", *report, "--", TARGET, "crash", code=-signal.SIGSEGV)
            done = self.command("run", *report, "--", TARGET, "echo", input="hello\n")
            self.assertEqual(done.stdout, "hello\n")
            self.fails(127, "run", *report, "--", "no-such-program", says="no such program")
            self.fails(126, "run", *report, "--", "/etc/passwd", says="ermission")
        self.fails(2, "run", says="needs a program")
        self.fails(2, "run", "--set", "purge=1", "--", "true", says="--set takes")
        self.command("run", "--sample", "64k", "--", "true")
        self.command("run", "--sample", "off", "--", "true")

    def test_run_reports(self):
        text = "import json; json.loads(json.dumps([{'a': i} for i in range(200000)]))"
        program = ["/usr/bin/python3", "-c", text]
        done = self.command("run", "--report", "--", *program, env={"PYTHONMALLOC": "malloc"})
        self.assertIn("Where resident memory is", done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(list(self.dir.iterdir()), [])
        path = self.dir / "r.json"
        self.command("run", f"--report={path}", "--json", "--keep", "--service", "job", "--",
                     *program)
        d = json.loads(path.read_text())
        self.assertEqual((d["schema"], d["process"]["name"]), ("mpalloc.report/1", "job"))
        self.assertEqual(d["process"]["state"], "exited")
        self.assertGreater(d["allocated_blocks_total"], 1000)
        self.assertIn("job", self.command("report", d["process"]["pid"]).stdout)
        self.fails(1, "run", "--report=/nonexistent/x", "--", "/bin/true", says="/nonexistent/x")
        self.fails(2, "run", "--json", "--", "/bin/true", says="give both")

    def test_run_leaves_no_regions_and_spares_the_killed(self):
        killed = self.start("busy")
        killed.kill()
        killed.wait()
        script = "for i in $(seq 1 40); do /bin/ls / >/dev/null; done"
        done = self.command("run", "--report", "--", "/bin/bash", "-c", script)
        self.assertIn("bash", done.stderr)
        self.assertIn("exited", done.stderr)
        left = self.document("ps", "--dir", self.dir)["processes"]
        self.assertEqual([x["pid"] for x in left], [killed.pid])

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

    def test_run_passes_signals_on(self):
        p = subprocess.Popen([COMMAND, "run", "--report", "--", TARGET, "quiet"], env=self.env,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, p)
        self.assertEqual(p.stdout.readline(), "ready\n")
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(10), -signal.SIGINT)
        self.assertIn("died", p.stderr.read())

    def test_run_says_why_it_cannot(self):
        source = self.dir / "s.c"
        source.write_text("int main(void) { return 3; }\n")
        static = self.dir / "static"
        subprocess.run(["cc", "-static", source, "-o", static], check=True)
        self.fails(3, "run", "--", static, says="linked statically")
        self.fails(1, "run", "--", "/bin/true", says="MPALLOC_LIBRARY",
                   env={"MPALLOC_LIBRARY": "/nonexistent.so"})
        self.assertIn("linked statically", self.command("doctor", static, code=1).stdout)

    def test_run_writes_the_profile_at_the_end(self):
        done = self.command("run", "--format", "dhat", "--", TARGET, "quiet", input="",
                            cwd=self.dir)
        path = next(self.dir.glob("target.*.dhat.json"))
        self.assertRegex(done.stderr, rf"^mpalloc run: the dhat profile is in {path.name} \(.*\)\n$")
        d = json.loads(path.read_text())
        self.assertEqual(path.name, f"target.{d['pid']}.dhat.json")
        self.assertEqual(d["mode"], "heap (mpalloc: every allocation, bytes asked for)")
        self.assertEqual([x.name for x in self.dir.iterdir()], [path.name], "nothing else is left")
        path = self.dir / "p"
        for words, env, wanted in ((["--sample", "64k"], {}, "one in 64 KiB"),
                                   (["--set", "SAMPLE=128k"], {}, "one in 128 KiB"),
                                   ([], {"MPALLOC_SAMPLE": "1m"}, "one in 1 MiB")):
            done = self.command("run", "--format", "dhat", *words, "-o", path, "--",
                                "/usr/bin/python3", "-c", "x = ['a' * i for i in range(9999)]",
                                env={"PYTHONMALLOC": "malloc", **env})
            self.assertEqual(done.stderr, "", "the place is known, and it is no terminal")
            self.assertIn(wanted, json.loads(path.read_text())["mode"])
        self.command("run", "--format", "flame", "-o", path, "--", TARGET, "exit")
        self.assertTrue(path.read_text().startswith("<!doctype html>"))
        self.command("run", "--format", "collapsed", "--sample", "exact", "--by-component",
                     "--value", "allocated-blocks", "-o", path, "--", TARGET, "quiet", input="")
        lines = [line.rsplit(" ", 1) for line in path.read_text().splitlines()]
        self.assertEqual(sum(int(n) for stack, n in lines if stack.startswith("shop;cart;")),
                         1500)

    def test_run_writes_the_profile_however_it_ends(self):
        path = self.dir / "p"
        for words, code in (([TARGET, "exit", "7"], 7), ([TARGET, "crash"], -signal.SIGSEGV),
                            (["/bin/dash", "-c", "exit 3"], 3), # by _exit
                            (["/bin/bash", "-c", "/bin/ls / >/dev/null; exit 5"], 5)):
            self.command("run", "--format", "json", "--sample", "exact", "-o", path, "--", *words,
                         code=code)
            d = json.loads(path.read_text())
            self.assertEqual(d["process"]["name"], os.path.basename(words[0]), "the first process")
            self.assertEqual(len(d["samples"]) > 0, words[0] != TARGET)
            path.unlink()
        p = subprocess.Popen([COMMAND, "run", "--format", "json", "-o", path, "--", TARGET,
                              "quiet"], env=self.env, stdin=subprocess.PIPE, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             start_new_session=True)
        self.addCleanup(self.end, p)
        self.assertEqual(p.stdout.readline(), "ready\n")
        os.killpg(p.pid, signal.SIGINT) # as Ctrl-C does
        self.assertEqual(p.wait(10), -signal.SIGINT)
        self.assertEqual(json.loads(path.read_text())["process"]["state"], "died")

    def test_run_for_a_time(self):
        path = self.dir / "p"
        report = self.dir / "r"
        began = time.monotonic()
        with subprocess.Popen(["/bin/sleep", "60"], stdout=subprocess.PIPE) as held:
            self.command("run", "--for", "500ms", "--format", "json", "--sample", "exact", "-o",
                         path, f"--report={report}", "--", TARGET, "quiet", stdin=held.stdout)
            held.kill()
        self.assertLess(time.monotonic() - began, 4)
        d = json.loads(path.read_text())
        self.assertEqual(d["process"]["state"], "running", "it was looked at before it was ended")
        self.assertEqual(sum(s["live_bytes"]["value"] for s in d["samples"]
                             if s["component"] == "shop/cart"), 1008 * 1000)
        self.assertIn("shop/cart", report.read_text())
        self.assertEqual(sorted(x.name for x in self.dir.iterdir()), ["p", "r"])
        self.command("run", "--for", "50s", "--format", "json", "-o", path, "--", TARGET, "exit",
                     "7", code=7)
        began = time.monotonic()
        self.command("run", "--for", "100ms", "--format", "json", "-o", path, "--", "/bin/bash",
                     "-c", "trap '' TERM; exec /bin/sleep 60")
        self.assertGreater(time.monotonic() - began, 5, "it is asked first")

    def test_run_says_what_is_wrong_before_it_runs(self):
        gone = self.dir / "none" / "x"
        ran = self.dir / "ran"
        program = ["--", "/bin/touch", ran]
        known = "pprof, collapsed, speedscope, svg, html, dhat, massif, heaptrack"
        for code, words, says in (
                (2, ["--format", "wrong"], f"no format wrong; one of {known}"),
                (2, ["--format", "svg", "--value", "x"], "--value takes one of"),
                (2, ["--output", "x"], "--output is for a profile: give --format"),
                (2, ["--by-component"], "--by-component is for a profile"),
                (2, ["--for", "3s"], "--for is for a profile or a report"),
                (2, ["--for", "3x", "--format", "svg"], "--for takes a time from"),
                (1, ["--format", "svg", "-o", gone], f"cannot be written to {gone}: No such"),
                (1, ["--format", "svg", "-o", self.dir], "cannot be written to .*: Is a dir")):
            self.fails(code, "run", *words, *program, says=says)
        self.assertFalse(ran.exists())
        if os.geteuid() == 0:
            self.fails(1, "run", "--format", "svg", *program, says=r"touch\.\d+\.svg: ",
                       cwd="/proc/self")
        self.assertFalse(ran.exists())

    def test_run_keeps_what_is_preloaded_already(self):
        out = self.command("run", "--", "/usr/bin/env", env={"LD_PRELOAD": "libdl.so.2"}).stdout
        self.assertIn(f"LD_PRELOAD={LIBRARY}:libdl.so.2\n", out)

    # The others.

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

    def test_what_was_replaced_gets_no_names(self):
        program = self.dir / "program"
        shutil.copy("/usr/bin/sleep", program)
        p = subprocess.Popen([COMMAND, "run", "--sample", "exact", "--", program, "100"],
                             env=self.env, stderr=subprocess.DEVNULL)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = [x for x in self.document("ps")["processes"]
                     if x.get("name") == "program"]
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

    @unittest.skipUnless(shutil.which("tmux"), "tmux is not installed")
    def test_top_on_a_terminal(self):
        p = self.start("busy")
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

    def test_export_collapsed_is_what_was_counted(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        for value, held in (("live-bytes", {"shop;cart;1,008 B": 1008000}),
                            ("live-blocks", {"shop;cart;1,008 B": 1000}),
                            ("allocated-blocks", {"shop;cart;1,008 B": 1000,
                                                  "shop;cart;208 B": 500})):
            text = self.command("export", "--format", "collapsed", "--value", value,
                                p.pid).stdout
            lines = dict(line.rsplit(" ", 1) for line in text.splitlines())
            for stack, n in held.items():
                self.assertEqual(int(lines[stack]), n, text)
            self.assertIn("shop;up to 128 KiB", lines)
        live = self.document("snapshot", p.pid)["live_bytes"]
        lines = self.command("export", "--format", "collapsed", p.pid).stdout.splitlines()
        self.assertEqual(sum(int(line.rsplit(" ", 1)[1]) for line in lines), live)

    def test_export_speedscope(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        d = json.loads(self.command("export", "--format", "speedscope", p.pid).stdout)
        self.assertEqual(d["$schema"], "https://www.speedscope.app/file-format-schema.json")
        names = [f["name"] for f in d["shared"]["frames"]]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual([x["unit"] for x in d["profiles"]], ["none", "bytes"] * 2)
        shown = d["profiles"][d["activeProfileIndex"]]
        self.assertEqual(shown["name"], "inuse_space")
        self.assertEqual(shown["endValue"], sum(shown["weights"]))
        stacks = {";".join(names[i] for i in s): w
                  for s, w in zip(shown["samples"], shown["weights"])}
        self.assertEqual(stacks["shop;cart;1,008 B"], 1008000)

    def test_export_svg(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        text = self.command("export", "--format", "svg", p.pid).stdout
        root = xml.etree.ElementTree.fromstring(text)
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
        self.assertRegex(titles[0], r"^all: .* MiB, 100.0 %$")
        self.assertIn("shop", [t.split(":")[0] for t in titles])
        for box in root.iter("{http://www.w3.org/2000/svg}rect"):
            if "x" in box.attrib:
                self.assertLessEqual(float(box.get("x")) + float(box.get("width")), 1190.1)

    def test_export_svg_of_long_names(self):
        name = "std::vector<int, std::allocator<int> >::push_back(int&&)"
        p = self.start("quiet", name, MPALLOC_SAMPLE="off")
        text = self.svg_of(p)
        self.assertIn("<title>std::vector&lt;int, std::allocator&lt;int&gt; &gt;::push_back(int"
                      "&amp;&amp;): 300.0 KiB, 13.1 %</title>", text, "whole, for hovering")
        self.assertIn(">std::vector&lt;…&gt;::push_…</text>", text, "short, as much as fits")
        for name, label in (("ns::operator<<(std::ostream&, (anonymous namespace)::t)",
                             "ns::operator&lt;&lt;(std::o…"),
                            ("(anonymous namespace)::f(std::pair<int, int>, long)",
                             "(anonymous namespace)…"),
                            ("ns::table<int>::operator()(long, long)",
                             "ns::table&lt;…&gt;::operato…"),
                            ("unbalanced<brackets<are_left>", "unbalanced&lt;brackets&lt;a…")):
            p = self.start("quiet", name, MPALLOC_SAMPLE="off")
            self.assertIn(f">{label}</text>", self.svg_of(p))
        p = self.start("quiet", "/".join("abcdefghijklmnopqrst"), MPALLOC_SAMPLE="off")
        height = int(re.search(r'height="(\d+)"', self.svg_of(p))[1])
        self.assertEqual(height, 62 + (1 + 20 + 1) * 18 + 10, "each of its parts, and the class")

    def svg_of(self, p):
        text = self.command("export", "--format", "svg", p.pid).stdout
        xml.etree.ElementTree.fromstring(text)
        return text

    def test_export_massif_is_read_by_ms_print(self):
        p = self.start("busy", MPALLOC_SAMPLE="off")
        time.sleep(2.2) # two points of the timeline
        path = self.dir / "massif.out"
        self.command("export", "--format", "massif", "--output", path, p.pid)
        text = path.read_text()
        self.assertGreaterEqual(text.count("heap_tree=empty"), 2, text)
        self.assertEqual(text.count("heap_tree=detailed"), 1)
        shown = subprocess.run(["ms_print", path], capture_output=True, text=True, check=True)
        self.assertEqual(shown.stderr, "")
        self.assertRegex(shown.stdout, r"->\d+\.\d+% \([0-9,]+B\) shop")
        self.assertIn("cart", shown.stdout)

    def test_export_of_components_in_every_format(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        d = self.document("export", p.pid, schema="profile")
        held = {s["component"]: s["live_bytes"] for s in d["samples"]
                if s["live_bytes"]["value"] and s["component"].startswith("shop")}
        self.assertEqual(held["shop/cart"], {"value": 1008000, "low": 1008000, "high": 1008000})
        self.assertEqual(d["sampling"]["mode"], "off")
        plain = self.command("export", "--format", "collapsed", p.pid).stdout
        self.assertEqual(plain, self.command("export", "--format", "collapsed", "--by-component",
                                             p.pid).stdout, "they come first already")
        for form, wanted in (("dhat", '"mode":"heap (mpalloc: components and size classes'),
                             ("heap", "1000: 1008000 [1000: 1008000] @ 0x"),
                             ("jeprof", "t*: 1000: 1008000 [1000: 1008000]"),
                             ("heaptrack", "\na 3f0 ")):
            self.assertIn(wanted, self.command("export", "--format", form, p.pid).stdout)

    def test_export_openmetrics_is_valid(self):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        text = self.command("export", "--format", "openmetrics", p.pid).stdout
        families = {f.name: f for f in text_string_to_metric_families(text)}
        held = {s.labels["component"]: s.value
                for s in families["mpalloc_component_live_bytes"].samples}
        self.assertEqual(held["shop/cart"], 1008000)
        counted = families["mpalloc_class_allocated_blocks"].samples
        self.assertEqual([s.value for s in counted if s.labels["size_class"] == "208"], [500])
        totals = self.document("snapshot", p.pid)
        for key in ("live_bytes", "allocated_bytes_total", "threads", "mapped_bytes"):
            name = key.removesuffix("_total")
            self.assertEqual(families[f"mpalloc_{name}"].samples[0].value, totals[key], key)
        self.assertEqual(families["mpalloc_process"].samples[0].labels["pid"], str(p.pid))

    def test_export_pprof_is_read_by_pprof(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        path = self.dir / "heap.pb.gz"
        self.command("export", "--format", "pprof", "--output", path, p.pid)
        self.assertEqual([x.name for x in self.dir.iterdir() if x.name.startswith("heap")],
                         ["heap.pb.gz"], "nothing is left beside it")
        proto = pathlib.Path(__file__).resolve().parents[2] / "tools" / "pprof.proto"
        if shutil.which("protoc"):
            text = subprocess.run(
                ["protoc", f"--proto_path={proto.parent}", "--decode=mpalloc.pprof.Profile",
                 proto.name], input=gzip.decompress(path.read_bytes()), capture_output=True,
                check=True).stdout.decode()
            self.assertIn('string_table: "inuse_space"', text)
        if not shutil.which("go"):
            self.skipTest("go is not there")
        env = {**os.environ, "HOME": str(self.dir), "PPROF_TMPDIR": str(self.dir)}
        def pprof(*words):
            return subprocess.run(["go", "tool", "pprof", *words, str(path)], env=env,
                                  capture_output=True, text=True, check=True).stdout
        top = pprof("-top", "-unit=b", "-nodecount=50")
        self.assertIn("Type: inuse_space", top)
        self.assertRegex(top, r"(?m)^ *1008000B .* 1,008 B$")
        self.assertRegex(pprof("-top", "-sample_index=alloc_objects"), r"(?m)^ *500 .* 208 B$")
        tags = pprof("-tags")
        self.assertIn("shop/cart", tags)
        focused = pprof("-top", "-unit=b", "-tagfocus=component=shop/cart")
        self.assertNotIn("128 KiB", focused)

    def flame_of(self, text):
        data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
        self.assertNotIn("<", data[1], "nothing in the data can end their element")
        return json.loads(data[1])

    def test_flame_is_a_page_of_what_was_counted(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        path = self.dir / "flame.html"
        done = self.command("flame", p.pid, "-o", path)
        self.assertEqual(done.stdout + done.stderr, "", "no terminal, no line")
        page = path.read_text()
        self.assertEqual(page, self.command("export", "--format", "html", p.pid).stdout)
        self.assertEqual(page, self.command("flame", p.pid).stdout)
        self.assertIn("<noscript>", page)
        self.assertNotRegex(page, r"(?:src|href)=|url\(|@import|http:", "all is in the page")
        d = self.flame_of(page)
        self.assertEqual((d["process"]["name"], d["process"]["pid"]), ("target", p.pid))
        self.assertEqual(d["shown"], "live-bytes")
        shown = {v["name"]: v for v in d["values"]}
        self.assertEqual(set(shown), {"live-bytes", "live-blocks", "allocated-bytes",
                                      "allocated-blocks"}, "those that are not all 0")
        totals = self.document("snapshot", p.pid)
        self.assertEqual(sum(shown["live-bytes"]["value"]), totals["live_bytes"])
        self.assertEqual(sum(shown["allocated-blocks"]["value"]),
                         totals["allocated_blocks_total"])
        s, stack, stacks, at = d["samples"], [], [], 0
        for shared, added in zip(s["shared"], s["added"]):
            stack = stack[:shared] + s["frames"][at:at + added]
            at += added
            stacks.append(";".join(d["texts"][d["frames"]["function"][f]] for f in stack))
        held = dict(zip(stacks, shown["live-bytes"]["value"]))
        self.assertEqual(held["shop;cart;1,008 B"], 1008000)
        self.assertEqual(held["shop;up to 128 KiB"], 1024000)

    def test_flame_of_hostile_names(self):
        hostile = "</script><script>alert(1)</script><!--"
        p = self.start("quiet", hostile, MPALLOC_SERVICE=hostile, MPALLOC_SAMPLE="off")
        d = self.flame_of(self.command("flame", p.pid).stdout)
        self.assertEqual(d["process"]["name"], hostile)
        self.assertIn(hostile, d["texts"])

    def test_flame_usage(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        terminal, stdout = os.openpty()
        done = subprocess.run([COMMAND, "flame", str(p.pid)], env=self.env, stdout=stdout,
                              stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("not for terminals: use -o FILE.html", done.stderr)
        path = self.dir / "flame.html"
        done = subprocess.run([COMMAND, "flame", "-o", path, str(p.pid)], env=self.env,
                              stderr=stdout, check=True)
        self.assertRegex(os.read(terminal, 1000).decode(),
                         rf"^{re.escape(str(path))}: [0-9.]+ KiB, open it in a browser\r\n$")
        os.close(terminal)
        os.close(stdout)
        shown = self.command("flame", "--value", "allocated-blocks", p.pid).stdout
        self.assertEqual(self.flame_of(shown)["shown"], "allocated-blocks")
        self.fails(2, "flame", "--value", "x", p.pid, says="flame: --value takes one of")
        self.fails(2, "flame", "-o", says="-o needs a value")
        self.fails(1, "flame", "-o", self.dir / "none" / "x", p.pid,
                   says="cannot be written: No such file")
        self.fails(1, "flame", "-o", self.dir, p.pid, says="cannot be written: Is a directory")
        self.assertEqual([x for x in self.dir.iterdir() if "XXX" in x.name or
                          x.name.startswith(self.dir.name)], [])
        with open("/dev/full", "w") as full:
            done = subprocess.run([COMMAND, "flame", str(p.pid)], env=self.env, stdout=full,
                                  stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)

    def test_export_usage(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        known = ("pprof, collapsed, speedscope, svg, html, dhat, massif, heaptrack, "
                 "heap, jeprof, json, openmetrics")
        self.fails(2, "export", p.pid, says=f"needs --format: one of {known}")
        self.fails(2, "export", "--format", "wrong", p.pid, says=f"no format wrong; one of {known}")
        self.fails(2, "export", "--format", "collapsed", "--value", "x", p.pid,
                   says="--value takes one of live-bytes, .* not \"x\"")
        self.fails(4, "export", "--format", "collapsed", 999999999, says="does not exist")
        gone = self.dir / "none" / "x"
        self.fails(1, "export", "--format", "collapsed", "--output", gone, p.pid,
                   says=f"{gone} cannot be written: No such file")
        old = self.dir / "old"
        old.write_text("kept")
        self.fails(6, "export", "--format", "collapsed", "--output", old, old, says="old")
        self.assertEqual(old.read_text(), "kept")

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
        self.assertEqual(words.stdout.split(), ["report"])
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
    unittest.main(argv=sys.argv[:1], verbosity=2)
