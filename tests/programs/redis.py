"""
redis - redis-server under pipelined commands (2 million if big), DEBUG RELOAD and BGSAVE

Two data sets: one loaded from a fixed list of commands, whose digest must be the same
with and without the library; one left by redis-benchmark (its keys are random), whose
digest must survive the reload.
"""
import random
import re

from harness import Session, sized

TESTS = "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,mset"
REQUESTS = sized(12_000, 160_000)  # of each of the 13


def fixed_commands():
    rng = random.Random(1)
    for i in range(sized(20_000, 60_000)):
        key = rng.randrange(5_000)
        value = "v" * rng.randrange(1, 400)
        yield rng.choice((
            f"SET s:{key} {value}", f"APPEND s:{key} {value[:40]}",
            f"HSET h:{key % 500} f{i % 300} {value}", f"ZADD z:{key % 200} {i} m{key}",
            f"SADD u:{key % 300} {value[:50]}{i}", f"RPUSH l:{key % 400} {value}",
            f"LPOP l:{key % 400}", f"XADD x:{key % 50} {i + 1}-1 f {value[:100]}",
            f"DEL s:{key}", f"SETRANGE s:{key} {key} x",
        ))


def serve(session, preload):
    label = "preloaded" if preload else "plain"
    folder = session.folder / label
    folder.mkdir()
    socket = folder / "socket"

    def cli(*words, text=None, timeout=120):
        argv = ["redis-cli", "-s", socket, *words]
        result = session.run(argv, preload, text=text, timeout=timeout)
        session.expect(result)
        return result.text.strip()

    log = open(folder / "log", "wb")
    server = session.start(
        ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", folder,
         "--save", "", "--appendonly", "no", "--enable-debug-command", "yes"],
        preload, stdout=log, stderr=log,
    )
    session.until("the server listens", socket.exists)
    session.until("the server answers", lambda: cli("ping") == "PONG")
    if preload:
        session.check("the library is mapped in redis-server", session.has_library(server.pid))

    facts = {}
    cli("--pipe", text="\n".join(fixed_commands()) + "\n")
    facts["digest of fixed commands"] = cli("debug", "digest")
    facts["DBSIZE"] = cli("dbsize")
    facts["DEBUG RELOAD"] = cli("debug", "reload")
    facts["digest after the reload"] = cli("debug", "digest")

    began = session.run(
        ["redis-benchmark", "-s", socket, "-n", REQUESTS, "-c", 50, "-P", 16, "-d", 200,
         "-r", 100_000, "-q", "-t", TESTS], preload,
        mapped=("redis-benchmark",) if preload else (),
    )
    session.expect(began)
    rates = [float(rate) for rate in re.findall(r"([\d.]+) requests per second", began.text)]
    facts["benchmarks that ended"] = len(rates)
    session.say(f"{label}: {len(rates) * REQUESTS:,} commands in {began.seconds:.1f} s")

    before = cli("dbsize"), cli("debug", "digest")
    cli("debug", "reload")
    session.check(f"{label}: DBSIZE and digest survive DEBUG RELOAD",
        before == (cli("dbsize"), cli("debug", "digest")), f"{before[0]} keys, {before[1][:16]}")
    facts["BGSAVE"] = cli("bgsave")
    session.until("BGSAVE ends",
        lambda: "rdb_bgsave_in_progress:0" in cli("info", "persistence"))
    facts["last BGSAVE"] = re.search(
        r"rdb_last_bgsave_status:(\w+)", cli("info", "persistence")).group(1)
    cli("flushall")
    facts["DBSIZE after FLUSHALL"] = cli("dbsize")
    cli("shutdown", "nosave")
    facts["exit code of the server"] = server.wait(30)
    complaints = [line for line in (folder / "log").read_text().splitlines()
                  if line.startswith("mpalloc:")]
    session.check(f"{label}: no complaint in the log", not complaints, "".join(complaints[:1]))
    return facts


with Session("redis", needs=("redis-server", "redis-benchmark", "redis-cli")) as session:
    session.note_version(("redis-server", "--version"))
    session.both(lambda preload: serve(session, preload))
