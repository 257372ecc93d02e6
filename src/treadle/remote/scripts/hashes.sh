# Print `SHA-256  NAME` and a zero byte for every file under the given names; what is not there is left out.
# Arguments: folder of the run, names in it.
cd "$1" || exit 3
shift
for name; do
  if [ -e "$name" ]; then find "$name" -type f -exec sha256sum -z -- {} + || exit 1; fi
done
