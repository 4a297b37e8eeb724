#!/usr/bin/env bash
# How many webhooks a second are taken durably (60,000 unless told), and how long one takes until its row is in the warehouse. The
# built program serves a copy of a simulated Stripe and polls nothing. Sender, simulator and program share the machine.
set -euo pipefail
count=${1:-60000}
built="${CARGO_TARGET_DIR:-target}/release"
program="$built/tallyhouse"
# The same selection of crates as everywhere: another one can change what DuckDB's build script is built with.
cargo build --quiet --release --workspace --examples
data=$(mktemp -d)
sim= server=
trap 'for started in $server $sim; do kill "$started"; done; rm -rf "$data"' EXIT

exec 3< <(exec "$program" sim --listen 127.0.0.1:0 --unlimited --charges 2000)
sim=$!
read -r line <&3
# What the program does is measured, not how fast Stripe lets itself be asked.
export TALLYHOUSE__STRIPE__API_URL TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND=20000 TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND_PER_ENDPOINT=20000
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

BENCH_KEY=$key BENCH_SECRET=$secret python3 - "$program" "$data" "$hooks" "$built/examples/webhook_load" "$count" <<'P'
import hashlib, hmac, json, os, subprocess, sys, time, urllib.request
program, data, hooks, load, count = sys.argv[1:]
key, secret = os.environ["BENCH_KEY"], os.environ["BENCH_SECRET"]

def stripe(path):
    asked = urllib.request.Request(os.environ["TALLYHOUSE__STRIPE__API_URL"] + path, headers={"Authorization": "Bearer " + key})
    return json.load(urllib.request.urlopen(asked))

def stored(sql):
    asked = subprocess.run([program, "--data", data, "query", "--format", "csv", sql], check=True, capture_output=True, text=True)
    return int(asked.stdout.split()[-1])

def wait_for(sql, number, seconds, pause):
    began = time.monotonic()
    while stored(sql) < number:
        if time.monotonic() - began > seconds:
            sys.exit(f"the rows did not come within {seconds} s: {stored(sql)} of {number}")
        time.sleep(pause)

account, customer = stripe("/v1/account")["id"], stripe("/v1/customers?limit=1")["data"][0]["id"]
took = []
for number in range(20):
    at, event = int(time.time()), f"evt_one_{number}"
    body = json.dumps({"id": event, "object": "event", "account": account, "livemode": False, "created": at, "type": "customer.updated",
                       "api_version": None, "pending_webhooks": 1, "request": None, "data": {"object": {"id": customer, "object": "customer"}}}).encode()
    signed = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256).hexdigest()
    began = time.monotonic()
    urllib.request.urlopen(urllib.request.Request(hooks, body, {"Stripe-Signature": f"t={at},v1={signed}"})).read()
    wait_for(f"SELECT count(*) AS n FROM stripe.events WHERE id = '{event}'", 1, 60, 0.02)
    took.append(time.monotonic() - began)
took.sort()
print(f"webhook to row     {took[len(took) // 2]:.2f} s (half), {took[-1]:.2f} s (the longest of {len(took)}); asking for it costs some hundredths", flush=True)

before = stored("SELECT count(*) AS n FROM stripe.events")
sent = subprocess.run([load, hooks, account, count], input=secret + "\n", check=True, capture_output=True, text=True).stdout
began = time.monotonic()
print(sent, end="", flush=True)
if " 0 refused" not in sent:
    sys.exit("some webhooks were refused: the server's log says why")
wait_for("SELECT count(*) AS n FROM stripe.events", before + int(count), 900, 0.5)
print(f"all in the warehouse {time.monotonic() - began:.1f} s after the last was taken")
P
