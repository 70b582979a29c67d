"""recipes_languages - interpreters, virtual machines and compilers"""
from recipe import Recipe

PHP = r"""<?php
class Node { public $next; public $data; function __construct($d) { $this->data = $d; } }
$h = 0; $list = null; $table = [];
for ($i = 0; $i < 20000; $i++) {
    $n = new Node(str_repeat(chr(97 + $i % 26), $i % 50)); $n->next = $list; $list = $n;
    $table[md5((string)$i)] = [$i, "v$i", ['deep' => $n->data]];
    if ($i % 1000 == 999) { $list = null; gc_collect_cycles(); }
}
ksort($table);
foreach ($table as $k => $v) { $h = ($h * 31 + crc32($k . json_encode($v))) % 1000003; }
preg_match_all('/([a-f]+)(\d+)/', implode(',', array_keys($table)), $m);
echo count($m[1]), ' ', $h, ' ', strlen(serialize($table)), ' ',
    count(unserialize(serialize($table))), "\n";
$d = new PDO('sqlite::memory:') ?: null;
"""
PHP_PDO = r"""<?php
echo extension_loaded('pdo') ? 'pdo' : 'no pdo', "\n";
try { new PDO('none:x'); } catch (PDOException $e) { echo $e->getMessage(), "\n"; }
"""

RUBY = r"""
sums = 6.times.map { |n| Thread.new { h = {}
  12_000.times { |i| h["k#{i * n % 3001}"] = [i.to_s * (i % 9), { n => i }] }
  h.sum { |k, v| k.hash && v[0].size } } }.map(&:value)
puts sums.inspect
text = (1..20_000).map { |i| "word#{i * 7919 % 997}" }.join(' ')
puts text.scan(/w(o)rd(\d+)/).group_by { |a, b| b.size }.map { |k, v| [k, v.size] }.inspect
puts text.gsub(/(\d+)/) { |d| d.to_i.to_s(2) }.sum
kids = 20.times.map { |i| r, w = IO.pipe
  pid = fork { r.close; GC.start; w.print((1..i * 50).map(&:to_s).join.size); w.close; exit! i }
  w.close; [pid, r] }
kids.each { |pid, r| print r.read, ' '; Process.wait pid; print $?.exitstatus, "\n" }
GC.compact rescue nil
a = Array.new(200_000) { |i| i.to_s }; GC.start; a = a.sort.reverse; puts a[777]
puts Marshal.load(Marshal.dump(a)).size
f = Fiber.new { 3.times { |i| Fiber.yield "x" * i * 1000 } }; 3.times { puts f.resume.size }
puts 3 ** 4000 % (10 ** 50)
"""

LUA = r"""
local t, parts = {}, {}
for i = 1, 200000 do t[i] = tostring(i * 7919 % 100003) end
table.sort(t)
for i = 1, 20000 do parts[#parts + 1] = t[i]:rep(i % 7) end
local s = table.concat(parts, ',')
local n = 0
for a, b in s:gmatch('(%d)(%d+)') do n = n + #b end
local co = coroutine.wrap(function() for i = 1, 3000 do coroutine.yield({ i, s:sub(i, i + 99) }) end end)
for i = 1, 3000 do n = n + #co()[2] end
collectgarbage()
print(#s, n, t[1], t[#t], select('#', s:gsub('%d%d', '%0%0')))
local weak = setmetatable({}, { __mode = 'k' })
for i = 1, 50000 do weak[{}] = i end
collectgarbage(); collectgarbage(); print(next(weak))
"""

