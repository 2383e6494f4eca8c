//! Every primitive, by value.
#![allow(clippy::cloned_ref_to_slice_refs)] // Lists of operands look alike, whether there are one or two.

mod common;

use common::{apply, apply1};
use whorl_core::ArrayData;
use whorl_core::data::Element;

fn v<T: Element>(values: &[T]) -> ArrayData {
    ArrayData::vector(values)
}

fn a<T: Element>(shape: &[usize], values: &[T]) -> ArrayData {
    ArrayData::new(shape, values)
}

#[track_caller]
fn check<T: Element>(prim: &str, args: &[ArrayData], want: &[T]) {
    assert_eq!(apply1(prim, args).values::<T>(), want, "{prim}");
}

/// Bit for bit, so that signs of zeros and NaNs count.
#[track_caller]
fn check_bits(prim: &str, args: &[ArrayData], want: &[f32]) {
    let bits = |x: &[f32]| x.iter().map(|x| if x.is_nan() { 1 } else { x.to_bits() }).collect::<Vec<_>>();
    assert_eq!(bits(&apply1(prim, args).values::<f32>()), bits(want), "{prim}");
}

#[test]
fn unary_of_floats() {
    let x = v(&[-1.5f32, -0.0, 2.5, f32::NAN, f32::INFINITY]);
    check_bits("neg", &[x.clone()], &[1.5, 0.0, -2.5, f32::NAN, f32::NEG_INFINITY]);
    check_bits("abs", &[x.clone()], &[1.5, 0.0, 2.5, f32::NAN, f32::INFINITY]);
    check_bits("sign", &[x.clone()], &[-1.0, -0.0, 1.0, f32::NAN, 1.0]);
    check_bits("floor", &[x.clone()], &[-2.0, -0.0, 2.0, f32::NAN, f32::INFINITY]);
    check_bits("ceil", &[x.clone()], &[-1.0, -0.0, 3.0, f32::NAN, f32::INFINITY]);
    check_bits("round", &[x], &[-2.0, -0.0, 2.0, f32::NAN, f32::INFINITY]);
    check_bits("sqrt", &[v(&[4.0f32, -1.0])], &[2.0, f32::NAN]);
}

#[test]
fn elementary_functions_are_close_to_the_real_ones() {
    let near = |prim: &str, x: f64, want: f64| {
        let single = apply1(prim, &[ArrayData::scalar(x as f32)]).to_f64()[0];
        let double = apply1(prim, &[ArrayData::scalar(x)]).to_f64()[0];
        assert!((single - want).abs() <= 1e-6 * want.abs().max(1e-3), "{prim}({x}f32) = {single}, not {want}");
        assert!((double - want).abs() <= 1e-13 * want.abs().max(1e-3), "{prim}({x}f64) = {double}, not {want}");
    };
    let x = 0.625f64;
    for (prim, want) in [
        ("exp", x.exp()),
        ("log", f64::ln(x)),
        ("log1p", x.ln_1p()),
        ("expm1", x.exp_m1()),
        ("sin", x.sin()),
        ("cos", x.cos()),
        ("tan", x.tan()),
        ("asin", x.asin()),
        ("acos", x.acos()),
        ("atan", x.atan()),
        ("tanh", x.tanh()),
        ("sigmoid", 1.0 / (1.0 + (-x).exp())),
        ("erf", 0.623240882188418),
        ("erf_inv", 0.627307347788559),
        ("exp2", x.exp2()),
        ("log2", x.log2()),
        ("sinh", x.sinh()),
        ("cosh", x.cosh()),
        ("asinh", x.asinh()),
        ("atanh", x.atanh()),
        ("erfc", 0.376759117811582),
        ("cbrt", x.cbrt()),
        ("lgamma", 0.36082949548894017),
        ("digamma", -1.4527087645765666),
    ] {
        near(prim, x, want);
    }
    let pow = apply1("pow", &[ArrayData::scalar(2.0f64), ArrayData::scalar(0.5f64)]).to_f64()[0];
    assert!((pow - std::f64::consts::SQRT_2).abs() < 1e-14);
    let angle = apply1("atan2", &[ArrayData::scalar(-1.0f64), ArrayData::scalar(-1.0f64)]).to_f64()[0];
    assert!((angle + 3.0 * std::f64::consts::FRAC_PI_4).abs() < 1e-14);
}

