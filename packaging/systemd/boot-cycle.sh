#!/bin/bash
# The life of the service, inside the system that packaging/systemd/boot-test.sh boots.
set -euo pipefail
trap 'echo "failed at line $LINENO"; systemctl status --no-pager --full coracle.service coracle.socket; \
  journalctl --no-pager -u coracle.service -n 60 || true' ERR
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
url=http://127.0.0.1:5000 config=/etc/coracle/coracle.toml
overrides=/run/systemd/system/coracle.service.d
say() { echo "   $*"; }
# Passes when what it runs does not.
fails() { if "$@" >/dev/null 2>&1; then return 1; fi; }
shown() { systemctl show --property="$1" --value coracle.service; }
pid() { shown MainPID; }
status() { curl -sS -o /dev/null -w '%{http_code}' --max-time 60 "$@"; }
# Waits until a command passes, for a minute at most.
eventually() {
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  echo "not within a minute: $*"
  return 1
}
override() {
  mkdir -p $overrides
  cat >"$overrides/$1.conf"
  systemctl daemon-reload
}

say "ready: it is started, tells its figures and answers"
systemd-sysusers
sed -i 's|^data = "./coracle-data"$|data = "/var/lib/coracle"|' $config
systemd-tmpfiles --create coracle.conf
systemctl start coracle.service
[ "$(status $url/v2/)" = 200 ]
[ "$(shown NRestarts)" = 0 ]
shown StatusText | grep -q '^serving on http://127.0.0.1:5000; 0 repositories'
[ "$(stat -c '%U %a' /var/lib/coracle)" = 'coracle 700' ]
systemd-analyze security --no-pager --threshold=12 coracle.service >/tmp/exposure
grep 'Overall exposure' /tmp/exposure | sed 's/^[^A-Za-z]*/   /'
head -c 300000 /dev/urandom >/tmp/blob
digest=sha256:$(sha256sum /tmp/blob | cut -d' ' -f1)
push() { status -X POST -H 'Content-Type: application/octet-stream' --data-binary @/tmp/blob "$@"; }
[ "$(push "$url/v2/app/blobs/uploads/?digest=$digest")" = 201 ]

say "reload: other rules hold, a mistake changes nothing and is told"
before=$(pid)
cp $config /tmp/good.toml
printf '\n[[access]]\nwho = "anyone"\nrepositories = "open/**"\nactions = "pull"\n' >>$config
systemctl reload coracle.service
[ "$(status "$url/v2/app/blobs/$digest")" = 401 ]
echo 'nonsense = 1' >>$config
fails systemctl reload coracle.service
[ "$(status "$url/v2/app/blobs/$digest")" = 401 ]
shown StatusText | grep -q '^the last reload was refused: configuration: '
cp /tmp/good.toml $config
systemctl reload coracle.service
[ "$(status "$url/v2/app/blobs/$digest")" = 200 ]
shown StatusText | grep -q '^serving on'
kill -HUP "$before"
eventually sh -c 'journalctl -u coracle.service | grep -c "reading the configuration" | grep -qx 4'
[ "$(pid)" = "$before" ]

say "watchdog: fed while it lives, and the end of a process that hangs"
override watchdog <<'END'
[Service]
WatchdogSec=4
END
systemctl restart coracle.service
before=$(pid)
sleep 9
[ "$(pid)" = "$before" ]
kill -STOP "$before"
another() { [ "$(pid)" != "$before" ] && [ "$(status $url/v2/)" = 200 ]; }
eventually another
[ "$(shown NRestarts)" = 1 ]
journalctl --no-pager -u coracle.service | grep -q 'Watchdog timeout'
[ "$(status "$url/v2/app/blobs/$digest")" = 200 ]

