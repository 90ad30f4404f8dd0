use strict;
use warnings;
my %count;
for my $i (1 .. 20000) {
	my $word = join '', map { chr(97 + ($i * $_) % 26) } 1 .. 4;
	$count{$word}++;
}
my @top = (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 9];
printf "%s %d\n", $_, $count{$_} for @top;
my $text = join ' ', @top;
(my $changed = $text) =~ s/([aeiou])/<$1>/g;
print "$changed\n";
open my $child, '-|', 'echo from a child; echo to stderr 1>&2' or die;
print "child: $_" while <$child>;
close $child or die;
my $pid = fork();
die unless defined $pid;
if (!$pid) { exec '/bin/sh', '-c', 'exit 7' }
waitpid $pid, 0;
print "status ", $? >> 8, "\n";
my @parts = map { sprintf '%.3f', sqrt $_ } 1 .. 5;
print "@parts\n";
exit 3;