TCL = r"""
for {set i 0} {$i < 60000} {incr i} {
    set k [expr {$i * 7919 % 10007}]; append table($k) "$i,"; lappend list "$k-$i"
}
set total 0; foreach k [lsort -integer [array names table]] { incr total [string length $table($k)] }
puts "[array size table] $total [llength [lsort -unique $list]]"
puts [string length [regsub -all {([0-9]+)-} [join $list] {<\1>}]]
set d [dict create]; foreach x $list { dict lappend d [string index $x end] $x }
puts [lmap k [lsort [dict keys $d]] { llength [dict get $d $k] }]
puts [expr {7 ** 900 % 10 ** 40}]
coroutine c apply {{} { for {set i 0} {1} {incr i} { yield [string repeat x $i] } }}
for {set i 0} {$i < 500} {incr i} { set last [string length [c]] }; puts $last
"""

NODE = r"""
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib'), crypto = require('crypto');
if (!isMainThread) {
  const h = crypto.createHash('sha256');
  for (let i = 0; i < 120; i++) {
    const b = Buffer.alloc(20000 + i * workerData * 97, `worker ${workerData} ${i}`);
    const z = zlib.deflateSync(b);
    if (!zlib.inflateSync(z).equals(b)) throw new Error('zlib');
    h.update(z);
  }
  parentPort.postMessage(h.digest('hex'));
} else {
  const work = [1, 2, 3, 4, 5, 6].map(n => new Promise((ok, no) => {
    const w = new Worker(__filename, { workerData: n }); w.on('message', ok); w.on('error', no);
  }));
  Promise.all(work).then(all => {
    const m = new Map(); for (let i = 0; i < 1e5; i++) m.set('k' + i % 7919, { i, s: 'x'.repeat(i % 40) });
    console.log(all.map(s => s.slice(0, 16)).join(' '), JSON.stringify([...m]).length, 'workers ok');
  });
}
"""

JAVA = r"""
import java.util.*; import java.util.concurrent.*; import java.util.stream.*; import java.util.zip.*;
public class T {
    static long work(int n) {
        byte[] in = new byte[60000 + n * 1000]; new Random(n).nextBytes(in);
        for (int i = 0; i < in.length; i++) in[i] &= 15;
        Deflater d = new Deflater(6); d.setInput(in); d.finish();
        byte[] out = new byte[in.length * 2]; int size = d.deflate(out); d.end();
        CRC32 c = new CRC32(); c.update(out, 0, size); return c.getValue();
    }
    public static void main(String[] a) throws Exception {
        long sum = IntStream.range(0, 20).parallel().mapToLong(T::work).sum();
        Map<String, List<Integer>> m = IntStream.range(0, 100000).boxed()
            .collect(Collectors.groupingBy(i -> "k" + i % 997));
        List<java.nio.ByteBuffer> off = new ArrayList<>();
        for (int i = 0; i < 50; i++) off.add(java.nio.ByteBuffer.allocateDirect(100000));
        Thread[] t = new Thread[20];
        for (int i = 0; i < t.length; i++) (t[i] = new Thread(() -> work(3))).start();
        for (Thread x : t) x.join();
        System.out.println(sum + " " + m.size() + " " + m.get("k5").size() + " " + off.size());
    }
}
"""

GO = r"""
package main
// #include <stdlib.h>
// #include <string.h>
// static void *make(size_t n) { void *p = malloc(n); memset(p, (int)n, n); return p; }
// static void *more(void *p, size_t n) { return realloc(p, n); }
import "C"
import ("fmt"; "sync"; "time"; "unsafe")
func main() {
    var wait sync.WaitGroup
    passed := make(chan unsafe.Pointer, 100)
    for g := 0; g < 16; g++ {
        wait.Add(1)
        go func(g int) {
            defer wait.Done()
            for i := 0; i < 4000; i++ {
                n := (g*131 + i*7) % 3000 + 1
                p := C.more(C.make(C.size_t(n)), C.size_t(n*2))
                if *(*byte)(unsafe.Pointer(uintptr(p) + uintptr(n-1))) != byte(n) { panic("lost") }
                select {
                case passed <- p:
                case q := <-passed: C.free(q); C.free(p)
                }
            }
        }(g)
    }
    wait.Wait(); close(passed)
    for p := range passed { C.free(p) }
    s := C.CString("cgo ok"); defer C.free(unsafe.Pointer(s))
    fmt.Println(C.GoString(s))
    time.Sleep(500 * time.Millisecond) // the maps are looked at from outside, under load, too
}
"""

