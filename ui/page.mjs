// Looking at pages in a real browser: pictures, the accessibility rules, the width, complaints. Shared by `look.mjs` and `walk.mjs`.
import { chromium } from "playwright-core";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** A browser of our own; `CHROMIUM` says where it is. */
export const launch = () => chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: quiet });

/** What is wrong, each thing once. */
export const problems = new Set();

/** A page whose complaints are kept. */
export async function open(context, where) {
  const page = await context.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && problems.add(`${where()}: ${message.text()}`));
  page.on("pageerror", (error) => problems.add(`${where()}: ${error.message}`));
  return page;
}

/** Takes a picture, and looks for what is too wide or breaks an accessibility rule. */
export async function inspect(page, where, picture) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (over > 0) problems.add(`${where}: the page is ${over} px too wide`);
  await page.screenshot({ path: picture, fullPage: true });
  // The rules are put in past the security policy, which rightly lets no inline script run.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: axe });
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, help, nodes } of found.violations) problems.add(`${where}: ${id}: ${help}: ${nodes[0]?.html}`);
  await session.detach();
}

/** Says what is wrong; the program ends with 1 then. */
export function report() {
  for (const problem of problems) console.error(problem);
  if (problems.size > 0) process.exitCode = 1;
}
