// Walks the ways on which a Stripe account is not connected: `node refusals.mjs SETUP_URL FOLDER CASE...`. After each, Connections says
// why and lists nothing. Whoever started it does what no browser can: a line "now WHAT" asks for it, and any line on the input
// says that it is done. Keeps a picture of every refusal at two widths in FOLDER; ends with 1 when a page is wrong.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createInterface } from "node:readline";
import { inspect, launch, open, problems, report } from "./page.mjs";

const [setup, folder, ...cases] = process.argv.slice(2);
const origin = new URL(setup).origin;
await mkdir(folder, { recursive: true });
const done = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" });
let step = "start";
const page = await open(context, () => step);
page.setDefaultTimeout(30_000);

const press = (name, where = page) => where.getByRole("button", { name, exact: true }).click();

/** Lets the one who started this do something, and waits until it is done. */
async function ask(what) {
  console.log(`now ${what}`);
  await done.next();
}

/** Goes to Stripe's page. */
async function leave() {
  await page.goto(`${origin}/admin/connections/new/stripe`);
  await press("Connect with Stripe");
  await page.getByRole("heading", { name: "Sign in with Stripe to Continue" }).waitFor();
}

/** Gives access there. */
async function allow() {
  await press("Sign in with Stripe to Continue");
  await page.getByLabel("Email").fill("owner@example.com");
  await page.getByLabel("Password").fill("simulated-stripe");
  await press("Sign in to your account");
}

/** Gives access, and does something with the answer's address before the browser is sent there. */
async function allowBut(act) {
  const signIn = (url) => url.pathname === "/login" && url.origin !== origin;
  await page.route(signIn, async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    // A redirect is not offered to a route: it is read before the browser sees it.
    const response = await route.fetch({ maxRedirects: 0 });
    await act(response.headers()["location"]);
    await route.fulfill({ response });
  });
  await allow();
  await page.getByRole("heading", { name: "Connections", exact: true }).waitFor();
  await page.unroute(signIn);
}

const code = (answer) => new URL(answer).searchParams.get("code");

/** Connections says so, offers the way on, and lists nothing. */
async function refused(title, text, where = page) {
  await where.getByRole("heading", { name: "Connections", exact: true }).waitFor();
  const said = await where.getByRole("alert").innerText();
  assert.ok(said.includes(title) && said.includes(text) && said.includes("Nothing was connected"), `${step}: ${said}`);
  assert.ok(await where.getByText("No data source yet").isVisible(), `${step}: something is listed`);
  for (const secret of ["ac_", "sk_", "rt_"]) assert.ok(!(await where.content()).includes(secret), `${step}: ${secret} is shown`);
  for (const width of [390, 1280]) {
    await where.setViewportSize({ width, height: 900 });
    await inspect(where, `${step} at ${width} px`, `${folder}/${step}-${width}.png`);
  }
  const again = await where.getByRole("alert").getByRole("link", { name: "Try again" }).getAttribute("href");
  assert.match(again, /^\/admin\/connections/);
  // The answer is a 400, which the browser rightly notes on its console.
  for (const problem of problems) if (problem.startsWith(`${step}: `) && problem.includes("status of 400")) problems.delete(problem);
}

const walks = {
  async declined() {
    await leave();
    await press("Deny");
    await refused("Stripe gave no access", "Access was declined");
  },
  async replayed() {
    const answer = page.url().includes("/oauth/callback") ? page.url() : assert.fail("a case with an answer comes before");
    await page.goto(answer);
    await refused("This answer was used already", "used already");
  },
  async forged() {
    await page.goto(`${origin}/oauth/callback?state=forged&code=ac_1`);
    await refused("This answer was not asked for", "start connecting again");
  },
  async "another-session"() {
    const other = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const elsewhere = await open(other, () => step);
    await elsewhere.goto(`${origin}/login`);
    await elsewhere.getByLabel("Email").fill("ada@example.com");
    await elsewhere.getByLabel("Password").fill("three or four words");
    await press("Sign in", elsewhere);
    await elsewhere.getByRole("heading", { name: "Home" }).waitFor();
    await leave();
    await allowBut((answer) => elsewhere.goto(answer));
    await refused("Another session began this", "another session", elsewhere);
    await other.close();
    // It was not used up there: whoever began it is connected.
    await page.getByText("Connection Successful!").waitFor();
  },
  async "too-late"() {
    await leave();
    await ask("age the states");
    await allow();
    await refused("That took too long", "longer than ten minutes");
  },
  async "code-expired"() {
    await leave();
    await allowBut(() => ask("let five minutes pass"));
    await refused("Stripe gave no access", "older than five minutes");
  },
  async "code-used"() {
    await leave();
    await allowBut((answer) => ask(`use ${code(answer)}`));
    await refused("Stripe gave no access", "used already");
  },
  async "network-down"() {
    await leave();
    await allowBut(() => ask("stop Stripe"));
    await refused("Stripe gave no access", "could not be reached");
    await ask("start Stripe");
  },
  async "wrong-client"() {
    await leave();
    await allow();
    await refused("Stripe gave no access", "does not know this installation's client id");
  },
  async "wrong-mode"() {
    await leave();
    await allow();
    await refused("Wrong mode", "Stripe gave access to test data");
  },
};

await page.goto(setup);
await page.getByLabel("Name").fill("Ada Lovelace");
await page.getByLabel("Email").fill("ada@example.com");
await page.getByLabel("Password").fill("three or four words");
await press("Make the administrator");
await page.getByRole("heading", { name: "Add a Data Source" }).waitFor();
for (const name of cases) {
  step = name;
  await walks[name]();
}
await browser.close();
process.stdin.destroy();
report();
