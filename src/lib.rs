//! Whorl: from a script to a compiled program. The rooms are crates of their own (see docs/architecture.md); this one joins them.

/// As `println!`; a reader that has gone away is no reason to stop.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::put(format_args!("{}\n", format_args!($($part)*)))
    };
}

pub mod args;
pub mod bench;
pub mod cache;
pub mod card;
pub mod check;
pub mod cuda;
pub mod data;
pub mod device;
pub mod devices;
pub mod engine;
pub mod eval;
pub mod explain;
pub mod fault;
pub mod fmt;
pub mod memory;
pub mod park;
pub mod past;
pub mod pipeline;
pub mod profile;
pub mod progress;
pub mod property;
pub mod repeat;
pub mod repl;
pub mod resume;
pub mod run;
pub mod runs;
pub mod save;
pub mod show;
pub mod standard_library;
pub mod sweep;
pub mod terminal_picture;
pub mod test;
pub mod watch;
pub mod words;

/// Writes to standard output, if anybody still reads it (`whorl check … | head`).
pub fn put(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = write!(std::io::stdout(), "{text}");
}
