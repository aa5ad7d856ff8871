#!/usr/bin/env bash
# Runs the service under a systemd that really boots, in a Debian of its own: activation, watchdog,
# reload, drain, restarts without a lost request, credentials, no network.
#
#   packaging/systemd/boot-test.sh [BINARY]
#
# Without a name: target/debug/coracle. Has to be root; needs debootstrap, systemd-container and
# about 500 MB below $TMPDIR (/tmp), which are given back. The fresh Debian is kept in
# target/deb/base.tar for the next time; packaging/debian/test.sh uses the same.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "only root can boot a system: sudo $0" >&2; exit 1; }
for tool in debootstrap systemd-nspawn strip; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done
binary=${1:-target/debug/coracle}
[ -x "$binary" ] || { echo "$binary is missing; build it, or name another" >&2; exit 1; }

# Longer than all of it takes on a slow machine.
BOOT_SECONDS_MAX=600
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
say() { printf -- '-- %s (%ss)\n' "$*" "$SECONDS"; }

root=$work/root
mkdir -p "$root" target/deb
if [ ! -s target/deb/base.tar ]; then
  say "a Debian"
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,curl,bash-completion \
    bookworm "$work/base" >"$work/debootstrap.log" 2>&1 || { tail "$work/debootstrap.log" >&2; exit 1; }
  rm -rf "$work"/base/var/cache/apt/*
  tar -C "$work/base" -cf "target/deb/base.tar.$$" .
  mv "target/deb/base.tar.$$" target/deb/base.tar
  rm -rf "$work/base"
fi
tar -C "$root" -xf target/deb/base.tar

say "the program and its units"
# Debug information makes a program of some hundred megabytes, which nothing here needs.
strip -o "$root/usr/bin/coracle" "$binary"
units=packaging/systemd
install -m 0644 $units/*.service $units/*.socket "$root/etc/systemd/system/"
install -D -m 0644 $units/coracle.sysusers "$root/usr/lib/sysusers.d/coracle.conf"
install -D -m 0644 $units/coracle.tmpfiles "$root/usr/lib/tmpfiles.d/coracle.conf"
install -D -m 0644 packaging/coracle.toml "$root/etc/coracle/coracle.toml"
# The test itself says what is started when.
install -d "$root/etc/systemd/system-preset"
echo 'disable coracle*' >"$root/etc/systemd/system-preset/00-coracle.preset"
mkdir "$root/test"
cp -r $units/drop-ins "$root/test/"
install -m 0755 $units/boot-cycle.sh "$root/test/cycle.sh"
cat >"$root/etc/systemd/system/cycle.service" <<'END'
[Unit]
Description=The life of the service
After=multi-user.target dbus.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/test/cycle.sh >/test/result 2>&1; echo "code $$?" >>/test/result'
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
cat "$root/test/result" || { tail -n 50 "$work/boot.log" >&2; exit 1; }
grep -qx 'code 0' "$root/test/result"
say "the service is at home"
