"""mpalloc run: the program's own behaviour, and what is written at its end.

    test_run.py COMMAND TARGET LIBRARY
"""

import json
import os
import signal
import subprocess
import time

from command import COMMAND, LIBRARY, TARGET, CommandTest, main


class Run(CommandTest):
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

    def test_presets_set_what_nothing_else_says(self):
        show = ("import os; print(*(os.environ.get('MPALLOC_' + n, '-') for n in "
                "('SAMPLE', 'LEAK_CHECK', 'GUARD', 'KEEP')))")
        run = lambda *words, **env: self.command(
            "run", *words, "--", "/usr/bin/python3", "-c", show, env=env).stdout.split()
        self.assertEqual(run("--preset", "prod"), ["512k", "0", "0", "0"])
        self.assertEqual(run("--preset", "ci", "--sample", "32k"), ["32k", "1", "1", "0"])
        self.assertEqual(run("--set", "GUARD=64k", "--preset", "dev", MPALLOC_KEEP="0"),
                         ["64k", "1", "64k", "0"])
        self.assertEqual(self.command("run", "--preset", "dev", "--", TARGET, "exit", "7",
                                      code=7).returncode, 7)
        self.fails(2, "run", "--preset", "test", "--", "true", says="dev, prod or ci")

    def test_a_reader_that_has_enough_leaves_no_region(self):
        done = subprocess.run(["sh", "-c", '"$0" run --report -- /bin/ls / 2>&1 >&- | head -1', COMMAND],
                              env=self.env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(list(self.dir.glob("*.mp")), [])

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


if __name__ == "__main__":
    main()
