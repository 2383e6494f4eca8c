//! One array as NumPy stores it: a header that is a Python dictionary, then the elements.
//!
//! The format is that of `numpy.lib.format`, versions 1 to 3.

use crate::array::{Array, Element};

const MAGIC: &[u8] = b"\x93NUMPY";

/// The array as a `.npy` file.
pub fn write(a: &Array) -> Vec<u8> {
    let shape: Vec<String> = a.shape.iter().map(usize::to_string).collect();
    let shape = if shape.len() == 1 { format!("{},", shape[0]) } else { shape.join(", ") };
    let mut header = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({shape}), }}", descr(a.element));
    // The elements begin at a multiple of 64 bytes.
    let prefix = MAGIC.len() + 4;
    let padded = (prefix + header.len() + 1).next_multiple_of(64) - prefix;
    header.extend(std::iter::repeat_n(' ', padded - header.len() - 1));
    header.push('\n');
    let mut out = Vec::with_capacity(prefix + header.len() + a.bytes.len());
    out.extend_from_slice(MAGIC);
    // A shape of so many axes that version 1 cannot hold the header has no place in memory either.
    out.extend_from_slice(&[1, 0]);
    out.extend_from_slice(&(header.len() as u16).to_le_bytes());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&a.bytes);
    out
}

fn descr(e: Element) -> String {
    let end = if cfg!(target_endian = "little") { '<' } else { '>' };
    match e {
        Element::F32 => format!("{end}f4"),
        Element::F64 => format!("{end}f8"),
        Element::I32 => format!("{end}i4"),
        Element::U32 => format!("{end}u4"),
        Element::U8 => "|u1".to_string(),
        Element::Bool => "|b1".to_string(),
    }
}
