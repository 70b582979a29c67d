"""Names of functions by address, as mpalloc finds them in files.

    test_symbols.py SYMBOL_WORKER

Against addr2line on fresh programs; then files that are stripped, replaced, gone, damaged;
debug information apart from its file; what is kept on disk; how long much of it takes.
"""

import os
import pathlib
import random
import re
import shutil
import string
import subprocess
import sys
import tempfile
import time
import unittest

WORKER = os.path.realpath(sys.argv[1])
CC1 = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True,
                     text=True).stdout.strip()

C_PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#define INLINED static inline __attribute__((always_inline))
INLINED int deepest(int x)
{
    return x > 3 ? (int)(size_t)malloc((size_t)x) : getchar();
}
INLINED int middle(int x)
{
    int y = deepest(x + 1);
    return y * deepest(y);
}
static __attribute__((noinline)) int outer(int x)
{
    for (int i = 0; i < x; i++) {
        x += middle(i) ^ middle(x);
    }
    return x;
}
int exported(int x)
{
    return middle(outer(x)) + 1;
}
int main(int argc, char **argv)
{
    (void)argv;
    puts("ready");
    fflush(stdout);
    return exported(argc) + outer(getchar());
}
"""

CXX_PROGRAM = r"""
#include <cstdlib>
#include <vector>
namespace shop {
namespace {
struct Hidden {
    static __attribute__((noinline)) int count(int x) { return rand() + x; }
};
}
template <class T, int N> struct Cart {
    std::vector<T> items;
    __attribute__((noinline)) void put(T item)
    {
        for (int i = 0; i < N; i++) {
            items.push_back(item);
        }
    }
};
template <class F> __attribute__((noinline)) int apply(F f) { return f(rand()); }
}
int main(int argc, char **)
{
    shop::Cart<double, 3> cart;
    cart.put(argc);
    auto twice = [&](int x) __attribute__((noinline)) { return rand() + x * argc; };
    return shop::apply(twice) + shop::Hidden::count(argc) + (int)cart.items.size();
}
"""

RUST_PROGRAM = r"""
mod shop {
    pub struct Cart<T> { pub items: Vec<T> }
    impl<T: Clone> Cart<T> {
        #[inline(never)]
        pub fn put(&mut self, item: &T) { self.items.push(item.clone()); }
    }
}
fn main() {
    let mut cart = shop::Cart { items: vec![String::from("a")] };
    cart.put(&std::env::args().next().unwrap());
    println!("{}", cart.items.len());
}
"""


def run(*words, **more):
    return subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True,
                          **more).stdout


class Elf:
    """What a region says of a file that is loaded."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        text = run("readelf", "-lnW", path)
        found = re.search(r"Build ID: (\w+)", text)
        self.build_id = found[1] if found else "-"
        loads = [(int(at, 16), int(size, 16), flags) for at, size, flags in re.findall(
            r"^ +LOAD +\w+ 0x(\w+) \w+ \w+ 0x(\w+) (...)", text, re.M)]
        self.low = min(at for at, _, _ in loads)
        self.bytes = max(at + size for at, size, _ in loads) - self.low
        self.code = [(at, at + size) for at, size, flags in loads if "E" in flags]

    def offset(self, symbol, plus=1):
        for line in run("nm", self.path).splitlines():
            if line.split()[-1] == symbol:
                return int(line.split()[0], 16) - self.low + plus
        raise KeyError(symbol)

    def instructions(self, *functions):
        """Offsets of all instructions of functions whose name has one of these parts."""
        text = run("objdump", "-d", "--no-show-raw-insn", "-j", ".text", self.path)
        for part in text.split("\n\n"):
            name = re.search(r"<(.*)>:", part)
            if name and any(f in name[1] for f in functions):
                for at in re.findall(r"^ +([0-9a-f]+):\t(?!nop|xchg|data16|cs nop)", part, re.M):
                    yield int(at, 16) - self.low


