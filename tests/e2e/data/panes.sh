# tmux without a terminal of its own: a session, a second pane, keys sent to the first, what it shows.
# Each run has a server of its own: the one of the run before may still be ending, and would take this one's session with it.
t="tmux -L test.$$ -f /dev/null"
export TERM=xterm TMUX_TMPDIR=$PWD
$t new-session -d -x 80 -y 24 'stty -echo; echo ready; read line; echo "got $line"; read more'
$t split-window 'read more'
$t list-panes -F '#{pane_index} #{pane_width}x#{pane_height}'
until $t capture-pane -p -t 0.0 | grep -q ready; do sleep 0.05; done
$t send-keys -t 0.0 'some input' Enter
until $t capture-pane -p -t 0.0 | grep 'got some input'; do sleep 0.05; done
$t kill-server
echo "ended with $?"
