//! The interpreter's arrays: typed elements behind a counted pointer, copied when written while shared.

use std::rc::Rc;

use half::{bf16, f16};

use crate::data::Element;
use crate::ir::{ArrayData, DType, Lit, Shape, Type};

#[derive(Clone, Debug)]
pub struct Value {
    pub shape: Shape,
    pub data: Data,
}

/// Elements in row-major order.
#[derive(Clone, Debug)]
pub enum Data {
    F32(Rc<Vec<f32>>),
    F64(Rc<Vec<f64>>),
    F16(Rc<Vec<f16>>),
    BF16(Rc<Vec<bf16>>),
    I32(Rc<Vec<i32>>),
    U32(Rc<Vec<u32>>),
    U8(Rc<Vec<u8>>),
    Bool(Rc<Vec<bool>>),
}

/// An element type that knows its place in [`Data`].
pub trait Stored: Element {
    fn wrap(values: Vec<Self>) -> Data;
    fn values(data: &Data) -> &Vec<Self>;
    fn values_mut(data: &mut Data) -> &mut Vec<Self>;
}

macro_rules! stored {
    ($($t:ty: $d:ident),*) => {$(
        impl Stored for $t {
            fn wrap(values: Vec<$t>) -> Data {
                Data::$d(Rc::new(values))
            }
            #[track_caller]
            fn values(data: &Data) -> &Vec<$t> {
                match data {
                    Data::$d(v) => v,
                    other => panic!("ill-typed Core: {} where {} is wanted", other.dtype().name(), stringify!($t)),
                }
            }
            #[track_caller]
            fn values_mut(data: &mut Data) -> &mut Vec<$t> {
                match data {
                    Data::$d(v) => Rc::make_mut(v),
                    other => panic!("ill-typed Core: {} where {} is wanted", other.dtype().name(), stringify!($t)),
                }
            }
        }
    )*};
}

stored!(f32: F32, f64: F64, f16: F16, bf16: BF16, i32: I32, u32: U32, u8: U8, bool: Bool);

/// Runs an expression with `$T` standing for the Rust type of a [`DType`].
macro_rules! with_dtype {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::ir::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::ir::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::ir::DType::F16 => {
                type $T = half::f16;
                $body
            }
            $crate::ir::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            $crate::ir::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::ir::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::ir::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::ir::DType::Bool => {
                type $T = bool;
                $body
            }
        }
    };
}
pub(crate) use with_dtype;

impl Data {
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::F16(_) => DType::F16,
            Data::BF16(_) => DType::BF16,
            Data::I32(_) => DType::I32,
            Data::U32(_) => DType::U32,
            Data::U8(_) => DType::U8,
            Data::Bool(_) => DType::Bool,
        }
    }
}

impl Value {
    pub fn new<T: Stored>(shape: Shape, values: Vec<T>) -> Value {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        Value { shape, data: T::wrap(values) }
    }

    pub fn scalar<T: Stored>(x: T) -> Value {
        Value::new(Shape::new(), vec![x])
    }

    /// The same with +0 for -0.
    pub fn with_one_zero(mut self) -> Value {
        macro_rules! flush {
            ($values:expr, $t:ty, $zero:expr) => {{
                let negative = |x: &$t| *x == $zero && x.is_sign_negative();
                if $values.iter().any(negative) {
                    Rc::make_mut($values).iter_mut().filter(|x| negative(&**x)).for_each(|x| *x = $zero);
                }
            }};
        }
        match &mut self.data {
            Data::F32(v) => flush!(v, f32, 0.0),
            Data::F64(v) => flush!(v, f64, 0.0),
            Data::F16(v) => flush!(v, f16, f16::ZERO),
            Data::BF16(v) => flush!(v, bf16, bf16::ZERO),
            Data::I32(_) | Data::U32(_) | Data::U8(_) | Data::Bool(_) => {}
        }
        self
    }

    pub fn lit(lit: Lit) -> Value {
        match lit.dtype {
            DType::F32 => Value::scalar(f32::from_bits(lit.bits as u32)),
            DType::F64 => Value::scalar(f64::from_bits(lit.bits)),
            DType::F16 => Value::scalar(f16::from_bits(lit.bits as u16)),
            DType::BF16 => Value::scalar(bf16::from_bits(lit.bits as u16)),
            DType::I32 => Value::scalar(lit.bits as u32 as i32),
            DType::U32 => Value::scalar(lit.bits as u32),
            DType::U8 => Value::scalar(lit.bits as u8),
            DType::Bool => Value::scalar(lit.bits != 0),
        }
    }

    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    pub fn ty(&self) -> Type {
        Type { dtype: self.dtype(), shape: self.shape.clone() }
    }

    pub fn is_scalar(&self) -> bool {
        self.shape.is_empty()
    }

    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    #[track_caller]
    pub fn values<T: Stored>(&self) -> &Vec<T> {
        T::values(&self.data)
    }

    /// The elements for writing; copied first if another value shares them.
    #[track_caller]
    pub fn values_mut<T: Stored>(&mut self) -> &mut Vec<T> {
        T::values_mut(&mut self.data)
    }

    #[track_caller]
    pub fn one<T: Stored>(&self) -> T {
        self.values::<T>()[0]
    }

    pub fn from_data(data: &ArrayData) -> Value {
        with_dtype!(data.ty.dtype, T => Value::new::<T>(data.ty.shape.clone(), data.values::<T>()))
    }

    pub fn to_data(&self) -> ArrayData {
        with_dtype!(self.dtype(), T => ArrayData::new::<T>(&self.shape, self.values::<T>()))
    }

    pub fn zeros(ty: &Type) -> Value {
        with_dtype!(ty.dtype, T => Value::new::<T>(ty.shape.clone(), vec![T::default(); ty.size()]))
    }

    /// The elements at these places, or `fill` (a scalar of the same type) where there is none.
    pub fn gather(&self, shape: Shape, places: impl Iterator<Item = Option<usize>>, fill: Option<&Value>) -> Value {
        with_dtype!(self.dtype(), T => {
            let (x, fill) = (self.values::<T>(), fill.map_or(T::default(), |f| f.one::<T>()));
            Value::new::<T>(shape, places.map(|p| p.map_or(fill, |p| x[p])).collect())
        })
    }

    /// Writes `part` from element `at` on, row-major.
    pub fn write(&mut self, at: usize, part: &Value) {
        with_dtype!(self.dtype(), T => {
            let part = part.values::<T>();
            self.values_mut::<T>()[at..at + part.len()].copy_from_slice(part);
        })
    }
}

/// How far apart neighbours on each axis are, in elements.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for k in (1..shape.len()).rev() {
        strides[k - 1] = strides[k] * shape[k];
    }
    strides
}

/// All multi-indices of `shape`, row-major, handed to `f`.
pub fn each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    let mut index = vec![0; shape.len()];
    for _ in 0..shape.iter().product() {
        f(&index);
        for k in (0..shape.len()).rev() {
            index[k] += 1;
            if index[k] < shape[k] {
                break;
            }
            index[k] = 0;
        }
    }
}
