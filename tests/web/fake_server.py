"""fake_server - answers as `mpalloc serve` does, with processes made up, for tests of its pages

    fake_server.py [--uplot FOLDER]      prints its address, and runs until standard input ends
    fake_server.py --check               its documents match tools/schemas/

POST /test with {"do": …} changes what it says: see `Fleet.do`. Pages are those of tools/web/.
Each value of the header X-Test has processes of its own, so that tests may run side by side.
"""
import argparse
import contextlib
import http.server
import json
import math
import pathlib
import sys
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "web"))
import bundle  # noqa: E402

MIB = 1 << 20
HOSTILE = '<img src=x onerror="document.title=`pwned`">'
EVERY_S = 0.4
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
          "img-src 'self' data:; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
          "form-action 'none'")


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def estimate(value, part):
    return {"value": value, "low": value * (1 - part), "high": value * (1 + part)}


FRAMES = [("memory_take", "/src/memory.c", 44), ("context_create", "/src/html.c", 224),
          ("html_extract", "/src/html.c", 241), ("extract", "/src/server.c", 43),
          ("answer", "/src/server.c", 75), ("serve", "/src/server.c", 97),
          ("work", "/src/server.c", 112), ("start_thread", None, None)]
TOTALS = ("allocated_bytes_total", "allocated_blocks_total", "freed_bytes_total",
          "freed_blocks_total")


