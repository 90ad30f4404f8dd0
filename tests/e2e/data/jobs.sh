# Job control, on a terminal: a job stops itself, is listed, continued in the background, another in the foreground.
set -m
echo ready
sh -c 'kill -STOP $$; echo resumed' &
until jobs | grep -q -i stopped; do sleep 0.02; done
echo stopped
bg %1 >/dev/null
wait %1
echo "status $?"
sh -c 'kill -TSTP $$; exit 5' &
until jobs | grep -q -i stopped; do sleep 0.02; done
fg %% >/dev/null
echo "status $?"
sh -c 'exit 6'
echo "status $?"
