#!/bin/bash
# The life of the package, inside the system that packaging/debian/test.sh boots.
set -euo pipefail
trap 'echo "failed at line $LINENO"; systemctl status --no-pager --full coracle.service; \
  journalctl --no-pager -u coracle.service -n 50 || true' ERR
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
url=http://127.0.0.1:5000 data=/var/lib/coracle
say() { echo "   $*"; }
served() { curl -fsS --retry 30 --retry-connrefused --retry-delay 1 --max-time 60 "$@"; }
# Passes when what it runs does not.
fails() { if "$@" >/dev/null 2>&1; then return 1; fi; }
pid() { systemctl show --property=MainPID --value coracle.service; }

say "installed: it runs, is enabled, and is its own user's"
dpkg -i /packages/one.deb
systemctl is-active --quiet coracle.service
systemctl is-enabled --quiet coracle.service
fails systemctl is-enabled --quiet coracle.socket
served "$url/v2/" >/dev/null
[ "$(ps -o user= -p "$(pid)" 2>/dev/null || stat -c %U "/proc/$(pid)")" = coracle ]
[ "$(stat -c '%U %a' $data)" = "coracle 700" ]
[ "$(stat -c '%U:%G %a' /etc/coracle/coracle.toml)" = "root:coracle 640" ]
# dpkg of a minimal system may leave documentation out; the package has it.
dpkg-deb -c /packages/one.deb >/tmp/files
for file in man/man1/coracle-serve.1.gz man/man5/coracle.toml.5.gz zsh/vendor-completions/_coracle \
  fish/vendor_completions.d/coracle.fish bash-completion/completions/coracle doc/coracle/copyright; do
  grep -q "usr/share/$file\$" /tmp/files
done

say "used: a push, the command line as its user, a reload"
printf 'content' >/tmp/blob
digest=sha256:$(sha256sum /tmp/blob | cut -d' ' -f1)
served -o /dev/null -X POST -H 'Content-Type: application/octet-stream' --data-binary @/tmp/blob \
  "$url/v2/app/blobs/uploads/?digest=$digest"
cat >/tmp/manifest <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"$digest","size":7},"layers":[]}
END
served -o /dev/null -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
  --data-binary @/tmp/manifest "$url/v2/app/manifests/v1"
coracle_as_user() { runuser -u coracle -- coracle "$@" --config /etc/coracle/coracle.toml; }
coracle_as_user tag list app | grep -q '^v1'
coracle_as_user check --deep
coracle_as_user doctor
systemctl reload coracle.service
served "$url/v2/app/manifests/v1" | cmp - /tmp/manifest

say "upgraded: started anew, with its data and what was edited"
echo '# edited' >>/etc/coracle/coracle.toml
before=$(pid)
dpkg -i /packages/two.deb
[ "$(pid)" != "$before" ]
served "$url/v2/app/manifests/v1" | cmp - /tmp/manifest
grep -qx '# edited' /etc/coracle/coracle.toml
[ "$(stat -c '%U:%G %a' /etc/coracle/coracle.toml)" = "root:coracle 640" ]

say "by socket activation"
systemctl stop coracle.service
systemctl start coracle.socket
fails systemctl is-active --quiet coracle.service
served "$url/v2/app/manifests/v1" | cmp - /tmp/manifest
systemctl is-active --quiet coracle.service
systemctl stop coracle.socket coracle.service

say "removed: its data stay"
systemctl start coracle.service
dpkg -r coracle
fails systemctl is-active --quiet coracle.service
[ ! -e /usr/bin/coracle ] && [ -s $data/coracle.db ] && [ -s /etc/coracle/coracle.toml ]

say "installed again: all is there"
dpkg -i /packages/one.deb
served "$url/v2/app/manifests/v1" | cmp - /tmp/manifest

say "opened to other machines: an account and a certificate"
printf 'correct horse' | coracle_as_user user add ada --password-stdin
coracle cert self-signed --host registry.example --out /etc/coracle/tls >/dev/null
chgrp coracle /etc/coracle/tls/key.pem
chmod 640 /etc/coracle/tls/key.pem
sed -i -e 's|^listen = \["127.0.0.1:5000"\]$|listen = [":5000"]|' \
  -e 's|^certificate = .*|certificate = ["/etc/coracle/tls/cert.pem"]|' \
  -e 's|^key = .*|key = ["/etc/coracle/tls/key.pem"]|' /etc/coracle/coracle.toml
coracle_as_user config check
systemctl restart coracle.service
secure=(--cacert /etc/coracle/tls/ca.pem --resolve registry.example:5000:127.0.0.1)
[ "$(curl -sS "${secure[@]}" -o /dev/null -w '%{http_code}' https://registry.example:5000/v2/)" = 401 ]
served "${secure[@]}" -u 'ada:correct horse' https://registry.example:5000/v2/app/manifests/v1 |
  cmp - /tmp/manifest

say "purged: nothing stays"
dpkg -P coracle
[ ! -e $data ] && [ ! -e /etc/coracle ]
fails systemctl cat coracle.service
[ -z "$(find /etc/systemd /var/lib/systemd/deb-systemd-helper-enabled -name '*coracle*' 2>/dev/null)" ]
fails dpkg --status coracle

say "installed by hand, as the README says"
cd /packages/tree
# shellcheck disable=SC1091
source /packages/by-hand.sh
served "$url/v2/" >/dev/null
[ "$(stat -c '%U %a' $data)" = "coracle 700" ]
trap - ERR
