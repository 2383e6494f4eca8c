//! Arrays as files hold them.

use half::{bf16, f16};

/// The element types of the language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element {
    F32,
    F64,
    F16,
    BF16,
    I32,
    U32,
    U8,
    /// One byte, 0 or 1.
    Bool,
}

impl Element {
    pub fn bytes(self) -> usize {
        match self {
            Element::F64 => 8,
            Element::F32 | Element::I32 | Element::U32 => 4,
            Element::F16 | Element::BF16 => 2,
            Element::U8 | Element::Bool => 1,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Element::F32 => "f32",
            Element::F64 => "f64",
            Element::F16 => "f16",
            Element::BF16 => "bf16",
            Element::I32 => "i32",
            Element::U32 => "u32",
            Element::U8 => "u8",
            Element::Bool => "bool",
        }
    }
}

/// An array: row-major, native endian.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    pub element: Element,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Array {
    /// Number of elements.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Element `k`, row-major, as the nearest number.
    pub fn number(&self, k: usize) -> f64 {
        let width = self.element.bytes();
        let bytes = &self.bytes[k * width..(k + 1) * width];
        match self.element {
            Element::F32 => f32::from_ne_bytes(fixed(bytes)) as f64,
            Element::F64 => f64::from_ne_bytes(fixed(bytes)),
            Element::F16 => f16::from_ne_bytes(fixed(bytes)).to_f64(),
            Element::BF16 => bf16::from_ne_bytes(fixed(bytes)).to_f64(),
            Element::I32 => i32::from_ne_bytes(fixed(bytes)) as f64,
            Element::U32 => u32::from_ne_bytes(fixed(bytes)) as f64,
            Element::U8 | Element::Bool => bytes[0] as f64,
        }
    }

    pub fn numbers(&self) -> Vec<f64> {
        (0..self.size()).map(|k| self.number(k)).collect()
    }

    /// Element `k` as the shortest text that reads back as the same number of the same kind.
    pub fn text(&self, k: usize) -> String {
        let x = self.number(k);
        match self.element {
            // As f32, which holds all halves, few digits tell them apart.
            Element::F32 | Element::F16 | Element::BF16 => format!("{:?}", x as f32),
            Element::F64 => format!("{x:?}"),
            Element::I32 | Element::U32 | Element::U8 => format!("{x}"),
            Element::Bool => format!("{}", x != 0.0),
        }
    }
}

/// Exactly so many bytes, as the caller has seen to.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_tells_kinds_apart() {
        let f = |x: f32| Array { element: Element::F32, shape: vec![], bytes: x.to_ne_bytes().to_vec() }.text(0);
        assert_eq!([f(1.0), f(0.1), f(1e-9), f(f32::NAN)], ["1.0", "0.1", "1e-9", "NaN"]);
        let i = Array { element: Element::I32, shape: vec![], bytes: (-3i32).to_ne_bytes().to_vec() };
        assert_eq!((i.text(0).as_str(), i.numbers()), ("-3", vec![-3.0]));
    }
}
