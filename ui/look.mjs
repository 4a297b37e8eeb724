// Looks at every page of a running installation in a browser: `CHROMIUM=... node look.mjs URL FOLDER PATH...`. For each path it
// takes pictures at four widths, light and dark, and ends with 1 when the accessibility rules are broken, the page is wider than
// the window, or the browser complains.
import { chromium } from "playwright-core";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const [base, folder, ...paths] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath: process.env["CHROMIUM"], args: ["--no-sandbox"] });
const problems = new Set();

for (const colorScheme of ["light", "dark"]) {
  for (const width of [390, 768, 1280, 1920]) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 }, reducedMotion: "reduce" });
    for (const path of paths) {
      const page = await context.newPage();
      const where = `${path} at ${width} px, ${colorScheme}`;
      page.on("console", (message) => ["error", "warning"].includes(message.type()) && problems.add(`${where}: ${message.text()}`));
      page.on("pageerror", (error) => problems.add(`${where}: ${error.message}`));
      await page.goto(new URL(path, base).href, { waitUntil: "load" });
      await page.waitForTimeout(700);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (over > 0) problems.add(`${where}: the page is ${over} px too wide`);
      const name = `${path.replace(/[^a-z0-9]+/gi, "_").slice(0, 60) || "_"}-${width}-${colorScheme}.png`;
      await page.screenshot({ path: `${folder}/${name}`, fullPage: true });
      // The rules are put in past the security policy, which rightly lets no inline script run.
      const session = await context.newCDPSession(page);
      await session.send("Runtime.evaluate", { expression: axe });
      const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
      for (const { id, help, nodes } of found.violations) problems.add(`${where}: ${id}: ${help}: ${nodes[0]?.html}`);
      await page.close();
    }
    await context.close();
  }
}
await browser.close();
for (const problem of problems) console.log(problem);
process.exitCode = problems.size > 0 ? 1 : 0;
