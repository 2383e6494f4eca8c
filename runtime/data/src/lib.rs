//! Arrays in files: NumPy's `.npy` and `.npz`, `.safetensors`, `.csv`, and pictures as `.png` and `.gif`.
//!
//! Everything here is from bytes to arrays or from arrays to bytes; nothing opens a file. What is read is not trusted: a
//! file of any content gives arrays or a sentence that says what is wrong with it and where.

pub mod array;
pub mod image;
pub mod npy;
pub mod npz;
pub mod table;
pub mod tensors;

pub use array::{Array, Element};
