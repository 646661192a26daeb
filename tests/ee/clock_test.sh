#!/usr/bin/env bash
# The clock of a device is wrong, or jumps: by an hour forth and back, by a leap second, by years
# (1970, 2004, years ahead), before, between and during runs. Nothing that waits or is installed is lost,
# the RA is not stormed, what is wrong is said, and with the right clock all goes on by itself.
# With DOT2HSM_LONG the clock jumps at each of its readings during a run.
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
hour=3600 day=86400 year=31536000

# at CLOCK OFFSET [TAI [READINGS OFFSET]]: as clock_shim.c says
at() {
    echo "$2 ${3:-0} ${4:-} ${5:-}" >"$work/$1.new"
    mv "$work/$1.new" "$work/$1"
}
at server 0
at device 0
CLOCK_SHIM=$work/server LD_PRELOAD=$tools/clock_shim.so sync_lab
conf=$lab/rse.conf
state=$lab/rse/state
# ee COMMAND OPTION...: of $conf, by the device's clock
by_clock=(env CLOCK_SHIM="$work/device" LD_PRELOAD="$tools/clock_shim.so" "$dot2hsm" ee)
ee() { timeout 60 "${by_clock[@]}" "$1" --config "$conf" "${@:2}"; }
cas() { "$dot2hsm" lab run --once "$lab" >>"$work/cas.log"; }
to_1970=-$(($(date +%s) - 1000)) to_2004=-$(($(date +%s) - 1072915200 - day))
# Limits have a part of their own below.
calm() { sed -i '/^failure /d; /^in-a-row /d' "$state/state"; }
failures() { grep -c '^failure ' "$state/state" || true; }
# asked: requests and downloads that the RA has got so far, refused ones among them
asked() { grep -c -e 'event=served' -e 'event=refused' -e 'event=accepted' "$work/ra.log" || true; }
# contents: of what must not change while the clock is wrong
contents() {
    (cd "$state" && find . -type f ! -name state ! -name lock -exec sha256sum {} + | sort
        grep -v -e '^failure' -e '^last-' -e '^in-a-row' -e '^clock' state)
}
# unchanged WHAT COMMAND...: fails with 1, and nothing is lost
unchanged() {
    contents >"$work/before"
    expect 1 "${@:2}"
    contents >"$work/after"
    diff "$work/before" "$work/after" >&2 || fail "$1: something was lost"
    calm
}

echo "- a clock that cannot be, before there is anything"
at device "$to_1970"
expect 1 ee sync
says "the clock is wrong: it says 1970-01-01T"
expect 1 ee status
says "the clock is wrong: it says 1970-01-01T"
expect 1 ee download --service policy -o "$work/x"
says "and this clock says 1970-01-01T"
expect 1 ee download "0123456789abcdef.zip" -o "$work/x"
says "starts 20"
at device "$to_2004"
expect 1 ee sync
says "starts 20"
says "and this clock says 2004-01-02T"
calm
at device $((50 * year))
expect 1 ee sync
says "ended 20"
says "and this clock says 20"
calm

echo "- an hour off"
for offset in "$hour" "-$hour"; do
    at device "$offset"
    expect 1 ee sync
    says "and the RA's says"
    [ "$(failures)" = 1 ] || fail "not counted as a failure"
    calm
done
expect 1 ee download "0123456789abcdef.zip" -o "$work/x"
grep -q "this clock is \(3599\|3600\|3601\) s behind the RA's" "$work/err" || fail "$(cat "$work/err")"
[ "$(requests)" = 0 ] || fail "a request with a wrong clock"

echo "- a key that waits for its certificate"
at device 0
expect 0 ee sync
[ "$(requests)" = 1 ] || fail "$(requests) requests"
ls "$state"/request-*.verify.pem >/dev/null
for offset in $((2 * day)) $((2 * year)) $((50 * year)) "-$hour" "$to_2004" "$to_1970"; do
    at device "$offset"
    unchanged "a key that waits, $offset s" ee sync
done
sleep 2.5 # to certDLTime
calm
cp -a "$state" "$work/waiting"

# jumping OFFSET: the clock jumps by so much at each of its readings during a run, or at some of them
jumping() {
    local readings step n
    at device 0
    expect 1 env CLOCK_SHIM_READINGS="$work/readings" "${by_clock[@]}" sync --config "$conf"
    readings=$(cat "$work/readings")
    step=$((readings / 12 + 1))
    [ -z "${DOT2HSM_LONG:-}" ] || step=1
    for n in $(seq 1 "$step" "$readings"); do
        rm -rf "$state"
        cp -a "$work/waiting" "$state"
        at device 0 0 "$n" "$1"
        unchanged "a jump at reading $n of $readings" ee sync
    done
    rm -rf "$state"
    cp -a "$work/waiting" "$state"
}
echo "- the clock jumps during a run"
jumping $((2 * day))
[ -z "${DOT2HSM_LONG:-}" ] || jumping "-$hour"
[ -z "${DOT2HSM_LONG:-}" ] || jumping $((2 * year))

echo "- a run that waits, with a clock that jumps"
at device "$to_1970"
"${by_clock[@]}" sync --wait --config "$conf" >"$work/wait.out" 2>"$work/wait.err" &
waiting=$!
before=$(asked)
sleep 3
[ "$(asked)" = "$before" ] || fail "the RA was asked in 1970"
[ "$(grep -c "says 1970-" "$work/wait.err")" -le 2 ] || fail "a try after the other"
cas
at device 0
wait "$waiting" || fail "the waiting run: $(cat "$work/wait.err")"
grep -q "is valid until" "$work/wait.out" || fail "no certificate"
[ "$(requests)" = 1 ] || fail "$(requests) requests"
expect 0 ee status
# While it waits for certDLTime: a new request, for a new state. Its two seconds are over by any clock
# but the device's, which is then said to be wrong; not an hour later.
rm -rf "$state"
"${by_clock[@]}" sync --wait --config "$conf" >"$work/wait.out" 2>"$work/wait.err" &
waiting=$!
for _ in $(seq 100); do
    ! grep -q "next: the download" "$work/wait.out" || break
    sleep 0.05