RUST = r"""
use std::{alloc, collections::*, sync::{mpsc, Arc, Mutex}, thread};
#[global_allocator] static SYSTEM: alloc::System = alloc::System;
fn main() {
    let shared: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Default::default();
    let (send, receive) = mpsc::channel::<Box<[u64]>>();
    let all: Vec<_> = (0..8u64).map(|n| { let (s, tx) = (shared.clone(), send.clone()); thread::spawn(move || {
        let mut h = HashMap::new(); let mut total = 0u64;
        for i in 0..8000u64 {
            h.entry(i * (n + 1) % 997).or_insert_with(Vec::new).push(format!("{i}-{n}"));
            if i % 50 == 0 { s.lock().unwrap().insert(format!("{n}/{i}"), vec![i as u8; (i % 900) as usize]); }
            if i % 20 == 0 { tx.send(vec![i; (i % 300) as usize].into_boxed_slice()).unwrap(); }
        }
        for v in h.values() { total += v.iter().map(|s| s.len() as u64).sum::<u64>(); } total }) }).collect();
    drop(send);
    let received: u64 = receive.iter().map(|b| b.iter().sum::<u64>()).sum();
    let totals: Vec<u64> = all.into_iter().map(|t| t.join().unwrap()).collect();
    #[repr(align(256))] struct Wide([u8; 300]);
    let wide: Vec<Box<Wide>> = (0..100).map(|i| Box::new(Wide([i; 300]))).collect();
    assert!(wide.iter().all(|w| &**w as *const _ as usize % 256 == 0 && w.0[299] < 100));
    println!("{totals:?} {received} {} rust ok", shared.lock().unwrap().len());
}
"""

GUILE = r"""
(use-modules (srfi srfi-1) (ice-9 regex))
(define table (make-hash-table))
(do ((i 0 (1+ i))) ((= i 60000)) (hash-set! table (modulo (* i 7919) 10007) (number->string i)))
(display (hash-fold (lambda (k v sum) (+ k (string-length v) sum)) 0 table)) (newline)
(display (modulo (expt 7 3000) (expt 10 40))) (newline)
(display (string-length (apply string-append (map number->string (iota 20000))))) (newline)
(display (fold + 0 (map (lambda (s) (string-length (regexp-substitute/global #f "[0-9]+" s 'pre "x" 'post)))
  (map (lambda (i) (format #f "a~ab~a" i (* i i))) (iota 3000))))) (newline)
(gc)
"""

ERLANG = (
    "Parent = self(), N = 100, [spawn(fun() -> L = [{I, integer_to_binary(I * K), "
    "lists:duplicate(I rem 20, K)} || I <- lists:seq(1, 300)], "
    "Parent ! {K, erlang:phash2(lists:sort(L))} end) || K <- lists:seq(1, N)], "
    "R = lists:sort([receive X -> X end || _ <- lists:seq(1, N)]), "
    "T = ets:new(t, [ordered_set]), [ets:insert(T, {I * 7919 rem 100003, <<I:64>>}) || "
    "I <- lists:seq(1, 10000)], B = binary:copy(<<\"0123456789abcdef\">>, 10000), "
    "io:format(\"~p ~p ~p ~p~n\", [erlang:phash2(R), ets:info(T, size), "
    "length(binary:matches(B, <<\"9a\">>)), erlang:crc32(zlib:uncompress(zlib:compress(B)))]), "
    "halt().")

LISP = r"""
(let ((h (make-hash-table :test 'equal)) (sum 0))
  (dotimes (i 60000) (push i (gethash (format nil "k~d" (mod (* i 7919) 9973)) h)))
  (maphash (lambda (k v) (incf sum (* (length k) (length v)))) h)
  (print (list (hash-table-count h) sum (mod (expt 7 2000) (expt 10 30))))
  (gc :full t)
  (let ((p (sb-alien:make-alien sb-alien:char 100000)))
    (setf (sb-alien:deref p 99999) 7) (print (sb-alien:deref p 99999)) (sb-alien:free-alien p))
  (terpri))
(sb-ext:exit)
"""

