// Lists and retrieves everything that Stripe's SDK for Node.js can, from a simulator, and compares with its truth.
//
//     node lists.mjs http://127.0.0.1:8421 sk_test_...
//
// Prints one JSON text: how much was compared, and what differed.

import Stripe from "stripe";

const RETRIEVED = 3;
const [address, key] = process.argv.slice(2);
const at = new URL(address);
const client = new Stripe(key, { host: at.hostname, port: at.port, protocol: "http", maxNetworkRetries: 0, telemetry: false });
const report = { sdk: Stripe.PACKAGE_VERSION, lists: 0, objects: 0, retrieved: 0, failures: [] };

const plain = (path) => path.replace(/\{\w+\}/g, "{}");
const ask = async (path) => {
  const answer = await fetch(address + path, { headers: { "Sim-Truth": "1" } });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.text();
};
const lists = new Map(JSON.parse(await ask("/_sim/lists")).map((list) => [plain(list.path), list]));
const truthOf = async (path) => {
  const lines = await ask(`/_sim/truth?list=${encodeURIComponent(path)}`);
  return lines === null ? null : lines.split("\n").filter(Boolean).map((line) => JSON.parse(line));
};

/** Path with `{}` to a function, for every GET of the SDK's resources. */
function methods(root) {
  const found = new Map();
  const seen = new Set();
  const visit = (resource) => {
    if (resource === null || typeof resource !== "object" || seen.has(resource)) return;
    seen.add(resource);
    for (let proto = Object.getPrototypeOf(resource); proto && proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
      for (const name of Object.getOwnPropertyNames(proto)) {
        const method = proto[name];
        const path = typeof method === "function" && method.toString().match(/_makeRequest\(\s*'GET',\s*[`'](\/v\d\/[^`']+)[`']/);
        if (path) found.set(path[1].replace(/\$\{[^}]*\}/g, "{}"), method.bind(resource));
      }
    }
    for (const name of Object.keys(resource)) if (name !== "_stripe" && !name.startsWith("_")) visit(resource[name]);
  };
  for (const name of Object.keys(root)) if (!name.startsWith("_")) visit(root[name]);
  return found;
}

async function required(list, own, of) {
  const params = list.parent?.in === "query" ? { [list.parent.name]: own } : {};
  if (list.path === "/v1/subscriptions") params.status = "all";
  if (list.path === "/v1/apps/secrets") params.scope = { type: "account" };
  if (list.path === "/v1/tax/locations") params.type = "performance";
  if (list.required.includes("start_time")) {
    const customers = await truthOf("/v1/customers");
    const customer = customers.find((truth) => truth.standing === "shown").object.id;
    Object.assign(params, { customer, start_time: 0, end_time: 4102444800 });
  }
  if (list.required.includes("ownership")) params.ownership = of[0].object.ownership;
  return params;
}

const scalar = (value) => value === null || ["boolean", "number", "string"].includes(typeof value);
const differences = (one, other) =>
  Object.keys(other).filter((name) => scalar(other[name]) && scalar(one[name]) && one[name] !== other[name]);

async function all(listed) {
  const found = [];
  for await (const object of listed) found.push(object);
  return found;
}

async function compare(list, method, truth) {
  const parents = [...new Set(truth.filter((each) => each.standing !== "deleted").map((each) => each.parent))].filter((id) => id !== null).sort();
  const shown = list.path === "/v1/subscriptions" ? ["shown", "canceled"] : ["shown"];
  for (const own of list.parent ? parents : [null]) {
    const of = truth.filter((each) => each.parent === own);
    const expected = of.filter((each) => shown.includes(each.standing)).map((each) => each.object);
    const where = list.path + (own ? ` of ${own}` : "");
    const inPath = list.parent?.in === "path" ? [own] : [];
    try {
      const params = { ...(list.whole ? {} : { limit: 100 }), ...(await required(list, own, of)) };
      same(where, await all(method(...inPath, params)), expected);
    } catch (error) {
      report.failures.push(`${where}: ${error.message}`);
    }
    await retrieve(list, own, expected, where);
  }
}

function same(where, found, expected) {
  report.objects += found.length;
  const ids = found.map((each) => each.id);
  const wanted = expected.map((each) => each.id);
  if (JSON.stringify(ids) !== JSON.stringify(wanted)) {
    const missing = wanted.filter((id) => !ids.includes(id)).slice(0, 3);
    report.failures.push(`${where}: ${ids.length} objects instead of ${wanted.length}, without ${missing}`);
    return;
  }
  found.forEach((one, place) => {
    const differing = differences(one, expected[place]);
    if (differing.length > 0) report.failures.push(`${where}: ${one.id} has other ${differing}`);
  });
}

async function retrieve(list, own, expected, where) {
  const method = list.retrieve && known.get(plain(list.retrieve));
  if (!method) return;
  // The SDK takes an object that has an `error` for a refusal, as some failed runs of reports and queries do.
  for (const each of expected.filter((object) => !object.error).slice(0, RETRIEVED)) {
    const inPath = list.retrieve.split("{").length === 3 ? [own] : [];
    try {
      const found = await method(...inPath, each.id);
      report.retrieved += 1;
      if (found.id !== each.id || found.object !== each.object || differences(found, each).length > 0) {
        report.failures.push(`${where}: ${each.id} retrieved is ${found.object} ${found.id}`);
      }
    } catch (error) {
      report.failures.push(`${where}: ${each.id}: ${error.message}`);
    }
  }
}

const known = methods(client);
for (const [path, list] of lists) {
  const method = known.get(path);
  const truth = await truthOf(list.path);
  if (!method) report.failures.push(`${list.path}: the SDK has no such list`);
  else if (truth !== null) {
    report.lists += 1;
    await compare(list, method, truth);
  }
}
console.log(JSON.stringify(report));
