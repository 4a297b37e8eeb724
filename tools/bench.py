#!/usr/bin/env python3
"""Measures the built program against a simulated Stripe, and prints a table for docs/performance.md.

    make bench                               every part; all but `large` take about six minutes
    make bench PARTS="limits webhooks"       some: charges, mixed, latency, limits, large, webhooks
    make bench PARTS="mixed --strict"        ends with 1 when an aim is not met

The simulator shares the machine with what is measured; CPU time and memory are those of the client alone, DuckDB included.
Objects are those that have a list of their own: lines of invoices and items of subscriptions come beside.
"""
import argparse
import contextlib
import datetime
import hashlib
import hmac
import json
import math
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release"
PROGRAM = str(BUILT / "tallyhouse")
# What the program does is measured, not how fast Stripe lets itself be asked.
UNLIMITED = (20_000, 20_000)
# What Stripe allows a live account in a second: of all requests, and of those to one endpoint.
LIMITS = (100, 25)
PAGE = 100
SHOWN = 10
# Lines of a credit note that does not exist yet are in no list.
NO_LIST = {"/v1/credit_notes/preview/lines"}
# What these lists hide must be asked for apart.
TWICE = {"/v1/prices", "/v1/tax_rates", "/v2/core/accounts"}
# What a list holds only as part of something else: customers' payment methods are in no other list.
ELSEWHERE = {"/v1/payment_methods"}
# Nobody can have an object of the list while the account has none of the kind.
NEEDS = {"/v1/entitlements/active_entitlements": "entitlements.feature"}
NESTED = {"line_item": "invoice_line_items", "subscription_item": "subscription_items"}
TABLES = NESTED | {
    "customer": "customers", "payment_method": "payment_methods", "product": "products", "price": "prices", "plan": "plans",
    "subscription": "subscriptions", "invoice": "invoices", "invoice_payment": "invoice_payments", "invoiceitem": "invoice_items",
    "payment_intent": "payment_intents", "charge": "charges", "refund": "refunds",
    "balance_transaction": "balance_transactions", "payout": "payouts", "event": "events",
}
# Bytes of an object in the warehouse, generously: what is rewritten while it is stored too.
BYTES = 1_500


