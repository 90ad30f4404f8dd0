# Pipelines, here-documents, traps, background jobs and their statuses, functions, fifos: what bash and dash both have.
trap 'echo trapped usr1' USR1
trap 'echo exit trap' EXIT
seq 1 200 | sort -rn | awk '{s+=$1} END {print s}' | cat
cat <<EOF | tr a-z A-Z
here is $((6*7)) and $(echo nested | rev)
EOF
cat <<'EOF'
no $expansion
EOF
kill -USR1 $$
for i in 1 2 3; do (exit $i) & pids="$pids $!"; done
for p in $pids; do wait $p; echo "status $?"; done
sh -c 'trap "echo int; exit 7" INT; kill -INT $$; echo not'; echo "sub $?"
f() { [ $1 -gt 0 ] && { f $(($1-1)); echo $1; }; return 0; }
f 5
mkfifo fifo; (echo through a fifo > fifo) & cat fifo; wait; rm fifo
sh -c 'echo up >up; exec sleep 60' & p=$!
until grep -q up up 2>/dev/null; do sleep 0.01; done
kill $p; wait $p 2>/dev/null; echo "killed $?"; rm up
{ echo out; echo err >&2; } 2>&1 | sort
x=$(yes | head -1000 | wc -l); echo $((x))
exit 3
