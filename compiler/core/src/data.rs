//! Arrays of bytes as numbers: making and reading [`ArrayData`].

use half::{bf16, f16};

use crate::ir::{ArrayData, DType, Lit, Shape, Type};

/// A Rust type that holds one element of a [`DType`].
pub trait Element: Copy + Default + PartialEq + std::fmt::Debug + 'static {
    const DTYPE: DType;
    fn put(self, bytes: &mut Vec<u8>);
    /// From exactly `DTYPE.bytes()` bytes.
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($($t:ty: $d:ident),*) => {$(
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_ne_bytes());
            }
            fn get(bytes: &[u8]) -> $t {
                <$t>::from_ne_bytes(bytes.try_into().expect("one element's bytes"))
            }
        }
    )*};
}

element!(f32: F32, f64: F64, f16: F16, bf16: BF16, i32: I32, u32: U32, u8: U8);

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(self as u8);
    }
    fn get(bytes: &[u8]) -> bool {
        bytes[0] != 0
    }
}

impl ArrayData {
    /// `values` in row-major order; as many as `shape` says.
    #[track_caller]
    pub fn new<T: Element>(shape: &[usize], values: &[T]) -> ArrayData {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "values for shape {shape:?}");
        let mut bytes = Vec::with_capacity(values.len() * T::DTYPE.bytes());
        values.iter().for_each(|v| v.put(&mut bytes));
        ArrayData { ty: Type::new(T::DTYPE, shape), bytes }
    }

    pub fn scalar<T: Element>(value: T) -> ArrayData {
        ArrayData::new(&[], &[value])
    }

    pub fn vector<T: Element>(values: &[T]) -> ArrayData {
        ArrayData::new(&[values.len()], values)
    }

    pub fn zeros(ty: &Type) -> ArrayData {
        ArrayData { ty: ty.clone(), bytes: vec![0; ty.size() * ty.dtype.bytes()] }
    }

    /// The elements in row-major order. Panics where `T` is not the element type.
    #[track_caller]
    pub fn values<T: Element>(&self) -> Vec<T> {
        assert_eq!(T::DTYPE, self.ty.dtype, "element type");
        self.bytes.chunks_exact(T::DTYPE.bytes()).map(T::get).collect()
    }

    /// The elements in row-major order, whatever their type.
    pub fn to_f64(&self) -> Vec<f64> {
        (0..self.ty.size()).map(|k| self.element(k).to_f64()).collect()
    }

    /// Element `k`, row-major.
    pub fn element(&self, k: usize) -> Lit {
        let width = self.ty.dtype.bytes();
        let bytes = &self.bytes[k * width..(k + 1) * width];
        let bits = match self.ty.dtype {
            DType::F64 => u64::from_ne_bytes(bytes.try_into().expect("eight bytes")),
            DType::F32 | DType::I32 | DType::U32 => u32::get(bytes) as u64,
            DType::F16 | DType::BF16 => u16::from_ne_bytes(bytes.try_into().expect("two bytes")) as u64,
            DType::U8 | DType::Bool => bytes[0] as u64,
        };
        Lit { dtype: self.ty.dtype, bits }
    }

    /// An array of such scalars.
    pub fn from_lits(dtype: DType, shape: &[usize], lits: &[Lit]) -> ArrayData {
        let mut bytes = Vec::with_capacity(lits.len() * dtype.bytes());
        for lit in lits {
            assert_eq!(lit.dtype, dtype, "element type");
            match dtype {
                DType::F64 => bytes.extend_from_slice(&lit.bits.to_ne_bytes()),
                DType::F32 | DType::I32 | DType::U32 => (lit.bits as u32).put(&mut bytes),
                DType::F16 | DType::BF16 => bytes.extend_from_slice(&(lit.bits as u16).to_ne_bytes()),
                DType::U8 | DType::Bool => bytes.push(lit.bits as u8),
            }
        }
        ArrayData { ty: Type { dtype, shape: Shape::from_slice(shape) }, bytes }
    }
}

impl From<Lit> for ArrayData {
    fn from(lit: Lit) -> ArrayData {
        ArrayData::from_lits(lit.dtype, &[], &[lit])
    }
}

/// Brackets around the elements of an array, row by row.
pub fn bracketed(shape: &[usize], values: &[String]) -> String {
    match shape {
        [] => values.concat(),
        [_] => format!("[{}]", values.join(", ")),
        [n, rest @ ..] => {
            let row = rest.iter().product::<usize>();
            let rows: Vec<String> = (0..*n).map(|k| bracketed(rest, &values[k * row..(k + 1) * row])).collect();
            format!("[{}]", rows.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back() {
        let a = ArrayData::new(&[2, 2], &[1.5f64, -2.0, f64::INFINITY, 0.0]);
        assert_eq!(a.values::<f64>(), [1.5, -2.0, f64::INFINITY, 0.0]);
        assert_eq!(a.element(1), Lit::f64(-2.0));
        let b = ArrayData::vector(&[true, false]);
        assert_eq!(b.to_f64(), [1.0, 0.0]);
        assert_eq!(ArrayData::from(Lit::i32(-7)).values::<i32>(), [-7]);
    }
}
