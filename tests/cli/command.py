"""What tests of the mpalloc command share: where it runs, and what it must always do."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import jsonschema

COMMAND, TARGET, LIBRARY = (os.path.realpath(p) for p in sys.argv[1:4])
SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "tools" / "schemas"


class CommandTest(unittest.TestCase):
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
        if code is not None:
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

    def start_limited(self, bytes_of_address_space, mode="quiet", *words):
        p = subprocess.Popen(["prlimit", f"--as={bytes_of_address_space}", TARGET, mode, *words],
                             env=self.env, text=True, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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


def main():
    unittest.main(argv=sys.argv[:1], verbosity=2)
