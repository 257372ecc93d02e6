#!/bin/sh
# Carries out one run in its folder: says who it is, runs the command, keeps its log and its status.
# Arguments: mark of the run. The first process to make `pid` runs it; any other steps back.
mark=$1
trap : TERM INT HUP
read -r line < /proc/$$/stat
set -- ${line##*) } # what follows the name, which may hold blanks: the start time is the 20th word
shift 19
start=$1
read -r boot < /proc/sys/kernel/random/boot_id
# Room for the status is taken now: a disk that is full when the command ends must not hide how it ended.
printf '%-8s\n' unknown > ".rc.$$" || exit 1
printf '%s %s %s\n' $$ "$start" "$boot" > ".pid.$$" || exit 1
if ! ln ".pid.$$" pid 2>/dev/null; then
  rm -f ".pid.$$" ".rc.$$"
  exit 0
fi
rm -f ".pid.$$"
code=143
if [ ! -e stopped ]; then
  (
    trap - TERM INT HUP
    TREADLE_REMOTE_RUN=$mark
    export TREADLE_REMOTE_RUN
    if [ -f environment ]; then
      while IFS= read -r line || [ -n "$line" ]; do export "$line"; done < environment
    fi
    exec sh ./command
  ) >> log 2>&1
  code=$?
fi
rm -f environment .environment.*
printf '%-8s\n' "$code" 1<> ".rc.$$"
sync ".rc.$$" log 2>/dev/null
mv ".rc.$$" rc
