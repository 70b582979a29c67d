"""recipes_tools - commands, libraries of media and text, tools of development"""
import random

from recipe import Recipe


def words(folder, name="words.txt", count=60_000):
    rng = random.Random(5)
    stock = ["".join(rng.choices("etaoinshrdlu", k=rng.randrange(2, 11))) for _ in range(4000)]
    with open(folder / name, "w") as file:
        for _ in range(count // 10):
            file.write(" ".join(rng.choices(stock, k=10)) + "\n")


def xml(folder):
    rng = random.Random(6)
    with open(folder / "t.xml", "w") as file:
        file.write("<?xml version='1.0'?>\n<all>\n")
        for i in range(4000):
            file.write(f"<item id='{i}'><name>n{rng.randrange(500)}</name>"
                       f"<v>{rng.randrange(10**6)}</v></item>\n")
        file.write("</all>\n")


XSL = """<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:output method="xml" indent="yes"/><xsl:key name="n" match="item" use="name"/>
<xsl:template match="/all"><out><xsl:for-each select="item[generate-id() = generate-id(key('n', name)[1])]">
<xsl:sort select="name"/><g n="{name}" c="{count(key('n', name))}" s="{sum(key('n', name)/v)}"/>
</xsl:for-each></out></xsl:template></xsl:stylesheet>
"""

POSTSCRIPT = "".join(
    f"{i * 7 % 500} {i * 13 % 700} moveto {i * 29 % 500} {i * 31 % 700} lineto "
    f"{i % 10 / 10} {i % 7 / 7} {i % 3 / 3} setrgbcolor stroke\n" for i in range(400)
) + "/Times-Roman findfont 20 scalefont setfont 50 400 moveto (mpalloc) show showpage\n"

DOT = "digraph g {\n" + "".join(f"n{i} -> n{i * 7 % 90}; n{i} -> n{i * 11 % 90};\n"
                                for i in range(90)) + "}\n"

SMT = "(set-logic QF_BV)\n" + "".join(f"(declare-const x{i} (_ BitVec 16))\n" for i in range(12)) \
    + "".join(f"(assert (= (bvadd (bvmul x{i} #x00{i + 17:02x}) x{(i + 5) % 12}) "
              f"(bvxor x{(i + 1) % 12} #x{i * 4099 % 65536:04x})))\n" for i in range(6)) + "(check-sat)\n"

CMAKE = """cmake_minimum_required(VERSION 3.10)
project(t C)
enable_testing()
foreach(i RANGE 1 15)
  file(WRITE ${CMAKE_BINARY_DIR}/f${i}.c "int f${i}(int x) { return x * ${i}; }\\n")
  list(APPEND sources ${CMAKE_BINARY_DIR}/f${i}.c)
endforeach()
add_library(l STATIC ${sources})
file(WRITE ${CMAKE_BINARY_DIR}/main.c "int f3(int); int main(void) { return f3(2) != 6; }\\n")
add_executable(t ${CMAKE_BINARY_DIR}/main.c)
target_link_libraries(t l)
add_test(NAME t COMMAND t)
string(REPEAT "abc;" 20000 list)
list(LENGTH list n)
list(SORT list)
string(REGEX REPLACE "a(b)" "<\\\\1>" text "${list}")
string(SHA1 digest "${text}")
message(STATUS "list ${n} ${digest}")
"""

VIM = r"""
set nomore
call setline(1, map(range(20000), '"line " . v:val . " of " . repeat("x", v:val % 30)'))
%s/\v(\d+) of (x+)/\2 has \1/e
sort
g/7/move 0
let d = {} | for i in range(20000) | let d['k' . (i * 7919 % 4001)] = [i, 'v' . i] | endfor
call append('$', string(len(d)))
undo | redo
write! out.txt
quitall!
"""

GDB = r"""
set pagination off
set confirm off
break work
run
print depth
backtrace 3
print *node
call (int)malloc_works()
finish
continue
continue
info types node
quit
"""
GDB_C = r"""
#include <stdlib.h>
struct node { struct node *next; int depth; };
int malloc_works(void) { void *p = malloc(1000); free(p); return p != NULL; }
int work(struct node *node, int depth) { return node->depth + depth; }
int main(void)
{
    struct node *n = NULL;
    for (int i = 0; i < 5; i++) { struct node *m = malloc(sizeof(*m)); m->next = n; m->depth = i; n = m; }
    return work(n, 1) + work(n->next, 2) != 10;
}
"""

MAKEFILE = "all: $(patsubst %,%.o,$(shell seq 1 150))\n\t@cat *.o | cksum\n" \
    "%.o:\n\t@echo $(foreach i,$(shell seq 1 30),$*$(i)) > $@\n"

GNUPLOT = "set terminal svg\nset output 'out.svg'\nset samples 200\nset isosamples 25\n" \
    "splot sin(x) * cos(y) with pm3d, x * y / 9 with lines\nset output\n"

OPENSSL = (
    "openssl genrsa -out k.pem 1024 2>/dev/null && openssl req -x509 -new -key k.pem -days 3 "
    "-subj /CN=t -out c.pem && openssl verify -CAfile c.pem c.pem && "
    "openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -in words.txt -out e && "
    "openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x -in e | cmp - words.txt && "
    "openssl dgst -sha256 words.txt && openssl cms -encrypt -in words.txt -out m -aes256 c.pem && "
    "openssl cms -decrypt -in m -recip c.pem -inkey k.pem | tr -d '\\r' | cmp - words.txt && "
    "openssl speed -seconds 1 -evp sha256 -bytes 16384 >/dev/null 2>&1 && echo done")

APT = "apt-cache depends bash coreutils python3 | sort -u"

TOOLS = {
    "gawk": Recipe("gawk", [["gawk", '{for (i = 1; i <= NF; i++) {n[$i]++; s = s substr($i, 1, 1)}'
        ' t[NR % 97] = t[NR % 97] $0} END {PROCINFO["sorted_in"] = "@ind_str_asc"; for (k in n) '
        'print k, n[k]; print length(s); for (k in t) {gsub(/[aeiou]+/, "<&>", t[k]); print '
        'length(t[k])}}', "words.txt"]], mapped=("gawk",), prepare=words),
    "zsh": Recipe("zsh", [["zsh", "-f", "-c", 'typeset -A h; for i in {1..20000}; do '
        'h[$((i * 7919 % 4001))]+="$i,"; done; print ${#h} ${#${(kon)h}}; a=(${(f)"$(<words.txt)"}); '
        'print ${#a} ${(Lu)#a} ${#${(j:,:)${(o)a}}}; for i in {1..60}; do (exit $((i % 7))) & done; wait;'
        ' print ${${(s: :)a[7]}[(r)*a*]} ${(pl:30::-:)a[3]:0:5}; setopt extendedglob; print *(N)']],
        mapped=("zsh",), prepare=words),
    "7z": Recipe("p7zip-full", ["7z a -mx=5 -mmt=2 -bd -y a.7z words.txt >/dev/null && 7z t -bd a.7z | "
        "grep -c Everything && 7z x -bd -y -oback a.7z > /dev/null"], needs=("7z",), mapped=("7z",),
        prepare=lambda folder: words(folder, count=120_000), outputs=("back/words.txt",),
        version=("bash", "-c", "7z | sed -n 2p")),
    "compressors": Recipe("zstd", ["for c in 'gzip -9n' 'bzip2 -9' 'zstd -q -10 -T2' 'xz -2 -T1'; do "
        "$c -c < words.txt > w && cksum < w && ${c%% *} -dc < w | cmp - words.txt || exit 1; done"], needs=("zstd", "bzip2", "xz"), prepare=lambda f: words(f, count=150_000),
        mapped=("zstd",)),
    "rsync": Recipe("rsync", ["mkdir a && cd a && split -l 40 ../words.txt && cd .. && rsync -a --stats "
        "a/ b/ | grep -E '^Number of (created )?files' && sed -i s/e/E/ a/xaa a/xcc && rsync -rci --delete "
        "a/ b/ && diff -r a b && echo same"], needs=("rsync",), prepare=words,
        outputs=("b",), expected="same"),
    "xsltproc": Recipe("xsltproc", [["xsltproc", "t.xsl", "t.xml"]], files={"t.xsl": XSL}, prepare=xml,
        mapped=("xsltproc",)),
    "xmllint": Recipe("libxml2-utils", [["xmllint", "--format", "--c14n", "t.xml"],
        ["xmllint", "--xpath", "sum(//item[name='n7']/v)", "t.xml"]], prepare=xml),
    "jq": Recipe("jq", ["jq -Rs 'split(\"\\n\") | map(split(\" \")) | map({k: .[0], v: .[1:]}) | "
        "group_by(.k) | map({(.[0].k // \"\"): (map(.v[0]) | unique | length)}) | add' words.txt"],
        needs=("jq",), mapped=("jq",), prepare=words),
    "graphviz": Recipe("graphviz", [["dot", "-Tsvg", "g.dot", "-o", "g.svg"]], files={"g.dot": DOT},
        outputs=("g.svg",), mapped=("dot",), version=("dot", "-V")),
    "gnuplot": Recipe("gnuplot-nox", [["gnuplot", "t.gp"]], files={"t.gp": GNUPLOT},
        outputs=("out.svg",)),
    "ghostscript": Recipe("ghostscript", ["gs -q -dNOPAUSE -dBATCH -sDEVICE=png16m -r100 "
        "-sOutputFile=g.png t.ps && gs -q -dNOPAUSE -dBATCH -sDEVICE=txtwrite -sOutputFile=- t.ps"],
        needs=("gs",), files={"t.ps": "%!PS\n" + POSTSCRIPT}, outputs=("g.png",), mapped=("gs",)),
    "poppler": Recipe("poppler-utils", ["gs -q -dNOPAUSE -dBATCH -sDEVICE=pdfwrite -sOutputFile=t.pdf "
        "t.ps && pdftotext t.pdf - && pdftoppm -r 80 t.pdf | cksum && pdftocairo -svg t.pdf - | wc -l"],
        needs=("pdftotext", "gs"), files={"t.ps": "%!PS\n" + POSTSCRIPT}, version=("pdftotext", "-v")),
    "imagemagick": Recipe("imagemagick", ["convert -size 400x400 -seed 5 plasma:red-blue -blur 0x3 -resize 50% "
        "-depth 8 rgb:a.rgb && convert -size 200x200 -depth 8 rgb:a.rgb -distort Arc 60 -colors 32 -depth 8 "
        "b.ppm && identify -format '%w %h %k' b.ppm"], needs=("convert", "identify"), outputs=("b.ppm",)),
    "ffmpeg": Recipe("ffmpeg", [["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i",
        "testsrc2=d=2:s=320x240", "-f", "lavfi", "-i", "sine=d=2", "-c:v", "libx264", "-preset", "veryfast",
        "-threads", "2", "-c:a", "aac", "-fflags", "+bitexact", "-flags", "+bitexact", "o.mkv"],
        ["ffmpeg", "-nostdin", "-v", "error", "-threads", "2", "-i", "o.mkv", "-f", "framemd5", "-"]],
        mapped=("ffmpeg",), version=("ffmpeg", "-version")),
    "z3": Recipe("z3", [["z3", "-T:60", "sat.threads=2", "t.smt2"]], files={"t.smt2": SMT}, mapped=("z3",)),
    "cmake": Recipe("cmake", ["cmake -S . -B b -G Ninja -DCMAKE_BUILD_TYPE=Release > log && ninja -C b -j2 > log2 && "
        "cd b && ctest 2>&1 | grep 'tests passed' && grep list ../log"], needs=("cmake", "ninja", "gcc"),
        files={"CMakeLists.txt": CMAKE}, expected="100% tests passed"),
    "make": Recipe("make", [["make", "-j4", "-s"]], files={"Makefile": MAKEFILE}, mapped=("make",)),
    "vim": Recipe("vim-nox", ["vim -es -u NONE -N -S s.vim < /dev/null"], needs=("vim",),
        files={"s.vim": VIM}, outputs=("out.txt",), mapped=("vim",)),
    "gdb": Recipe("gdb", ["gcc -g -O0 t.c -o t && gdb -q -nx -batch -x s.gdb ./t 2>&1 | grep -vE "
        "'0x[0-9a-f]+|warning|debuginfod|libthread_db|process'"], needs=("gdb", "gcc"),
        files={"t.c": GDB_C, "s.gdb": GDB}, mapped=("gdb",), expected="= 1"),
    "openssl": Recipe("openssl", [OPENSSL], needs=("openssl",), prepare=words, expected="done",
        version=("openssl", "version")),
    "apt": Recipe("apt", [APT], needs=("apt-cache", "apt-get")),
    "man": Recipe("man-db", ["mkdir -p m/man1 && printf '.TH T 1\\n.SH NAME\\nt \\\\- a page\\n%s' "
        "\"$(tr '\\n' ' ' < words.txt | head -c 60000)\" > m/man1/t.1 && man -M m -P cat t | cksum && "
        "man -l m/man1/t.1 | wc -w"], needs=("man", "groff"), prepare=words,
        env={"MANWIDTH": "70"}),
    "stress-ng": Recipe("stress-ng", [["stress-ng", "--malloc", "2", "--malloc-ops", "20000",
        "--malloc-pthreads", "2", "--malloc-bytes", "30m", "--verify", "-q", "--timeout", "60"],
        ["stress-ng", "--fork", "1", "--fork-ops", "300", "--bigheap", "1", "--bigheap-ops", "20",
         "-q", "--timeout", "60"]]),
    "busybox": Recipe("busybox-static", ["busybox seq 1 5000 | busybox sort -rn | busybox md5sum; "
        "busybox awk 'BEGIN {for (i = 0; i < 20000; i++) a[i % 997] = a[i % 997] i; print length(a[5])}'"],
        needs=("busybox",), version=("busybox",)),  # static: LD_PRELOAD is ignored, no complaint
    "gcc-lto": Recipe("g++", [["g++", "-O2", "-flto=2", "-std=c++17", "t.cpp", "-o", "t"], ["./t"]],
        mapped=("t",), files={"t.cpp": "#include <iostream>\n#include <map>\n#include <stdexcept>\n#include <string>\n#include <vector>\nint main() { std::map<std::string, "
        "std::vector<int>> m; for (int i = 0; i < 100000; i++) m[std::to_string(i % 997)].push_back(i);"
        " std::size_t n = 0; for (auto &[k, v] : m) n += k.size() * v.size(); try { throw "
        "std::runtime_error(std::to_string(n)); } catch (std::exception &e) { std::cout << e.what() << "
        "'\\n'; } }\n"}),
}
