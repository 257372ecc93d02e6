# Remove folders of runs, each under another name first, so that half of one is never taken for a run.
# Arguments: folder of the runs, the script that says where one stands, names. Prints `removed NAME` or `left NAME WHY`.
cd "$1" || exit 3
root=$1 state=$2
shift 2
for name; do
  if [ ! -d "$name" ] || [ -L "$name" ]; then continue; fi
  case "$(sh -c "$state" state "$root/$name" "$root/$name")" in
    *"alive yes"*) echo "left $name it runs"; continue ;;
  esac
  if said=$(mv -- "$name" ".removed-$name-$$" 2>&1 && rm -rf -- ".removed-$name-$$" 2>&1); then
    echo "removed $name"
  else
    echo "left $name $(echo "$said" | head -n 1)"
  fi
done
for rest in .removed-r-*; do # of an attempt that was killed in between
  if [ -d "$rest" ] && [ ! -L "$rest" ]; then rm -rf -- "$rest" 2>/dev/null; fi
done
true
