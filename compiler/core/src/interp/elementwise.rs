//! Primitives that work on each element by itself.

use half::{bf16, f16};

use super::number::{Number, compare};
use super::value::{Stored, Value, with_dtype};
use crate::ir::{DType, Shape};
use crate::prim::{Binary, Compare, Unary};

/// The shape of the result: that of the operands that are not scalars.
fn shape_of(args: &[&Value]) -> Shape {
    args.iter().find(|a| !a.is_scalar()).map_or_else(Shape::new, |a| a.shape.clone())
}

fn size_of(shape: &Shape) -> usize {
    shape.iter().product()
}

/// Element `k` of an operand: a scalar has the same everywhere.
fn at<T: Copy>(x: &[T], scalar: bool, k: usize) -> T {
    if scalar { x[0] } else { x[k] }
}

fn map1<A: Stored, R: Stored>(x: &Value, f: impl Fn(A) -> R) -> Value {
    Value::new(x.shape.clone(), x.values::<A>().iter().map(|&x| f(x)).collect())
}

fn map2<A: Stored, R: Stored>(a: &Value, b: &Value, f: impl Fn(A, A) -> R) -> Value {
    let shape = shape_of(&[a, b]);
    let (x, y, sx, sy) = (a.values::<A>(), b.values::<A>(), a.is_scalar(), b.is_scalar());
    let values = (0..size_of(&shape)).map(|k| f(at(x, sx, k), at(y, sy, k))).collect();
    Value::new(shape, values)
}

pub fn unary(op: Unary, x: &Value) -> Value {
    with_dtype!(x.dtype(), T => map1::<T, T>(x, |x| T::unary(op, x)))
}

pub fn binary(op: Binary, a: Value, b: &Value) -> Value {
    with_dtype!(a.dtype(), T => {
        // Into the left operand where it may be: accumulators are added to in place.
        if a.shape == shape_of(&[&a, b]) {
            let mut a = a;
            let (y, scalar) = (b.values::<T>(), b.is_scalar());
            for (k, x) in a.values_mut::<T>().iter_mut().enumerate() {
                *x = T::binary(op, *x, at(y, scalar, k));
            }
            a
        } else {
            map2::<T, T>(&a, b, |x, y| T::binary(op, x, y))
        }
    })
}

pub fn comparison(op: Compare, a: &Value, b: &Value) -> Value {
    with_dtype!(a.dtype(), T => map2::<T, bool>(a, b, |x, y| compare(op, x, y)))
}

pub fn select(c: &Value, a: &Value, b: &Value) -> Value {
    let shape = shape_of(&[c, a, b]);
    with_dtype!(a.dtype(), T => {
        let (m, x, y) = (c.values::<bool>(), a.values::<T>(), b.values::<T>());
        let (sm, sx, sy) = (c.is_scalar(), a.is_scalar(), b.is_scalar());
        let pick = |k| if at(m, sm, k) { at(x, sx, k) } else { at(y, sy, k) };
        let values = (0..size_of(&shape)).map(pick).collect();
        Value::new::<T>(shape, values)
    })
}

pub fn mul_add(a: &Value, b: &Value, c: &Value) -> Value {
    let shape = shape_of(&[a, b, c]);
    with_dtype!(a.dtype(), T => {
        let (x, y, z) = (a.values::<T>(), b.values::<T>(), c.values::<T>());
        let (sx, sy, sz) = (a.is_scalar(), b.is_scalar(), c.is_scalar());
        let values = (0..size_of(&shape)).map(|k| T::mul_add(at(x, sx, k), at(y, sy, k), at(z, sz, k))).collect();
        Value::new::<T>(shape, values)
    })
}

pub fn convert(to: DType, x: &Value) -> Value {
    // Rust's `as` is the rule: float to integer truncates and saturates, NaN gives 0; integers wrap; floats round.
    macro_rules! to {
        ($from:ty) => {
            match to {
                DType::F32 => map1::<$from, f32>(x, |x| x as f32),
                DType::F64 => map1::<$from, f64>(x, |x| x as f64),
                DType::F16 => map1::<$from, f16>(x, |x| f16::from_f32(x as f32)),
                DType::BF16 => map1::<$from, bf16>(x, |x| bf16::from_f32(x as f32)),
                DType::I32 => map1::<$from, i32>(x, |x| x as i32),
                DType::U32 => map1::<$from, u32>(x, |x| x as u32),
                DType::U8 => map1::<$from, u8>(x, |x| x as u8),
                DType::Bool => map1::<$from, bool>(x, |x| x != <$from>::default()),
            }
        };
    }
    match x.dtype() {
        DType::F32 => to!(f32),
        DType::F64 => to!(f64),
        half if half == to => x.clone(),
        DType::F16 => convert(to, &map1::<f16, f32>(x, f16::to_f32)),
        DType::BF16 => convert(to, &map1::<bf16, f32>(x, bf16::to_f32)),
        DType::I32 => to!(i32),
        DType::U32 => to!(u32),
        DType::U8 => to!(u8),
        DType::Bool if to == DType::Bool => x.clone(),
        DType::Bool => convert(to, &map1::<bool, u8>(x, |x| x as u8)),
    }
}

pub fn bitcast(to: DType, x: &Value) -> Value {
    let mut data = x.to_data();
    data.ty.dtype = to;
    Value::from_data(&data)
}

/// The block of Threefry-2x32.
pub fn threefry(args: [&Value; 4]) -> [Value; 2] {
    let shape = shape_of(&args);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for k in 0..size_of(&shape) {
        let [k0, k1, c0, c1] = args.map(|a| at(a.values::<u32>(), a.is_scalar(), k));
        let [x, y] = threefry_block([k0, k1], [c0, c1]);
        left.push(x);
        right.push(y);
    }
    [Value::new(shape.clone(), left), Value::new(shape, right)]
}

/// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011): twenty rounds, a key word added after every four.
pub fn threefry_block(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    const PARITY: u32 = 0x1BD1_1BDA;
    let words = [key[0], key[1], key[0] ^ key[1] ^ PARITY];
    let [mut x, mut y] = [counter[0].wrapping_add(words[0]), counter[1].wrapping_add(words[1])];
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            x = x.wrapping_add(y);
            y = y.rotate_left(rotation) ^ x;
        }
        x = x.wrapping_add(words[(group + 1) % 3]);
        y = y.wrapping_add(words[(group + 2) % 3]).wrapping_add(group as u32 + 1);
    }
    [x, y]
}