#[test]
fn unary_of_integers_and_bools() {
    check("neg", &[v(&[i32::MIN, 3])], &[i32::MIN, -3]);
    check("abs", &[v(&[i32::MIN, -3])], &[i32::MIN, 3]);
    check("sign", &[v(&[-9, 0, 9])], &[-1, 0, 1]);
    check("sign", &[v(&[0u32, 9])], &[0u32, 1]);
    check("neg", &[v(&[1u8])], &[255u8]);
    check("not", &[v(&[0u8, 1])], &[255u8, 254]);
    check("not", &[v(&[true, false])], &[false, true]);
    check("pop_count", &[v(&[-1, 5])], &[32, 2]);
}

#[test]
fn arithmetic() {
    let (x, y) = (v(&[1.0f32, -7.5]), v(&[4.0f32, 2.0]));
    check("add", &[x.clone(), y.clone()], &[5.0f32, -5.5]);
    check("sub", &[x.clone(), y.clone()], &[-3.0f32, -9.5]);
    check("mul", &[x.clone(), y.clone()], &[4.0f32, -15.0]);
    check("div", &[x.clone(), y.clone()], &[0.25f32, -3.75]);
    check("rem", &[x.clone(), y.clone()], &[1.0f32, -1.5]);
    check("add", &[x.clone(), ArrayData::scalar(1.0f32)], &[2.0f32, -6.5]);
    check("sub", &[ArrayData::scalar(1.0f32), x], &[0.0f32, 8.5]);
    check("add", &[v(&[u8::MAX]), v(&[2u8])], &[1u8]);
    check("mul", &[v(&[i32::MAX]), v(&[2])], &[-2]);
    check("div", &[v(&[-7, i32::MIN, 5]), v(&[2, -1, 0])], &[-3, i32::MIN, -1]);
    check("rem", &[v(&[-7, i32::MIN, 5]), v(&[2, -1, 0])], &[-1, 0, 5]);
    check("div", &[v(&[7u32]), v(&[0u32])], &[u32::MAX]);
    // 1 + 2^-24 is lost unless the product is kept whole.
    let e = 1.0 + f32::EPSILON;
    check("mul_add", &[v(&[e]), v(&[e]), ArrayData::scalar(-1.0f32)], &[e.mul_add(e, -1.0)]);
}

#[test]
fn extremes_and_nan() {
    let (x, y) = (v(&[1.0, f32::NAN, 2.0, 0.0, -0.0]), v(&[2.0, 1.0, f32::NAN, -0.0, 0.0]));
    check_bits("min", &[x.clone(), y.clone()], &[1.0, f32::NAN, f32::NAN, -0.0, 0.0]);
    check_bits("max", &[x.clone(), y.clone()], &[2.0, f32::NAN, f32::NAN, -0.0, 0.0]);
    check("eq", &[x.clone(), y.clone()], &[false, false, false, true, true]);
    check("ne", &[x.clone(), y.clone()], &[true, true, true, false, false]);
    check("lt", &[x.clone(), y.clone()], &[true, false, false, false, false]);
    check("le", &[x.clone(), y.clone()], &[true, false, false, true, true]);
    check("gt", &[y.clone(), x.clone()], &[true, false, false, false, false]);
    check("ge", &[y, x], &[true, false, false, true, true]);
}

#[test]
fn bits_and_shifts() {
    check("and", &[v(&[6]), v(&[3])], &[2]);
    check("or", &[v(&[6u8]), v(&[3u8])], &[7u8]);
    check("xor", &[v(&[true, true]), v(&[true, false])], &[false, true]);
    check("shl", &[v(&[1, 1, 1, 1]), v(&[4, 31, 32, -1])], &[16, i32::MIN, 0, 0]);
    check("shr", &[v(&[-8, -8, 8]), v(&[1, 40, 40])], &[-4, -1, 0]);
    check("shr", &[v(&[200u8, 200]), v(&[3u8, 8])], &[25u8, 0]);
    check("shr_logical", &[v(&[-8, -8]), v(&[1, 32])], &[0x7fff_fffc, 0]);
}

