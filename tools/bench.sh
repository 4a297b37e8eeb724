#!/usr/bin/env bash
# Copies 200,000 charges (and 20,000 customers) from the simulator over loopback and prints what it cost.
set -euo pipefail
charges=${1:-200000}
program="${CARGO_TARGET_DIR:-target}/release/tallyhouse"
data=$(mktemp -d)
sim=
trap '[ -z "$sim" ] || kill "$sim"; rm -rf "$data"' EXIT
exec 3< <(exec "$program" sim --unlimited --listen 127.0.0.1:0 --charges "$charges")
sim=$!
read -r line <&3
address=$(grep -o 'http://[0-9.:]*' <<<"$line")
export TALLYHOUSE__STRIPE__API_URL=$address
export TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND=20000 TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND_PER_ENDPOINT=20000
"$program" --data "$data" connect stripe --api-key-stdin <<<"${line##* }" >/dev/null
python3 - "$program" "$data" "$charges" <<'P'
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
