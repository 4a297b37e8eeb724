#!/usr/bin/env python3
"""Derives from Stripe's official SDK for Python what the simulator serves: shapes of objects, lists, events.

    pip download --no-deps stripe==16.1.0 && unzip stripe-*.whl -d sdk
    crates/stripe-sim/tools/shapes.py sdk/stripe

writes src/shapes.json. This is not the catalogue's generator, on purpose: the simulator shares nothing with what is tested on it.

Types are written `s` text, `i` whole number, `t` Unix time, `z` ISO time, `b` boolean, `f` number, `d` decimal in a text,
`n` whole number in a text, `true`,
`e:a|b` one of, `r:kind` reference, `o:kind` a whole object, `l:kind` a list of them, `[type]`, `{"*": type}` for free keys, and
`{property: type}`. A property with `?` can be null or absent.
"""

import json
import pathlib
import re
import sys

from sdk_reader import Reader, method, url

# Lists that nested lists name in their `url`, without a method of their own in the SDK: parent, list, filter of the list.
ALIASES = [
    ("/v1/charges/{charge}/refunds", "/v1/refunds", "charge"),
    ("/v1/customers/{customer}/subscriptions", "/v1/subscriptions", "customer"),
    ("/v1/subscriptions/{subscription}/items", "/v1/subscription_items", "subscription"),
]
# Events whose class does not say what they are about: a kind, or the list whose objects are of several kinds.
ABOUT = {
    "account.external_account": "/v1/accounts/{account}/external_accounts",
    "customer.source": "/v1/customers/{customer}/sources",
    "source.transaction": "source_transaction",
}
PAGING = {"limit", "starting_after", "ending_before", "page", "expand", "include", "created"}


def main():
    tools = pathlib.Path(__file__).resolve().parent
    sdk = Reader(sys.argv[1])
    lists = sorted((describe(sdk, *service) for service in sdk.services()), key=lambda each: each["path"])
    by_path = {each["path"]: each for each in lists}
    for each in lists:
        each["parent"] = parent_of(sdk, each, by_path)
    kinds = reachable(sdk, {name for each in lists for name in each["objects"]} | {"account", "tax.calculation", "tax.transaction"})
    prefixes = dict(line.split("\t") for line in (tools / "prefixes.tsv").read_text().splitlines() if not line.startswith("#"))
    shapes = {kind: {"prefix": prefixes.get(kind), "shape": sdk.shape(kind)} for kind in sorted(kinds)}
    facts = {"sdk": sdk.version, "api": sdk.api, "aliases": ALIASES, "lists": lists, "events": events(sdk), "kinds": shapes}
    facts["prefixes"] = {kind: prefix for kind, prefix in prefixes.items() if kind not in kinds}
    (tools.parent / "src" / "shapes.json").write_text(rendered(facts))
    missing = sorted(kind for kind, each in shapes.items() if "id" in each["shape"] and kind not in prefixes)
    if missing:
        sys.exit(f"prefixes.tsv knows no prefix of {missing}")


def describe(sdk, module, cls):
    function, retrieve = method(cls, "list"), method(cls, "retrieve")
    params = sdk.params(module, function)
    asked = {**params, **(sdk.params(module, retrieve) if retrieve else {})}
    include = re.findall(r"'([^']+)'", asked["include"][1]) if "include" in asked else []
    return {
        "path": url(function),
        "objects": sdk.returned(module, function),
        "required": sorted(name for name, (required, _) in params.items() if required),
        "filters": sorted(set(params) - PAGING),
        "paging": sorted(set(params) & PAGING),
        "include": include,
        "retrieve": retrieve and url(retrieve),
        "delete": method(cls, "delete") is not None,
        "create": method(cls, "create") is not None,
    }


def parent_of(sdk, each, by_path):
    """The kind of the parent that the path or a required parameter names, and the parameter."""
    inner = re.match(r"(.*)/\{(\w+)\}/", each["path"])
    if inner:
        name = inner.group(2)
        above = by_path.get(inner.group(1))
        kind = above["objects"][0] if above else next(kind for kind in (f"tax.{name}", name) if kind in sdk.by_kind)
        return {"kind": kind, "name": name, "in": "path"}
    space = each["objects"][0].rpartition(".")[0]
    for name in each["required"]:
        for kind in (f"{space}.{name}", name):
            if kind in sdk.by_kind and "id" in sdk.shape(kind):
                return {"kind": kind, "name": name, "in": "query"}
    return None


def reachable(sdk, kinds):
    """These kinds and those that are embedded whole in them."""
    seen, left = set(), sorted(kinds)
    while left:
        kind = left.pop()
        if kind not in seen:
            seen.add(kind)
            left.extend(re.findall(r'"[ol]:([^"|]+)"', json.dumps(sdk.shape(kind))))
    return seen


def events(sdk):
    """Type of event to what it is about; null if that is nothing that is listed."""
    thin = sdk.event_objects()
    known = {name.removeprefix("v1."): kind for name, kind in thin.items() if name.startswith("v1.")}
    stems = {}
    for name, kind in known.items():
        stems.setdefault(name.rpartition(".")[0], kind)
    told = {}
    for name in sdk.snapshot_types():
        stem = name.rpartition(".")[0]
        spelled = stem.replace("issuing_", "issuing.")
        told[name] = ABOUT.get(stem) or known.get(name) or stems.get(stem) or (spelled if spelled in sdk.by_kind else None)
    told.update({name: kind for name, kind in thin.items() if name.startswith("v2.")})
    return told


def rendered(facts):
    """One line for each list, event and kind, so that a new version is a diff to read."""
    def line(value):
        return json.dumps(value, separators=(",", ":"))

    parts = []
    for name, value in facts.items():
        if isinstance(value, dict):
            inner = ",\n".join(f"{line(key)}:{line(each)}" for key, each in value.items())
            parts.append(f'"{name}":{{\n{inner}\n}}')
        elif isinstance(value, list):
            parts.append(f'"{name}":[\n' + ",\n".join(map(line, value)) + "\n]")
        else:
            parts.append(f'"{name}":{line(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
