# Start a run in a session of its own, unless it was started before, and say who it is.
# Arguments: folder of the run, its mark.
cd "$1" || exit 3
if [ ! -f pid ]; then
  setsid sh ./launch "$2" < /dev/null > /dev/null 2>> log &
fi
tries=0
while [ ! -f pid ]; do
  tries=$((tries + 1))
  if [ $tries -gt 1200 ] || ! kill -0 $! 2> /dev/null; then
    [ -f pid ] && break
    tail -c 500 log >&2
    exit 4
  fi
  sleep 0.05
done
cat pid
