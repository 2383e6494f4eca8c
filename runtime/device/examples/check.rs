//! Loads PTX files into the emulator and says which it refuses: `cargo run -p whorl-device --example check -- *.ptx`.

use whorl_device::{Device, Emulator};

fn main() {
    let mut refused = 0;
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        if let Err(error) = Emulator::default().load(&text) {
            println!("{path}: {error}");
            refused += 1;
        }
    }
    std::process::exit(i32::from(refused > 0));
}
