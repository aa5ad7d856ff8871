#!/usr/bin/env bash
# Proves the life of the Debian package in a Debian of its own, with a systemd that really boots:
# installed, started, used, upgraded, removed with its data kept, installed again, purged.
#
#   packaging/debian/test.sh [PACKAGE]
#
# Without a name: the amd64 package in target/deb. Has to be root; needs debootstrap,
# systemd-container and about 500 MB below $TMPDIR (/tmp), which are given back. The fresh Debian is
# kept in target/deb/base.tar for the next time.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "only root can boot a system: sudo $0" >&2; exit 1; }
for tool in debootstrap systemd-nspawn dpkg-deb; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done
package=${1:-$(find target/deb -maxdepth 1 -name '*_amd64.deb' | sort | tail -n 1)}
[ -n "$package" ] || { echo "make one first: packaging/debian/build.sh" >&2; exit 1; }

# Longer than all of it takes on a slow machine.
BOOT_SECONDS_MAX=600
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
say() { printf -- '-- %s (%ss)\n' "$*" "$SECONDS"; }

root=$work/root
mkdir -p "$root"
if [ ! -s target/deb/base.tar ]; then
  say "a Debian"
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,curl,bash-completion \
    bookworm "$work/base" >"$work/debootstrap.log" 2>&1 || { tail "$work/debootstrap.log" >&2; exit 1; }
  rm -rf "$work"/base/var/cache/apt/*
  tar -C "$work/base" -cf target/deb/base.tar.part .
  mv target/deb/base.tar.part target/deb/base.tar
  rm -rf "$work/base"
fi
tar -C "$root" -xf target/deb/base.tar

say "the package, and its next version"
mkdir "$root/packages"
cp "$package" "$root/packages/one.deb"
dpkg-deb -R "$package" "$work/next"
sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control"
dpkg-deb --root-owner-group -b "$work/next" "$root/packages/two.deb" >/dev/null

# The tree and the commands of those who install by hand, as packaging/README.md has them; all are
# root in there.
mkdir -p "$root/packages/tree/packaging" "$root/packages/tree/target/static/x86_64"
cp -r packaging/systemd packaging/coracle.toml "$root/packages/tree/packaging/"
cp "$work/next/usr/bin/coracle" "$root/packages/tree/target/static/x86_64/coracle"
# shellcheck disable=SC2016
sed -n '/^As a service with the units/,/^Manual pages/p' packaging/README.md |
  sed -n '/^```sh$/,/^```$/p' | sed -e '/^```/d' -e 's/sudo //' >"$root/packages/by-hand.sh"
[ "$(wc -l <"$root/packages/by-hand.sh")" -gt 5 ]

install -m 0755 packaging/debian/cycle.sh "$root/packages/cycle.sh"
cat >"$root/etc/systemd/system/cycle.service" <<'END'
[Unit]
Description=The life of the package
After=multi-user.target dbus.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/packages/cycle.sh >/packages/result 2>&1; echo "code $$?" >>/packages/result'
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=default.target
END
mkdir -p "$root/etc/systemd/system/default.target.wants"
ln -s ../cycle.service "$root/etc/systemd/system/default.target.wants/cycle.service"
rm -f "$root/etc/machine-id"

say "its life"
timeout --kill-after=20 "$BOOT_SECONDS_MAX" \
  systemd-nspawn --quiet --register=no --keep-unit --private-network --directory="$root" --boot \
  </dev/null >"$work/boot.log" 2>&1 || true
cat "$root/packages/result" || { tail -n 50 "$work/boot.log" >&2; exit 1; }
grep -qx 'code 0' "$root/packages/result"
say "the package is good"
