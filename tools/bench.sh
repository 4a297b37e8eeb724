#!/usr/bin/env bash
# Copies charges (200,000 unless told, each with a balance transaction, and a customer for every hundred) from the simulator
# over loopback and prints what it cost; then fewer of them under Stripe's limits of 100 requests a second and 25 for each endpoint.
# Three lists must be asked customer by customer: payment methods, balance and cash balance transactions.
# Then webhooks: see bench-webhooks.sh.
set -euo pipefail
charges=${1:-200000}
limited=${2:-120000}
program="${CARGO_TARGET_DIR:-target}/release/tallyhouse"
data=$(mktemp -d)
sim=
trap '[ -z "$sim" ] || kill "$sim"; rm -rf "$data"' EXIT

# Starts a simulator with the given arguments and connects it in a data folder of its own.
connect() {
  [ -z "$sim" ] || kill "$sim"
  exec 3< <(exec "$program" sim --listen 127.0.0.1:0 "${@:2}")
  sim=$!
  read -r line <&3
  TALLYHOUSE__STRIPE__API_URL=$(grep -o 'http://[0-9.:]*' <<<"$line")
  export TALLYHOUSE__STRIPE__API_URL
  "$program" --data "$data/$1" connect stripe --api-key-stdin <<<"${line##* }" >/dev/null
}

# Copies what is connected in the given folder, at most so many requests a second in all and for each endpoint, and tells
# seconds, CPU seconds, megabytes and requests.
measure() {
  TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND=$2 TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND_PER_ENDPOINT=$3 \
    python3 - "$program" "$data/$1" <<'P'
import resource, subprocess, sys, time
began = time.monotonic()
said = subprocess.run([sys.argv[1], "--data", sys.argv[2], "sync"], check=True, capture_output=True, text=True).stdout
seconds = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
requests = int(said.strip().splitlines()[-1].split(" rows in ")[1].split()[0])
print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, requests)
P
}

connect free --unlimited --charges "$charges"
cost=$(measure free 20000 20000)
python3 - "$charges" $cost <<'P'
import sys
charges, requests = int(sys.argv[1]), int(sys.argv[5])
seconds, cpu, memory = map(float, sys.argv[2:5])
customers = charges // 100
objects = 2 * charges + customers
least = 2 * -(-charges // 100) - (-customers // 100) + 3 * customers
print(f"objects            {objects:,}")
print(f"objects/s          {objects / seconds:,.0f}")
print(f"CPU-s per 100,000  {cpu / objects * 100_000:.2f} (client and DuckDB; the simulator apart)")
print(f"requests           {requests:,} against {least:,} at least")
print(f"peak memory        {memory:.0f} MB")
P

connect limited --charges "$limited"
cost=$(measure limited 100 25)
python3 - "$limited" $cost <<'P'
import sys
charges, seconds, requests = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[5])
pages = -(-charges // 100)
customers = charges // 100
least_requests = 2 * pages - (-customers // 100) + 3 * customers
# Each of the two long lists is one endpoint, and so is each of the three that are asked customer by customer.
least = max(pages / 25, customers / 25, least_requests / 100)
print(f"under limits       {seconds:.1f} s against {least:.1f} s at least for {pages:,} pages of each of two lists and {customers:,} customers: {seconds / least * 100 - 100:+.1f} %")
print(f"requests           {requests:,} against {least_requests:,} at least")
P


