#!/usr/bin/env bash
# Checks everything in packaging/ with the program as it is built already (target/debug, or the one
# named), in a few minutes and without a cross build. What a check needs and is missing is said, and
# is an error with CORACLE_PACKAGING=required, as in CI.
#
#   packaging/check.sh [BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:-target/debug/coracle}
# For the program itself a variable that begins so is a setting, and this one is none.
required=${CORACLE_PACKAGING:-}
unset CORACLE_PACKAGING
step() { printf '\n--- %s (%ss)\n' "$*" "$SECONDS"; }
# Whether a program is there; where all have to be, it is an error when one is not.
have() {
  for own in "$@"; do
    command -v "$own" >/dev/null && continue
    echo "$own is missing: skipped" >&2
    [ "$required" != required ] || exit 1
    return 1
  done
}

[ -x "$binary" ] || cargo build --locked

step "scripts"
if have shellcheck; then
  find packaging -name '*.sh' -print0 | xargs -0 shellcheck packaging/debian/scripts/*
fi
python3 -m py_compile packaging/container/image.py packaging/kubernetes/check.py
find packaging -name __pycache__ -prune -exec rm -rf {} +

step "manual pages and completions"
cargo run --quiet --locked --example pages -- target/pages
if have mandoc; then mandoc -T lint -W error target/pages/man/*; fi
bash -n target/pages/completions/coracle.bash
for shell in zsh fish; do
  # Nice to have: the files are generated, and their own library tests them.
  command -v "$shell" >/dev/null || continue
  case $shell in zsh) file=_coracle ;; fish) file=coracle.fish ;; esac
  "$shell" -n "target/pages/completions/$file"
done

if [ -x packaging/systemd/check.sh ]; then
  step "units"
  CORACLE_PACKAGING=$required packaging/systemd/check.sh
fi

step "examples"
if have docker-compose; then docker-compose -f packaging/compose/compose.yaml config --quiet; fi
packaging/kubernetes/check.py target/kubernetes.toml
"$binary" config check --config target/kubernetes.toml

# Debug information makes a program of some hundred megabytes, which nothing here needs.
stripped=target/packaging/coracle
mkdir -p target/packaging
strip -o "$stripped" "$binary"

step "Debian package"
if have lintian; then packaging/debian/build.sh "$stripped"; fi
if have debootstrap systemd-nspawn; then
  if [ "$(id -u)" = 0 ]; then
    packaging/debian/test.sh
    step "the service under a systemd that boots"
    packaging/systemd/boot-test.sh "$stripped"
  else
    echo "not root: neither is the package installed nor a system booted"
  fi
fi

step "container image"
dynamic=(--dynamic); readelf --program-headers --wide "$stripped" | grep -q INTERP || dynamic=()
if have skopeo umoci; then packaging/container/test.sh ${dynamic[@]+"${dynamic[@]}"} "$stripped"; fi

step "done"
