//! What V8 runs for an invocation lies together in the program: `hot.symbols`, which `make layout` writes. V8 is
//! built with sections that all have the same name, so that only LLD can tell them apart: rustc's linker on x86-64.

fn main() {
    println!("cargo:rerun-if-changed=hot.symbols");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        let order = concat!(env!("CARGO_MANIFEST_DIR"), "/hot.symbols");
        println!("cargo:rustc-link-arg-bins=-Wl,--symbol-ordering-file={order},--no-warn-symbol-ordering");
    }
}
