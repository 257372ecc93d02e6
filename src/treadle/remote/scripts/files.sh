# Print `BYTES TIME NAME` and a zero byte for every file under the given names; what is hidden or not there is left out.
# Arguments: a folder, names in it.
cd "$1" 2>/dev/null || exit 0
shift
for name; do
  name=${name%/}
  if [ -e "$name" ]; then find -L "$name" -name '.?*' -prune -o -type f -printf '%s %T@ %p\0' || exit 1; fi
done
