// Walks the way that everything serves, as a person would: `node walk.mjs SETUP_URL STRIPE_URL FOLDER`. Makes the first administrator, connects
// the simulated Stripe, waits for the first copy, reads Home and compares it with what the simulated Stripe knows. Keeps a picture of every page at two
// widths in FOLDER; ends with 1 when a page is wrong.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { inspect, launch, open, problems, report } from "./page.mjs";

const [setup, stripe, folder] = process.argv.slice(2);
const PATIENCE = 60_000;
await mkdir(folder, { recursive: true });
const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" });
let step = "start";
const page = await open(context, () => step);
page.setDefaultTimeout(PATIENCE);
let pictures = 0;

/** Does a step, then looks at the page that it led to, wide and narrow. */
async function walk(name, act) {
  step = name;
  await act();
  await page.waitForLoadState("load");
  const number = String(++pictures).padStart(2, "0");
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    await page.waitForTimeout(300);
    await inspect(page, `${name} at ${width} px`, `${folder}/${number}-${name}-${width}.png`);
  }
}

const press = (name) => page.getByRole("button", { name, exact: true }).click();
const follow = (name) => page.getByRole("link", { name, exact: true }).first().click();
const see = (text) => page.getByText(text).first().waitFor();

await walk("setup", () => page.goto(setup));
await walk("welcome", async () => {
  await page.getByLabel("Name").fill("Ada Lovelace");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password").fill("three or four words");
  await press("Make the administrator");
  await page.getByRole("heading", { name: "Add a Data Source" }).waitFor();
});
await walk("home-empty", async () => {
  await follow("Home");
  await see("Nothing is connected yet");
});
await walk("connections-empty", async () => {
  await follow("Connections");
  await see("No data source yet");
});
await walk("gallery", () => follow("Add a Data Source"));
await walk("authorization", () => page.getByRole("link", { name: /^S?\s*Stripe/ }).click());
await walk("stripe-access-request", async () => {
  await press("Connect with Stripe");
  await see("Sign in with Stripe to Continue");
});
await walk("stripe-sign-in", () => press("Sign in with Stripe to Continue"));
await walk("stripe-wrong-password", async () => {
  await page.getByLabel("Email").fill("owner@example.com");
  await page.getByLabel("Password").fill("not the password");
  await press("Sign in to your account");
  await see("do not match");
  // The answer to a wrong password is a 422, which the browser rightly notes on its console.
  for (const problem of problems) if (problem.startsWith(`${step}: `) && problem.includes("status of 422")) problems.delete(problem);
});
await walk("connection-successful", async () => {
  await page.getByLabel("Password").fill("simulated-stripe");
  await press("Sign in to your account");
  await see("Connection Successful!");
});
await walk("copying", async () => {
  await follow("stripe");
  await page.getByRole("table").waitFor();
});
await walk("copied", async () => {
  const badge = page.locator("#progress .badge", { hasText: "Complete" });
  await page.waitForFunction(() => document.querySelector("#progress .summary")?.textContent?.includes("7 of 7 tables complete, "));
  await page.waitForFunction(() => document.querySelector("#progress .summary")?.textContent?.includes("No update is running"));
  assert.equal(await badge.count(), 7);
});
await walk("timeline", () => follow("Timeline"));
await walk("tables", () => follow("Tables"));
await walk("settings", () => follow("Settings"));
await walk("connections", async () => {
  await follow("Connections");
  await see("Success");
});
await walk("home", async () => {
  await follow("Home");
  await page.locator(".card canvas, .card svg").first().waitFor();
});
await walk("home-open", async () => {
  for (const table of await page.locator("details.table").all()) await table.locator("summary").click();
});

// What a reader of Home sees, by card: each value and its text.
const home = await page.evaluate(() => {
  const cards = [...document.querySelectorAll("section.card[id]")].map((card) => {
    const columns = [...card.querySelectorAll("thead th.num")].map((head) => head.dataset.currency ?? head.dataset.name);
    const rows = [...card.querySelectorAll("tbody tr")].map((row) => [
      row.querySelector("th").firstChild.textContent.trim(),
      [...row.querySelectorAll("td")].map((cell) => [cell.dataset.value, cell.textContent.trim()]),
    ]);
    return [card.id, { columns, rows }];
  });
  return Object.fromEntries(cards);
});
await browser.close();

/** Every object of a kind as the simulated Stripe itself has it. */
async function truth(kind) {
  const answer = await fetch(new URL(`/_sim/truth/${kind}`, stripe), { headers: { "Sim-Truth": "1" } });
  assert.equal(answer.status, 200);
  return (await answer.text()).trim().split("\n").map((line) => JSON.parse(line));
}

/** Sums by month and column, zeros left out: "2026-10 USD" -> minor units. */
function sums(things) {
  const all = {};
  for (const [created, column, value] of things) {
    const key = `${new Date(created * 1000).toISOString().slice(0, 7)} ${column}`;
    all[key] = (all[key] ?? 0) + value;
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== 0));
}

/** A card as [`sums`] gives it, for the months that it shows. */
function shown({ columns, rows }) {
  const cells = rows.flatMap(([month, values]) => values.map(([value], place) => [`${month} ${columns[place]}`, Number(value)]));
  return Object.fromEntries(cells.filter(([, value]) => value !== 0));
}

/** Compares what Home shows with the truth, in the months that it shows. */
function compare(card, things) {
  const months = new Set(home[card].rows.map(([month]) => month));
  const expected = Object.fromEntries(Object.entries(sums(things)).filter(([key]) => months.has(key.slice(0, 7))));
  assert.ok(Object.keys(expected).length > 0, `${card} has something to compare`);
  assert.deepEqual(shown(home[card]), expected, card);
}

const charges = await truth("charge");
const succeeded = charges.filter((charge) => charge.status === "succeeded");
compare("gross_volume", succeeded.map((charge) => [charge.created, charge.currency.toUpperCase(), charge.amount_captured]));
compare("failed_payments", charges.filter((charge) => charge.status === "failed").map((charge) => [charge.created, "Failed", 1]));
const subscriptions = (await truth("subscription")).filter((subscription) => !subscription.pause_collection);
const now = Object.fromEntries(home["active_subscriptions"].columns.map((name, place) => [name, Number(home["active_subscriptions"].rows[0][1][place][0])]));
for (const [column, status] of [["Active", "active"], ["Past due, at risk", "past_due"]]) {
  assert.equal(now[column] ?? 0, subscriptions.filter((subscription) => subscription.status === status).length, column);
}
report();
