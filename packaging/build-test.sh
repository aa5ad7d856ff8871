#!/usr/bin/env bash
# Starts a program of packaging/build.sh, under qemu-user where this machine is of another
# architecture, pushes an image into it, pulls it again and compares; then lets it check its store.
#
#   packaging/build-test.sh [--large] x86_64|aarch64|armv7 BINARY
#
# With --large it also takes a layer of more than 4 GiB (zeros) in one request, whose Content-Length
# does not fit into 32 bits, and gives it back whole and from behind that bound. Needs 5 GB of disk.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
large=no; if [ "${1:-}" = --large ]; then large=yes; shift; fi
[ $# = 2 ] || { echo "usage: $0 [--large] ARCHITECTURE BINARY" >&2; exit 2; }
arch=$1 binary=$(realpath "$2")
run=("$binary")
if [ "$(uname -m)" != "$arch" ]; then
  case $arch in armv7) run=(qemu-arm-static "$binary") ;; *) run=("qemu-$arch-static" "$binary") ;; esac
fi

work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  rm -rf "$work"
}
trap finish EXIT
trap 'echo "failed at line $LINENO" >&2; cat "$work/log" >&2' ERR
say() { printf -- '-- %s\n' "$*"; }

"${run[@]}" version
if readelf --program-headers --wide "$binary" | grep -q INTERP; then
  echo "$binary is not static" >&2
  exit 1
fi

"${run[@]}" serve --listen 127.0.0.1:0 --data "$work/data" --ready-file "$work/ready" \
  --access-log false >"$work/address" 2>"$work/log" &
server=$!
for _ in $(seq 600); do
  if [ -s "$work/ready" ]; then break; fi
  kill -0 "$server" # It has ended, and its log says why.
  sleep 0.1
done
url=$(head -n 1 "$work/address") host=${url#http://}

say "an image in and out"
"$here/container/image.py" --out "$work/image" --tag t --push "$host/coracle:t" --plain-http "$binary"
skopeo copy --quiet --all --src-tls-verify=false "docker://$host/coracle:t" "oci:$work/back:t"
cmp <(cd "$work/image/blobs" && find . -type f | sort) <(cd "$work/back/blobs" && find . -type f | sort)
for blob in "$work"/image/blobs/sha256/*; do cmp "$blob" "$work/back/blobs/sha256/$(basename "$blob")"; done

if [ "$large" = yes ]; then
  say "a layer of 4 GiB and a little"
  length=$(((1 << 32) + 4097))
  truncate -s "$length" "$work/zeros"
  digest=sha256:$(sha256sum "$work/zeros" | cut -d' ' -f1)
  location=$(curl -fsS -o /dev/null -D - -X POST "$url/v2/large/blobs/uploads/" |
    tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  case $location in http*) ;; *) location=$url$location ;; esac
  join='?'; case $location in *\?*) join='&' ;; esac
  # No `Expect`: the length alone must be understood.
  curl -fsS -o "$work/answer" -D "$work/head" -H 'Expect:' -H 'Content-Type: application/octet-stream' \
    -T "$work/zeros" "$location${join}digest=$digest"
  grep -q '^HTTP/1.1 201' "$work/head"
  curl -fsS -I "$url/v2/large/blobs/$digest" | tr -d '\r' | grep -qi "^content-length: $length\$"
  [ "sha256:$(curl -fsS "$url/v2/large/blobs/$digest" | sha256sum | cut -d' ' -f1)" = "$digest" ]
  behind=$(curl -fsS -D "$work/range" -r $(((1 << 32) - 3))- "$url/v2/large/blobs/$digest" | wc -c)
  [ "$behind" = 4100 ]
  tr -d '\r' <"$work/range" | grep -qi "^content-range: bytes $(((1 << 32) - 3))-$((length - 1))/$length\$"
  printf '{}' >"$work/config"
  config=sha256:$(sha256sum "$work/config" | cut -d' ' -f1)
  curl -fsS -o /dev/null -X POST -H 'Content-Type: application/octet-stream' \
    --data-binary "@$work/config" "$url/v2/large/blobs/uploads/?digest=$config"
  cat >"$work/manifest" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"$config","size":2},
"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"$digest","size":$length}]}
END
  curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
    --data-binary "@$work/manifest" "$url/v2/large/manifests/t"
  curl -fsS "$url/v2/large/manifests/t" | cmp - "$work/manifest"
fi

say "the end"
kill "$server"
wait "$server"
server=
"${run[@]}" check --deep --data "$work/data"
du -sh "$work/data"
