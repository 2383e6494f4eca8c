//! Jaxpr texts as Core, their values, derivatives and lanes.

mod convolution;
mod gather;
mod loops;
mod places;
mod scatter;
mod windows;
