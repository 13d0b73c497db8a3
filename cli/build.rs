//! What runs for a request lies together in the program: `hot.ld`, which `make layout` writes.

fn main() {
    println!("cargo:rerun-if-changed=hot.ld");
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{}/hot.ld", env!("CARGO_MANIFEST_DIR"));
}