say "drain: a running upload is finished before it stops"
digest_again=sha256:$(cat /tmp/blob /tmp/blob | sha256sum | cut -d' ' -f1)
cat /tmp/blob /tmp/blob >/tmp/blobs
status --limit-rate 150k -X POST -H 'Content-Type: application/octet-stream' --data-binary @/tmp/blobs \
  "$url/v2/app/blobs/uploads/?digest=$digest_again" >/tmp/answer &
uploading=$!
eventually sh -c 'ls /var/lib/coracle/uploads | grep -q .'
sleep 1
systemctl stop coracle.service
wait $uploading
[ "$(cat /tmp/answer)" = 201 ]
[ "$(shown Result)" = success ]
systemctl start coracle.service
[ "$(status "$url/v2/app/blobs/$digest_again")" = 200 ]
systemctl stop coracle.service

say "activation: the first request starts it, and restarts lose none"
systemctl start coracle.socket
fails systemctl is-active --quiet coracle.service
[ "$(status $url/v2/)" = 200 ]
systemctl is-active --quiet coracle.service
asking() {
  until [ -e /tmp/enough ]; do
    code=$(status "$url/v2/app/blobs/$digest") || code="none"
    echo "$code"
  done >"/tmp/answers.$1"
}
for client in 1 2 3; do asking $client & done
for _ in 1 2 3 4 5; do systemctl restart coracle.service; sleep 0.5; done
touch /tmp/enough
wait
cat /tmp/answers.* >/tmp/answers
[ "$(wc -l </tmp/answers)" -ge 30 ]
fails grep -vx 200 /tmp/answers
say "   $(wc -l </tmp/answers) requests across 5 restarts"

say "no network: it serves what was handed over, and is alive"
override no-network </test/drop-ins/no-network.conf
systemctl stop coracle.service
systemctl start coracle-ops.socket
systemctl restart coracle.service
before=$(pid)
[ "$(status http://127.0.0.1:5001/metrics)" = 200 ]
[ "$(status "$url/v2/app/blobs/$digest")" = 200 ]
[ "$(readlink "/proc/$before/ns/net")" != "$(readlink /proc/self/ns/net)" ]
sleep 9
[ "$(pid)" = "$before" ]
journalctl --no-pager -u coracle.service | grep -q 'cannot be reached from the server itself'
rm $overrides/no-network.conf

say "credentials and HTTPS: secrets of root's, on a port below 1024"
install -d -m 0700 /etc/coracle/secrets
coracle cert self-signed --host localhost --host 127.0.0.1 --out /etc/coracle/secrets >/dev/null
# The user ada, whose password is: correct horse battery
# shellcheck disable=SC2016
echo 'ada:$2y$04$BIdWWg8yfJMUGw4GUowMT.hfyFeYHugGcmcsGsVaCAXVcX0WQOwRu' >/etc/coracle/secrets/htpasswd
chmod 0600 /etc/coracle/secrets/*
cat >$config <<'END'
[storage]
data = "/var/lib/coracle"
[tls]
certificate = "credential:cert.pem"
key = "credential:key.pem"
[auth]
htpasswd = "credential:htpasswd"
END
override credentials </test/drop-ins/credentials.conf
systemctl stop coracle.service coracle.socket coracle-ops.socket
systemctl start coracle-https.socket
curl() { command curl --cacert /etc/coracle/secrets/cert.pem "$@"; }
[ "$(status https://localhost/v2/)" = 401 ]
[ "$(status -u 'ada:correct horse battery' "https://localhost/v2/app/blobs/$digest")" = 200 ]
fails runuser -u coracle -- cat /etc/coracle/secrets/key.pem
systemctl reload coracle.service
# Who types a command has no credentials, and needs none.
runuser -u coracle -- coracle repo list --config $config >/dev/null
systemctl stop coracle-https.socket coracle.service

say "a mistake in the configuration: it does not start, and the journal has the line"
printf '[limits]\nworkers = 1\n' >$config
fails systemctl start coracle.service
journalctl --no-pager -u coracle.service | grep -q "coracle.toml:2: no such key"
trap - ERR
