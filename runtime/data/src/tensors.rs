//! Several arrays, by name, in the format `safetensors`.

use std::io;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::array::{Array, Element};
use crate::convert::{self, Stored};
use crate::problem::{Problem, Room};

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
        Element::F16 => Dtype::F16,
        Element::BF16 => Dtype::BF16,
        Element::I32 => Dtype::I32,
        Element::U32 => Dtype::U32,
        Element::U8 => Dtype::U8,
        Element::Bool => Dtype::BOOL,
    }
}

/// The arrays of a `.safetensors` file, by name.
pub fn read(bytes: &[u8], room: &mut Room) -> Result<Vec<(String, Array)>, Problem> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| Problem::malformed(format!("this is no `.safetensors` file: {e}")))?;
    let mut out = Vec::new();
    for (name, view) in file.tensors() {
        let array = stored(view.dtype())
            .and_then(|stored| convert::read(&mut view.data(), stored, false, view.shape(), room))
            .map_err(|e| e.of(&name))?;
        out.push((name, array));
    }
    if out.is_empty() {
        return Err(Problem::malformed("the file holds no arrays"));
    }
    out.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(out)
}

fn stored(dtype: Dtype) -> Result<Stored, Problem> {
    Ok(match dtype {
        Dtype::BOOL => Stored::Bool,
        Dtype::I8 => Stored::I8,
        Dtype::I16 => Stored::I16,
        Dtype::I32 => Stored::I32,
        Dtype::I64 => Stored::I64,
        Dtype::U8 => Stored::U8,
        Dtype::U16 => Stored::U16,
        Dtype::U32 => Stored::U32,
        Dtype::U64 => Stored::U64,
        Dtype::F16 => Stored::F16,
        Dtype::BF16 => Stored::BF16,
        Dtype::F32 => Stored::F32,
        Dtype::F64 => Stored::F64,
        other => {
            let e = Problem::element(format!("its elements are {other:?}"));
            return Err(e.help("save it as F32"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = [1.5f64, -2.0].iter().flat_map(|x| x.to_ne_bytes()).collect();
        let arrays = vec![
            ("a.x".to_string(), Array { element: Element::F64, shape: vec![2], bytes }),
            ("b".to_string(), Array { element: Element::Bool, shape: vec![], bytes: vec![1] }),
        ];
        let file = write(&arrays).expect("written");
        assert_eq!(read(&file, &mut Room(1 << 10)), Ok(arrays));
        assert!(read(&file[..20], &mut Room(1 << 10)).is_err());
    }
}
