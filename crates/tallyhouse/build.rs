//! Checks that the pages' scripts and styles are there to embed. They are built first, by `npm run build` within `ui`.

use std::path::Path;

/// What the pages cannot do without.
const NEEDED: [&str; 2] = ["app.js", "app.css"];

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist");
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