class Simulator:
    """A simulated Stripe, while it runs."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([PROGRAM, "sim", "--listen", "127.0.0.1:0", *arguments], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.address, self.key = re.search(r"http://[0-9.:]+", line).group(), line.split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def ask(self, path):
        asked = urllib.request.Request(self.address + path, headers={"Authorization": "Bearer " + self.key})
        with urllib.request.urlopen(asked) as answer:
            return json.load(answer)

    def stop(self):
        """Ends it; the CPU seconds that it took."""
        if self.process.returncode is None:
            self.process.terminate()
            _, _, used = os.wait4(self.process.pid, 0)
            self.process.returncode, self.cpu = 0, used.ru_utime + used.ru_stime
        return self.cpu


class Copy:
    """What copying a simulated Stripe into a new folder took."""

    def __init__(self, simulator, folder, rates):
        self.folder, self.simulator = folder, simulator
        self.environment = os.environ | {
            "TALLYHOUSE__STRIPE__API_URL": simulator.address,
            "TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND": str(rates[0]),
            "TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND_PER_ENDPOINT": str(rates[1]),
        }
        self.run("connect", "stripe", "--api-key-stdin", input=simulator.key)
        before = simulator.ask("/_sim/stats")
        self.seconds = self.cpu = self.memory = self.rows = self.requests = 0
        self.counts = simulator.ask("/_sim/counts")
        self.cycles, missing = 0, {"everything": 1}
        # A round that takes long ends a cycle; the next one goes on.
        while missing:
            self.cycle()
            before_that, missing = missing, self.missing()
            if missing and missing == before_that:
                sys.exit(f"the copy is not whole, and does not go on: {missing}")
        after = simulator.ask("/_sim/stats")
        self.refused = (after["refused"] - before["refused"]) / max(1, after["total"] - before["total"])
        self.objects = sum(count for kind, count in self.counts.items() if kind not in NESTED)

    def run(self, *arguments, **options):
        ended = subprocess.run([PROGRAM, "--data", self.folder, *arguments], env=self.environment, capture_output=True, text=True, **options)
        if ended.returncode != 0:
            sys.exit(f"tallyhouse {arguments[0]} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    def cycle(self):
        """One `sync`."""
        began = time.monotonic()
        with tempfile.TemporaryFile("w+") as errors:
            command = [PROGRAM, "--data", self.folder, "sync"]
            process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=errors, text=True)
            try:
                said = process.stdout.read()
            except SystemExit:
                process.kill()
                process.wait()
                raise
            # Of this process alone; of children that were waited for there is only a sum.
            _, status, used = os.wait4(process.pid, 0)
            errors.seek(0)
            said += "" if status == 0 else errors.read()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"tallyhouse sync ended with {process.returncode}: {said}")
        rows, requests = map(int, re.search(r"(\d+) rows in (\d+) requests", said).groups())
        self.seconds += time.monotonic() - began
        self.cpu += used.ru_utime + used.ru_stime
        self.memory = max(self.memory, used.ru_maxrss / 1024)
        self.rows, self.requests, self.cycles = self.rows + rows, self.requests + requests, self.cycles + 1

    def stored(self, sql):
        return int(self.run("query", "--format", "csv", sql).split()[-1])

    def missing(self):
        """How many rows are missing of each table, and how many parents were not asked for what belongs to them."""
        rows = {TABLES[kind]: count - self.stored(f"SELECT count(*) FROM stripe.{TABLES[kind]}") for kind, count in self.counts.items()}
        asked = self.simulator.ask("/_sim/stats")["by_path"]
        apart = {path: max(0, least - asked.get(re.sub(r"{[^}]+}", "{id}", path), 0)) for path, least in self.least().items() if "{" in path}
        return {what: count for what, count in (rows | apart).items() if count}

    def least(self):
        """The requests that any copy takes, by list: nobody can know that one is empty without asking."""
        long = {kind: self.stored(f"SELECT count(*) FROM (SELECT _parent FROM stripe.{table} GROUP BY 1 HAVING count(*) > {SHOWN})")
                for kind, table in NESTED.items() if kind in self.counts}
        requests = {}
        for known in self.simulator.ask("/_sim/lists"):
            path, kind, parent = known["path"], known["objects"][0], known["parent"]
            count = 0 if path in ELSEWHERE else self.counts.get(kind, 0)
            if path in NO_LIST or (path in NEEDS and not self.counts.get(NEEDS[path])):
                continue
            if parent is None:
                requests[path] = max(1, math.ceil(count / PAGE)) + (path in TWICE)
            elif known["shown"]:
                requests[path] = long.get(kind, 0)
            else:
                requests[path] = self.counts.get(parent["kind"], 0)
        return requests

    def disk(self):
        return sum(file.stat().st_size for file in pathlib.Path(self.folder).rglob("*") if file.is_file())


class Table:
    """What was measured, a line each."""

    def __init__(self):
        self.lines, self.failed = [], False

    def line(self, what, measured, aim="", met=None):
        self.failed |= met is False
        verdict = {None: "", True: "met", False: "**NOT met**"}[met]
        self.lines.append((what, measured, aim, verdict))
        print(f"  {what}: {measured}" + (f" (aim {aim}: {verdict})" if aim else ""), file=sys.stderr, flush=True)

    def text(self):
        head = [("", "measured", "aim", ""), ("---",) * 4]
        return "\n".join("| " + " | ".join(line) + " |" for line in head + self.lines)

    def speed(self, copy, least_objects):
        per_second, cpu = copy.objects / copy.seconds, copy.cpu / copy.objects * 100_000
        self.line("objects/s", f"{per_second:,.0f}: {copy.objects:,} in {copy.seconds:,.1f} s", f"{least_objects:,}", per_second >= least_objects)
        return cpu

    def cost(self, cpu, copy):
        self.line("CPU-s per 100,000 objects", f"{cpu:.2f}", "3", cpu <= 3)
        self.line("requests", f"{copy.requests:,} against {sum(copy.least().values()):,} at least")
        self.line("peak memory", f"{copy.memory:.0f} MB")

    def limited(self, copy):
        requests = copy.least()
        longest = max(requests, key=requests.get)
        least = max(sum(requests.values()) / LIMITS[0], requests[longest] / LIMITS[1])
        over = copy.seconds / least * 100 - 100
        self.line("under limits", f"{copy.seconds:.1f} s against {least:.1f} s at least: {over:+.1f} %", "+5 %", over <= 5)
        self.line("requests", f"{copy.requests:,} against {sum(requests.values()):,} at least, {requests[longest]:,} of them to {longest}")
        self.line("refused requests", f"{copy.refused:.2%}", "1 %", copy.refused <= 0.01)

    def simulator(self, copy):
        self.line("the simulator's own CPU-s per 100,000 objects", f"{copy.simulator.stop() / copy.objects * 100_000:.2f}")


@contextlib.contextmanager
def folder():
    """A data folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tallyhouse-bench-") as path:
        yield path


