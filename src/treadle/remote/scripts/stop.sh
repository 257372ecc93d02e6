# End a run: all of its process group, and all that carry its mark wherever they went. Prints how many are left.
# Arguments: folder of the run, its mark, seconds that it has to end by itself.
cd "$1" || exit 3
mark=$2 grace=$3
: > stopped
group=
if [ -f pid ]; then
  read -r pid start boot < pid
  read -r now < /proc/sys/kernel/random/boot_id
  if [ "$boot" = "$now" ]; then
    found=
    if read -r line 2>/dev/null < "/proc/$pid/stat"; then
      set -- ${line##*) }
      shift 19
      found=$1
    fi
    # A number stays taken while a group bears it. If another process has it now, our group is gone.
    if [ -z "$found" ] || [ "$found" = "$start" ]; then group=$pid; fi
  fi
fi
# Of the group: what is no zombie. `/proc/NUMBER/stat` names its state first and its group third behind the brackets.
# `cat` goes on where a process has just gone; awk, given the files, would stop there.
grouped='{ number = $1; sub(/.*\) /, ""); if ($3 == group && $1 !~ /[ZX]/) print number }'
members() {
  grep -lsaxzF "TREADLE_REMOTE_RUN=$mark" /proc/[0-9]*/environ | cut -d/ -f3
  [ -z "$group" ] || cat /proc/[0-9]*/stat 2>/dev/null | awk -v group="$group" "$grouped"
}
ended() { # within that many tenths of a second; what forks while it is killed is killed once more
  tries=$1
  while left=$(members); [ -n "$left" ]; do
    [ "$2" = TERM ] || kill "-$2" $left 2>/dev/null
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.1
  done
}
left=$(members)
[ -z "$left" ] || kill -TERM $left 2>/dev/null
ended $((grace * 10)) TERM || ended 100 KILL
rm -f environment .environment.*
echo "left $(echo "$left" | grep -c .)"
