#!/usr/bin/env bash
# Proves the container image: it is made twice and is the same, goes into a coracle and comes out
# of it as it was, and its program runs as its user: from a folder, and in a container where podman
# can run one. Ends by itself and leaves nothing.
#
#   packaging/container/test.sh [--dynamic] BINARY...
#
# The first binary must run on this machine. With --dynamic it may need a loader (a debug build):
# then it is not run from inside the image's own tree, which has none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dynamic=(); if [ "${1:-}" = --dynamic ]; then dynamic=(--dynamic); shift; fi
[ $# -gt 0 ] || { echo "name the binaries: $0 [--dynamic] BINARY..." >&2; exit 2; }
binary=$(realpath "$1")
for tool in skopeo umoci python3 curl; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done

work=$(mktemp -d)
servers=()
finish() {
  for pid in ${servers[@]+"${servers[@]}"}; do kill "$pid" 2>/dev/null || true; done
  for pid in ${servers[@]+"${servers[@]}"}; do wait "$pid" 2>/dev/null || true; done
  chmod -R u+rwX "$work" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
trap 'echo "failed at line $LINENO" >&2' ERR
say() { printf -- '-- %s\n' "$*"; }
# Waits until a file has a line, at most half a minute.
first_line() {
  for _ in $(seq 300); do
    if [ -s "$1" ]; then head -n 1 "$1"; return; fi
    sleep 0.1
  done
  echo "nothing came into $1" >&2; return 1
}
# The same for an answer of a server's socket.
answers() {
  for _ in $(seq 300); do
    if curl -fsS --max-time 5 --unix-socket "$1" http://localhost/v2/ 2>/dev/null; then echo; return; fi
    sleep 0.1
  done
  echo "nobody answers at $1" >&2; return 1
}
# The name of the first binary's architecture, as images know it.
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=arm ;; esac

say "the image, twice"
"$here/image.py" "${dynamic[@]}" --out "$work/one" --tag t "$@"
"$here/image.py" "${dynamic[@]}" --out "$work/two" --tag t "$@"
diff -r "$work/one" "$work/two"

say "into a coracle, and out of it"
"$binary" serve --listen 127.0.0.1:0 --data "$work/data" --log-level warn >"$work/address" &
servers+=($!)
host=$(first_line "$work/address"); host=${host#http://}
"$here/image.py" "${dynamic[@]}" --out "$work/one" --tag t --push "$host/coracle:t" --plain-http "$@"
skopeo copy --quiet --all --src-tls-verify=false "docker://$host/coracle:t" "oci:$work/back:t"
digest() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["manifests"][0]["digest"])' "$1/index.json"; }
[ "$(digest "$work/one")" = "$(digest "$work/back")" ]
skopeo inspect --config --override-arch "$arch" --tls-verify=false "docker://$host/coracle:t" >"$work/config"
grep -Eq '"User": *"65532:65532"' "$work/config"
"$binary" check --deep --quiet --data "$work/data"

say "its program, from its tree"
skopeo copy --quiet --override-arch "$arch" --src-tls-verify=false "docker://$host/coracle:t" "oci:$work/native:t"
rootless=(); [ "$(id -u)" = 0 ] || rootless=(--rootless)
umoci unpack "${rootless[@]}" --image "$work/native:t" "$work/bundle" 2>"$work/umoci.log"
tree=$work/bundle/rootfs
if [ "$(id -u)" = 0 ] && [ ${#dynamic[@]} = 0 ]; then
  # As its user, in its own tree, on a socket in its volume.
  chmod 755 "$work" "$work/bundle"
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin CORACLE_STORAGE_DATA=/var/lib/registry \
    CORACLE_SERVER_LISTEN=unix:/var/lib/registry/test.sock chroot --userspec=65532:65532 "$tree" /bin/coracle serve --log-level warn >/dev/null &
  servers+=($!)
  answers "$tree/var/lib/registry/test.sock"
  [ "$(stat -c %u "$tree/var/lib/registry/coracle.db")" = 65532 ]
else
  "$tree/bin/coracle" version
fi

if command -v podman runc >/dev/null && [ "$(id -u)" = 0 ] && [ ${#dynamic[@]} = 0 ]; then
  say "in a container"
  mkdir -m 700 "$work/volume"; chown 65532:65532 "$work/volume"
  printf '[engine]\nlock_type = "file"\n' >"$work/containers.conf"
  export CONTAINERS_CONF=$work/containers.conf
  place=(--root "$work/storage" --runroot "$work/run" --tmpdir "$work/tmp" --storage-driver vfs
    --runtime runc --cgroup-manager cgroupfs --events-backend none)
  limits=(--ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --network none --read-only)
  podman "${place[@]}" pull --quiet --tls-verify=false "$host/coracle:t"
  podman "${place[@]}" run --rm "${limits[@]}" "$host/coracle:t" version
  podman "${place[@]}" run --rm "${limits[@]}" --volume "$work/volume:/var/lib/registry" --name served \
    --env CORACLE_SERVER_LISTEN=unix:/var/lib/registry/test.sock "$host/coracle:t" >/dev/null &
  runner=$!
  answers "$work/volume/test.sock"
  # What compose.yaml asks now and then.
  podman "${place[@]}" exec served /bin/coracle doctor --quick
  podman "${place[@]}" stop --time 30 served >/dev/null
  wait "$runner"
fi
say "the image is good"
