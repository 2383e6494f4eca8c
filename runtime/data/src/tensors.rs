//! Several arrays, by name, in the format `safetensors`.

use std::io;

use safetensors::tensor::{Dtype, TensorView};

use crate::array::{Array, Element};

/// The arrays as a `.safetensors` file.
pub fn write(arrays: &[(String, Array)]) -> io::Result<Vec<u8>> {
    let mut views = Vec::with_capacity(arrays.len());
    for (name, a) in arrays {
        let view = TensorView::new(dtype(a.element), a.shape.clone(), &a.bytes).map_err(io::Error::other)?;
        views.push((name.clone(), view));
    }
    safetensors::serialize(views, None).map_err(io::Error::other)
}

pub fn dtype(e: Element) -> Dtype {
    match e {
        Element::F32 => Dtype::F32,
        Element::F64 => Dtype::F64,
        Element::I32 => Dtype::I32,
        Element::U32 => Dtype::U32,
        Element::U8 => Dtype::U8,
        Element::Bool => Dtype::BOOL,
    }
}
