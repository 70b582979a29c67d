"""
python - modules of CPython's own test suite, every object from the library

Started with the name of a part below. PYTHONMALLOC=malloc switches off Python's own
small-object allocator. A module that fails is run again without the library, to tell
whose failure it is: only what passes there counts against us.
"""
import re
import sys

from harness import Session

PYTHON = "/usr/bin/python3.11"  # the modules belong to this version

PARTS = {
    "some": """
        bytes deque dict gc generators json list memoryview struct threading_local weakref
        zlib""",
    "types": """
        array ast asyncgen bisect bool buffer builtin bytes call class cmath collections compile
        complex context copy coroutines dataclasses deque descr dict dis enum exceptions float
        format fractions frame fstring functools gc generators grammar hash heapq int iter
        itertools list long math memoryview opcache operator ordered_dict patma peepholer range
        richcmp scope set slice sort string string_literals struct structseq super syntax
        sys_settrace traceback tuple types typing unicode unpack userdict weakref weakset
        yield_from""",
    "library": """
        base64 binascii bz2 codecs configparser csv ctypes datetime decimal difflib email
        fileinput fileio file glob gzip hashlib hmac html import inspect json locale lzma marshal
        memoryio minidom mmap os pathlib pickle plistlib posix posixpath pprint pyexpat random re
        sax shelve shutil statistics strftime strptime tarfile tempfile textwrap time tokenize
        unicodedata unittest uuid xml_etree xml_etree_c zipimport zlib zoneinfo""",
    "threads": """
        atexit audit cmd_line contextlib faulthandler finalization fork1 httplib
        interpreters popen print pty queue repl resource select subprocess sys thread threading
        threading_local threadsignals tracemalloc wait3 wait4 xmlrpc _xxsubinterpreters""",
    "slow": """
        asyncio concurrent_futures eintr io largefile logging mailbox multiprocessing_fork
        multiprocessing_spawn poll selectors signal socket ssl zipfile""",
}


def run(modules, preload):
    return session.run(
        [PYTHON, "-m", "test", "-j2", "--timeout", "150", *modules], preload,
        mapped=("python3.11",) if preload else (), timeout=1500,
        env={"PYTHONMALLOC": "malloc"})


part = sys.argv[1]
modules = [f"test_{name}" for name in PARTS[part].split()]
with Session(f"python-{part}", needs=(PYTHON,)) as session:
    session.note_version((PYTHON, "--version"))
    result = run(modules, True)
    text = result.text
    passed = set(re.findall(r"\] (test_\w+) passed", text))
    skipped = set(re.findall(r"\] (test_\w+) skipped", text))
    failed = [name for name in modules if name not in passed | skipped]
    for name in failed:
        alone = run([name], False)
        session.check(f"{name} with the library", alone.code != 0,
            "fails without it too" if alone.code else "passes without it")
        if alone.code == 0:
            for line in text[text.find(name):].splitlines()[:40]:
                session.say(f"  | {line}")
    session.check("modules pass", len(passed) >= 0.9 * len(modules),
        f"{len(passed)} of {len(modules)} in {result.seconds:.0f} s"
        + (f", skipped by themselves: {' '.join(sorted(skipped))}" if skipped else ""))
