#!/usr/bin/env bash
# How many webhooks a second are taken durably (60,000 unless told), and how long one takes until its row is in the warehouse. The
# built program serves a copy of a simulated Stripe and polls nothing. Sender, simulator and program share the machine.
set -euo pipefail
count=${1:-60000}
built="${CARGO_TARGET_DIR:-target}/release"
program="$built/tallyhouse"
cargo build --quiet --release -p stripe-sim --example webhook_load
data=$(mktemp -d)
sim= server=
trap 'for started in $server $sim; do kill "$started"; done; rm -rf "$data"' EXIT

exec 3< <(exec "$program" sim --listen 127.0.0.1:0 --unlimited --charges 2000)
sim=$!
read -r line <&3
export TALLYHOUSE__STRIPE__API_URL
TALLYHOUSE__STRIPE__API_URL=$(grep -o 'http://[0-9.:]*' <<<"$line")
key=${line##* }
"$program" --data "$data" connect stripe --api-key-stdin <<<"$key" >/dev/null
"$program" --data "$data" sync >/dev/null

# The platform's endpoint, since its secret can be configured.
secret=whsec_benchbenchbenchbench
exec 4< <(TALLYHOUSE__STRIPE__WEBHOOK_SECRET=$secret TALLYHOUSE__UPDATES__EVERY_MINUTES=0 TALLYHOUSE__SERVER__LISTEN=127.0.0.1:0 \
  exec "$program" --data "$data" serve)
server=$!
read -r line <&4
hooks=$(grep -o 'http://[0-9.:]*' <<<"$line")/webhooks/stripe
account=$(curl -s -u "$key:" "$TALLYHOUSE__STRIPE__API_URL/v1/account" | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')

python3 - "$program" "$data" "$hooks" "$account" "$secret" "$key" <<'P'
import hashlib, hmac, json, os, subprocess, sys, time, urllib.request
program, data, hooks, account, secret, key = sys.argv[1:]
listed = urllib.request.Request(os.environ["TALLYHOUSE__STRIPE__API_URL"] + "/v1/customers?limit=1", headers={"Authorization": "Bearer " + key})
customer = json.load(urllib.request.urlopen(listed))["data"][0]["id"]
took = []
for number in range(20):
    at, event = int(time.time()), f"evt_one_{number}"
    body = json.dumps({"id": event, "object": "event", "account": account, "livemode": False, "created": at, "type": "customer.updated",
                       "api_version": None, "pending_webhooks": 1, "request": None, "data": {"object": {"id": customer, "object": "customer"}}}).encode()
    signed = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256).hexdigest()
    began = time.monotonic()
    urllib.request.urlopen(urllib.request.Request(hooks, body, {"Stripe-Signature": f"t={at},v1={signed}"})).read()
    sql = f"SELECT count(*) AS n FROM stripe.events WHERE id = '{event}'"
    while "1" not in subprocess.run([program, "--data", data, "query", "--format", "csv", sql], check=True, capture_output=True, text=True).stdout:
        if time.monotonic() - began > 60:
            sys.exit("the row did not come within a minute")
    took.append(time.monotonic() - began)
took.sort()
print(f"webhook to row     {took[len(took) // 2]:.2f} s (half), {took[-1]:.2f} s (the longest of {len(took)}); asking for it costs some hundredths")
P

"$built/examples/webhook_load" "$hooks" "$account" "$count" <<<"$secret"
began=$(date +%s.%N)
while ! "$program" --data "$data" query --format csv "SELECT 'all ' || (count(*) >= $count) AS done FROM stripe.events" | grep -q 'all true'; do sleep 0.2; done
echo "all in the warehouse $(python3 -c "import sys; print(f'{float(sys.argv[2]) - float(sys.argv[1]):.1f}')" "$began" "$(date +%s.%N)") s after the last was taken"
