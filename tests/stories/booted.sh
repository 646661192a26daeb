#!/usr/bin/env bash
# Runs in a Debian that systemd has booted, with the packages of dot2hsm and SoftHSM2 installed: the
# server and the device as the units run them, both with their keys in tokens.
# Usage: booted.sh; called by packages.sh in its long form.
set -euo pipefail
umask 077
cd /root
lab=/var/lib/dot2hsm/lab conf=/etc/dot2hsm/dot2hsm.conf

fail() {
    echo "FAILED: $*" >&2
    journalctl -u dot2hsm-ra -u dot2hsm-ee-sync --no-pager -o cat | tail -n 40 >&2
    exit 1
}
as_service() {
    runuser -u dot2hsm -- "$@"
}
property() {
    systemctl show -p "$2" --value "$1"
}

for token in ra rse; do
    printf %s "pin-of-$token" >/etc/dot2hsm/$token.pin
    softhsm2-util --init-token --free --label $token --pin "pin-of-$token" --so-pin 87654321 >/dev/null
done
dot2hsm lab init "$lab" --module /usr/lib/softhsm/libsofthsm2.so --ra-token pkcs11:token=ra \
    --pin-source file:/etc/dot2hsm/ra.pin >/dev/null
sed 's#^pin-source.*#pin-source = credential:ra.pin#' "$lab/ra.conf" >/etc/dot2hsm/ra.conf
cat >"$conf" <<EOF
[provider]
pkcs11-module = /usr/lib/softhsm/libsofthsm2.so
token = pkcs11:token=rse
pin-source = credential:rse.pin

[ee]
ra-url = https://localhost:8892
tls-root = $lab/trust/x509-root.pem
anchors = $lab/trust/root.oer
certificates = $lab/trust
ra-certificate = $lab/trust/ra.oer
enrollment-certificate = /var/lib/dot2hsm/enrollment.oer
enrollment-key = pkcs11:token=rse;object=enrollment
enrollment = explicit
application-token = pkcs11:token=rse
state-dir = /var/lib/dot2hsm/rse
EOF

# Enrolled by hand, as root.
sed 's#credential:rse.pin#file:/etc/dot2hsm/rse.pin#' "$conf" >enroll.conf
dot2hsm ee enroll --config enroll.conf --psid 0x82 --request "$lab/eca/requests/rse.oer" >/dev/null
dot2hsm lab run --once --enrollment explicit "$lab" >/dev/null
dot2hsm ee enroll --config enroll.conf --response "$lab/eca/responses/rse.oer" >/dev/null

# What the unit's comment says of SoftHSM, and the files for their user. The PINs stay root's.
chown -R dot2hsm:dot2hsm /var/lib/dot2hsm
chgrp dot2hsm /etc/dot2hsm/*.conf
chmod 640 /etc/dot2hsm/*.conf
chown -R dot2hsm:softhsm /var/lib/softhsm/tokens/*
for unit in dot2hsm-ra dot2hsm-ee-sync; do
    mkdir -p /etc/systemd/system/$unit.service.d
    printf '[Service]\nReadWritePaths=/var/lib/softhsm/tokens\nSupplementaryGroups=softhsm\n' \
        >/etc/systemd/system/$unit.service.d/softhsm.conf
done
chmod -R go+rX /etc/systemd/system
systemctl daemon-reload

# The server is ready when start returns, and has no right that it does not need.
systemctl start dot2hsm-ra || fail "the server does not start"
pid=$(property dot2hsm-ra MainPID)
for line in 'CapEff:[[:space:]]*0*$' 'CapPrm:[[:space:]]*0*$' 'NoNewPrivs:[[:space:]]*1$' \
    'Seccomp:[[:space:]]*2$'; do
    grep -qE "^$line" "/proc/$pid/status" || fail "$(grep "^${line%%:*}" "/proc/$pid/status")"
done
! as_service cat "/proc/$pid/environ" >/dev/null 2>&1 || fail "a process of its user can look into it"
! as_service cat /etc/dot2hsm/ra.pin 2>/dev/null || fail "the service's user can read the PIN's file"
systemctl is-enabled -q dot2hsm-ra && fail "the packages have enabled the server"

# The device, by its timer's service: a request, and what became of it.
systemctl enable -q --now dot2hsm-ee-sync.timer
[ -n "$(property dot2hsm-ee-sync.timer NextElapseUSecRealtime)" ] || fail "no next time of the timer"
systemctl start dot2hsm-ee-sync || fail "the device's first turn"
as_service dot2hsm lab run --once "$lab" | grep -q '^1 request answered' || fail "no request for the CA"
sleep 3 # the lab's certificate-delay
systemctl start dot2hsm-ee-sync || fail "the device's second turn"
as_service dot2hsm ee status --config "$conf" >status || true # the PIN is the service's alone
grep -qE '^application +[0-9a-f]{16} explicit valid ' status || fail "$(cat status)"

# Reload, a crash, a stop.
systemctl reload dot2hsm-ra || fail "reload"
[ "$(property dot2hsm-ra MainPID)" = "$pid" ] || fail "a reload has started it anew"
kill -KILL "$pid"
for _ in $(seq 40); do
    [ "$(property dot2hsm-ra NRestarts)" = 1 ] && systemctl is-active -q dot2hsm-ra && break
    sleep 0.5
done
systemctl is-active -q dot2hsm-ra || fail "not started again after it was killed"
systemctl start dot2hsm-ee-sync || fail "the device after that"
systemctl stop dot2hsm-ra
[ "$(property dot2hsm-ra Result)" = success ] || fail "a stop is not a success"

# A mistake in the configuration is said once and not tried again.
printf '[ra]\nprot = 8892\n' >>/etc/dot2hsm/ra.conf
! systemctl start dot2hsm-ra 2>/dev/null || fail "it started with a mistake in its configuration"
sleep 6 # longer than RestartSec
[ "$(property dot2hsm-ra ActiveState)" = failed ] || fail "tried again: $(property dot2hsm-ra ActiveState)"
[ "$(property dot2hsm-ra ExecMainStatus)" = 2 ] || fail "ended with $(property dot2hsm-ra ExecMainStatus)"
journalctl -u dot2hsm-ra -o cat --no-pager | grep -q 'prot' || fail "the journal does not name the mistake"
! journalctl --no-pager | grep -F -e pin-of-ra -e pin-of-rse || fail "a PIN in the journal"
systemctl is-failed -q dot2hsm-ee-sync && fail "the device's service has failed"
echo "systemd: the units started, served, were reloaded, restarted and stopped"
