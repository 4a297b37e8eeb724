// Looks at every page of a running installation in a browser: `CHROMIUM=... node look.mjs URL FOLDER PATH...`. For each path it
// takes pictures at four widths, light and dark, and ends with 1 when the accessibility rules are broken, the page is wider than
// the window, or the browser complains.
import { inspect, launch, open, report } from "./page.mjs";

const [base, folder, ...paths] = process.argv.slice(2);
const browser = await launch();

for (const colorScheme of ["light", "dark"]) {
  for (const width of [390, 768, 1280, 1920]) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 }, reducedMotion: "reduce" });
    for (const path of paths) {
      const where = `${path} at ${width} px, ${colorScheme}`;
      const page = await open(context, () => where);
      await page.goto(new URL(path, base).href, { waitUntil: "load" });
      await page.waitForTimeout(700);
      const name = `${path.replace(/[^a-z0-9]+/gi, "_").slice(0, 60) || "_"}-${width}-${colorScheme}.png`;
      await inspect(page, where, `${folder}/${name}`);
      await page.close();
    }
    await context.close();
  }
}
await browser.close();
report();