class Answer:
    def __init__(self, text):
        self.lines, self.problems, self.rest = {}, [], None
        for line in text.splitlines():
            if line[0] == "@":
                lines = self.lines.setdefault(int(line[1:], 16), [])
            elif line.startswith("! "):
                self.problems.append(line[2:])
            elif line.startswith("= "):
                names = "memory disk debug table none".split()
                self.stats = dict(zip(names, map(int, line[2:].split())))
            elif line.startswith("& "):
                self.rest = line[2:]
            elif line.startswith("? "):
                self.unknown = line[2:]
            else:
                function, file, number = line.split("\t")
                lines.append((function, os.path.normpath(file) if file else "", int(number)))

    @property
    def names(self):
        return [lines[-1][0] for lines in self.lines.values()]


class Symbols(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-symbols-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.cache = self.dir / "cache"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("DEBUGINFOD")}
        self.env.update(XDG_CACHE_HOME=str(self.cache), LC_ALL="C.UTF-8")

    def build(self, text, suffix, *words, compiler=None, name="program"):
        compiler = compiler or {".c": "gcc", ".cc": "g++"}[suffix]
        if shutil.which(compiler) is None:
            self.skipTest(f"{compiler} is not installed")
        source = self.dir / f"source{suffix}"
        source.write_text(text)
        run(compiler, "-Wl,--build-id", *words, "-o", self.dir / name, source)
        return Elf(self.dir / name)

    def ask(self, elf, offsets, path=None, pid=0, bytes=None, build_id=None, **env):
        done = subprocess.run(
            [WORKER, str(path or elf.path), build_id or elf.build_id,
             str(bytes or elf.bytes), str(pid)],
            input="".join(f"{at:x}\n" for at in offsets), capture_output=True, text=True,
            env={**self.env, **env}, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        answer = Answer(done.stdout)
        self.assertEqual(answer.unknown, "1 (unknown code)")
        return answer

    def addr2line(self, elf, offsets, *command):
        """The same from addr2line, names without parameters."""
        text = run(*command or ["addr2line"], "-a", "-f", "-i", "-e", elf.path,
                   input="".join(f"0x{at + elf.low:x}\n" for at in offsets))
        text = run("c++filt", "-p", input=text)
        found = {}
        lines = iter(text.splitlines())
        for line in lines:
            if line.startswith("0x"):
                at = found.setdefault(int(line, 16) - elf.low, [])
                continue
            file, _, number = next(lines).split(" (disc")[0].rpartition(":")
            at.append((line, os.path.normpath(file), int(number.replace("?", "0"))))
        return found

    # Debug information.

    def test_c_is_what_addr2line_says(self):
        # addr2line of 2.40 misses inlined functions of clang's DWARF 5.
        for compiler, *command in (["gcc", "addr2line"],
                                   ["clang", "llvm-symbolizer", "--output-style=GNU"]):
            for words in ("-gdwarf-4", "-O2"), ("-gdwarf-5", "-O2"), ("-g", "-O0"), \
                         ("-g", "-O1", "-no-pie"), ("-g", "-O2", "-gz"):
                with self.subTest(compiler=compiler, words=words):
                    if shutil.which(command[0]) is None:
                        self.skipTest(f"{command[0]} is not installed")
                    elf = self.build(C_PROGRAM, ".c", *words, compiler=compiler)
                    offsets = list(elf.instructions("outer", "exported", "main"))
                    self.assertGreater(len(offsets), 60)
                    answer = self.ask(elf, offsets, MPALLOC_SYMBOL_CACHE="off")
                    self.assertEqual(answer.lines, self.addr2line(elf, offsets, *command))
                    self.assertEqual(answer.stats["debug"], len(offsets))
                    self.assertEqual(answer.problems, [])
                    if words[1] == "-O2":
                        chains = {tuple(name for name, _, _ in lines)
                                  for lines in answer.lines.values()}
                        self.assertIn(("deepest", "middle", "outer"), chains)

    def test_cxx_names_are_whole_but_for_parameters(self):
        elf = self.build(CXX_PROGRAM, ".cc", "-g", "-O1")
        offsets = list(elf.instructions("Cart", "apply", "Hidden", "main"))
        answer = self.ask(elf, offsets)
        theirs = self.addr2line(elf, offsets)
        names = {name for lines in answer.lines.values() for name, _, _ in lines}
        for wanted in ("shop::Cart<double, 3>::put", "main",
                       "shop::(anonymous namespace)::Hidden::count",
                       "std::vector<double, std::allocator<double> >::push_back",
                       "main::{lambda}::operator()"):
            self.assertIn(wanted, names)
        for at in offsets:
            self.assertEqual([line[1:] for line in answer.lines[at]],
                             [line[1:] for line in theirs[at]])
            for (ours, _, _), (name, _, _) in zip(answer.lines[at], theirs[at]):
                # Where there is no name for the linker it says the last part alone; what
                # has to do with lambdas it names otherwise if it was not inlined.
                self.assertTrue(ours == name or ours.endswith("::" + name)
                                or "lambda" in name, (ours, name))

    def test_split_debug_information(self):
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2", "-gsplit-dwarf", name="split")
        whole = self.build(C_PROGRAM, ".c", "-g", "-O2", name="whole")
        offsets = list(elf.instructions("outer", "exported"))
        self.assertEqual(self.ask(elf, offsets).lines, self.addr2line(whole, offsets))

    def test_rust_names(self):
        rustc = "/usr/bin/rustc"
        if not os.path.exists(rustc):
            self.skipTest("rustc is not installed")
        source = self.dir / "program.rs"
        source.write_text(RUST_PROGRAM)
        for mangling, words in ("legacy", ()), ("v0", ("-C", "symbol-mangling-version=v0")):
            run(rustc, "-g", "-O", *words, "-C", "link-arg=-Wl,--build-id", "-o",
                self.dir / mangling, source)
            elf = Elf(self.dir / mangling)
            offsets = list(elf.instructions("3put"))
            self.assertGreater(len(offsets), 10)
            wanted = {"legacy": "program::shop::Cart<T>::put",
                      "v0": "<program::shop::Cart<alloc::string::String>>::put"}[mangling]
            self.assertEqual(set(self.ask(elf, offsets).names), {wanted})
            run("strip", "-g", elf.path)
            self.assertEqual(set(self.ask(elf, offsets, MPALLOC_SYMBOL_CACHE="off").names),
                             {wanted})

    # Tables of symbols.

    def test_without_debug_information(self):
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2", "-rdynamic")
        inside = elf.offset("outer"), elf.offset("exported")
        for words, names in ((("-g",), ["outer", "exported"]),
                             ((), [f"program+0x{inside[0]:x}", "exported"])):
            run("strip", *words, elf.path)
            answer = self.ask(elf, inside, MPALLOC_SYMBOL_CACHE="off")
            self.assertEqual(answer.names, names)
            self.assertEqual(answer.lines[inside[1]], [("exported", "", 0)])
        self.assertEqual(answer.problems, [])

    def test_small_table_in_gnu_debugdata(self):
        if shutil.which("xz") is None:
            self.skipTest("xz is not installed")
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2")
        inside = elf.offset("outer")
        small = self.dir / "small"
        run("objcopy", "-S", "--keep-symbol=outer", elf.path, small)
        run("xz", small)
        run("strip", elf.path)
        run("objcopy", "--add-section", f".gnu_debugdata={small}.xz", elf.path)
        self.assertEqual(self.ask(elf, [inside]).names, ["outer"])

    def test_nothing_is_guessed(self):
        elf = self.build(C_PROGRAM, ".c", "-O2")
        unknown = self.ask(elf, [elf.bytes, elf.bytes - 1, 2**64 - 1, 0])
        for at, lines in unknown.lines.items():
            self.assertEqual(lines, [(f"program+0x{at:x}", "", 0)])

    # Which file.

    def test_a_replaced_file_gives_no_names(self):
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2")
        inside = elf.offset("outer")
        self.build(C_PROGRAM.replace("x > 3", "x > 4"), ".c", "-g", "-O2")
        answer = self.ask(elf, [inside])
        self.assertEqual(answer.names, [f"program+0x{inside:x}"])
        self.assertEqual(len(answer.problems), 1)
        self.assertRegex(answer.problems[0], "/program: its build id is not .*replaced")
        os.unlink(elf.path)
        answer = self.ask(elf, [inside])
        self.assertEqual(answer.names, [f"program+0x{inside:x}"])
        self.assertRegex(answer.problems[0], "/program: is gone: .*DEBUGINFOD_URLS may have")
        for text in b"", b"\x7fELF", b"#!/bin/sh\n" * 20:
            elf.path.write_bytes(text)
            self.assertRegex(self.ask(elf, [inside]).problems[0], "no program or library")
        os.unlink(elf.path)
        os.mkfifo(elf.path)
        self.assertRegex(self.ask(elf, [inside]).problems[0], "no program or library")
        self.assertEqual(list(self.cache.rglob("*-*")), [])

    def test_a_running_program_is_found_without_its_file(self):
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2")
        p = subprocess.Popen([elf.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.stdin.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        p.stdout.readline()
        os.unlink(elf.path)
        self.assertEqual(self.ask(elf, [0x10], pid=p.pid).problems, [])
        at = self.build(C_PROGRAM.replace("x > 3", "x > 4"), ".c", "-g", "-O2").offset("main")
        answer = self.ask(elf, [at], pid=p.pid)
        self.assertEqual((answer.problems, answer.names), ([], ["main"]))

    def test_a_library_that_a_process_still_has(self):
        if os.geteuid() != 0:
            self.skipTest("needs root: /proc/PID/map_files")
        library = self.build(C_PROGRAM.replace("main", "start"), ".c", "-g", "-O2", "-shared",
                             "-fPIC", name="library.so")
        at = library.offset("outer")
        text = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print('ready', flush=True); input()"
        p = subprocess.Popen([sys.executable, "-c", text, library.path], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.stdin.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        p.stdout.readline()
        if not os.access(f"/proc/{p.pid}/map_files", os.R_OK):
            self.skipTest("the kernel has no /proc/PID/map_files")
        for _ in range(2):  # without its file, then with another one in its place
            library.path.unlink(missing_ok=True)
            answer = self.ask(library, [at], pid=p.pid, MPALLOC_SYMBOL_CACHE="off")
            self.assertEqual((answer.problems, answer.names), ([], ["outer"]))
            self.assertRegex(self.ask(library, [at], MPALLOC_SYMBOL_CACHE="off").problems[0],
                             "library.so: is gone|build id is not")
            self.build(C_PROGRAM.replace("x > 3", "x > 4"), ".c", name="library.so")
            library.path = self.dir / "library.so"

    def test_the_vdso_is_of_no_file(self):
        elf = self.build(C_PROGRAM, ".c", "-O2")
        answer = self.ask(elf, [0x123], path="linux-vdso.so.1")
        self.assertEqual(answer.names, ["linux-vdso.so.1+0x123"])
        self.assertRegex(answer.problems[0], "linux-vdso.so.1: is of the kernel, .*no names$")

    def test_stripped_programs_are_told_of(self):
        elf = self.build(C_PROGRAM, ".c", "-O2")
        inside = [elf.offset("outer"), elf.offset("exported")]
        self.assertIsNone(self.ask(elf, inside).rest)
        run("strip", elf.path)
        for more, words in (({}, ", or set DEBUGINFOD_URLS"), ({"DEBUGINFOD_URLS": ""}, "")):
            self.assertEqual(self.ask(elf, inside, MPALLOC_SYMBOL_CACHE="off", **more).rest,
                             f"2 of 2 places in the code have no names: {elf.path} is stripped "
                             f"(install its debug information{words})")

    def test_without_a_build_id(self):
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2", "-Wl,--build-id=none")
        at = elf.offset("outer")
        self.assertEqual(elf.build_id, "-")
        self.assertEqual(self.ask(elf, [at]).names, ["outer"])
        self.assertEqual(list(self.cache.rglob("symbols/*")), [])
        answer = self.ask(elf, [at], bytes=elf.bytes + 8)
        self.assertEqual(answer.names, [f"program+0x{at:x}"])
        self.assertRegex(answer.problems[0], "not what the process had loaded")
        self.assertEqual(self.ask(elf, [at], build_id="00" * 20).names, [f"program+0x{at:x}"])

    def test_names_and_paths_are_fit_to_print(self):
        elf = self.build(C_PROGRAM, ".c", "-O2")
        path = self.dir / "a\x1b[31m\tb"
        answer = self.ask(elf, [1], path=path)
        self.assertEqual(answer.names, [r"a\x1b[31m\x09b+0x1"])
        self.assertIn(r"a\x1b[31m\x09b: is gone", answer.problems[0])
        elf = self.build(C_PROGRAM, ".c", "-O2")
        run("objcopy", "--redefine-sym", "exported=ex\x1b\tported", elf.path)
        at = next(elf.instructions("ported"))
        self.assertEqual(self.ask(elf, [at]).names, [r"ex\x1b\x09ported"])
        self.assertEqual(self.ask(elf, [at]).stats["disk"], 1)

    # Debug information apart from the file, and what is kept.

    def test_debug_information_that_comes_later_is_noticed(self):
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2")
        at = elf.offset("outer")
        debug = self.dir / ".debug" / "program.debug"
        debug.parent.mkdir()
        run("objcopy", "--only-keep-debug", elf.path, debug)
        run("strip", "-g", elf.path)
        run("objcopy", f"--add-gnu-debuglink={debug}", elf.path)
        debug.rename(self.dir / "aside")
        first = self.ask(elf, [at])
        self.assertEqual(first.lines[at], [("outer", "", 0)])
        self.assertEqual(self.ask(elf, [at]).stats["disk"], 1)
        (self.dir / "aside").rename(debug)
        second = self.ask(elf, [at])
        self.assertEqual((second.stats["disk"], second.stats["debug"]), (0, 1))
        self.assertEqual(second.lines[at][-1][:2], ("outer", str(self.dir / "source.c")))
        debug.unlink()  # what it said is kept
        third = self.ask(elf, [at])
        self.assertEqual((third.stats["disk"], third.lines), (1, second.lines))

    def test_what_was_found_is_kept(self):
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2")
        offsets = list(elf.instructions("outer", "main"))
        first = self.ask(elf, offsets)
        self.assertEqual(first.stats["debug"], len(offsets))
        kept = self.cache / "mpalloc" / "symbols" / elf.build_id
        self.assertEqual(kept.stat().st_mode & 0o777, 0o600)
        self.assertEqual(kept.parent.stat().st_mode & 0o777, 0o700)
        os.unlink(elf.path)
        second = self.ask(elf, offsets * 2)
        self.assertEqual(second.lines.keys(), first.lines.keys())
        self.assertEqual(self.ask(elf, offsets).lines, first.lines)
        self.assertEqual((second.stats["disk"], second.stats["memory"]),
                         (len(offsets), len(offsets)))
        self.assertEqual(second.problems, [])
        off = self.ask(elf, offsets, MPALLOC_SYMBOL_CACHE="off")
        self.assertEqual(off.stats["none"], len(offsets))

    def test_a_damaged_cache_is_written_anew(self):
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2")
        offsets = list(elf.instructions("outer", "main"))
        wanted = self.ask(elf, offsets).lines
        kept = self.cache / "mpalloc" / "symbols" / elf.build_id
        good = kept.read_bytes()
        header, body = good.split(b"\n", 1)
        damaged = [b"", b"x", good[:-1], good + b"\n", good[: len(good) // 2], header + b"\n",
                   good.replace(b"outer", b"inner"), good.replace(b"symbols 1", b"symbols 2"),
                   good.replace(b"=outer", b"=out\0r")]
        damaged += [self.sealed(text) for text in (
            b"=f\n@1 0 debug\n", b"=f\n@1 65 debug\n" + b"1 0 1\n" * 65, b"garbage", b"\n",
            b"=f\n@1 2 debug\n1 0 1\n", b"=f\n@1 1 debug\n0 0 1\n", b"@1 1 debug\n1 0 1\n",
            b"=f\x1b[31m\n@1 1 debug\n1 0 1\n", b"=f\n@1 1 debug\n1 0 -1\n", body + b"@",
            b"=" + b"f" * 2000 + b"\n@1 1 debug\n1 0 1\n", b"=\n", b"=f\n@1 1 debug\n1 2 1\n",
            b"=f\n@1 1 debug\n1 0 99999999999\n", b"=f\n@" + b"f" * 20 + b" 1 debug\n1 0 1\n")]
        for text in damaged:
            kept.write_bytes(text)
            answer = self.ask(elf, offsets)
            self.assertEqual((answer.lines, answer.stats["disk"]), (wanted, 0), text[:80])
            self.assertEqual(kept.read_bytes(), good)
        kept.unlink()
        kept.symlink_to(self.dir / "elsewhere")
        (self.dir / "elsewhere").write_bytes(good)
        self.assertEqual(self.ask(elf, offsets).stats["disk"], 0)
        self.assertFalse(kept.is_symlink())

    @staticmethod
    def sealed(body):
        import zlib
        return b"mpalloc symbols 1 %d %08x\n" % (len(body), zlib.crc32(body)) + body

    def test_no_folder_no_cache(self):
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2")
        at = elf.offset("outer")
        self.cache.write_text("")
        for home in self.cache, "/proc/none", "relative", "":
            for _ in range(2):
                answer = self.ask(elf, [at], XDG_CACHE_HOME=str(home), HOME="/proc/none")
                self.assertEqual((answer.names, answer.stats["debug"]), (["outer"], 1))

    def test_the_folder_stays_small(self):
        folder = self.cache / "mpalloc" / "symbols"
        folder.mkdir(parents=True, mode=0o700)
        for i in range(20):
            with open(folder / f"{i:040x}", "wb") as file:
                file.truncate(4 << 20)
            os.utime(folder / f"{i:040x}", (1000 + i, 1000 + i))
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2")
        self.ask(elf, [elf.offset("outer")])
        names = sorted(path.name for path in folder.iterdir())
        self.assertLessEqual(sum(path.stat().st_size for path in folder.iterdir()), 64 << 20)
        self.assertIn(elf.build_id, names)
        self.assertIn(f"{19:040x}", names)
        self.assertNotIn(f"{0:040x}", names)

    # Files made to do harm, and large ones.

    def test_damaged_files_do_no_harm(self):
        elf = self.build(C_PROGRAM, ".c", "-g", "-O2")
        offsets = list(elf.instructions("outer", "main"))
        good = elf.path.read_bytes()
        note = good.index(bytes.fromhex(elf.build_id))
        rng = random.Random(7)
        for _ in range(100):
            data = bytearray(good)
            for _ in range(rng.choice((1, 10, 100, 1000))):
                at = rng.randrange(64, len(data))
                data[at] = rng.choice((0, 0xff, 0x80, rng.randrange(256)))
            data[note - 16:note + 20] = good[note - 16:note + 20]
            data[64:64 + 14 * 56] = good[64:64 + 14 * 56]  # else it is no file for us
            elf.path.write_bytes(data)
            self.ask(elf, offsets, MPALLOC_SYMBOL_CACHE="off")
        elf.path.write_bytes(good[: len(good) // 2])
        self.ask(elf, offsets, MPALLOC_SYMBOL_CACHE="off")

    def test_names_of_gigabytes_are_cut(self):
        # Each argument is a type of twice the one before it: 2^50 names in all.
        digits = string.digits + string.ascii_uppercase
        before = [(digits[n // 36] if n > 35 else "") + digits[n % 36]
                  for n in range(3, 103, 2)]
        mangled = "_Z1fI1bI1a1aE" + "".join(f"1cIS{n}_S{n}_E" for n in before) + "EvT_"
        elf = self.build(C_PROGRAM, ".c", "-O2")
        run("objcopy", "--redefine-sym", f"exported={mangled}", elf.path)
        at = elf.offset(mangled)
        start = time.monotonic()
        name = self.ask(elf, [at]).names[0]
        self.assertLess(time.monotonic() - start, 2)
        self.assertLess(len(name), 1024)

    def test_ten_thousand_addresses_of_a_large_program(self):
        if not os.path.exists(CC1):
            self.skipTest("cc1 is not installed")
        elf = Elf(os.path.realpath(CC1))
        rng = random.Random(1)
        low, high = max(elf.code, key=lambda code: code[1] - code[0])
        offsets = [rng.randrange(low, high) - elf.low for _ in range(10_000)]
        for _ in range(2):
            start = time.monotonic()
            answer = self.ask(elf, offsets)
            self.assertLess(time.monotonic() - start, 5)
            self.assertEqual(answer.problems, [])
            self.assertGreater(answer.stats["table"] + answer.stats["disk"], 4000)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
