//! Tests of the emulator. With `WHORL_PTX` set, every kernel is also written to that folder, for `ptxas`.

mod conversions;
mod findings;
mod help;
mod instructions;
mod programs;
mod races;
