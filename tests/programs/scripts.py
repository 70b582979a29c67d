"""scripts - perl and bash: hashes, strings, regular expressions, forks and pipes"""
import sys

from harness import BIG, Session, sha256

PERL = r"""
use strict; use warnings;
my (%h, @kids, $text);
my $x = 12345;
sub rnd { $x = ($x * 1103515245 + 12345) & 0x7fffffff; return $x % $_[0] }
for my $i (1 .. 150_000) {
    my $k = join '', map { chr(97 + rnd(26)) } 1 .. 1 + rnd(5);
    push @{$h{$k}{rnd(10)}}, "v$i" x (1 + rnd(3));
    delete $h{$k} if rnd(50) == 0;
}
$text = join ' ', map { my $k = $_; map { "$k$_:" . join ',', @{$h{$k}{$_}} } sort keys %{$h{$k}} } sort keys %h;
(my $t = $text) =~ s/([a-m]+)(\d)/$2$1/g;
my %count; $count{length $_}++ for split /[ ,:]/, $t;
print length $text, " ", unpack('%32C*', $t), " ", scalar(keys %h), "\n";
print join(' ', map { "$_=$count{$_}" } sort { $a <=> $b } keys %count), "\n";
for my $n (1 .. 30) {
    pipe my $r, my $w or die; my $pid = fork // die;
    if (!$pid) { close $r; my @l = sort { $b cmp $a } grep { length > $n % 9 } keys %h;
        print {$w} scalar(@l), @l ? $l[$n % @l] : '', "\n"; close $w; exit $n }
    close $w; push @kids, scalar <$r>; waitpid $pid, 0; $kids[-1] .= $? >> 8;
}
print @kids, "\n";
print join('', reverse 'a' .. 'zz') x 3, "\n" for 1 .. 3;
eval { my @deep; my $p = \@deep; for (1 .. 200_000) { push @$p, []; $p = $p->[0] } }; print "deep ok\n";
"""

THREADS = r"""
use threads; use strict;
print join(' ', map { $_->join } map { my $n = $_;
    threads->create(sub { my %h; $h{$_ * $n % 7919} .= $_ for 1 .. 300_000; return length join '', values %h })
} 1 .. 4), "\n";
"""

BASH = r"""
set -u
declare -A seen; declare -a list
for ((i = 0; i < 60000; i++)); do
    k=$(( (i * 7919) % 10007 )); seen[$k]="${seen[$k]:-}$i,"; list+=("$k-$i")
done
total=0; for k in "${!seen[@]}"; do v=${seen[$k]}; total=$((total + ${#v})); done
echo "keys ${#seen[@]} total $total list ${#list[@]}"
s=; for ((i = 0; i < 4000; i++)); do s+="${list[i]} "; done
echo "${s//7/x}" | cksum
for ((i = 0; i < 300; i++)); do r=$( (echo "${list[$i]}" | tr 0-9 a-j; exit $((i % 5))) ); echo "$r $?"; done | cksum
f() { local n=$1; if ((n > 0)); then f $((n - 1)); else echo deep; fi; }; f 1500
while IFS=- read -r a b; do ((a + b)); echo "$((a ^ b))"; done < <(printf '%s\n' "${list[@]:0:20000}") | sort -n | cksum
mapfile -t lines < <(seq 1 100000); echo "${#lines[@]} ${lines[99999]}"
printf '%s\n' {a..z}{a..z}{0..9} | sort -r | head -3
for ((i = 0; i < 40; i++)); do (sleep 0.01; exit $i) & done; wait; echo waited
[[ "${s:0:2000}" =~ ([0-9]+)-1999 ]]; [[ "$s" =~ ([0-9]+)-3999 ]]; echo "${BASH_REMATCH[1]:-none}"
"""


def script(program, text):
    def action(preload):
        path = session.folder / "script"
        path.write_text(text)
        result = session.run([program, path], preload, mapped=(program,) if preload else (),
            env={"PERL_HASH_SEED": "0"})
        session.expect(result)
        return {"exit code": result.code, "bytes": len(result.out),
                "output": sha256(result.out), "errors": result.err.decode(errors="replace")}
    return action


which = sys.argv[1]
if not BIG:
    PERL = PERL.replace("150_000", "30_000").replace("$n (1 .. 30)", "$n (1 .. 12)")
    THREADS = THREADS.replace("300_000", "60_000")
    BASH = BASH.replace("i < 60000", "i < 15000").replace("i < 300", "i < 80").replace(
        ":0:20000", ":0:5000")
with Session(which, needs=(which,)) as session:
    session.note_version((which, "--version"))
    for text in {"perl": (PERL, THREADS), "bash": (BASH,)}[which]:
        session.both(script(which, text))
