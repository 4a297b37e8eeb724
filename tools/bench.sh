#!/usr/bin/env bash
# Copies charges (200,000 unless told, with a customer for every ten) from the simulator over loopback and prints what it
# cost; then fewer of them under Stripe's limits of 100 requests a second and 25 for each endpoint.
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

connect free --unlimited --charges "$charges"
TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND=20000 TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND_PER_ENDPOINT=20000 \
  python3 - "$program" "$data/free" "$charges" <<'P'
import resource, subprocess, sys, time
program, data, charges = sys.argv[1], sys.argv[2], int(sys.argv[3])
began = time.monotonic()
said = subprocess.run([program, "--data", data, "sync"], check=True, capture_output=True, text=True).stdout
seconds = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
objects = charges + charges // 10
requests = int(said.strip().splitlines()[-1].split(" rows in ")[1].split()[0])
least = -(-charges // 100) - (-charges // 1000)
print(f"objects            {objects:,}")
print(f"objects/s          {objects / seconds:,.0f}")
print(f"CPU-s per 100,000  {cpu / objects * 100_000:.2f} (client and DuckDB; the simulator apart)")
print(f"requests           {requests:,} against {least:,} at least")
print(f"peak memory        {used.ru_maxrss / 1024:.0f} MB")
P

connect limited --charges "$limited"
TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND=100 TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND_PER_ENDPOINT=25 \
  python3 - "$program" "$data/limited" "$limited" <<'P'
import subprocess, sys, time
program, data, charges = sys.argv[1], sys.argv[2], int(sys.argv[3])
began = time.monotonic()
said = subprocess.run([program, "--data", data, "sync"], check=True, capture_output=True, text=True).stdout
seconds = time.monotonic() - began
requests = int(said.strip().splitlines()[-1].split(" rows in ")[1].split()[0])
pages = -(-charges // 100)
least = pages / 25
print(f"under limits       {seconds:.1f} s against {least:.1f} s at least for {pages:,} pages of one list: {seconds / least * 100 - 100:+.1f} %")
print(f"requests           {requests:,} against {pages - (-charges // 1000):,} at least")
P
