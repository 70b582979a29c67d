"""flame_profile - profiles made up, as `mpalloc flame` puts them into its page

    flame_profile.py [STACKS [DEPTH]] > page.html     a page to look at
"""
import json
import math
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "flame"))
import page  # noqa: E402

HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)>"
VALUES = ("allocated-blocks", "allocated-bytes", "live-blocks", "live-bytes", "short-blocks",
          "short-bytes")


def profile(stacks, components=None, has_stacks=True, name="extraction-server", cut=()):
    """stacks: {(frame, …): (live bytes, live samples)}; frames: (function, file, line, module)."""
    texts, frames = {}, {}

    def text(t):
        return texts.setdefault(t, len(texts))

    rows = sorted((tuple(frames.setdefault(f, len(frames)) for f in stack), stack, held)
                  for stack, held in stacks.items())
    shared, before = [], ()
    for numbers, _, _ in rows:
        n = 0
        while n < min(len(before), len(numbers)) and before[n] == numbers[n]:
            n += 1
        shared.append(n)
        before = numbers
    columns = {v: {"name": v, "value": [], "under": [], "over": []} for v in VALUES}
    for _, _, (held, taken) in rows:
        for v in VALUES:
            scale = {"allocated": 5, "live": 1, "short": 3}[v.split("-")[0]]
            value = max(1, held * scale // (1 if v.endswith("bytes") else 200))
            half = int(1.96 * value / math.sqrt(taken * scale)) if taken else 0
            columns[v]["value"].append(value)
            columns[v]["under"].append(min(half, value))
            columns[v]["over"].append(half)
    component = components or (lambda stack: "(untagged)")

    def total(v):
        return sum(columns[v]["value"])

    document = {
        "format": 1,
        "process": {"name": name, "pid": 4711, "state": "running",
                    "published_ms": 1796370000000, "command": f"{name} --threads 4"},
        "caption": "sampled, one in 512 KiB", "has_stacks": has_stacks, "shown": "live-bytes",
        "totals": {"live_bytes": total("live-bytes"), "live_blocks": total("live-blocks"),
                   "live_peak_bytes": 2 * total("live-bytes"),
                   "allocated_bytes_total": total("allocated-bytes"),
                   "allocated_blocks_total": total("allocated-blocks")},
        "frames": {
            "function": [text(f[0]) for f in frames],
            "file": [text(f[1]) if f[1] else -1 for f in frames],
            "line": [f[2] for f in frames],
            "module": [text(f[3]) if f[3] else -1 for f in frames],
            "inlined": [0 for f in frames],
        },
        "samples": {
            "shared": shared,
            "added": [len(numbers) - n for (numbers, _, _), n in zip(rows, shared)],
            "frames": [f for (numbers, _, _), n in zip(rows, shared) for f in numbers[n:]],
            "component": [text(component(stack)) for _, stack, _ in rows],
            "taken": [5 * taken for _, _, (_, taken) in rows],
            "live_taken": [taken for _, _, (_, taken) in rows],
            "cut": [int(stack in cut) for _, stack, _ in rows],
        },
        "values": [columns[v] for v in
                   ("live-bytes", "live-blocks", "allocated-bytes", "allocated-blocks",
                    "short-bytes", "short-blocks") if any(columns[v]["value"])],
    }
    document["texts"] = list(texts)
    return document


def _functions(random_):
    parts = ("parse read insert lookup decode flush render copy visit resolve compile expand "
             "merge split hash index store evict append commit tokenize match").split()
    things = ("document node token cache entry row buffer string index query page header "
              "request response session bucket record tree leaf table").split()
    libraries = [("/usr/lib/x86_64-linux-gnu/libc.so.6", "c"),
                 ("/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30", "std"),
                 ("/usr/bin/extraction-server", "own"),
                 ("/usr/lib/x86_64-linux-gnu/libxml2.so.2.9.14", "c"),
                 ("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", "py"),
                 ("/opt/search/lib/libsearch.so.4", "own")]
    result = []
    for _ in range(900):
        module, kind = random_.choice(libraries)
        verb, thing, other = random_.choice(parts), random_.choice(things), random_.choice(things)
        name = {
            "c": f"{thing}_{verb}_{other}",
            "py": f"Py{thing.title()}_{verb.title()}{other.title()}",
            "own": f"search::{thing}_{other}::{verb}(search::{other} const&, unsigned long)",
            "std": f"std::vector<search::{thing}, std::allocator<search::{thing}> >::"
                   f"_M_realloc_insert<search::{thing} const&>(__gnu_cxx::__normal_iterator<"
                   f"search::{thing}*, std::vector<search::{thing}, "
                   f"std::allocator<search::{thing}> > >, search::{thing} const&)",
        }[kind]
        result.append((name, f"/src/{thing}/{other}.cc" if kind != "c" else "",
                       random_.randrange(10, 900) if kind != "c" else 0, module))
    return result


def random_profile(count, depth=40, seed=1):
    """Stacks that share their beginnings, as those of a program do."""
    random_ = random.Random(seed)
    functions = _functions(random_)
    main = ("main", "/src/main.cc", 41, "/usr/bin/extraction-server")
    paths, stacks = [(main,)], {}
    while len(stacks) < count:
        base = random_.choice(paths[-4000:] if random_.random() < 0.5 else paths)
        base = base[:random_.randrange(1, len(base) + 1)]
        more = max(1, int(random_.expovariate(1 / 6)))
        while len(base) < depth and more > 0:
            base = (*base, random_.choice(functions[:40 + 8 * len(base)]))
            more -= 1
        if len(base) > 4 and base not in stacks:
            taken = min(1 + int(random_.paretovariate(1.1)), 5000)
            stacks[base] = (int(taken * 524288 * random_.uniform(1, 1.5)), taken)
        paths.append(base)
    names = ("cache", "index", "extraction/html", "extraction/pdf", "http", "(untagged)")
    return profile(stacks, lambda stack: names[hash_of(stack[min(2, len(stack) - 1)][0]) % 6])


def hash_of(text):
    return sum(ord(c) * 31 ** (i % 7) for i, c in enumerate(text))


def render(document):
    return page.page(json.dumps(document, separators=(",", ":"), ensure_ascii=False))


if __name__ == "__main__":
    words = [int(w) for w in sys.argv[1:]]
    sys.stdout.write(render(random_profile(*words or (20000,))))
