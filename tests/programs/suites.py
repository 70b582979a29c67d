"""
suites - the test suites of others: started by the name of one at the end of this file

Their sources come from Debian by `apt-get source` into the build folder; where a program is
installed, it is that which is tested. The suite runs with the library. If anything fails it
runs again without: only what passes there counts against us.
"""
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

from harness import SKIPPED, Session

CACHE = pathlib.Path(os.environ.get("MPALLOC_TEST_BUILD", "/tmp")) / "sources"
LISTS = CACHE / "lists"
APT = ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={CACHE}/sources.list", "-o",
       "Dir::Etc::sourceparts=-", "-o", f"Dir::State::lists={LISTS}", "-o", f"Dir::Cache={CACHE}",
       "-o", "APT::Sandbox::User=root", "-o", "APT::Get::List-Cleanup=false"]


@dataclasses.dataclass
class Suite:
    source: str  # package of Debian
    test: str  # for bash, in the folder of the source
    failed: str  # pattern of a failure; its first group names it
    passed: str  # pattern of what passed, each once, or with its number as first group
    least: int  # so many must pass
    needs: tuple = ()
    build: str = "true"
    mapped: tuple = ()


def fetch(package):
    """The unpacked source in the cache; None where it cannot be had."""
    target = CACHE / package
    if target.exists():
        return target
    (LISTS / "partial").mkdir(parents=True, exist_ok=True)
    (CACHE / "sources.list").write_text(
        "deb-src http://deb.debian.org/debian bookworm main\n")
    if not list(LISTS.glob("*Sources*")):
        subprocess.run([*APT, "update"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = CACHE / f"{package}.tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    done = subprocess.run([*APT, "--download-only", "source", package], cwd=folder,
        capture_output=True, text=True)
    described = list(folder.glob("*.dsc"))
    if done.returncode != 0 or not described:
        print(done.stderr[-500:])
        return None
    subprocess.run(["dpkg-source", "--no-check", "-x", described[0], "source"], cwd=folder,
        check=True, stdout=subprocess.DEVNULL)
    (folder / "source").rename(target)
    return target


def judge(suite, text):
    counts = [match.groups() for match in re.finditer(suite.passed, text, re.M)]
    passed = sum(int(c[0]) if c and c[0].isdigit() else 1 for c in counts)
    return passed, {match.group(1).strip() for match in re.finditer(suite.failed, text, re.M)}


def run(suite, folder, preload):
    work = session.folder / ("preloaded" if preload else "plain")
    shutil.copytree(folder, work, symlinks=True)
    result = session.run(["bash", "-c", suite.test], preload, cwd=work, timeout=280,
        mapped=suite.mapped if preload else (), quiet=True)
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.text + result.err.decode(errors="replace"))
    shutil.rmtree(work, ignore_errors=True)
    return result, text, *judge(suite, text)


