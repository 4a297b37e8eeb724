"""Lists and retrieves everything that Stripe's SDK for Python can, from a simulator, and compares with its truth.

    lists.py http://127.0.0.1:8421 sk_test_...

Prints one JSON text: how much was compared, and what differed.
"""

import inspect
import json
import re
import sys
import urllib.parse
import urllib.request

import stripe

SHOWN = {"shown"}
RETRIEVED = 3


def main(address, key):
    client = stripe.StripeClient(key, base_addresses={"api": address}, max_network_retries=0)
    told = Told(address)
    report = {"sdk": stripe.VERSION, "lists": 0, "objects": 0, "retrieved": 0, "failures": []}
    for path, service in sorted(services(client)):
        facts = told.lists.get(path)
        if facts is None:
            report["failures"].append(f"{path}: the simulator does not know this list")
            continue
        truth = told.truth(path)
        if truth is not None:
            report["lists"] += 1
            compare(service, facts, truth, told, report)
    print(json.dumps(report))


class Told:
    """What the simulator says that is true."""

    def __init__(self, address):
        self.address = address
        self.lists = {plain(each["path"]): each for each in json.loads(self.ask("/_sim/lists"))}

    def ask(self, path):
        request = urllib.request.Request(self.address + path, headers={"Sim-Truth": "1"})
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def truth(self, path):
        """None where the world does not tell of this list by itself."""
        query = urllib.parse.quote(self.lists[path]["path"])
        try:
            return [json.loads(line) for line in self.ask(f"/_sim/truth?list={query}").splitlines()]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise


def plain(path):
    return re.sub(r"\{\w+\}", "{}", path)


def services(client):
    """Path and service of everything that lists, below the client's two versions."""
    left, seen = [client.v1, client.v2], set()
    while left:
        service = left.pop()
        if type(service) in seen:
            continue
        seen.add(type(service))
        if hasattr(service, "list"):
            yield plain(re.search(r'"(/v\d/[^"]+)"', inspect.getsource(type(service).list)).group(1)), service
        for name in getattr(service, "__class__").__annotations__:
            left.append(getattr(service, name))


def compare(service, facts, truth, told, report):
    parents = sorted({each["parent"] for each in truth if each["standing"] != "deleted"} - {None})
    parent = facts["parent"]
    for own in parents if parent else [None]:
        of = [each for each in truth if each["parent"] == own]
        shown = SHOWN | ({"canceled"} if facts["path"] == "/v1/subscriptions" else set())
        expected = [each["object"] for each in of if each["standing"] in shown]
        in_path = [own] if parent and parent["in"] == "path" else []
        params = {**({} if facts["whole"] else {"limit": 100}), **required(facts, own, of, told)}
        where = facts["path"] + (f" of {own}" if own else "")
        try:
            found = list(service.list(*in_path, params=params).auto_paging_iter())
        except stripe.StripeError as error:
            report["failures"].append(f"{where}: {error}")
            continue
        same(where, found, expected, report)
        if facts["retrieve"] and hasattr(service, "retrieve"):
            retrieve(service, facts, own, expected, where, report)


def required(facts, own, of, told):
    parent, path = facts["parent"], facts["path"]
    params = {parent["name"]: own} if parent and parent["in"] == "query" else {}
    if path == "/v1/subscriptions":
        params["status"] = "all"
    if path == "/v1/apps/secrets":
        params["scope"] = {"type": "account"}
    if path == "/v1/tax/locations":
        params["type"] = "performance"
    if "start_time" in facts["required"]:
        customer = next(each["object"]["id"] for each in told.truth("/v1/customers") if each["standing"] == "shown")
        params.update({"customer": customer, "start_time": 0, "end_time": 4102444800})
    if "ownership" in facts["required"]:
        params["ownership"] = of[0]["object"]["ownership"]
    return params


def same(where, found, expected, report):
    report["objects"] += len(found)
    ids = [each["id"] for each in found]
    if ids != [each["id"] for each in expected]:
        missing = [each["id"] for each in expected if each["id"] not in ids]
        report["failures"].append(f"{where}: {len(found)} objects instead of {len(expected)}, without {missing[:3]}")
        return
    for one, other in zip(found, expected):
        differing = differences(one, other)
        if differing or type(one) is stripe.StripeObject:
            report["failures"].append(f"{where}: {one['id']} is a {type(one).__name__} with other {differing}")


def differences(one, other):
    """Names of plain properties that differ; the SDK makes decimals of some texts, and objects of the rest."""
    plain_ones = (bool, int, float, str, type(None))
    one = one.to_dict()
    both = [name for name in other if isinstance(other[name], plain_ones) and isinstance(one.get(name), plain_ones)]
    return [name for name in both if one.get(name) != other[name]]


def retrieve(service, facts, own, expected, where, report):
    # The SDK writes a space in a path as `+`, which a path does not mean.
    for each in [each for each in expected if " " not in each["id"]][:RETRIEVED]:
        in_path = [own] if facts["retrieve"].count("{") == 2 else []
        try:
            found = service.retrieve(*in_path, each["id"])
        except stripe.StripeError as error:
            report["failures"].append(f"{where}: {each['id']}: {error}")
            continue
        report["retrieved"] += 1
        if found["id"] != each["id"] or found["object"] != each["object"] or differences(found, each):
            report["failures"].append(f"{where}: {each['id']} retrieved is {found['object']} {found['id']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