def charges(table):
    table.line("**charges**", "200,000 charges, their balance transactions, 2,000 customers")
    with folder() as data, Simulator("--unlimited", "--charges", "200000") as simulator:
        copy = Copy(simulator, data, UNLIMITED)
        table.cost(table.speed(copy, 30_000), copy)
        table.simulator(copy)
    with folder() as data, Simulator("--charges", "120000") as simulator:
        table.limited(Copy(simulator, data, LIMITS))


def mixed(table):
    table.line("**mixed**", "about 200,000 objects of a software company")
    with folder() as data, Simulator("--unlimited", "--objects", "200000") as simulator:
        copy = Copy(simulator, data, UNLIMITED)
        table.cost(table.speed(copy, 30_000), copy)
        table.simulator(copy)


def latency(table):
    table.line("**latency**", "about 100,000 mixed objects, each answer 50 ms later")
    with folder() as data, Simulator("--unlimited", "--objects", "100000", "--latency-ms", "50") as simulator:
        table.speed(Copy(simulator, data, UNLIMITED), 10_000)


def limits(table):
    table.line("**limits**", "about 96,000 mixed objects, 100 requests a second and 25 for each endpoint")
    with folder() as data, Simulator("--objects", "96000") as simulator:
        table.limited(Copy(simulator, data, LIMITS))


def large(table, objects):
    table.line("**large**", f"about {objects:,} mixed objects")
    with folder() as data:
        room = shutil.disk_usage(data).free
        if room < objects * BYTES:
            table.line("skipped", f"{room / 1e9:.1f} GB are free, {objects * BYTES / 1e9:.1f} GB may be needed")
            return
        with Simulator("--unlimited", "--objects", str(objects)) as simulator:
            copy = Copy(simulator, data, UNLIMITED)
            cpu = table.speed(copy, 30_000)
            table.line("CPU-s per 100,000 objects", f"{cpu:.2f}", "3", cpu <= 3)
            table.line("peak memory", f"{copy.memory:.0f} MB", "250 MB", copy.memory <= 250)
            table.line("requests", f"{copy.requests:,} against {sum(copy.least().values()):,} at least")
            table.line("on disk", f"{copy.disk() / 1e9:.2f} GB")
            table.simulator(copy)


