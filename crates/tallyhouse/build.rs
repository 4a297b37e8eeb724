//! Checks that the pages' scripts and styles are there to embed. They are built first, by `npm run build` within `ui`.

use std::path::Path;

/// What the pages cannot do without.
const NEEDED: [&str; 2] = ["app.js", "app.css"];

#[expect(clippy::disallowed_methods, reason = "how cargo tells a build script where its package is")]
fn main() {
    // Asked when it runs, not when it is compiled: two clones that share a target folder share this program.
    let own = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let dist = Path::new(&own).join("../../ui/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=templates");
    for file in NEEDED {
        if !dist.join(file).is_file() {
            println!(
                "cargo::error=ui/dist/{file} is missing: run `npm ci && npm run build` within ui, then build again"
            );
        }
    }
}
