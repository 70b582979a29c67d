"""truth - what the shapes of corpus.c are, and how verdicts are held against that

Owns: the list of shapes, how one is run and judged. Used by test_leaks.py and bench/leaks.
"""
import json
import os
import pathlib
import subprocess

# What may be said of each, and the function whose blocks it is about.
LEAK = {"growing", "lost"}
MAYBE = LEAK | {"suspect"}  # below 1 % of traffic: as sure as its samples let one be
INNOCENT = {"suspect", "cache-like", "fine"}

SHAPES = {
    "cache": (LEAK, "grow_cache"),
    "handlers": (LEAK, "grow_handlers"),
    "cycle": (LEAK, "grow_cycle"),
    "tree": (LEAK, "grow_tree"),
    "local": (LEAK, "grow_local"),
    "thread8": (LEAK, "grow_thread"),
    "slow10": (LEAK, "grow_traffic"),
    "slow1": (LEAK, "grow_traffic"),
    "slow01": (MAYBE, "grow_traffic"),
    "marked": (LEAK, "grow_marked"),
    "plugin": (LEAK, "grow_plugin"),
    "container": (LEAK, "grow_container"),
    "buffer": (INNOCENT, "run_buffer"),
    "lru": (INNOCENT, "grow_lru"),
    "warm_up": (INNOCENT, "grow_warm_up"),
    "sawtooth": (INNOCENT, "grow_sawtooth"),
    "diurnal": (INNOCENT, "grow_session"),
    "index": (INNOCENT, "grow_index"),
    "words": (INNOCENT, "grow_word"),
    "tables": (INNOCENT, "grow_table"),
    "pool": (INNOCENT, "grow_pool"),
    "thread_caches": (INNOCENT, "grow_thread_cache"),
    "steady": (INNOCENT, "grow_steady"),
    "walk": (INNOCENT, "grow_walk"),
    "parked": (INNOCENT, "grow_parked"),
    "hidden": (INNOCENT, "grow_hidden"),
}
# A leak check has to call these lost, and no others: nothing points to them any more.
LOST = {"cycle", "tree", "thread8", "slow10", "slow1", "slow01", "marked", "plugin"}
# What only a check is wrong about, and must be: pointers that are combined with others.
MISSED = {"hidden"}
DEEP = {"container"}  # the frames of templates are before the one that counts
ORDER = ["lost", "growing", "suspect", "cache-like", "fine"]


def read(command, dump, env):
    """The verdicts of a dump: the document of mpalloc leaks --json --all."""
    said = subprocess.run([command, "leaks", "--json", "--all", "--rows", "1000", dump],
                          env=env, check=True, stdout=subprocess.PIPE, text=True)
    dump.unlink()
    return json.loads(said.stdout)


def run(corpus, command, shape, folder, interval="512k", work_mib=None, seed=0, check=True):
    """The verdicts of one run, and those after a leak check (None without)."""
    dumps = [pathlib.Path(folder, f"{shape}.{when}.mp") for when in ("end", "check")]
    for dump in dumps:
        dump.unlink(missing_ok=True)
    # The governor would make R larger than what is tested: time is compressed here.
    env = os.environ | {"MPALLOC_SAMPLE": interval, "MPALLOC_SAMPLE_GOVERNOR": "0",
                        "MPALLOC_DIR": str(folder), "CORPUS_DUMP": str(dumps[0]),
                        "CORPUS_SEED": str(seed),
                        "MPALLOC_HISTORY": str(pathlib.Path(folder, "history.db"))}
    if check:
        env["CORPUS_CHECK"] = str(dumps[1])
    words = [corpus, shape] + ([str(work_mib)] if work_mib else [])
    subprocess.run(words, env=env, check=True)
    return read(command, dumps[0], env), read(command, dumps[1], env) if check else None


def is_about(leak, function, depth=2):
    return any(function in frame["function"] for frame in leak["frames"][:depth])


def judge(document, shape):
    """(worst verdict of the site, its leak, others that are called leaks wrongly)"""
    _, function = SHAPES[shape]
    own = [leak for leak in document["leaks"]
           if is_about(leak, function, 16 if shape in DEEP else 2)
           and leak["component"] == "part"]
    wrong = [leak for leak in document["leaks"]
             if leak["verdict"] in LEAK and leak not in own]
    own.sort(key=lambda leak: (ORDER.index(leak["verdict"]), -leak["live_bytes"]["value"]))
    return (own[0]["verdict"] if own else "fine"), (own[0] if own else None), wrong