PROLOG = r"""
nrev([], []). nrev([H|T], R) :- nrev(T, S), append(S, [H], R).
queens(N, Q) :- numlist(1, N, L), permutation(L, Q), safe(Q), !.
safe([]). safe([Q|T]) :- no_attack(Q, T, 1), safe(T).
no_attack(_, [], _). no_attack(Q, [H|T], D) :- Q =\= H + D, Q =\= H - D, E is D + 1, no_attack(Q, T, E).
:- numlist(1, 600, L), nrev(L, R), R = [X|_], writeln(X), queens(7, Q), writeln(Q),
   findall(K-V, (between(1, 30000, I), K is I * 7919 mod 1009, atom_concat(v, I, V)), Ps),
   keysort(Ps, Ss), nth1(777, Ss, N), writeln(N), forall(between(1, 20000, J), assertz(f(J, N))),
   aggregate_all(count, f(_, _), C), writeln(C), Z is 7 ** 500 mod 10 ** 30, writeln(Z),
   findall(Id, (between(1, 4, _), thread_create((numlist(1, 20000, A), msort(A, _)), Id)), Is),
   maplist(thread_join, Is, St), writeln(St), halt.
"""

PARI = "default(parisizemax, 200000000)\nprint(vecsum(factor(2^128+1)[,2])); print(matdet(" \
    "matrix(60, 60, i, j, (i * j) % 101 + (i == j)))); print(#divisors(10!)); " \
    "print(polroots(x^9-3*x+1)[1] < 0); print(nextprime(10^60)); print(vecsum(primes(20000)))\n"

R = r"""
set.seed(1); x <- matrix(rnorm(10000), 100); s <- svd(x); cat(round(sum(s$d), 6), '\n')
d <- data.frame(g = sample(letters, 5000, TRUE), v = runif(5000)); a <- aggregate(v ~ g, d, mean)
cat(round(sum(a$v), 8), nrow(merge(d[1:3000, ], a, by = 'g')), '\n')
l <- lapply(1:20000, function(i) paste0('n', i)); cat(length(unique(substr(unlist(l), 1, 3))), '\n')
m <- lm(v ~ g, d); cat(round(sum(coef(m)), 8), '\n'); invisible(gc()); cat(nchar(paste(deparse(lm), collapse = '')), '\n')
"""

EMACS = r"""
(require 'json)
(let ((h (make-hash-table :test 'equal)) (sum 0))
  (with-temp-buffer
    (dotimes (i 8000) (insert (format "line %d of %s\n" i (make-string (% i 20) ?x)))
      (puthash (format "k%d" (% (* i 7919) 5003)) i h))
    (goto-char (point-min))
    (while (re-search-forward "\\([0-9]+\\) of \\(x+\\)$" nil t) (replace-match "\\2 has \\1"))
    (sort-lines nil (point-min) (point-max))
    (setq sum (secure-hash 'sha1 (current-buffer))))
  (garbage-collect)
  (message "%s %d %d" sum (hash-table-count h) (length (json-encode (list h)))))
"""

