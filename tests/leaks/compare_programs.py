"""
compare_programs - leak checks at exit of real programs, by mpalloc, valgrind and LeakSanitizer

Usage: compare_programs.py libmpalloc.so [PROGRAM...]

Each program does the same work under each tool, from its own malloc: sqlite3, python3 without its
own allocator, the same with blocks lost on purpose (their reference counts are raised), and
redis-server after DEBUG RELOAD. Prints a table of blocks: definitely, indirectly, possibly lost,
still reachable. What is lost must be the same by all tools, and what was lost on purpose must be it;
README.md of this folder says why the other two columns differ. SHOW=FOLDER keeps what the tools say.

Exit codes: 0 the same, 1 not, 77 nothing of it is installed.
"""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

LIBRARY = sys.argv[1]
LOST = 25  # objects of python_lost

SQL = """
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
    insert into t select i, printf('row %d', i * 7919 % 10007), i * 0.5 from n;
create index tb on t(b);
select count(*), sum(c), min(b), max(b) from t;
select b, count(*) from t where a % 7 = 3 group by b order by 2 desc, 1 limit 5;
update t set b = b || 'x' where a % 3 = 0;
delete from t where a % 5 = 0;
vacuum;
select count(*), total(length(b)) from t;
"""
PYTHON = """
import collections, json, re
words = collections.Counter(str(i * 7919 % 1009) for i in range(20000))
text = json.dumps({"words": words, "list": [[i, str(i)] for i in range(2000)]})
print(len(text), len(re.findall("1[0-9]+7", text)), json.loads(text)["words"]["7"])
"""
PYTHON_LOST = PYTHON + f"""
import ctypes
for i in range({LOST}):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(bytes(1000 + i)))
"""


def redis_commands():
    for i in range(3000):
        yield "SET", f"key:{i}", "v" * (i % 300)
        yield "HSET", f"hash:{i % 70}", f"field:{i % 97}", "h" * (i % 60)
        yield "RPUSH", f"list:{i % 50}", "l" * (i % 90)
        yield "ZADD", f"set:{i % 20}", str(i % 1000), f"member:{i % 301}"
        yield "SADD", f"ints:{i % 9}", str(i)
        yield "DEL", f"key:{i // 2}"
    yield "DEBUG", "RELOAD"
    yield "GET", "key:2999"


class Redis:
    def __init__(self, folder):
        self.path = pathlib.Path(folder, "socket")

    def talk(self):
        """Its answers are read until the last one; then it ends."""
        for _ in range(1200):
            if self.path.exists():
                break
            time.sleep(0.05)
        time.sleep(0.2)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(120)
            s.connect(str(self.path))
            for command in redis_commands():
                s.sendall(b"*%d\r\n" % len(command) + b"".join(
                    b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in command))
                answer = s.recv(65536)
                if answer.startswith(b"-"):
                    raise RuntimeError(f"redis: {answer!r} to {command}")
            s.sendall(b"SHUTDOWN NOSAVE\r\n")
            s.recv(100)


def programs(folder):
    python = "/usr/bin/python3"
    script = pathlib.Path(folder, "script.py")
    script.write_text(PYTHON)
    lost = pathlib.Path(folder, "lost.py")
    lost.write_text(PYTHON_LOST)
    return {
        "sqlite3": (["sqlite3", "-init", "/dev/null", ":memory:"], SQL),
        "python3": ([python, "-S", script], ""),
        "python3_lost": ([python, "-S", lost], ""),
        "redis-server": (["redis-server", "--port", "0", "--unixsocket", f"{folder}/socket",
                          "--save", "", "--appendonly", "no", "--enable-debug-command", "yes",
                          "--activerehashing", "no", "--dir", folder], Redis(folder)),
    }


def run(before, words, work, **variables):
    env = {**os.environ, "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "LC_ALL": "C",
           **variables}
    with tempfile.TemporaryFile("w+", errors="replace") as said, \
            subprocess.Popen([*before, *words], env=env, stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, stderr=said, text=True) as done:
        try:
            if isinstance(work, Redis):
                work.talk()
                work = None
            done.communicate(work, timeout=300)
        finally:
            done.kill()
        said.seek(0)
        return said.read()


def by_mpalloc(words, work):
    said = run([], words, work, LD_PRELOAD=LIBRARY, MPALLOC_LEAK_CHECK="1",
               MPALLOC_SAMPLE="exact", MPALLOC_LEAK_SUPPRESSIONS="")
    found = re.search(r"definitely lost \d+ bytes in (\d+) blocks, indirectly \d+ in (\d+), "
                      r"possibly \d+ in (\d+); reachable \d+ in (\d+)", said)
    return [int(n) for n in found.groups()] if found else said, said


def by_valgrind(words, work):
    said = run(["valgrind", "--leak-check=full", "--show-leak-kinds=all",
                "--soname-synonyms=somalloc=*jemalloc*"], words, work)
    kinds = []
    for kind in ("definitely lost", "indirectly lost", "possibly lost", "still reachable"):
        found = re.search(kind + r": [\d,]+ bytes in ([\d,]+) blocks", said)
        kinds.append(int(found[1].replace(",", "")) if found else 0)
    return kinds if "ERROR SUMMARY" in said else said, said


def by_lsan(words, work):
    name = subprocess.run(["gcc", "-print-file-name=liblsan.so"], capture_output=True,
                          text=True, check=True).stdout.strip()
    said = run([], words, work, LD_PRELOAD=name, LSAN_OPTIONS="max_leaks=0")
    kinds = {"Direct": 0, "Indirect": 0}
    for kind, count in re.findall(r"^(Direct|Indirect) leak of \d+ byte\(s\) in (\d+) object",
                                  said, re.M):
        kinds[kind] += int(count)
    fatal = "fatal error" in said or not os.path.isabs(name)
    return said if fatal else [kinds["Direct"], kinds["Indirect"], None, None], said


def problems_of(name, row):
    """What differs of that which is lost: direct and indirect, which cycles divide differently."""
    if not all(isinstance(found, list) for found in row.values()):
        return [f"{name}: {tool} says {found[-300:]}" for tool, found in row.items()
                if not isinstance(found, list)]
    ours = row["mpalloc"]
    wrong = [f"{name}: {tool} says {found[:2]}, not {ours[:2]}" for tool, found in row.items()
             if sum(found[:2]) != sum(ours[:2])
             or (tool == "valgrind" and found[:2] != ours[:2])]
    if ours[0] != (LOST if name == "python3_lost" else 0):
        wrong.append(f"{name}: definite {ours[0]}")
    return wrong


def main():
    tools = {"mpalloc": by_mpalloc, "valgrind": by_valgrind, "lsan": by_lsan}
    if not shutil.which("valgrind"):
        del tools["valgrind"]
    problems = []
    count = 0
    print(f"{'program':14}" + "".join(f"{tool:>24}" for tool in tools))
    with tempfile.TemporaryDirectory() as folder:
        for name, (words, work) in programs(folder).items():
            if (len(sys.argv) > 2 and name not in sys.argv[2:]) or not shutil.which(words[0]):
                continue
            row = {}
            for tool, by in tools.items():
                row[tool], said = by(words, work)
                if "SHOW" in os.environ:
                    pathlib.Path(os.environ["SHOW"], f"{name}.{tool}.txt").write_text(said)
            print(f"{name:14}" + "".join(f"{str(row[tool])[:23]:>24}" for tool in tools),
                  flush=True)
            problems += problems_of(name, row)
            count += 1
    for line in problems:
        print(line)
    return 1 if problems else 0 if count else 77


sys.exit(main())
