#!/usr/bin/env bash
# Makes a Debian package of a program that is built already, and lets lintian look at it.
#
#   packaging/debian/build.sh [BINARY]
#
# Without a name: the static programs of packaging/build.sh, one package for each, else
# target/release/coracle. The packages come to target/deb. cargo-deb is installed where it is
# missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

binaries=("$@")
if [ ${#binaries[@]} = 0 ]; then
  for own in target/static/*/coracle; do [ ! -e "$own" ] || binaries+=("$own"); done
fi
if [ ${#binaries[@]} = 0 ]; then
  [ -e target/release/coracle ] || { echo "build one first: packaging/build.sh x86_64" >&2; exit 1; }
  binaries=(target/release/coracle)
fi

command -v cargo-deb >/dev/null || cargo install --locked --quiet cargo-deb
files=target/deb/files
mkdir -p "$files"
cargo run --quiet --locked --example pages -- "$files"

# The configuration of the program itself, with the folder that a Debian service has.
sed 's|^data = "./coracle-data"$|data = "/var/lib/coracle"|' packaging/coracle.toml >"$files/coracle.toml"
grep -q '^data = "/var/lib/coracle"$' "$files/coracle.toml"

maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' Cargo.toml)
version=$(sed -n '0,/^version = /s/^version = "\(.*\)"$/\1/p' Cargo.toml)
# The day of the last commit, so that the same sources give the same package.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
cat >"$files/changelog" <<END
coracle ($version-1) unstable; urgency=medium

  * Version $version; CHANGELOG.md in the sources tells what is new.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END

for binary in "${binaries[@]}"; do
  case $(od -An -tx2 -j18 -N2 "$binary" | tr -d ' ') in
    003e) target=x86_64-unknown-linux-gnu ;;
    00b7) target=aarch64-unknown-linux-gnu ;;
    0028) target=armv7-unknown-linux-gnueabihf ;;
    *) echo "$binary is of a machine that no package is made for" >&2; exit 1 ;;
  esac
  # strip of this machine knows other machines' programs only where it was built for them; those of
  # a release are stripped already.
  strip -o "$files/coracle" "$binary" 2>/dev/null || cp "$binary" "$files/coracle"
  deb=$(cargo deb --quiet --locked --no-build --no-strip --target "$target" --output target/deb/ 2>"$files/log" ||
    { cat "$files/log" >&2; exit 1; })
  echo "$deb"
  if command -v lintian >/dev/null; then
    lintian --allow-root --fail-on error --suppress-tags no-manual-page "$deb"
  else
    echo "lintian is missing; the package was not looked at"
  fi
done