C_TEXT = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct tree { struct tree *left, *right; char *key; };
static struct tree *insert(struct tree *t, const char *key)
{
    if (t == NULL) { t = calloc(1, sizeof(*t)); t->key = strdup(key); return t; }
    int c = strcmp(key, t->key);
    if (c < 0) t->left = insert(t->left, key); else if (c > 0) t->right = insert(t->right, key);
    return t;
}
static int depth(const struct tree *t)
{
    if (t == NULL) return 0;
    int l = depth(t->left), r = depth(t->right);
    return 1 + (l > r ? l : r);
}
int main(void)
{
    struct tree *t = NULL; char key[32];
    for (int i = 0; i < 20000; i++) { sprintf(key, "%d", i * 7919 % 100003); t = insert(t, key); }
    printf("%d\n", depth(t));
    return 0;
}
"""

LANGUAGES = {
    "php": Recipe("php-cli", [["php", "-r", "echo 1;"], ["php", "p.php"], ["php", "t.php"]],
        mapped=("php",), env={"USE_ZEND_ALLOC": "0"}, expected="20000",
        files={"t.php": PHP.replace("$d = new PDO('sqlite::memory:') ?: null;\n", ""),
               "p.php": PHP_PDO}),
    "ruby": Recipe("ruby", [["ruby", "t.rb"]], mapped=("ruby",), files={"t.rb": RUBY}),
    "lua": Recipe("lua5.4", [["lua5.4", "t.lua"]], mapped=("lua5.4",), files={"t.lua": LUA},
        version=("lua5.4", "-v")),
    "tcl": Recipe("tcl", [["tclsh", "t.tcl"]], files={"t.tcl": TCL}, mapped=("tclsh",),
        version=("bash", "-c", "echo 'puts [info patchlevel]' | tclsh")),
    "node": Recipe("nodejs", [["node", "t.js"]], files={"t.js": NODE}, mapped=("node",),
        expected="workers ok"),
    "java": Recipe("openjdk-17-jdk-headless", [["javac", "-J-Xmx256m", "T.java"],
        ["java", "-Xmx256m", "T"]], needs=("javac", "java"), files={"T.java": JAVA},
        mapped=("java",), outputs=("T.class",), version=("java", "--version")),
    "go": Recipe("golang-go", ["go build -o m m.go", "GODEBUG=cgocheck=1 ./m"], needs=("go", "gcc"),
        files={"m.go": GO}, mapped=("m",), expected="cgo ok", version=("go", "version"),
        env={"GOFLAGS": "-p=2", "GO111MODULE": "off"}),
    "rustc": Recipe("rustc", [["rustc", "-Ccodegen-units=2", "r.rs"], ["./r"]],
        needs=("rustc",), files={"r.rs": RUST}, mapped=("r",), expected="rust ok"),
    "guile": Recipe("guile-3.0", [["guile", "--no-auto-compile", "t.scm"]], mapped=("guile",),
        files={"t.scm": GUILE}),
    "erlang": Recipe("erlang-base", [["erl", "-noshell", "-eval", ERLANG]],
        mapped=("beam.smp",), version=("erl", "-noshell", "-eval",
        "io:put_chars(erlang:system_info(otp_release)), halt().")),
    "sbcl": Recipe("sbcl", [["sbcl", "--script", "t.lisp"]], files={"t.lisp": LISP},
        mapped=("sbcl",)),
    "swipl": Recipe("swi-prolog-nox", [["swipl", "-q", "t.pl"]], files={"t.pl": PROLOG},
        mapped=("swipl",)),
    "pari": Recipe("pari-gp", ["gp -q -f t.gp < /dev/null"], needs=("gp",), mapped=("gp",),
        files={"t.gp": PARI}, version=("gp", "--version-short")),
    "r": Recipe("r-base-core", [["Rscript", "--vanilla", "t.R"]], files={"t.R": R}, mapped=("R",)),
    "emacs": Recipe("emacs-nox", ["emacs -Q --batch -l t.el 2>&1 | tail -1"], mapped=("emacs",),
        files={"t.el": EMACS}),
    "clang": Recipe("clang", [["clang", "-O2", "-c", "t.c", "-o", "t.o"],
        ["clang", "-O3", "-S", "-emit-llvm", "t.c", "-o", "t.ll"],
        ["clang", "-O1", "-fsanitize=undefined", "t.c", "-o", "t"], ["./t"]],
        files={"t.c": C_TEXT}, outputs=("t.o", "t.ll"), mapped=("t",)),
}