class Server:
    """The program that serves a copy and polls nothing, while it runs."""

    SECRET = "whsec_benchbenchbenchbench"

    def __init__(self, copy):
        # The platform's endpoint, since its secret can be configured.
        environment = copy.environment | {
            "TALLYHOUSE__STRIPE__WEBHOOK_SECRET": self.SECRET,
            "TALLYHOUSE__UPDATES__EVERY_MINUTES": "0",
            "TALLYHOUSE__SERVER__LISTEN": "127.0.0.1:0",
        }
        self.process = subprocess.Popen([PROGRAM, "--data", copy.folder, "serve"], env=environment, stdout=subprocess.PIPE, text=True)
        self.hooks = re.search(r"http://[0-9.:]+", self.process.stdout.readline()).group() + "/webhooks/stripe"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def push(self, event):
        at, body = int(time.time()), json.dumps(event).encode()
        signed = hmac.new(self.SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        urllib.request.urlopen(urllib.request.Request(self.hooks, body, {"Stripe-Signature": f"t={at},v1={signed}"})).read()


def wait_for(copy, sql, number, pause, patience):
    """Waits until so many are stored, for so many seconds at most; how many are."""
    began = time.monotonic()
    while (stored := copy.stored(sql)) < number and time.monotonic() - began < patience:
        time.sleep(pause)
    return stored


def webhooks(table, count=20_000):
    table.line("**webhooks**", f"one by one, then {count:,} as fast as they are taken")
    with folder() as data, Simulator("--unlimited", "--charges", "2000") as simulator:
        copy = Copy(simulator, data, UNLIMITED)
        account = simulator.ask("/v1/account")["id"]
        customers = [customer["id"] for customer in simulator.ask("/v1/customers?limit=100")["data"]]
        with Server(copy) as server:
            took = sorted(one_webhook(copy, server, account, customers[0], number) for number in range(20))
            table.line("a webhook's row after", f"{took[len(took) // 2]:.2f} s (half), {took[-1]:.2f} s (the longest of {len(took)})", "2 s", took[-1] <= 2)
            events = "SELECT count(*) AS n FROM stripe.events"
            before = copy.stored(events)
            load = [str(BUILT / "examples" / "webhook_load"), server.hooks, account, str(count)]
            told = "\n".join([Server.SECRET, *customers])
            began = time.monotonic()
            sent = subprocess.run(load, input=told, check=True, capture_output=True, text=True).stdout
            if " 0 refused" not in sent:
                sys.exit("some webhooks were refused: the server's log says why")
            taken = time.monotonic()
            accepted = float(re.search(r"webhooks/s +(\d+)", sent).group(1))
            table.line("accepted durably", f"{accepted:,.0f}/s", "3,000/s", accepted >= 3_000)
            waited = before + count - copy.stored(events)
            wait = before + count - wait_for(copy, events, before + count, 0.5, 300)
            ended = time.monotonic()
            table.line("the backlog in the warehouse", f"{(count - wait) / (ended - began):,.0f}/s since the first was sent; {waited - wait:,} of "
                       f"{waited:,} that waited when the last was taken, {ended - taken:.1f} s after")


def one_webhook(copy, server, account, customer, number):
    """Seconds from a webhook to its row; asking for that costs some hundredths."""
    event = {"id": f"evt_one_{number}", "object": "event", "account": account, "livemode": False, "created": int(time.time()),
             "type": "customer.updated", "api_version": None, "pending_webhooks": 1, "request": None,
             "data": {"object": {"id": customer, "object": "customer"}}}
    began = time.monotonic()
    server.push(event)
    if not wait_for(copy, f"SELECT count(*) AS n FROM stripe.events WHERE id = 'evt_one_{number}'", 1, 0.02, 300):
        sys.exit("a webhook's row did not come: the server's log says why")
    return time.monotonic() - began


def machine():
    def told(file, name):
        found = re.search(rf"^{name}\s*:\s*(.+)$", pathlib.Path(file).read_text(), re.M) if pathlib.Path(file).exists() else None
        return found.group(1).strip() if found else None
    memory = told("/proc/meminfo", "MemTotal")
    memory = f"{int(memory.split()[0]) / 2**20:.0f} GiB" if memory else "memory unknown"
    processor = told("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return f"Measured on {today} on {cores} cores of {processor}, {memory}, {platform.system()} {platform.release()}."


def main():
    parts = {"charges": charges, "mixed": mixed, "latency": latency, "limits": limits, "large": large, "webhooks": webhooks}
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts) + "; all unless told")
    asked.add_argument("--strict", action="store_true", help="end with 1 when an aim is not met")
    asked.add_argument("--large", type=int, default=10_000_000, metavar="NUMBER", help="how many objects `large` has")
    asked = asked.parse_args()
    unknown = [part for part in asked.parts if part not in parts]
    if unknown:
        sys.exit(f"there is no part {unknown[0]}; there are {', '.join(parts)}")
    # Whatever ends it, what it started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    table = Table()
    for part in asked.parts or parts:
        print(part, file=sys.stderr, flush=True)
        parts[part](table, asked.large) if part == "large" else parts[part](table)
    print(f"{machine()}\n\n{table.text()}")
    sys.exit(1 if asked.strict and table.failed else 0)


if __name__ == "__main__":
    main()