#[test]
fn choice_and_conversion() {
    let c = v(&[true, false]);
    check("select", &[c.clone(), v(&[1, 2]), ArrayData::scalar(9)], &[1, 9]);
    check("select", &[ArrayData::scalar(true), v(&[1, 2]), ArrayData::scalar(9)], &[1, 2]);
    let x = v(&[-1.9f32, 300.7, f32::NAN, 1e20]);
    check("convert[to=i32]", &[x.clone()], &[-1, 300, 0, i32::MAX]);
    check("convert[to=u32]", &[x.clone()], &[0u32, 300, 0, u32::MAX]);
    check("convert[to=u8]", &[x.clone()], &[0u8, 255, 0, 255]);
    check("convert[to=bool]", &[v(&[0.0f32, -0.0, f32::NAN])], &[false, false, true]);
    check("convert[to=f64]", &[c.clone()], &[1.0f64, 0.0]);
    check("convert[to=bool]", &[c.clone()], &[true, false]);
    check("convert[to=f32]", &[v(&[u32::MAX])], &[4294967296.0f32]);
    check("convert[to=u8]", &[v(&[-1, 257])], &[255u8, 1]);
    check("convert[to=f32]", &[v(&[0.1f64])], &[0.1f32]);
    check("bitcast[to=u32]", &[v(&[1.0f32])], &[0x3f80_0000u32]);
    check("bitcast[to=f32]", &[v(&[0x3f80_0000])], &[1.0f32]);
    check("stop_gradient", &[c], &[true, false]);
}

