# A postgres cluster made, started, put under load by four clients, and stopped; not as root.
bin=$1
export PGHOST=$PWD PGUSER=someone LC_ALL=C
rm -rf data
"$bin/initdb" -A trust -U someone -D data --no-sync >initlog 2>&1 || { cat initlog; exit 3; }
"$bin/pg_ctl" -D data -w -t 200 -o "-c listen_addresses= -k $PWD -c shared_buffers=4MB" -l log start >/dev/null || { cat log; exit 4; }
"$bin/createdb" b && "$bin/pgbench" -i -q -s 1 b 2>/dev/null
"$bin/pgbench" -n -c4 -j2 -t 10 b 2>&1 | grep processed
"$bin/psql" -At -c 'select count(*), sum(bbalance) = (select sum(tbalance) from pgbench_tellers) from pgbench_branches' b
"$bin/pg_ctl" -D data -w -t 200 -m fast stop | tail -1
