//! Lane loops: from [`whorl_schedule::loop_ir::Lanes`] to loops over vectors.
//!
//! [`normal`] brings the loop into its simplest form, [`plan`] picks the dimension that goes into vectors, [`walk`] emits the loops,
//! [`ops`] the body, [`access`] its addresses and [`reduce`] its reductions. All that on a [`machine`]: by Cranelift ([`narrow`]), or `crate::wide`.

pub mod access;
pub mod machine;
pub mod narrow;
pub mod ops;
pub mod plan;
pub mod reduce;
pub mod walk;

pub use narrow::Narrow;
pub use plan::{Plan, plan};
pub use walk::emit;
pub use whorl_schedule::normal;
