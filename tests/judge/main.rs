//! Programs and results that others wrote: JAX's primitives and derivatives, ONNX's operators. `README.md` says how to read the
//! reports and how to judge other cases of the same form.

#[path = "../support/mod.rs"]
mod support;

mod jax;
mod onnx;
mod report;
