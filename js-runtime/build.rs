//! What V8 runs for an invocation lies together in the program: `hot.symbols`, which `make layout` writes. V8 is
//! built with sections that all have the same name, so that only LLD can tell them apart: rustc's linker on x86-64.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=hot.symbols");
    if std::env::var("CARGO_CFG_TARGET_ARCH")? == "x86_64" {
        // A copy: checkouts that share a target directory come and go.
        let order = Path::new(&std::env::var("OUT_DIR")?).join("hot.symbols");
        std::fs::copy("hot.symbols", &order)?;
        let option = format!("--symbol-ordering-file={},--no-warn-symbol-ordering", order.display());
        println!("cargo:rustc-link-arg-bins=-Wl,{option}");
    }
    Ok(())
}
