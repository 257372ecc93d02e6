# Say where a run stands, one `key value` a line.
# Arguments: folder of the run, its mark.
cd "$1" 2>/dev/null || exit 0
echo "there yes"
[ -e stopped ] && echo "stopped yes"
alive=no
if [ -f pid ]; then
  read -r pid start boot < pid
  echo "pid $pid"
  read -r now < /proc/sys/kernel/random/boot_id
  if [ "$boot" = "$now" ]; then
    found=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f1,20)
    case "$found" in
      "Z $start" | "X $start") ;;
      *" $start") alive=yes ;;
    esac
    if [ $alive = no ] && [ ! -f rc ] && grep -qsaxz "TREADLE_REMOTE_RUN=$2" /proc/[0-9]*/environ; then
      alive=yes # who started it is gone; what it started goes on
    fi
  fi
fi
echo "alive $alive"
# After that: a status that is written in between is seen, and then the log is complete.
if [ -f rc ]; then
  read -r code < rc
  echo "code $code"
fi
echo "log $(stat -c %s log 2>/dev/null || echo 0)"
echo "free $(df -Pk . | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')"
