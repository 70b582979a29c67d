"""Programs that hold what they are told, in two builds: for tests of what changes."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

from command import LIBRARY, CommandTest

COMPILER = sys.argv[4:]

# Holds as many blocks as it is told: 1000 bytes from keep(), 200 from list().
SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef MOVED
__attribute__((noinline)) int other(int n) { return n * 7 + (int)strtol("1", 0, 10); }
#endif
__attribute__((noinline)) void *keep(void) { char *p = malloc(1000); p[0] = 1; return p; }
__attribute__((noinline)) void *list(void) { char *p = malloc(200); p[0] = 2; return p; }
static void *held[2000000];
int main(void)
{
    char word[20];
    int count;
    int used = 0;

#ifdef MOVED
    used = other(0) - 1;
#endif
    while (scanf("%19s %d", word, &count) == 2) {
        for (int i = 0; i < count; i++) {
            if (strcmp(word, "drop") == 0) {
                free(held[--used]);
            } else {
                held[used++] = strcmp(word, "keep") == 0 ? keep() : list();
            }
        }
        printf("ok\\n");
        fflush(stdout);
    }
    return 0;
}
"""


class HolderTest(CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.build = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"mpalloc-held-{os.getpid()}"
        cls.build.mkdir()
        (cls.build / "holder.c").write_text(SOURCE)
        for name, flags in (("holder", []), ("holder2", ["-DMOVED"])):
            subprocess.run([*COMPILER, "-O1", "-g", "-Wl,--build-id", *flags, "-o",
                            cls.build / name, cls.build / "holder.c"], check=True)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.build)

    def hold(self, *orders, program="holder", **env):
        p = subprocess.Popen([self.build / program], text=True, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={**self.env, "LD_PRELOAD": LIBRARY, "MPALLOC_SAMPLE": "32k",
                                  "MPALLOC_SAMPLE_GOVERNOR": "0",  # also on a busy machine
                                  **env})
        self.addCleanup(self.end, p)
        for order in orders:
            self.tell(p, order)
        time.sleep(0.45)    # counters are published by allocations, so often
        self.tell(p, "keep 70")
        return p

    def tell(self, p, order):
        p.stdin.write(order + "\n")
        p.stdin.flush()
        self.assertEqual(p.stdout.readline(), "ok\n")

    def dump(self, p, name):
        path = self.dir / name
        shutil.copyfile(self.region_of(p), path)
        return path

    def near(self, change, truth):
        """Some five deviations wide: the interval is tested elsewhere, and misses 1 in 20."""
        self.assertLess(change["low"], change["value"])
        self.assertGreater(change["high"], change["value"])
        self.assertAlmostEqual(change["value"], truth, delta=0.6 * truth)

    def is_noise(self, stack):
        """Not called a change, or hardly: one of twenty is, by chance."""
        self.assertGreater(stack["p"], 1e-4, stack)
