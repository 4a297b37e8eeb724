// Walks the way that everything serves, as a person would: `node walk.mjs SETUP_URL FOLDER`. Makes the first administrator, connects the
// simulated Stripe, waits for the first copy and reads Home. Keeps a picture of every page at two widths in FOLDER, and what Home shows
// in FOLDER/home.json; ends with 1 when a page is wrong.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { inspect, launch, open, problems, report } from "./page.mjs";

const [setup, folder] = process.argv.slice(2);
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
  await page.waitForFunction(() => document.querySelector("#progress .summary")?.textContent?.includes("No update is running"));
  const [, live, all] = /^(\d+) of (\d+) tables complete, /.exec(await page.locator("#progress .summary").innerText());
  const grouped = async (id) => Number.parseInt(await page.locator(`#${id} summary`).innerText());
  // Of the simulated business's 18 kinds of objects each has a row; the others are empty, or products it has not enabled.
  assert.equal(await page.locator("#progress .badge", { hasText: "Complete" }).count(), 18);
  assert.equal((await grouped("empty")) + 18, Number(live));
  assert.equal((await grouped("refused")) + Number(live), Number(all));
  for (const id of ["refused", "empty"]) await page.locator(`#${id} summary`).click();
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
// What the README shows: its docs/home.png is a copy of it.
await page.evaluate(() => scrollTo(0, 0));
await page.screenshot({ path: `${folder}/home.png` });
await walk("home-open", async () => {
  for (const table of await page.locator("details.table").all()) await table.locator("summary").click();
});

// What a reader of Home sees, by card: each value and its text.
const home = await page.evaluate(() => {
  const cards = [...document.querySelectorAll("section.card[id]")].map((card) => {
    const columns = [...card.querySelectorAll("thead th.num")].map((head) => [head.dataset.name, head.dataset.currency].filter(Boolean).join(" "));
    const rows = [...card.querySelectorAll("tbody tr")].map((row) => [
      row.querySelector("th").firstChild.textContent.trim(),
      [...row.querySelectorAll("td")].map((cell) => [cell.dataset.value, cell.textContent.trim()]),
    ]);
    return [card.id, { columns, rows }];
  });
  return Object.fromEntries(cards);
});
await browser.close();

await writeFile(`${folder}/home.json`, JSON.stringify(home, null, 1));
report();
