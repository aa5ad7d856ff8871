#!/usr/bin/env bash
# Static release builds: one program each for x86_64, aarch64 and armv7, linked with musl, that run
# on any Linux of their architecture. Each is then started (those of other architectures under
# qemu-user) and has to serve a push and a pull; the 32-bit one also a layer of more than 4 GiB.
#
#   packaging/build.sh [--profile NAME] [--no-test] [--no-large] [x86_64 | aarch64 | armv7]...
#
# The programs come to target/static/ARCHITECTURE/coracle. Where something is missing it is
# installed: Debian's own Rust with the sources of its standard library, zig as the C compiler and
# linker of all targets (in a virtual environment of python below target/), cargo-zigbuild.
# It takes minutes for each target, and builds one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=release tests=yes large=yes
wanted=()
while [ $# -gt 0 ]; do
  case $1 in
    --profile) profile=$2; shift ;;
    --no-test) tests=no ;;
    --no-large) large=no ;;
    x86_64 | aarch64 | armv7) wanted+=("$1") ;;
    *) echo "'$1' is not known: $0 [--profile NAME] [--no-test] [--no-large] [x86_64 | aarch64 | armv7]..." >&2; exit 2 ;;
  esac
  shift
done
[ ${#wanted[@]} -gt 0 ] || wanted=(x86_64 aarch64 armv7)

step() { printf '\n=== %s (%ss)\n' "$*" "$SECONDS"; }

step "tools"
# cargo-web and its kin: newer than Debian's own rustc, beside whatever rustup has installed.
packages=(cargo-web rustc-web libstd-rust-web-dev rust-web-src python3-venv
  qemu-user-static skopeo umoci curl)
if ! dpkg --status "${packages[@]}" >/dev/null 2>&1; then
  as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${packages[@]}"
fi
mkdir -p target
zig=$PWD/target/zig
if ! "$zig/bin/python3" -m ziglang version >/dev/null 2>&1; then
  python3 -m venv "$zig"
  "$zig/bin/pip" install --quiet ziglang==0.17.1
fi
zigbuild=$(command -v cargo-zigbuild) || {
  cargo install --locked --quiet --root target/tools cargo-zigbuild
  zigbuild=$PWD/target/tools/bin/cargo-zigbuild
}

folder=$profile; [ "$profile" != dev ] || folder=debug
for arch in "${wanted[@]}"; do
  case $arch in
    armv7) target=armv7-unknown-linux-musleabihf ;;
    *) target=$arch-unknown-linux-musl ;;
  esac
  step "$target, profile $profile"
  # /usr/bin first: Debian's cargo and rustc, which fit the sources of the standard library. They
  # are asked for an unstable option, which only packaging does; the program itself is stable Rust.
  env PATH="$zig/bin:/usr/bin:/bin" RUSTC_BOOTSTRAP=1 RUSTFLAGS="-C link-self-contained=no" \
    CARGO_TARGET_DIR=target/cross \
    "$zigbuild" zigbuild --locked --profile "$profile" --bin coracle \
    -Z build-std=std,panic_abort --target "$target"
  out=target/static/$arch
  mkdir -p "$out"
  install -m 0755 "target/cross/$target/$folder/coracle" "$out/coracle"
  ls -l "$out/coracle"
  if [ "$tests" = yes ]; then
    step "$arch serves a push and a pull"
    flags=(); [ "$arch" = armv7 ] && [ "$large" = yes ] && flags=(--large)
    packaging/build-test.sh ${flags[@]+"${flags[@]}"} "$arch" "$out/coracle"
  fi
done
step "done"
