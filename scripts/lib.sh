# Shared by the scripts of this folder (sourced, POSIX sh). Leaves us in the top folder of the project.

cd "$(dirname "$0")/.." || exit 1

# Node 24 of the optional development package, or the machine's own where there is none for this platform.
node=node_modules/.bin/node
use_node() {
  [ -x "$node" ] || node=node
  "$node" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 24 || (a === 24 && b >= 15) ? 0 : 1)' || {
    echo "postern: needs Node 24.15 or newer, and $("$node" -v) is what there is" >&2
    exit 1
  }
  # Tools and children that start a plain `node` get the same one.
  PATH="$PWD/node_modules/.bin:$PATH"
  export PATH
}
