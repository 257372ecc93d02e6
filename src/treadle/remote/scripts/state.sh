# Say where a run stands, one `key value` a line.
# Arguments: folder of the run, its mark.
cd "$1" 2>/dev/null || exit 0
mark=$2
echo "there yes"
[ -e stopped ] && echo "stopped yes"
alive=no
if [ -f pid ]; then
  read -r pid start boot < pid
  echo "pid $pid"
  read -r now < /proc/sys/kernel/random/boot_id
  if [ "$boot" = "$now" ]; then
    if read -r line 2>/dev/null < "/proc/$pid/stat"; then
      set -- ${line##*) }
      status=$1
      shift 19
      case "$status$1" in
        "Z$start" | "X$start") ;;
        *"$start") alive=yes ;;
      esac
    fi
    if [ $alive = no ] && [ ! -f rc ] && grep -qsaxzF "TREADLE_REMOTE_RUN=$mark" /proc/[0-9]*/environ; then
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
if [ -f log ]; then echo "log $(stat -c %s log)"; fi