class Process:
    def __init__(self, pid, name, mib, growth=0.0, limit=None, command=None):
        self.pid, self.name, self.live, self.growth = pid, name, int(mib * MIB), growth
        self.id = f"{pid}-{pid * 1000}"
        self.limit = limit and int(limit * MIB)
        self.command = command or f"{name} --config /etc/{name}.conf"
        self.state, self.ended = "running", None
        self.began = time.time() - 600
        self.leaks = {"lost": 0, "growing": 0, "suspect": 0}
        self.alerts = []

    def bytes_at(self, when):
        """What was live then."""
        age = time.time() - when
        return max(0, int(self.live * (1 + 0.02 * math.sin(age / 20)) - self.growth * age))

    def facts(self):
        now = time.time()
        return {"pid": self.pid, "name": self.name, "state": self.state,
                "exe": f"/usr/bin/{self.name}", "command": self.command, "parent_pid": 1,
                "uid": 1000, "forked": False, "started": stamp(self.began),
                "ended": self.ended, "published": stamp(now), "age_seconds": 0.4,
                "ran_seconds": now - self.began, "run_id": "00" * 16, "build_id": "ab" * 20,
                "mpalloc_version": "0.1.0", "region": f"/dev/shm/mpalloc-1000/{self.id}.mp"}

    def now(self):
        return self.live

    def row(self):
        now = time.time()
        live = self.now()
        gone = self.state != "running"
        return {**self.facts(), "live_bytes": live, "live_blocks": live // 200,
                "live_peak_bytes": live + MIB, "rss_bytes": None if gone else live * 3 // 2,
                "threads": 4, "id": self.id, "limit_bytes": self.limit,
                "alerts": {"firing": sum(a["state"] == "firing" for a in self.alerts),
                           "pending": 0},
                "leaks": self.leaks, "recent": [self.bytes_at(now - 60 + i) for i in range(60)]}

    def bare_row(self):
        """What a server says that has not looked at much yet, or could not."""
        if self.pid == 42:
            return {"id": self.id, "state": "damaged", "region": f"/dev/shm/x/{self.id}.mp",
                    "error": f"section 3 is cut off {HOSTILE}"}
        row = self.row()
        for name in ("limit_bytes", "alerts", "recent"):
            del row[name]
        return {**row, "leaks": None}

    def components(self, live):
        def one(name, parent, own, tree):
            return {"name": name, "parent": parent, "live_bytes": own, "live_blocks": own // 200,
                    "live_peak_bytes": own, "tree_live_bytes": tree,
                    "tree_live_peak_bytes": tree + MIB, "free_bytes": own // 10,
                    "limit_soft_bytes": live // 2 if name == "extraction" else None,
                    "limit_hard_bytes": live // 4 if name == "cache" else None,
                    "limit_hits_total": 0, "limit_refused_total": 0,
                    "is_over_limit": name == "cache",
                    **{t: own * 20 for t in TOTALS}}
        cache, index, html, pdf = live * 4 // 10, live * 2 // 10, live * 3 // 10, live // 10
        return [one("(untagged)", None, 0, 0), one("cache", None, cache, cache),
                one("index", None, index, index), one("extraction", None, 0, html + pdf),
                one("extraction/html", "extraction", html, html),
                one("extraction/pdf", "extraction", pdf, pdf),
                one(HOSTILE if self.name == HOSTILE else "log", None, 0, 0)]

    @staticmethod
    def classes(live):
        out = []
        for i in range(40):
            size = (1152, 64 << 10)[i - 38] if i >= 38 else 16 * (i + 1)
            own = live // 40 // size * size if i % 3 else 0
            out.append({"block_bytes": size, "kind": "slab", "live_bytes": own,
                        "live_blocks": own // size, "slab_bytes": own * 5 // 4,
                        "free_bytes": own // 4, **{t: own * 20 for t in TOTALS}})
        return out

    def snapshot(self):
        live = self.now()
        rss = live * 3 // 2
        gone = self.state != "running"
        parts = [("requested", "live blocks: what was asked for", live - live // 10, "samples"),
                 ("slack", "live blocks: what was added to it", live // 10, "samples"),
                 ("cached", "free blocks in spans that hold live ones", live // 4, "allocator"),
                 ("dirty", "free spans, not yet given back (at most)", live // 10, "allocator"),
                 ("metadata_span", "metadata: span table", live // 50, "allocator"),
                 ("region", "the profiler's region", MIB // 2, "kernel"),
                 ("stack", "not mpalloc: stack of the main thread", 20480, "kernel"),
                 ("files", "not mpalloc: code and files mapped", live // 8, "kernel"),
                 ("untouched", "of this never touched, or in swap", -(live // 40), "kernel")]
        total = sum(p[2] for p in parts)
        figures = {name: live for name in (
            "allocated_bytes", "active_bytes", "resident_bytes", "mapped_bytes",
            "resident_peak_bytes", "reserved_bytes")}
        zeros = {name: 0 for name in (
            "metadata_bytes", "retained_bytes", "dirty_bytes", "cached_bytes", "large_bytes",
            "huge_bytes", "refills_total", "remote_folds_total", "slab_starts_total",
            "slab_releases_total", "purges_total", "purged_bytes_total", "trims_total",
            "trimmed_bytes_total", "allocation_failures_total", "invalid_frees_total",
            "components_refused_total")}
        now = time.time()
        return {"schema": "mpalloc.snapshot/1", "generated": stamp(now),
                "process": self.facts(),
                "warnings": [HOSTILE] if self.name == HOSTILE else [],
                "live_bytes": live, "live_blocks": live // 200, "live_peak_bytes": live + MIB,
                "allocated_bytes_total": int(live * (now - self.began)),
                "allocated_blocks_total": int(live * (now - self.began)) // 200,
                "freed_bytes_total": 0, "freed_blocks_total": 0, **figures, **zeros,
                "threads": 4, "threads_peak": 5, "threads_total": 9, "heaps": 12,
                "live_peak_time": stamp(self.began + 300),
                "limits": {"cgroup_bytes": self.limit, "rlimit_as_bytes": None,
                           "rlimit_data_bytes": None, "physical_bytes": 64 << 30},
                "kernel": None if gone else {
                    **{k: None for k in (
                        "resident_anon_bytes", "resident_file_bytes", "resident_shmem_bytes",
                        "text_bytes", "data_bytes", "stack_bytes", "swap_bytes",
                        "proportional_bytes", "huge_page_bytes", "mappings")},
                    "resident_bytes": rss, "resident_peak_bytes": rss, "virtual_bytes": 2 * rss,
                    "threads": 4},
                "pressure": {"value": 0.5, "parts": {
                    "limit": {"value": 0.5, "text": "512.0 MiB of 1.0 GiB used, by its control group"},
                    "stall": {"value": None, "text": "the kernel does not tell stalls"},
                    "time": {"value": 0, "text": "live bytes did not surely grow"}},
                    "used_bytes": 512 * MIB, "limit_bytes": 1024 * MIB, "some_avg10": None,
                    "some_avg60": None, "full_avg10": None, "limit_seconds": None},
                "rss_ledger": {"parts": [dict(zip(("name", "label", "bytes", "source"), p))
                                         for p in parts],
                               "total_bytes": total, "rss_bytes": None if gone else total,
                               "measured": not gone, "moved_bytes": 0, "read_seconds": 0.01},
                "components": self.components(live), "size_classes": self.classes(live),
                "pools": [], "user_counters": [],
                "options": [{"name": "SAMPLE", "value": "512k", "origin": "default"},
                            {"name": "DIR", "value": "/dev/shm/x", "origin": "environment"}],
                "own_cost": {"region_bytes": MIB // 2, "metadata_span_bytes": MIB // 8,
                             "metadata_heap_bytes": MIB, "published_total": 400,
                             "publish_seconds_total": 0.07, "components_missing": 0,
                             "modules_missing": 0},
                "sampling": {"mode": "sampled", "interval_bytes": 512 << 10,
                             "wanted_bytes": 512 << 10, "peak_time": None, "peak_bytes": 0,
                             "since_counters": {"samples": 0, "freed_samples": 0,
                                                "allocated_bytes": 0, "freed_bytes": 0},
                             **{k: 0 for k in (
                                 "samples_total", "freed_samples_total", "listed_samples",
                                 "frames", "sites", "doublings_total", "changes_total",
                                 "cost_seconds_total", "memory_bytes", "memory_max_bytes",
                                 "stacks_truncated_total", "stacks_lost_total",
                                 "frames_refused_total", "sites_refused_total",
                                 "samples_refused_total", "samples_unlisted_total",
                                 "names_refused_total")}}}

    def timeline(self, tier):
        now = int(time.time())
        step = (1, 60, 600)[tier]
        points = []
        for when in range(now - 240 * step, now, step):
            live = self.bytes_at(when)
            points.append({"time": stamp(when), "live_bytes": live, "live_blocks": live // 200,
                           "live_high_bytes": live, "active_bytes": live,
                           "dirty_bytes": live // 10, "retained_bytes": 0,
                           "cached_bytes": live // 5, "metadata_bytes": live // 50,
                           "profiler_bytes": MIB // 2,
                           "resident_bytes": live * 13 // 10, "allocated_bytes_total": live,
                           "allocated_blocks_total": live, "threads": 4})
        return {"schema": "mpalloc.timeline/1", "generated": stamp(now),
                "process": self.facts(), "tier": tier, "points": points}

    def past_parts(self, live):
        return {"requested_bytes": live * 9 // 10, "slack_bytes": live // 10,
                "cached_bytes": live // 5, "dirty_bytes": live // 10,
                "metadata_bytes": live // 50, "profiler_bytes": MIB // 2,
                "difference_bytes": -MIB // 4, "other_bytes": 2 * MIB}

    def history(self):
        now = int(time.time())
        points = [{"time": stamp(when), "live_bytes": self.bytes_at(when), "pid": self.pid,
                   "live_high_bytes": self.bytes_at(when), "heap_bytes": self.live * 13 // 10,
                   "resident_bytes": self.live * 3 // 2,
                   "parts": self.past_parts(self.bytes_at(when))}
                  for when in range(now - 86400, now + 1, 600)]
        return {"schema": "mpalloc.history/1", "generated": stamp(now),
                "since": stamp(now - 86400),
                "runs": [{"pid": self.pid, "name": self.name, "state": self.state,
                          "started": stamp(self.began), "last": stamp(now)}],
                "points": points, "components": [], "stacks": [], "verdicts": [],
                "rss_ledger": {
                    "parts": [{"name": name.removesuffix("_bytes"), "label": name,
                               "before": value, "after": self.past_parts(self.live)[name]}
                              for name, value in self.past_parts(self.bytes_at(now - 86400)).items()],
                    "rss_bytes_before": self.live, "rss_bytes_after": self.live * 3 // 2},
                "efficiency": {"before": estimate(0.6, 0.05), "after": estimate(0.7, 0.05)},
                "forecast": {"bytes_per_hour": estimate(12.0 * MIB, 0.2), "points": len(points),
                             "limit_bytes": self.limit, "grows": True,
                             "limit_seconds": estimate(22800.0, 0.2)}}

    def frames(self, module=False):
        frames = [{"function": f, "file": file, "line": line,
                   **({"module": "/usr/bin/" + self.name} if module else {})}
                  for f, file, line in FRAMES]
        if self.name == HOSTILE:
            frames[0]["function"] = HOSTILE
        return frames

    def leaks_document(self, everything):
        verdicts = {"lost": 0, "growing": 0, "suspect": 0, "cache-like": 1, "fine": 30}
        verdicts.update(self.leaks)
        live = self.now() * 3 // 10
        some = [v for v in ("lost", "growing", "suspect") for _ in range(verdicts[v])]
        some += ["fine"] * 5 if everything else []
        leaks = [{
            "id": f"{self.pid:08x}{i:08x}", "verdict": verdict, "severity": "warning",
            "component": self.components(live)[6]["name"] if self.name == HOSTILE
            else "extraction/html",
            "operation": HOSTILE if self.name == HOSTILE else "", "threads": ["worker"],
            "rules": ["growth", "never_freed"],
            "evidence": ["grew by 45.6 MiB, 1.1 GiB per hour (95 %: from 704 MiB)",
                         HOSTILE if self.name == HOSTILE else "its least in each epoch rises"],
            "advice": "thread", "advice_text": "One thread keeps it: clear what it holds.",
            "live_samples": 46, "freed_samples": 357, "live_bytes": estimate(float(live), 0.2),
            "growth_bytes_per_hour": estimate(1.2e9, 0.3),
            "limit_seconds": estimate(74710.0, 0.1), "first_seen": stamp(self.began),
            "last_seen": stamp(time.time()), "oldest_seconds": 158.1, "p": 7.5e-05,
            "slope_bytes_per_epoch": 1577092.0, "exponent": 0.77, "exponent_low": 0.47,
            "generations": 20, "epochs": 29, "old_samples": 41.0, "old_freed_samples": 0.0,
            "never_freed_probability": 0.97, "doubling_seconds": None, "scan": None,
            "acknowledged": None, "since_bytes": None, "frames": self.frames()}
            for i, verdict in enumerate(some)]
        return {"schema": "mpalloc.leaks/1", "generated": stamp(time.time()),
                "process": self.facts(), "verdicts": verdicts, "acknowledged": 0,
                "growth_bytes_per_hour": estimate(1.2e9 if some else 0.0, 0.3),
                "limit_bytes": self.limit, "epochs": 29, "has_past": True, "leak_check": None,
                "since": None, "components": [], "leaks": leaks}

    def advice(self):
        live = self.now()
        return {"schema": "mpalloc.advice/1", "generated": stamp(time.time()),
                "process": self.facts(),
                "efficiency": {"ratio": 0.74, "requested_bytes": estimate(live * 0.9, 0.02),
                               "slack_bytes": estimate(live * 0.1, 0.4),
                               "free_bytes": live // 5, "metadata_bytes": live // 50,
                               "heap_bytes": live * 13 // 10},
                "advice": [{"code": "POOL", "text": "Objects of one size come and go: keep them "
                            "in a pool.", "unit": "calls_per_second",
                            "gain": estimate(120000.0, 0.1), "share": 0.04,
                            "component": "extraction/pdf",
                            "evidence": ["81 % of its blocks are freed within 100 ms"],
                            "frames": self.frames()}]}

    def profile_page(self):
        return bundle.flame_page.page(json.dumps(self.profile(1.0)))

    def profile(self, part):
        live = self.now()
        names = [f["function"] for f in reversed(self.frames())] + ["insert", "build"]
        stacks = [list(range(8)), [0, 1, 2, 3, 8], [0, 1, 2, 9]]
        held = [int(live * 0.3 * part), int(live * 0.5), int(live * 0.2)]
        texts = names + ["extraction/html", "cache", "index", "", "/usr/bin/demo"]
        rows = list(range(3))
        return {"format": 1, "process": {"name": self.name, "pid": self.pid,
                                         "state": self.state,
                                         "published_ms": int(time.time() * 1000),
                                         "command": self.command},
                "caption": "sampled, one in 512 KiB", "has_stacks": True, "shown": "live-bytes",
                "totals": {"live_bytes": sum(held), "live_blocks": 3, "live_peak_bytes": live,
                           "allocated_bytes_total": live, "allocated_blocks_total": 3},
                "texts": texts,
                "frames": {"function": list(range(10)), "file": [-1] * 10, "line": [0] * 10,
                           "module": [14] * 10, "inlined": [0] * 10},
                "samples": {"shared": [0, 0, 0], "added": [len(s) for s in stacks],
                            "frames": [f for s in stacks for f in s], "component": [10, 11, 12],
                            "operation": [13] * 3, "thread": [13] * 3, "taken": [40] * 3,
                            "live_taken": [40] * 3, "cut": [0] * 3},
                "values": [{"name": f"live-{unit}", "value": [h // scale for h in held],
                            "under": [held[i] // scale // 9 for i in rows],
                            "over": [held[i] // scale // 9 for i in rows]}
                           for unit, scale in (("bytes", 1), ("blocks", 200))]}

    def diff(self, since=None):
        live = self.now()
        label = "baseline:monday" if since is None else f"what it was at {since}"
        notes = [] if since is None or since > "2026" else [{"name": "nearest_moment",
            "text": "of then nothing is kept: the nearest moment is 5 d later"}]
        both = [("extraction/html", self.frames(True), live // 10, live * 3 // 10),
                ("cache", self.frames(True)[3:], live // 2, live // 2 + 100),
                ("index", self.frames(True)[5:], live // 2, live // 5)]

        def figures(before, after, part):
            change = after - before
            return {"before": before, "after": after, "value": change,
                    "low": change - abs(before) * part, "high": change + abs(before) * part}

        def row(before, after, part=0.1):
            return {"live_bytes": figures(before, after, part),
                    "live_blocks": figures(before // 200, after // 200, part),
                    "allocated_bytes_total": figures(before, after, part),
                    "allocated_blocks_total": figures(before, after, part),
                    "live_peak_bytes": figures(before, after, part)}
        return {"schema": "mpalloc.diff/1", "generated": stamp(time.time()),
                "before": {**self.facts(), "label": label},
                "after": {**self.facts(), "label": str(self.pid)}, "same_run": False,
                "exact": False, "notes": notes, **row(live * 11 // 10, live, 0),
                "components": [], "size_classes": [],
                "stacks": [{"component": c, "in": "both", **row(a, b), "significant": True,
                            "samples": 40, "p": 0.01, "frames": f} for c, f, a, b in both],
                "significant_stacks": 2,
                "drift": {"ratio": 0.0, "of": "live", "by": "total", "name": None,
                          "allowed_ratio": None, "failed": False}}


def alert(process, name, state="firing"):
    return {"process": {"id": process.id, "pid": process.pid, "name": process.name},
            "name": name, "severity": "warning", "state": state, "since": stamp(time.time() - 90),
            "value": 0.91, "threshold": 0.8, "text": "91 % of the limit is live",
            "runbook": "/usr/share/mpalloc/runbook.md#mpallocmemoryhigh"}


class Fleet:
    def __init__(self):
        self.lock = threading.Lock()
        self.do({"do": "reset"})

    def do(self, order):
        """reset, or one of what follows; `id` is the process."""
        what = order["do"]
        if what == "reset":
            self.stream, self.down, self.token, self.actions = True, False, None, False
            self.bare = False
            self.processes = [
                Process(4711, "extraction-server", 180, growth=MIB / 8, limit=256),
                Process(815, "redis-server", 64, limit=1024), Process(42, "python3", 12.5),
                Process(99, HOSTILE, 3, command=HOSTILE)]
            self.processes[0].leaks["growing"] = 1
            self.processes[0].alerts = [alert(self.processes[0], "MpallocMemoryHigh")]
            self.processes[3].leaks["suspect"] = 1
            self.posted = []
        elif what == "empty":
            self.processes = []
        elif what == "many":
            self.processes += [Process(10000 + i, f"worker-{i}", i + 1) for i in range(200)]
        elif what == "add":
            self.processes.append(Process(order["pid"], order["name"], 20))
        elif what in ("stream", "down", "token", "actions", "bare"):
            setattr(self, what, order["value"])
        else:
            p = self.find(order["id"])
            if what == "die":
                p.state, p.ended = "died", stamp(time.time())
            elif what == "gone":
                self.processes.remove(p)
            elif what == "live":
                p.live = order["bytes"]
            else:
                raise ValueError(what)

    def find(self, name):
        return next((p for p in self.processes if name in (p.id, str(p.pid), p.name)), None)

    def rows(self):
        return {"schema": "mpalloc.processes/1", "generated": stamp(time.time()),
                "processes": [p.bare_row() if self.bare else p.row() for p in self.processes]}

    def alerts(self):
        return {"schema": "mpalloc.alerts/1", "generated": stamp(time.time()),
                "alerts": [a for p in self.processes for a in p.alerts]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    fleets = {}
    files = {}

    @property
    def fleet(self):
        with self.lock:
            return self.fleets.setdefault(self.headers.get("X-Test"), Fleet())

    def log_message(self, *_):
        pass

    def reply(self, status, kind, body, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def json(self, document, status=200, kind="application/json"):
        self.reply(status, kind, json.dumps(document).encode())

    def problem(self, status, detail):
        self.json({"title": "No", "status": status, "detail": detail}, status,
                  "application/problem+json")

    def asset(self, name):
        if name not in self.files:
            self.problem(404, "there is no such file")
            return
        self.reply(200, bundle.TYPES[pathlib.PurePath(name).suffix],
                   self.files[name].encode(), Content_Security_Policy=POLICY,
                   Cache_Control="max-age=3600",
                   X_Content_Type_Options="nosniff")

    def is_refused(self, path):
        if self.fleet.down:
            self.problem(503, "it is down for a test")
        elif self.fleet.token and path.startswith("/api/") and self.headers.get(
                "Authorization") != f"Bearer {self.fleet.token}":
            self.problem(401, "a token is wanted")
        else:
            return False
        return True

    def do_GET(self):
        where = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(where.query))
        steps = [urllib.parse.unquote(s) for s in where.path.split("/")[1:]]
        if where.path == "/" or steps[0] == "processes":
            self.asset("index.html")
        elif steps[0] == "assets":
            self.asset(steps[1])
        elif where.path == "/flame":
            self.asset("flame.html")
        elif not self.is_refused(where.path):
            with self.fleet.lock:
                answer = self.answer(steps[2:], query)
            if callable(answer):
                answer()
            elif isinstance(answer, str):
                self.reply(200, "text/html", answer.encode())
            elif answer is None:
                self.problem(404, "there is no such process")
            else:
                self.json(answer)

    def answer(self, steps, query):
        fleet = self.fleet
        if steps == ["version"]:
            return {"schema": "mpalloc.version/1", "generated": stamp(time.time()),
                    "version": "0.1.0", "api": "v1", "build_id": None, "host": "testhost",
                    "allow_actions": fleet.actions, "trusted": True}
        if steps == ["processes"]:
            return fleet.rows()
        if steps == ["alerts"]:
            return fleet.alerts()
        if steps == ["events"]:
            return lambda: self.events(query.get("process"))
        p = fleet.find(steps[1]) if len(steps) == 3 else None
        if p is None:
            return None
        return {"snapshot": p.snapshot, "advice": p.advice, "diff": lambda: p.diff(query.get("since")),
                "profile": p.profile_page, "history": p.history,
                "timeline": lambda: p.timeline(int(query.get("tier", 0))),
                "leaks": lambda: {"potential_leak_count": p.leaks["growing"]}
                if query.get("summary") == "1" else p.leaks_document(query.get("all") == "1"),
                "alerts": lambda: {"alerts": p.alerts},
                "moments": lambda: {"moments": [
                    {"time": stamp(time.time() - age), "live_bytes": p.live // 3,
                     "kept_bytes": 50000} for age in (86400, 7200, 60)]},
                "baselines": lambda: {"baselines": [
                    {"name": "monday", "label": "", "build_id": "ab", "program": p.name,
                     "made": stamp(time.time() - 86400), "live_bytes": p.live,
                     "kept_bytes": 1000}]}}.get(steps[2], lambda: None)()

    def events(self, name):
        fleet = self.fleet
        if not fleet.stream:
            self.problem(503, "no more streams")
            return
        if name is not None and fleet.find(name) is None:
            self.problem(404, "there is no such process")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while fleet.stream and not fleet.down:
                with fleet.lock:
                    p = fleet.find(name) if name is not None else None
                    if name is not None and p is None:
                        return
                    event, document = ("processes", fleet.rows()) if name is None else (
                        "snapshot", p.snapshot())
                self.wfile.write(f"event: {event}\ndata: {json.dumps(document)}\n\n"
                                 ": alive\n\n".encode())
                time.sleep(EVERY_S)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/test":
            with self.fleet.lock:
                self.fleet.do(json.loads(body))
            self.json({"posted": self.fleet.posted})
            return
        if self.is_refused(self.path):
            return
        steps = urllib.parse.urlsplit(self.path).path.split("/")
        p = self.fleet.find(urllib.parse.unquote(steps[4]))
        if not self.fleet.actions:
            self.problem(403, "this server only shows")
        elif steps[5] == "scan":
            self.fleet.posted.append(self.path)
            p.leaks["lost"] = 1
            self.json(p.leaks_document(False))
        else:
            self.fleet.posted.append(urllib.parse.unquote(self.path))
            self.json({"baselines": []})


def check():
    import jsonschema
    p = Process(4711, "extraction-server", 100, limit=200)
    p.leaks["growing"] = 1
    schemas = ROOT / "tools" / "schemas"
    for name, document in (("snapshot", p.snapshot()), ("leaks", p.leaks_document(True)),
                           ("diff", p.diff()), ("history", p.history())):
        jsonschema.validate(document, json.loads((schemas / f"{name}.json").read_text()))
    report = json.loads((schemas / "report.json").read_text())["properties"]
    jsonschema.validate(p.advice()["advice"], report["advice"])
    jsonschema.validate(p.advice()["efficiency"], report["efficiency"])
    jsonschema.validate(p.timeline(0)["points"], report["timeline"]["properties"]["seconds"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--uplot")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        check()
        return
    Handler.files = bundle.files(options.uplot)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
