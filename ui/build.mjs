// Bundles scripts, styles and fonts into dist, which the program embeds. `app.js` and `app.css` keep their names; whatever
// they load has its hash in its name.
import { build } from "esbuild";
import { cp, rm } from "node:fs/promises";

await rm("dist", { recursive: true, force: true });
await build({
  entryPoints: ["src/app.ts", "src/app.css"],
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022"],
  minify: true,
  legalComments: "eof",
  chunkNames: "chunks/[name]-[hash]",
  assetNames: "files/[name]-[hash]",
  loader: { ".woff2": "file" },
  logLevel: "warning",
});
await cp("src/icon.svg", "dist/icon.svg");
