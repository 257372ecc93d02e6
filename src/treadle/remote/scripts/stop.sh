# End a run: all of its process group, and all that carry its mark wherever they went. Prints how many are left.
# Arguments: folder of the run, its mark, seconds that it has to end by itself.
cd "$1" || exit 3
: > stopped
group=
if [ -f pid ]; then
  read -r pid start boot < pid
  read -r now < /proc/sys/kernel/random/boot_id
  if [ "$boot" = "$now" ]; then
    found=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f20)
    # A number stays taken while a group bears it. If another process has it now, our group is gone.
    if [ -z "$found" ] || [ "$found" = "$start" ]; then group=$pid; fi
  fi
fi
members() {
  {
    grep -lsaxz "TREADLE_REMOTE_RUN=$1" /proc/[0-9]*/environ | cut -d/ -f3
    [ -z "$group" ] || awk -v group="$group" '{ sub(/.*\) /, ""); if ($3 == group && $1 != "Z" && $1 != "X") { split(FILENAME, part, "/"); print part[3] } }' /proc/[0-9]*/stat 2>/dev/null
  } | sort -u
}
send() { for member in $(members "$2"); do kill "-$1" "$member" 2>/dev/null; done; }
wait_for_end() {
  tries=0
  while [ -n "$(members "$2")" ]; do
    tries=$((tries + 1))
    [ $tries -gt "$1" ] && return 1
    sleep 0.1
  done
}
send TERM "$2"
if ! wait_for_end $(($3 * 10)) "$2"; then
  tries=0
  while [ -n "$(members "$2")" ] && [ $tries -lt 50 ]; do # what forks while it is killed is killed once more
    send KILL "$2"
    tries=$((tries + 1))
    sleep 0.1
  done
fi
rm -f environment
echo "left $(members "$2" | wc -l)"
