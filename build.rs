//! The library and the pages of errors are part of the program: it is built anew when one comes or goes.

fn main() {
    println!("cargo::rerun-if-changed=stdlib");
    println!("cargo::rerun-if-changed=docs/errors");
}