SUITES = {
    "bash": Suite("bash", "cd tests && export THIS_SH=/bin/bash BASH_TSTOUT=$PWD/out PATH=$PWD:$PATH && for t in run-*; do "
        "case $t in run-all|run-minimal|run-jobs|run-gprof|run-read|run-dbg*|run-trap|run-test) continue;; "
        "esac; o=$(timeout 60 sh ./$t 2>&1); [ -z \"$o\" ] && echo PASS $t || echo FAIL $t; done",
        r"^FAIL (\S+)", r"^PASS", 30, build="cd tests && for c in recho zecho printenv xcase; do "
        "gcc -w -DHAVE_STDLIB_H -DHAVE_UNISTD_H -I.. -o $c ../support/$c.c; done; true", mapped=("bash",)),
    "jq": Suite("jq", "for t in tests/*.test; do [ $t = tests/optional.test ] || jq -L tests/modules --run-tests $t 2>&1; done",
        r"^\*\*\* (.*)", r"^(\d+) of \d+ tests passed", 25, needs=("jq",), mapped=("jq",)),
    "perl": Suite("perl", "mkdir -p lib2 && cd t && ln -sf /usr/bin/perl perl && ln -sf /usr/bin/perl ../perl && "
        "rm -rf ../lib && mkdir ../lib && ln -s /usr/share/perl/5.*/* /usr/lib/*/perl/5.*/* ../lib/ "
        "2>/dev/null; for t in base/*.t cmd/*.t op/[a-s]*.t; do case $t in *alarm*|op/groups*|"
        "re/uniprops*|re/fold_grind*|re/speed*|re/pat_rt*|re/user_prop*|op/taint*|re/charset*) continue;; esac; "
        "timeout 20 ./perl -I../lib $t > /tmp/out.$$ 2>/dev/null; r=$?; if [ $r -eq 0 ] && ! grep -q '^not ok' "
        "/tmp/out.$$; then echo PASS $t; else echo FAIL $t; fi; done; rm -f /tmp/out.$$",
        r"^FAIL (\S+)", r"^PASS", 100, needs=("perl",), mapped=("perl",)),
    "php": Suite("php8.2", "export USE_ZEND_ALLOC=0 NO_INTERACTION=1 TEST_PHP_EXECUTABLE=/usr/bin/php; php "
        "run-tests.php -q -j2 -p /usr/bin/php Zend/tests/generators Zend/tests/closures Zend/tests/gc_0*.phpt "
        "ext/standard/tests/serialize 2>&1",
        r"^FAIL (.*)", r"^Tests passed +: +(\d+)", 300, needs=("php",), mapped=("php",)),
    "redis": Suite("redis", "mkdir -p src && for p in server cli benchmark check-aof check-rdb sentinel; do ln -sf "
        "/usr/bin/redis-$p src/; done; ./runtest --baseport $((22000 + $$ % 20000)) --clients 2 --single unit/type/hash --single unit/type/set "
        "--single unit/multi --single unit/scan --single unit/bitops --tags '-needs:debug -large-memory' 2>&1",
        r"^\[(?:err|exception)\]: (.*)", r"^\[ok\]: ", 100, needs=("redis-server", "tclsh"),
        mapped=("redis-server",)),
    "ruby": Suite("ruby3.1", "for t in array hash gc objectspace fiber; do f=test/ruby/test_$t.rb; [ -f $f ] "
        "|| continue; timeout 100 ruby -I tool/lib -W0 tool/test/runner.rb $f 2>&1; done",
        r"^(?:\s*\d+\) (?:Failure|Error):\n)(\S+)", r"^\d+ tests?, (\d+) assertions", 500, needs=("ruby",),
        mapped=("ruby",)),
    "tcl": Suite("tcl8.6", "cd tests && for f in append apply array assemble assocd basic binary case clock-none "
        "coroutine dict dstring encoding error eval event expr expr-old fCmd-none for foreach format "
        "if incr info interp io-none join lindex list listObj lmap load-none lrange lrepeat lreplace lsearch "
        "namespace oo ooNext2 parse proc reg regexp rename scan set split string stringComp subst switch "
        "tailcall trace unixFile uplevel upvar utf var while zlib; do [ -f $f.test ] || continue; timeout 100 "
        "tclsh all.tcl -file $f.test 2>&1; done", r"^==== (\S+) .* FAILED", r"Passed\s+(\d+)", 3000,
        needs=("tclsh",), mapped=("tclsh",)),
    "xz": Suite("xz-utils", "make -C tests check 2>&1", r"^FAIL:? (\S+)", r"^PASS:? \S+", 8,
        needs=("gcc", "make"), build="([ -x configure ] || ./autogen.sh) && ./configure -q --disable-nls "
        "--disable-doc && make -s -j2 && make -s -C tests -j2"),
    "zlib": Suite("zlib", "make test 2>&1 | grep -E 'test OK|FAIL|\\*\\*\\*' && for i in 1 2 3; do ./minigzip < "
        "inflate.c | ./minigzip -d | cmp - inflate.c && echo 'minigzip test OK'; done",
        r"(.*FAILED.*)", r"test OK", 3, needs=("gcc", "make"), build="./configure && make -s -j2"),
}

if __name__ == "__main__":
    name = sys.argv[1]
    suite = SUITES[name]
    with Session(f"suite-{name}", needs=(*suite.needs, "apt-get", "dpkg-source")) as session:
        CACHE.mkdir(parents=True, exist_ok=True)
        source = fetch(suite.source)
        if source is None:
            session.say(f"skipped, the source of {suite.source} cannot be had")
            sys.exit(SKIPPED)
        changes = (source / "debian/changelog").read_text(errors="replace")
        session.say("version " + re.match(r"\S+ \((.*?)\)", changes).group(1))
        if not (source / ".built").exists():
            session.expect(session.run(["bash", "-c", suite.build], False, cwd=source))
            (source / ".built").touch()
        result, text, passed, failed = run(suite, source, True)
        seconds = [0, result.seconds]
        if failed or passed < suite.least:
            plain, plain_text, plain_passed, plain_failed = run(suite, source, False)
            seconds[0] = plain.seconds
            if failed - plain_failed:  # once more: some are about time, and the machine busy
                failed &= run(suite, source, True)[-1] | plain_failed
            for what in sorted(failed):
                session.check(f"{what} with the library", what in plain_failed,
                    "fails without it too" if what in plain_failed else "passes without it")
        session.check("tests pass", passed >= suite.least, f"{passed}")
        if passed < suite.least:
            for line in text.splitlines()[-30:]:
                session.say(f"  | {line}")
        session.say(f"plain {seconds[0]:.1f} s, preloaded {seconds[1]:.1f} s")
