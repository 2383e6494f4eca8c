//! Elements as files have them, to elements as the language has them.

use std::io::Read;

use crate::array::{Array, Element};
use crate::problem::{Problem, Room};

/// The element types of files that the language has room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    BF16,
    F32,
    F64,
}

impl Stored {
    pub fn bytes(self) -> usize {
        match self {
            Stored::Bool | Stored::I8 | Stored::U8 => 1,
            Stored::I16 | Stored::U16 | Stored::F16 | Stored::BF16 => 2,
            Stored::I32 | Stored::U32 | Stored::F32 => 4,
            Stored::I64 | Stored::U64 | Stored::F64 => 8,
        }
    }

    /// The nearest type of the language that holds its values; those of 64 bits, where they fit.
    pub fn element(self) -> Element {
        match self {
            Stored::Bool => Element::Bool,
            Stored::U8 => Element::U8,
            Stored::U32 => Element::U32,
            Stored::F16 => Element::F16,
            Stored::BF16 => Element::BF16,
            Stored::F32 => Element::F32,
            Stored::F64 => Element::F64,
            Stored::I8 | Stored::I16 | Stored::I32 | Stored::I64 | Stored::U16 | Stored::U64 => Element::I32,
        }
    }
}

/// The elements of an array of these sizes, from where the reader stands.
pub fn read(
    from: &mut dyn Read,
    stored: Stored,
    big_endian: bool,
    shape: &[usize],
    room: &mut Room,
) -> Result<Array, Problem> {
    let element = stored.element();
    let total = room.take(shape, element.bytes())?;
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(total).is_err() {
        return Err(Problem::malformed(format!("there is no memory for its {total} bytes")));
    }
    let mut left = total / element.bytes() * stored.bytes();
    // A multiple of every width.
    let mut chunk = vec![0; left.min(1 << 16)];
    while left > 0 {
        let part = &mut chunk[..left.min(1 << 16)];
        from.read_exact(part).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => Problem::malformed("the file ends before its elements do"),
            _ => Problem::malformed(e.to_string()),
        })?;
        left -= part.len();
        if big_endian {
            part.chunks_exact_mut(stored.bytes()).for_each(<[u8]>::reverse);
        }
        convert(stored, part, &mut bytes)?;
    }
    Ok(Array { element, shape: shape.to_vec(), bytes })
}

/// Little-endian elements as bytes of the language's.
fn convert(stored: Stored, from: &[u8], to: &mut Vec<u8>) -> Result<(), Problem> {
    let words = from.chunks_exact(stored.bytes());
    match stored {
        Stored::U8 => to.extend_from_slice(from),
        Stored::Bool => to.extend(from.iter().map(|b| u8::from(*b != 0))),
        Stored::I32 | Stored::U32 | Stored::F32 if cfg!(target_endian = "little") => to.extend_from_slice(from),
        Stored::F16 | Stored::BF16 | Stored::F64 if cfg!(target_endian = "little") => to.extend_from_slice(from),
        Stored::I32 | Stored::U32 | Stored::F32 => {
            words.for_each(|w| to.extend(u32::from_le_bytes(fixed(w)).to_ne_bytes()));
        }
        Stored::F16 | Stored::BF16 => words.for_each(|w| to.extend(u16::from_le_bytes(fixed(w)).to_ne_bytes())),
        Stored::F64 => words.for_each(|w| to.extend(u64::from_le_bytes(fixed(w)).to_ne_bytes())),
        Stored::I8 => words.for_each(|w| to.extend((w[0] as i8 as i32).to_ne_bytes())),
        Stored::I16 => words.for_each(|w| to.extend((i16::from_le_bytes(fixed(w)) as i32).to_ne_bytes())),
        Stored::U16 => words.for_each(|w| to.extend((u16::from_le_bytes(fixed(w)) as i32).to_ne_bytes())),
        Stored::I64 => {
            for w in words {
                to.extend(narrow(i64::from_le_bytes(fixed(w)).into())?.to_ne_bytes());
            }
        }
        Stored::U64 => {
            for w in words {
                to.extend(narrow(u64::from_le_bytes(fixed(w)).into())?.to_ne_bytes());
            }
        }
    }
    Ok(())
}

fn narrow(x: i128) -> Result<i32, Problem> {
    i32::try_from(x).map_err(|_| {
        let e = Problem::element(format!("it holds {x}, and whole numbers here are i32, up to 2147483647"));
        e.help("save it as a floating-point array, or in smaller units")
    })
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

/// An array whose first axis is the innermost in the file, row by row.
pub fn row_major(a: Array) -> Array {
    if a.shape.len() < 2 {
        return a;
    }
    let width = a.element.bytes();
    let mut strides = Vec::with_capacity(a.shape.len());
    let mut step = width;
    for n in &a.shape {
        strides.push(step);
        step *= n;
    }
    let mut at = vec![0; a.shape.len()];
    let mut from = 0;
    let mut bytes = Vec::with_capacity(a.bytes.len());
    for _ in 0..a.size() {
        bytes.extend_from_slice(&a.bytes[from..from + width]);
        for axis in (0..at.len()).rev() {
            at[axis] += 1;
            from += strides[axis];
            if at[axis] < a.shape[axis] {
                break;
            }
            from -= strides[axis] * at[axis];
            at[axis] = 0;
        }
    }
    Array { bytes, ..a }
}
