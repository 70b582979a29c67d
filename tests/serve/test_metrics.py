"""test_metrics.py COMMAND TARGET LIBRARY COMPILER…: /metrics and /sd of real servers."""

import json
import re
import signal
import subprocess
import sys

from metrics_names import EXPORTER, PROCESS, base
from scraping import OPEN, TEXT, ScrapeTest
from serving import COMMAND, main

COMPILER = sys.argv[4:]


class Metrics(ScrapeTest):
    def test_every_metric_has_its_name_type_unit_and_labels(self):
        p = self.start("pools", MPALLOC_SAMPLE="4k", MPALLOC_LIMITS="shop=8M")
        self.command("baseline", "save", "nightly", p.pid,
                     env={"MPALLOC_HISTORY": str(self.dir / "history.db")})
        server = self.serve("--sites", "5")
        families = self.scrape_when(server, self.has_insight(p.pid), "verdicts are there")
        text = self.scrape(server, accept=TEXT)
        for name, (kind, labels, *_) in {**PROCESS, **EXPORTER}.items():
            of_process = {"process", "pid"} if name in PROCESS else set()
            f = families[base(name)]
            self.assertEqual(f.type, kind, name)
            self.assertTrue(f.documentation.endswith("."), name)
            unit = re.search(r"_(bytes|seconds|ratio|blocks)$", base(name))
            self.assertEqual(f.unit, unit[1] if unit else "", name)
            if name != "mpalloc_alerts_total":  # none fires
                self.assertTrue(f.samples, name)
            for s in f.samples:
                self.assertEqual(set(s.labels) - {"le"}, labels | of_process, name)
            of_text = text.get(base(name)) or text[name]
            self.assertEqual(of_text.type, "gauge" if kind == "info" else kind, name)
        self.assertEqual(set(families), {base(n) for n in (*PROCESS, *EXPORTER)})

    def test_values_are_those_of_snapshot(self):
        p = self.start("quiet", MPALLOC_SAMPLE="4k")
        server = self.serve()
        families = self.scrape(server)
        d = self.document("snapshot", p.pid)
        for name, (_, labels, path) in PROCESS.items():
            if path is None:
                continue
            wanted = d
            for key in path.split("."):
                wanted = wanted[key]
            got = sum(s.value for s in families[base(name)].samples)
            self.assertEqual(got, wanted, name)
        for kind, key in (("fold", "remote_folds_total"), ("flush", "slab_releases_total"),
                          ("decay", "purges_total"), ("trim", "trims_total")):
            self.assertEqual(self.value(families, "mpalloc_reclaim_passes_total", kind=kind), d[key])
        for c in d["components"]:
            if c["allocated_blocks_total"]:
                for key in ("live_bytes", "live_blocks", "live_peak_bytes",
                            "allocated_bytes_total", "allocated_blocks_total"):
                    self.assertEqual(self.value(families, f"mpalloc_component_{key}",
                                                component=c["name"]), c[key], c)
        for c in d["size_classes"]:
            for key in ("live_bytes", "live_blocks", "free_bytes"):
                self.assertEqual(self.value(families, f"mpalloc_size_class_{key}",
                                            size_class=str(c["block_bytes"])), c[key], c)
        limit = d["limits"]
        wanted = next(limit[k] for k in ("cgroup_bytes", "rlimit_as_bytes", "rlimit_data_bytes",
                                         "physical_bytes") if limit[k] is not None)
        self.assertEqual(self.value(families, "mpalloc_limit_bytes"), wanted)
        self.assertEqual(self.value(families, "mpalloc_block_size_bytes_count"),
                         d["allocated_blocks_total"])
        self.assertEqual(self.value(families, "mpalloc_block_size_bytes_sum"),
                         d["allocated_bytes_total"])
        sizes = self.document("report", p.pid)["sizes"]
        bounds = ("1024.0", "65536.0", "1048576.0", "16777216.0", "+Inf")
        counted = 0
        for size, bound in zip(sizes, bounds, strict=True):
            counted += size["allocated_blocks_total"]
            self.assertEqual(self.value(families, "mpalloc_block_size_bytes_bucket", le=bound),
                             counted, size)

    def test_export_writes_the_same_table(self):
        p = self.start("pools", MPALLOC_SAMPLE="4k")
        p.send_signal(signal.SIGSTOP)
        server = self.serve()
        one = self.scrape(server, f"/metrics?process={p.pid}")
        self.assertNotRegex(self.text, r'live_bytes\{.*(process|pid)=')
        self.assertEqual(self.value(one, "mpalloc_process_info", pid=str(p.pid), process="target"),
                         1)
        exported = self.command("export", "--format", "openmetrics", p.pid).stdout
        passing = re.compile(r"^(# .*|mpalloc_process_(info|prop|cpu).*|"
                             r"mpalloc_(leak|advice|eff|slack|insight).*)\n", re.M)
        mine = passing.sub("", self.text).replace(
            f' # {{profile="/debug/pprof/allocs?process={self.id_of(server, p)}"}} ', " # ")
        mine = re.sub(r" # \S+\n", "\n", mine)
        self.assertTrue(set(mine.splitlines()) <= set(passing.sub("", exported).splitlines()),
                        set(mine.splitlines()) - set(exported.splitlines()))

    def id_of(self, server, p):
        return next(i for i in self.rows(server) if i.startswith(f"{p.pid}-"))

    def test_promtool_and_parsers_like_it(self):
        names = ['a "b" \\ c', "line\nbreak", "caf\u00e9 \u202e", "x" * 90]
        for name in names:
            self.start("pools", MPALLOC_SERVICE=name, MPALLOC_SAMPLE="4k")
        self.start("quiet", 'part "q"\\', MPALLOC_SERVICE="same")
        self.start("quiet", 'part "q"\\', MPALLOC_SERVICE="same")
        server = self.serve("--sites", "3")
        self.wait_for(lambda: len(self.scrape(server).get("mpalloc_insight_age_seconds").samples)
                      == 6, "verdicts are there")
        self.check_families_are_together(self.text)
        self.assertTrue(self.text.endswith("\n# EOF\n"))
        families = self.scrape(server)
        self.assertEqual(len(families["mpalloc_live_bytes"].samples), 6)
        self.assertEqual({s.labels["process"] for s in families["mpalloc_live_bytes"].samples}
                         - {"same", "x" * 90, 'a "b" \\x5c c'},
                         {"line\\x0abreak", "caf\u00e9 \\xe2\\x80\\xae"})
        self.assertIn('part "q"\\x5c', {s.labels["component"] for s in
                                     families["mpalloc_component_live_bytes"].samples})
        self.scrape(server, accept=TEXT)
        self.check_families_are_together(self.text)
        self.assertNotIn("# EOF", self.text)
        self.assertEqual(self.promtool("check", "metrics", text=self.text), "")

    def test_the_form_is_that_of_accept(self):
        self.start("quiet")
        server = self.serve()
        prometheus = ("application/openmetrics-text;version=1.0.0,"
                      "application/openmetrics-text;version=0.0.1;q=0.75,"
                      "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
        protobuf = ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
                    "encoding=delimited," + prometheus)
        for accept, form in ((prometheus, OPEN), (protobuf, OPEN), (None, TEXT), ("*/*", TEXT),
                             ("text/html,*/*;q=0.8", TEXT), ("text/plain", TEXT),
                             ("application/openmetrics-text", OPEN),
                             ("application/openmetrics-text; version=2.0.0", TEXT),
                             ("text/plain;q=0.2, application/openmetrics-text;q=0.1", TEXT),
                             ("text/plain;q=0.1 , application/openmetrics-text ; q=0.2", OPEN),
                             ("application/openmetrics-text;q=0, text/plain", TEXT),
                             ("application/openmetrics-textile", TEXT)):
            self.scrape(server, accept=accept)
            self.assertEqual(self.type, form, accept)
        answer = server.ask("/metrics", method="HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_components_are_bounded_and_add_up(self):
        source = self.dir / "many.c"
        source.write_text(MANY)
        program = self.dir / "many"
        include = [str(p / "include") for p in [type(self.dir)(__file__).resolve().parents[2]]]
        subprocess.run([*COMPILER, "-O1", "-fno-builtin", "-I", include[0], "-o", program, source,
                        self.env["MPALLOC_LIBRARY"]], check=True)
        p = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env={**self.env, "LD_LIBRARY_PATH":
                                  str(type(self.dir)(self.env["MPALLOC_LIBRARY"]).parent)})
        self.addCleanup(lambda: (p.kill(), p.wait(), p.stdin.close(), p.stdout.close()))
        self.assertEqual(p.stdout.readline(), "ready\n")
        server = self.serve("--components", "7")
        families = self.scrape(server)
        for key in ("live_bytes", "live_blocks", "allocated_bytes_total"):
            samples = families[base(f"mpalloc_component_{key}")].samples
            self.assertEqual(len(samples), 8)
            self.assertEqual(sum(s.value for s in samples),
                             self.value(families, f"mpalloc_{key}"), key)
        held = {s.labels["component"]: s.value
                for s in families["mpalloc_component_live_bytes"].samples}
        self.assertTrue({f"part{i}" for i in range(54, 60)} <= set(held), held)
        self.assertEqual(len(families["mpalloc_component_live_peak_bytes"].samples), 7)
        # One that grows later has none, and goes on in the rest: no series changes its meaning.
        p.stdin.write("grow\n")
        p.stdin.flush()
        self.assertEqual(p.stdout.readline(), "grown\n")
        families = self.scrape_when(server, lambda f: self.value(
            f, "mpalloc_component_live_bytes", component="other") > 8 << 20, "it grew")
        self.assertEqual({s.labels["component"] for s in
                          families["mpalloc_component_live_bytes"].samples}, set(held))
        all_of_them = self.scrape(self.serve("--components", "4096"))
        names = [s.labels["component"] for s in all_of_them["mpalloc_component_live_bytes"].samples]
        self.assertEqual(names.count("other"), 1, "one that is called other is the rest")
        self.assertEqual(len(set(names)), len(names))
        self.assertEqual(sum(s.value for s in all_of_them["mpalloc_component_live_bytes"].samples),
                         self.value(all_of_them, "mpalloc_live_bytes"))

    def test_sites_are_off_and_bounded(self):
        p = self.start("pools", MPALLOC_SAMPLE="1k")
        off = self.serve()
        self.scrape_when(off, self.has_insight(p.pid), "verdicts are there")
        self.assertNotIn("mpalloc_site_live_bytes{", self.text)
        server = self.serve("--sites", "2")
        families = self.scrape_when(server, self.has_insight(p.pid), "verdicts are there")
        sites = families["mpalloc_site_live_bytes"].samples
        self.assertEqual(len(sites), 3)
        self.assertEqual([s.labels["site"] for s in sites][2], "other")
        self.assertLessEqual({s.labels["function"] for s in sites}, {"hold", "main", ""})
        self.assertNotEqual(sites[0].labels["function"], "")
        for path in ("/metrics", f"/metrics?process={p.pid}"):
            seen = server.ask(path, headers={"X-Forwarded-For": "192.0.2.1"}).body.decode()
            self.assertEqual(seen.count("mpalloc_site_live_bytes{"), 3)
            self.assertNotIn("function=", seen, "strangers see no code")
        live = self.value(families, "mpalloc_live_bytes")
        self.assertAlmostEqual(sum(s.value for s in sites), live, delta=0.05 * live)
        known = {k["id"] for k in self.document("leaks", "--all", p.pid)["leaks"]}
        self.assertTrue({s.labels["site"] for s in sites[:2]} <= known, known)

    def test_verdicts_are_those_of_the_command(self):
        p = self.start("pools", MPALLOC_SAMPLE="4k")
        server = self.serve()
        families = self.scrape_when(server, self.has_insight(p.pid), "verdicts are there")
        report = self.document("report", p.pid)
        said = {}
        for a in report["advice"]:
            said[a["code"]] = said.get(a["code"], 0) + 1
        got = {s.labels["code"]: s.value for s in families["mpalloc_advice"].samples if s.value}
        self.assertEqual(got, said)
        self.assertAlmostEqual(self.value(families, "mpalloc_efficiency_ratio"),
                               report["efficiency"]["ratio"], delta=0.02)
        self.assertEqual(sum(s.value for s in families["mpalloc_leak_suspects"].samples), 0)

    def test_drift_from_a_baseline(self):
        history = {"MPALLOC_HISTORY": str(self.dir / "history.db")}
        before = self.start("quiet", MPALLOC_SAMPLE="1k")
        self.command("baseline", "save", "load high", before.pid, env=history)
        then = self.document("snapshot", before.pid)["live_bytes"]
        after = self.start("quiet", "more", MPALLOC_SAMPLE="1k")
        other = self.start("quiet", MPALLOC_SERVICE="stranger")
        server = self.serve()
        families = self.scrape_when(
            server, self.has_insight(before.pid, after.pid, other.pid), "verdicts are there")
        now = self.value(families, "mpalloc_live_bytes", pid=str(after.pid))
        self.assertGreater(now - then, 300000 - 100000)
        of = {"pid": str(after.pid), "baseline": "load high"}
        self.assertEqual(self.value(families, "mpalloc_baseline_drift_bytes", **of), now - then)
        self.assertAlmostEqual(self.value(families, "mpalloc_baseline_drift_ratio", **of),
                               (now - then) / then)
        self.assertGreaterEqual(
            self.value(families, "mpalloc_baseline_significant_sites", **of), 1)
        of["pid"] = str(before.pid)
        self.assertEqual(self.value(families, "mpalloc_baseline_drift_bytes", **of), 0)
        self.assertEqual(self.value(families, "mpalloc_baseline_significant_sites", **of), 0)
        self.assertEqual(len(families["mpalloc_baseline_drift_bytes"].samples), 2)

    def test_those_that_ended_are_counted_and_have_no_series(self):
        killed = self.start("busy")
        leaves = self.start("busy")
        stays = self.start("busy")
        server = self.serve()
        families = self.scrape(server)
        self.assertEqual(self.value(families, "mpalloc_exporter_processes", state="running"), 3)
        killed.kill()
        killed.wait()
        leaves.stdin.close()
        leaves.wait()
        ended = "mpalloc_exporter_processes_ended_total"
        families = self.scrape_when(server, lambda f: self.value(
            f, "mpalloc_exporter_processes", state="running") == 1, "two ended")
        self.assertEqual([s.labels["pid"] for s in families["mpalloc_live_bytes"].samples],
                         [str(stays.pid)])
        self.assertEqual(self.value(families, ended, state="died"), 1)
        self.assertEqual(self.value(families, ended, state="exited"), 1)
        self.assertEqual(self.value(families, "mpalloc_exporter_processes", state="died"), 1)
        families = self.scrape(server)
        self.assertEqual(self.value(families, ended, state="died"), 1, "once")

    def test_one_that_cannot_be_read_harms_no_other(self):
        p = self.start("quiet")
        (self.dir / "1234-5678.mp").write_bytes(b"no region" * 1000)
        (self.dir / "1234-5678.mp").chmod(0o600)
        server = self.serve()
        families = self.scrape(server)
        self.assertEqual([s.labels["pid"] for s in families["mpalloc_live_bytes"].samples],
                         [str(p.pid)])
        self.assertEqual(self.value(families, "mpalloc_exporter_processes", state="unreadable"), 1)
        self.assertGreaterEqual(
            self.value(families, "mpalloc_exporter_errors_total", reason="region"), 1)
        self.problem(server.ask("/metrics?process=1234-5678"), 502, "1234-5678.mp")
        self.problem(server.ask("/metrics?process=nobody"), 404, "no process \"nobody\"")

    def test_names_that_are_there_twice_make_no_series_twice(self):
        """A region is written by somebody else: here over its names while the process lives."""
        p = self.start("pools", MPALLOC_SAMPLE="off")
        p.send_signal(signal.SIGSTOP)
        honest = self.scrape(self.serve())
        path = self.region_of(p)
        data = path.read_bytes()
        self.assertEqual(data.count(b"shop/cart\0"), 1)
        with open(path, "r+b") as f:
            f.seek(data.index(b"shop/cart\0"))
            f.write(b"shop/pool\0")
        families = self.scrape(self.serve())
        self.check_families_are_together(self.text)
        names = [s.labels["component"] for s in families["mpalloc_component_live_bytes"].samples]
        self.assertEqual((names.count("shop/pool"), names.count("other")), (1, 1))
        self.assertEqual(sum(s.value for s in families["mpalloc_component_live_bytes"].samples),
                         sum(s.value for s in honest["mpalloc_component_live_bytes"].samples))

    def test_exemplars_lead_to_profiles(self):
        p = self.start("quiet")
        server = self.serve()
        families = self.scrape(server)
        s, = families["mpalloc_allocated_bytes"].samples
        id = self.id_of(server, p)
        self.assertEqual(s.exemplar.labels, {"profile": f"/debug/pprof/allocs?process={id}"})
        self.assertEqual(self.value(families, "mpalloc_process_info", id=id), 1)
        self.scrape(server, accept=TEXT)
        self.assertNotIn("profile=", self.text)

    def test_prometheus_finds_processes_by_http_and_file(self):
        p = self.start("quiet", MPALLOC_SERVICE="shop")
        dead = self.start("busy")
        dead.kill()
        dead.wait()
        server = self.serve()
        host, port = server.address
        target, = server.json("/sd")
        self.assertEqual(target["targets"], [f"{host}:{port}"])
        labels = target["labels"]
        self.assertEqual((labels["process"], labels["pid"]), ("shop", str(p.pid)))
        one = self.scrape(server, f"{labels['__metrics_path__']}?process="
                                  f"{labels['__param_process']}")
        self.assertEqual(len(one["mpalloc_live_bytes"].samples), 1)
        written = self.command("serve", "--targets", "--dir", self.dir, "--listen",
                               f"{host}:{port}").stdout
        self.assertEqual(json.loads(written), [target])
        config = self.dir / "prometheus.yml"
        config.write_text("scrape_configs:\n- job_name: m\n  http_sd_configs:\n"
                          f"  - url: http://{host}:{port}/sd\n")
        found = json.loads(self.promtool("check", "service-discovery", "--timeout=2s", config,
                                         "m"))
        self.assertEqual(found[0]["labels"]["process"], "shop")

    def test_alerts_of_the_server_are_counted(self):
        config = self.dir / "mpalloc.yaml"
        config.write_text("alerts:\n- {name: ShopLarge, when: live, above: 1M, clears: 900k, "
                          "for: 0s, severity: warning}\nserve: {interval: 1s}\n")
        p = self.start("quiet")
        server = self.serve("--config", config)
        of = {"rule": "ShopLarge", "severity": "warning", "pid": str(p.pid)}
        families = self.scrape_when(
            server, lambda f: f["mpalloc_alerts"].samples, "the alert is counted")
        self.assertEqual(self.value(families, "mpalloc_alerts_total", **of), 1)

    def test_the_runbook_has_all_that_alerts_point_to(self):
        answer = self.serve().ask("/runbook")
        self.assertEqual((answer.status, answer.headers["Content-Type"]),
                         (200, "text/html; charset=utf-8"))
        page = answer.body.decode()
        rules = self.command("export", "rules").stdout
        anchors = set(re.findall(r"/runbook#(\w+)'", rules))
        self.assertGreater(len(anchors), 15)
        for anchor in anchors:
            self.assertIn(f'<h2 id="{anchor}">', page)
        self.assertNotRegex(re.sub(r"<code>.*?</code>|<pre>.*?</pre>", "", page, flags=re.S),
                            r"\*\*|`|^#|\]\(")

    def test_figures_of_the_exporter_itself(self):
        self.start("quiet")
        server = self.serve()
        before = self.scrape(server)
        server.ask("/nowhere")
        after = self.scrape(server)
        more = {n: self.value(after, n) - self.value(before, n) for n in
                ("mpalloc_exporter_scrapes_total", "mpalloc_exporter_requests_total")}
        self.assertEqual(more, {"mpalloc_exporter_scrapes_total": 1,
                                "mpalloc_exporter_requests_total": 2})
        self.assertEqual(self.value(after, "mpalloc_exporter_errors_total", reason="refused"), 1)
        self.assertGreater(self.value(after, "mpalloc_exporter_resident_bytes"), 1 << 20)
        self.assertGreater(self.value(after, "mpalloc_exporter_cpu_seconds_total"), 0)
        self.assertGreater(self.value(after, "mpalloc_exporter_scrape_seconds"), 0)
        version = subprocess.run([COMMAND, "version"], capture_output=True, text=True).stdout
        self.assertIn(self.scrape(server)["mpalloc_build"].samples[0].labels["version"], version)


MANY = r"""
#include <mpalloc.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
    char name[32];
    char line[32];
    static void *kept[100];
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "part%d", i);
        kept[i] = mp_malloc(mp_component(name), 1000 + 1000 * i);
    }
    kept[60] = mp_malloc(mp_component("other"), 100);
    mp_snapshot(&(struct mp_snapshot){.size = sizeof(struct mp_snapshot)});
    puts("ready");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) != NULL) {
        kept[61] = mp_malloc(mp_component("part3"), 16 << 20);
        mp_snapshot(&(struct mp_snapshot){.size = sizeof(struct mp_snapshot)});
        puts("grown");
        fflush(stdout);
        fgets(line, sizeof(line), stdin);
    }
    return kept[61] == NULL;
}
"""

main()
