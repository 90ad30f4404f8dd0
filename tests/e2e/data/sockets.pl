# A server that selects, four forked clients, a shell, an alarm, a pipe from a child.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
$| = 1;

my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Proto => 'tcp') or die;
my $port = $server->sockport;
my @children;
for my $i (0 .. 3) {
	my $pid = fork;
	die unless defined $pid;
	if (!$pid) {
		close $server;
		my $c = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or die;
		for my $k (1 .. 20) {
			print $c "line $i $k\n";
			die unless <$c> eq "LINE $i $k\n";
		}
		exit $i;
	}
	push @children, $pid;
}
my $select = IO::Select->new($server);
my ($lines, $done) = (0, 0);
while ($done < 4) {
	for my $h ($select->can_read) {
		if ($h == $server) {
			$select->add($server->accept);
		} elsif (sysread $h, my $bytes, 4096) {
			$lines += ($bytes =~ tr/\n//);
			syswrite $h, uc $bytes;
		} else {
			$select->remove($h);
			close $h;
			$done++;
		}
	}
}
my $status = 0;
for (@children) {
	waitpid $_, 0;
	$status += $? >> 8;
}
print "lines $lines status $status\n", `echo from a shell | tr a-z A-Z`;
{
	local $SIG{ALRM} = sub { print "alarm\n" };
	alarm 1;
	sleep 60;
}
pipe my $r, my $w or die;
if (!fork) {
	close $r;
	print $w 'x' x 100000;
	close $w;
	exit 0;
}
close $w;
my $got = join '', <$r>;
wait;
print length $got, "\n";
