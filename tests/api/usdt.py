"""
usdt - the probes otel_memory:alloc and otel_memory:free, as tracers see them

Usage: usdt.py LIBRARY PROGRAM. readelf finds the notes; gdb, which listens as tracers do (it
counts the listeners up), stops at each and reads the arguments.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

LIBRARY, PROGRAM = sys.argv[1], sys.argv[2]


class Usdt(unittest.TestCase):
    def test_notes(self):
        text = subprocess.run(["readelf", "-nW", LIBRARY], capture_output=True, text=True,
                              check=True).stdout
        found = set(re.findall(r"Provider: (\S+)\n\s+Name: (\S+)\n.*?Semaphore: 0x0*([1-9a-f]\w*)\n"
                               r"\s+Arguments: (\S.*)", text))
        arguments = {(provider, name): len(args.split()) for provider, name, _, args in found}
        self.assertEqual(arguments, {("otel_memory", "alloc"): 3, ("otel_memory", "free"): 1})

    def test_gdb_listens(self):
        if shutil.which("gdb") is None:
            self.skipTest("gdb is not installed")
        env = {**os.environ, "MPALLOC_SAMPLE": "exact", "MPALLOC_HARDEN": "0"}
        alloc = ("silent\nprintf \"alloc %lx %lu %lu\\n\", $_probe_arg0, $_probe_arg1, "
                 "$_probe_arg2\ncontinue\nend")
        free = "silent\nprintf \"free %lx\\n\", $_probe_arg0\ncontinue\nend"
        script = (f"set pagination off\nset startup-with-shell off\nset breakpoint pending on\n"
                  f"set environment LD_PRELOAD {LIBRARY}\nbreak main\nrun\n"
                  f"break -probe-stap otel_memory:alloc\ncommands\n{alloc}\n"
                  f"break -probe-stap otel_memory:free\ncommands\n{free}\ncontinue\n")
        with tempfile.NamedTemporaryFile("w", suffix=".gdb") as file:
            file.write(script)
            file.flush()
            done = subprocess.run(["gdb", "-nx", "-batch", "-x", file.name, "--args", PROGRAM,
                                   "leak"], env=env, capture_output=True, text=True, timeout=100)
        if "ptrace" in done.stderr:
            self.skipTest("nothing may be traced here")
        events = re.findall(r"^(alloc|free) (\w+)(?: (\d+) (\d+))?$", done.stdout, re.M)
        self.assertGreater(len(events), 0, done.stdout + done.stderr)
        live, born = set(), 0
        for event, block, size, weighted in events:
            if event == "alloc":
                self.assertNotIn(block, live)
                self.assertEqual(size, weighted, "in exact mode each stands for itself")
                self.assertGreaterEqual(int(size), 16)
                live.add(block)
                born += 1
            elif born:
                live.discard(block) # some were born before gdb listened
        self.assertGreater(born, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