done
at device "-$hour"
cas
for _ in $(seq 100); do
    ! grep -q "and the RA's says" "$work/wait.err" || break
    sleep 0.1
done
grep -q "and the RA's says" "$work/wait.err" || fail "waits by a clock that was set back"
kill "$waiting"
wait "$waiting" && fail "it was interrupted"
at device 0
calm
expect 0 ee sync --wait

echo "- an application certificate"
cp "$state"/application-*.oer "$work/application.oer"
for offset in $((2 * day)) $((10 * year)) "$to_2004"; do
    at device "$offset"
    unchanged "a certificate, $offset s" ee sync
done
at device $((10 * year))
expect 1 ee sign --psid 0x82 -o "$work/x" "$lab/README"
says "the application certificate is expired"
at device 0
expect 0 ee sync
expect 0 ee sign --psid 0x82 -o "$work/x" "$lab/README"
cmp "$state"/application-*.oer "$work/application.oer" || fail "another certificate"

echo "- a leap second, as the kernel tells it"
name=$(sed -n 's/.* \([0-9A-F]*\.zip\)$/\1/p' "$work/cas.log" | tail -n 1)
for tai in "0 37" "-1 38" "-100 137"; do # the last: if TAI were not followed, 100 s off
    # shellcheck disable=SC2086 # two words
    at device $tai
    expect 0 ee download --restart "$name" -o "$work/x"
    expect 0 ee sync
done

echo "- the limits hold whatever is done to the clock"
at device 0
expect 0 ee sync
now=$(date +%s)
for i in 9 8 7 6 5 4 3 2 1 0; do echo "failure $((now - 60 * i - 10))"; done >>"$state/state"
before=$(asked)
for offset in 0 $((2 * hour)) "-$hour" $((10 * year)) 0; do
    at device "$offset"
    expect 1 ee sync
    says "stopped: 10 failures within 60 minutes"
done
# The first of them was 550 s ago by any clock, so that 3050 s are left of its hour.
left=$(($(date -d "$(sed -n 's/.*possible at //p' "$work/err")" +%s) - $(date +%s)))
[ "$left" -ge 2980 ] && [ "$left" -le 3060 ] || fail "$left s are left of an hour"
# Of another start of the kernel, with a clock that was years ahead: for an hour, and not for years.
calm
for i in 9 8 7 6 5 4 3 2 1 0; do echo "failure $((now + 10 * year - 60 * i))"; done >>"$state/state"
sed -i 's/^clock .*/clock another-start 0/' "$state/state"
expect 1 ee sync
ends=$(sed -n 's/.*possible at //p' "$work/err")
sleep 1.1
expect 1 ee sync
[ "$(sed -n 's/.*possible at //p' "$work/err")" = "$ends" ] || fail "the hour begins with each run"
left=$(($(date -d "$ends" +%s) - $(date +%s)))
[ "$left" -ge 3560 ] && [ "$left" -le 3600 ] || fail "$left s are left of an hour"
[ "$(asked)" = "$before" ] || fail "the RA was asked"
calm
expect 0 ee sync

echo "- a new certificate that begins later does not put out the one that is valid"
sed 's/^\[ee\]/[ee]\nrenew-before = 8000/' "$conf" >"$work/renew.conf"
echo "icy road" >"$work/message"
signs() { expect 0 ee sign --psid 0x82 -o "$work/signed" "$work/message"; }
before=$(sed -n 's/^certificate //p' "$state/state")
at server 1000
at device 1000
conf=$work/renew.conf expect 0 ee sync
cas
# Both clocks were ahead when it was asked for.
at server 0
at device 0
made=$(sed -n 's/^made //p' "$state/state")
sed -i "s/^download-time .*/download-time $((made - 1010))/" "$state/state"
expect 0 ee sync
says "next: the download at"
[ "$(sed -n 's/^certificate //p' "$state/state")" = "$before" ] || fail "it was replaced"
expect 0 ee status
says "download "
signs
expect 0 ee sync
at server 1010
at device 1010
expect 0 ee sync
[ "$(sed -n 's/^certificate //p' "$state/state")" != "$before" ] || fail "it was not replaced"
signs
at server 0
at device 0

echo "- batches of pseudonym certificates"
conf=$work/obe.conf state=$work/state
{
    sed -n '/^\[ee\]/,$p' "$lab/obe.conf" | sed -e '/^state-dir/d' -e '/^provision/d'
    echo "state-dir = $state"
    echo "provision = pseudonym"
} >"$conf"
expect 0 ee sync
cas
expect 0 ee sync --wait
ls -d "$state"/pseudonym-* >/dev/null
for offset in $((60 * day)) $((10 * year)) "$to_2004"; do
    at device "$offset"
    unchanged "batches, $offset s" ee sync
done
cp -a "$state" "$work/batches"
# It is so much later indeed: what is over goes.
at server $((60 * day))
at device $((60 * day))
ee sync >"$work/out" 2>"$work/err" || true
[ "$(ls "$state" | grep -c '^pseudonym-')" -lt "$(ls "$work/batches" | grep -c '^pseudonym-')" ] ||
    fail "what is over was kept: $(cat "$work/err")"

echo ok
