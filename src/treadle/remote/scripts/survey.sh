# Say of every run of a host where it stands, how large its folder is and when something in it changed last.
# Arguments: folder of the runs, the script that says where one stands.
cd "$1" 2>/dev/null || exit 0
echo "now $(date +%s)"
for folder in r-*/; do
  name=${folder%/}
  if [ ! -d "$name" ] || [ -L "$name" ]; then continue; fi
  echo "run $name"
  sh -c "$2" state "$1/$name" "$1/$name"
  echo "size $(du -sk "$name" 2>/dev/null | cut -f1)"
  echo "changed $(find "$name" -maxdepth 1 -exec stat -c %Y {} + 2>/dev/null | sort -n | tail -n 1)"
done
