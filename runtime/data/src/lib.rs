//! Arrays in files: NumPy's `.npy` and `.npz`, `.safetensors`, `.csv`, and pictures as `.png` and `.gif`.
//!
//! Everything here is from bytes to arrays or from arrays to bytes; nothing opens a file. What is read is not trusted: a
//! file of any content gives arrays or a sentence that says what is wrong with it and where.

pub mod array;
mod convert;
pub mod image;
pub mod npy;
pub mod npz;
pub mod problem;
pub mod read;
pub mod table;
pub mod tensors;
pub mod tree;

pub use array::{Array, Element};
pub use problem::{Kind, Problem};
pub use read::{Format, read};
pub use tree::Data;
