//! Hands the linker its script.

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    if let Ok(directory) = std::env::var("CARGO_MANIFEST_DIR") {
        println!("cargo:rustc-link-arg-bins=-T{directory}/link.ld");
    }
}