/// The vectors of Random123 1.14, `kat_vectors`.
#[test]
fn threefry_known_answers() {
    let block = |k: [u32; 2], c: [u32; 2]| {
        let args: Vec<ArrayData> = k.into_iter().chain(c).map(ArrayData::scalar).collect();
        apply("threefry", &args).iter().map(|x| x.values::<u32>()[0]).collect::<Vec<_>>()
    };
    assert_eq!(block([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
    assert_eq!(block([!0, !0], [!0, !0]), [0x1cb9_96fc, 0xbb00_2be7]);
    assert_eq!(block([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]), [0xc492_3a9c, 0x483d_f7a0]);
}

#[test]
fn making_and_rearranging() {
    check("iota[n=4]", &[], &[0, 1, 2, 3]);
    check("iota[n=0]", &[], &[0i32; 0]);
    check("broadcast[shape=2,3 axes=]", &[ArrayData::scalar(7)], &[7; 6]);
    check("broadcast[shape=2,3 axes=1]", &[v(&[1, 2, 3])], &[1, 2, 3, 1, 2, 3]);
    check("broadcast[shape=2,3 axes=0]", &[v(&[1, 2])], &[1, 1, 1, 2, 2, 2]);
    let x = a(&[2, 3], &[1, 2, 3, 4, 5, 6]);
    check("reshape[shape=3,2]", &[x.clone()], &[1, 2, 3, 4, 5, 6]);
    check("transpose[perm=1,0]", &[x.clone()], &[1, 4, 2, 5, 3, 6]);
    let cube = a(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
    check("transpose[perm=2,0,1]", &[cube], &[1, 4, 2, 5, 3, 6]);
    check("slice[starts=0,1 shape=2,1 strides=1,1]", &[x.clone()], &[2, 5]);
    check("slice[starts=1,0 shape=1,2 strides=1,2]", &[x.clone()], &[4, 6]);
    check(
        "pad[low=1,0 high=0,1 interior=0,1]",
        &[x.clone(), ArrayData::scalar(0)],
        &[0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0],
    );
    check("reverse[axes=1]", &[x.clone()], &[3, 2, 1, 6, 5, 4]);
    check("reverse[axes=0,1]", &[x.clone()], &[6, 5, 4, 3, 2, 1]);
    check("concat[axis=0]", &[x.clone(), a(&[1, 3], &[7, 8, 9])], &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    check("concat[axis=1]", &[x.clone(), a(&[2, 1], &[7, 8]), a(&[2, 0], &[0i32; 0])], &[1, 2, 3, 7, 4, 5, 6, 8]);
}

#[test]
fn access_clamps() {
    let x = a(&[3, 2], &[1, 2, 3, 4, 5, 6]);
    let i = |k: i32| ArrayData::scalar(k);
    check("index", &[x.clone(), i(1)], &[3, 4]);
    check("index", &[x.clone(), i(-5), i(1)], &[2]);
    check("index", &[x.clone(), i(99), i(99)], &[6]);
    check("index[window=2]", &[x.clone(), i(1)], &[3, 4, 5, 6]);
    check("index[window=2]", &[x.clone(), i(2)], &[3, 4, 5, 6]);
    check("index[window=1]", &[x.clone(), i(0), i(7)], &[2]);
    check("index", &[x.clone()], &[1, 2, 3, 4, 5, 6]);
    check("index_set", &[x.clone(), v(&[8, 9]), i(7)], &[1, 2, 3, 4, 8, 9]);
    check("index_add", &[x.clone(), i(10), i(0), i(1)], &[1, 12, 3, 4, 5, 6]);
    check("index_set[window=2]", &[x.clone(), a(&[2, 2], &[0; 4]), i(9)], &[1, 2, 0, 0, 0, 0]);
    check("index_add[window=1]", &[x, v(&[10]), i(1), i(0)], &[1, 2, 13, 4, 5, 6]);
}

#[test]
fn reductions() {
    let x = a(&[2, 3], &[1, 5, 3, 4, 2, 6]);
    check("reduce[op=sum axes=1]", &[x.clone()], &[9, 12]);
    check("reduce[op=sum axes=0]", &[x.clone()], &[5, 7, 9]);
    check("reduce[op=prod axes=0,1]", &[x.clone()], &[720]);
    check("reduce[op=max axes=1]", &[x.clone()], &[5, 6]);
    check("reduce[op=min axes=0]", &[x.clone()], &[1, 2, 3]);
    check("reduce[op=sum axes=]", &[x.clone()], &[1, 5, 3, 4, 2, 6]);
    check("reduce[op=max axes=0]", &[a(&[0, 2], &[0i32; 0])], &[i32::MIN; 2]);
    check("reduce[op=min axes=0]", &[a(&[0, 2], &[0f32; 0])], &[f32::INFINITY; 2]);
    check_bits("reduce[op=max axes=0]", &[v(&[1.0, f32::NAN, 2.0])], &[f32::NAN]);
    check("reduce[op=all axes=0]", &[v(&[true, false])], &[false]);
    check("reduce[op=any axes=0]", &[v(&[true, false])], &[true]);
    check("cumulative[op=sum axis=1]", &[x.clone()], &[1, 6, 9, 4, 6, 12]);
    check("cumulative[op=max axis=1 reverse]", &[x.clone()], &[5, 5, 3, 6, 6, 6]);
    check("cumulative[op=prod axis=0]", &[x], &[1, 5, 3, 4, 10, 18]);
}

/// Over last axes there are sixteen partial sums; over others, one.
#[test]
fn the_order_of_sums_is_fixed() {
    let x: Vec<f32> = (0..100).map(|k| 1.0 / (1.0 + k as f32 * 0.37)).collect();
    let mut p = [0f32; 16];
    x.iter().enumerate().for_each(|(r, x)| p[r % 16] += x);
    for w in [8, 4, 2, 1] {
        for l in 0..w {
            p[l] += p[l + w];
        }
    }
    let plain = x.iter().fold(0f32, |a, b| a + b);
    assert_ne!(p[0], plain);
    check("reduce[op=sum axes=0]", &[v(&x)], &[p[0]]);
    check("reduce[op=sum axes=0,1]", &[a(&[10, 10], &x)], &[p[0]]);
    check("reduce[op=sum axes=0]", &[a(&[100, 1], &x)], &[plain]);
}

#[test]
fn places_of_extremes() {
    let x = a(&[2, 3], &[1.0f32, 3.0, 3.0, 0.0, -1.0, -1.0]);
    check("argmax[axis=1]", &[x.clone()], &[1, 0]);
    check("argmin[axis=1]", &[x.clone()], &[0, 1]);
    check("argmax[axis=0]", &[x], &[0, 0, 0]);
    check("argmax[axis=0]", &[v(&[1.0, f32::NAN, f32::INFINITY, f32::NAN])], &[1]);
    check("argmin[axis=0]", &[v(&[1.0, f32::NAN, f32::NEG_INFINITY])], &[1]);
    check("argmax[axis=0]", &[v(&[f32::NAN, f32::NAN])], &[0]);
    check("argmax[axis=0]", &[v(&[false, true, true])], &[1]);
}

#[test]
fn products() {
    let x = a(&[2, 3], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let y = a(&[3, 2], &[1.0f32, 0.0, 0.0, 1.0, 1.0, 1.0]);
    check("dot[lhs_contract=1 rhs_contract=0]", &[x.clone(), y.clone()], &[4.0f32, 5.0, 10.0, 11.0]);
    check(
        "dot[lhs_contract=0 rhs_contract=1]",
        &[x.clone(), y.clone()],
        &[1.0f32, 4.0, 5.0, 2.0, 5.0, 7.0, 3.0, 6.0, 9.0],
    );
    check("dot[lhs_contract=0,1 rhs_contract=1,0]", &[x.clone(), y], &[1.0f32 + 3.0 + 5.0 + 6.0]);
    check("dot", &[v(&[1, 2]), v(&[3, 4])], &[3, 4, 6, 8]);
    // Rows of y's transpose against rows of x, two of each.
    let z = a(&[3, 2], &[1.0f32, 0.0, 0.0, 1.0, 1.0, 1.0]);
    check("dot[lhs_batch=0 rhs_batch=1 lhs_contract=1 rhs_contract=0]", &[x, z], &[4.0f32, 11.0]);
    check("dot[lhs_batch=0 rhs_batch=0]", &[v(&[2, 3]), a(&[2, 2], &[1, 2, 3, 4])], &[2, 4, 9, 12]);
    check("dot[lhs_contract=1 rhs_contract=0]", &[a(&[2, 0], &[0f32; 0]), a(&[0, 1], &[0f32; 0])], &[0f32; 2]);
    let e = 1.0 + f32::EPSILON;
    check("dot[lhs_contract=0 rhs_contract=0]", &[v(&[1.0, e]), v(&[-1.0, e])], &[e.mul_add(e, -1.0)]);
}

#[test]
fn sorting() {
    check("sort[axis=0 keys=1]", &[v(&[3, 1, 2])], &[1, 2, 3]);
    check_bits(
        "sort[axis=0 keys=1]",
        &[v(&[f32::NAN, 1.0, -0.0, f32::INFINITY, 0.0, f32::NEG_INFINITY])],
        &[f32::NEG_INFINITY, -0.0, 0.0, 1.0, f32::INFINITY, f32::NAN],
    );
    // NaNs are last and equal, whatever their sign.
    let sorted = apply("sort[axis=0 keys=1]", &[v(&[-f32::NAN, f32::NAN, 1.0, -f32::NAN]), v(&[0, 1, 2, 3])]);
    assert_eq!(sorted[1].values::<i32>(), [2, 0, 1, 3]);
    // Stable, with a payload, along the first axis.
    let keys = a(&[3, 2], &[2u8, 1, 1, 1, 2, 0]);
    let payload = a(&[3, 2], &[0, 1, 2, 3, 4, 5]);
    let sorted = apply("sort[axis=0 keys=1]", &[keys, payload]);
    assert_eq!(sorted[0].values::<u8>(), [1, 0, 2, 1, 2, 1]);
    assert_eq!(sorted[1].values::<i32>(), [2, 5, 0, 1, 4, 3]);
    // Two keys.
    let sorted = apply("sort[axis=0 keys=2]", &[v(&[1, 0, 1, 0]), v(&[0.5f32, 2.0, 0.25, 1.0]), v(&[10, 11, 12, 13])]);
    assert_eq!(sorted[2].values::<i32>(), [13, 11, 12, 10]);
}
