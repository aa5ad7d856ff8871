#!/usr/bin/env bash
# Has systemd's own tools look at the units: no unknown setting, and the exposure that they promise.
#
#   packaging/systemd/check.sh
#
# Where systemd-analyze is missing that is said, and is an error with CORACLE_PACKAGING=required.
set -euo pipefail
cd "$(dirname "$0")"

# The exposure of `systemd-analyze security`, in tenths.
EXPOSURE_MAX=12
EXPOSURE_MAX_WITHOUT_NETWORK=2

if ! command -v systemd-analyze >/dev/null; then
  echo "systemd-analyze is missing: skipped" >&2
  [ "${CORACLE_PACKAGING:-}" != required ] || exit 1
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# verify wants to see the program.
for unit in coracle.service ./*.socket; do
  sed 's|/usr/bin/coracle |/bin/true |' "$unit" >"$work/$unit"
done
for drop_in in "" no-network credentials; do
  rm -rf "$work/coracle.service.d"
  if [ -n "$drop_in" ]; then
    mkdir "$work/coracle.service.d"
    cp "drop-ins/$drop_in.conf" "$work/coracle.service.d/"
  fi
  said=$(SYSTEMD_UNIT_PATH="$work:" systemd-analyze verify --man=no --recursive-errors=no \
    "$work"/coracle.service "$work"/*.socket 2>&1) ||
    { echo "$said" >&2; exit 1; }
  # What verify only warns of, an unknown setting say, is a mistake here too.
  if [ -n "$said" ]; then echo "$said" >&2; exit 1; fi
done

# Prints the exposure, and fails where it is more than that.
exposure() {
  local unit=$1 most=$2
  systemd-analyze security --no-pager --offline=true --threshold="$most" "$unit" >"$work/report" 2>&1 ||
    { cat "$work/report" >&2; exit 1; }
  grep 'Overall exposure level' "$work/report" | sed 's/^[^A-Za-z]*//'
}
rm -rf "$work/coracle.service.d"
exposure "$work/coracle.service" "$EXPOSURE_MAX"
# Settings of a drop-in come after those of the unit.
cat coracle.service drop-ins/no-network.conf | sed 's|/usr/bin/coracle |/bin/true |' \
  >"$work/coracle-no-network.service"
exposure "$work/coracle-no-network.service" "$EXPOSURE_MAX_WITHOUT_NETWORK"

if command -v systemd-sysusers >/dev/null; then
  mkdir -p "$work/root/etc"
  systemd-sysusers --root="$work/root" "$PWD/coracle.sysusers" >/dev/null
  grep -q '^coracle:' "$work/root/etc/passwd"
  if command -v systemd-tmpfiles >/dev/null && [ "$(id -u)" = 0 ]; then
    systemd-tmpfiles --root="$work/root" --create "$PWD/coracle.tmpfiles"
    [ "$(stat -c %a "$work/root/var/lib/coracle")" = 700 ]
  fi
fi
echo "the units are sound"
