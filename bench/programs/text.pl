# Lines split, counted, joined and substituted: scalars and hashes by the hundred thousand.
use strict;
use warnings;

my ($rounds) = @ARGV;
my ($state, $sum, %kept) = (1, 0);

sub draw {
    $state = ($state * 1103515245 + 12345) & 0x7fffffff;
    return ($state >> 8) % $_[0];
}

for my $turn (1 .. $rounds) {
    my @lines = map {
        join(' ', map { chr(97 + draw(26)) x (1 + draw(9)) . draw(1000) } 1 .. 12)
    } 1 .. 400;
    for my $line (@lines) {
        my @words = split / /, $line;
        $kept{$_}{count}++ for @words;
        push @{$kept{$words[0]}{lines}}, $line if draw(4) == 0;
        (my $other = $line) =~ s/([a-c]+)(\d+)/$2-$1/g;
        $sum = ($sum * 31 + length($other)) % 1000003;
    }
    if ($turn % 10 == 0) {
        for my $key (sort keys %kept) {
            $sum = ($sum * 7 + $kept{$key}{count} + @{$kept{$key}{lines} || []}) % 1000003;
        }
        %kept = ();
    }
}
print "$sum\n";
