//! What runs for a request lies together in the program: `hot.ld`, which `make layout` writes.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=hot.ld");
    // A copy: checkouts that share a target directory come and go.
    let script = Path::new(&std::env::var("OUT_DIR")?).join("hot.ld");
    std::fs::copy("hot.ld", &script)?;
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", script.display());
    Ok(())
}
