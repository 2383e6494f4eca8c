//! The same bits on the interpreter, the evaluator, and compiled code with vectors and without: every operation of elements, over bit patterns from
//! everywhere and over special values, all pairs of them. (The kernels' own vectors are in runtime/kernels/tests/levels.rs.)

mod common;

use common::*;
use whorl_core::halves;
use whorl_core::interp;
use whorl_core::ir::{ArrayData, DType, Lit, Program, Type};
use whorl_core::prim::{Binary, Compare, Prim, Unary};
use whorl_core::{Atom, Builder};
use whorl_schedule::loop_ir::*;

/// Zeros, ends of ranges and of exactness, ties, neighbours of whole numbers, infinities, NaN.
fn special(d: DType) -> Vec<Lit> {
    match d {
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 => {
            let bits = |x: f64| Lit::of(d, x).bits;
            let (least_normal, most) = match d {
                DType::F64 => (f64::MIN_POSITIVE, f64::MAX),
                DType::F32 | DType::BF16 => (f32::MIN_POSITIVE as f64, f32::MAX as f64),
                DType::F16 | DType::I32 | DType::U32 | DType::U8 | DType::Bool => (6.103515625e-5, 65504.0),
            };
            let mut at = vec![0, 1, 2, bits(least_normal) - 1, bits(least_normal), bits(most), bits(most) - 1];
            let places = [
                0.25,
                0.5,
                1.0,
                1.5,
                2.0,
                2.5,
                3.0,
                7.0,
                31.0,
                32.0,
                88.7,
                127.5,
                128.0,
                255.0,
                255.5,
                256.0,
                65504.0,
                8388607.5,
                8388608.0,
                16777216.0,
                2147483647.0,
                2147483648.0,
                4294967295.0,
                4294967296.0,
                4503599627370495.5,
                9007199254740992.0,
                1e30,
                3.25,
                0.7,
            ];
            for x in places.map(bits) {
                at.extend([x - 1, x, x + 1]);
            }
            let sign = 1u64 << (8 * d.bytes() - 1);
            let lit = |bits| Lit { dtype: d, bits };
            let ends = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(|x| Lit::of(d, x));
            at.into_iter().flat_map(|x| [lit(x), lit(x | sign)]).chain(ends).collect()
        }
        DType::I32 | DType::U32 | DType::U8 => {
            let mask = if d == DType::U8 { 0xff } else { 0xffff_ffff };
            let small = 0..34u64;
            let ends = [63, 64, 127, 128, 254, 255, 256, 257, 65535, 65536, 16_777_215, 16_777_216, 16_777_217];
            let tops = (0..4u64).flat_map(|k| [0x7fff_ffff - k, 0x8000_0000 + k, 0xffff_ffff - k]);
            let all = small.chain(ends).chain(tops).map(|x| Lit { dtype: d, bits: x & mask });
            all.collect()
        }
        DType::Bool => vec![Lit::bool(false), Lit::bool(true)],
    }
}

fn anything(random: &mut Random, d: DType, n: usize) -> Vec<Lit> {
    let mask = match d.bytes() {
        8 => u64::MAX,
        bytes => (1 << (8 * bytes)) - 1,
    };
    let mask = if d == DType::Bool { 1 } else { mask };
    (0..n).map(|_| Lit { dtype: d, bits: random.bits() & mask }).collect()
}

/// One operand: special values and any bits. Two: all pairs of special values, and any. Three: any of either.
fn operands(random: &mut Random, types: &[DType]) -> Vec<ArrayData> {
    let columns: Vec<Vec<Lit>> = match types {
        [d] => {
            let mut column = special(*d);
            column.extend(anything(random, *d, 6000));
            vec![column]
        }
        [d, e] => {
            let (x, y) = (special(*d), special(*e));
            let mut first: Vec<Lit> = x.iter().flat_map(|a| vec![*a; y.len()]).collect();
            let mut second: Vec<Lit> = x.iter().flat_map(|_| y.clone()).collect();
            first.extend(anything(random, *d, 2000));
            second.extend(anything(random, *e, 2000));
            vec![first, second]
        }
        _ => {
            let pools: Vec<Vec<Lit>> = types.iter().map(|d| special(*d)).collect();
            let mut one = |pool: &Vec<Lit>| {
                let mut column: Vec<Lit> = (0..6000).map(|_| random.one_of(pool)).collect();
                column.extend(anything(random, pool[0].dtype, 2000));
                column
            };
            pools.iter().map(&mut one).collect()
        }
    };
    types.iter().zip(columns).map(|(d, c)| ArrayData::from_lits(*d, &[c.len()], &c)).collect()
}

/// Four ways to the same bits.
#[track_caller]
fn agree(random: &mut Random, prim: &Prim, types: &[DType], kind: LaneKind) {
    let args = operands(random, types);
    let vectors: Vec<Type> = args.iter().map(|a| a.ty.clone()).collect();
    let result = prim.result_types(&vectors).expect("well-typed")[0].clone();

    let mut b = Builder::default();
    let params: Vec<_> = vectors.iter().map(|t| b.fresh(t.clone())).collect();
    let atoms: Vec<Atom> = params.iter().map(|v| Atom::Var(*v)).collect();
    b.begin();
    let y = b.prim1(prim.clone(), &atoms);
    let body = b.end(vec![y]);
    let program = Program { vars: b.vars, main: whorl_core::Function { params, body } };
    let expected = interp::run(&program, &args).expect("no checks").results;

    let mut build = Build::new();
    let mut ops = Vec::new();
    for (arg, d) in args.iter().zip(types) {
        let input = build.input(arg.clone());
        ops.push(load(input, &[1], *d));
    }
    ops.push(op(kind, result.dtype));
    let out = build.output(result.dtype, &result.shape);
    ops.push(store(out, &[1], types.len() as u32, result.dtype));
    build.straight(vec![lanes(&result.shape, ops)]);
    // Compiled code, both ways, against the evaluator; and that against the interpreter.
    build.check();
    let evaluated = whorl_schedule::evaluate(&build.program, &build.args).expect("no checks").results;
    if let Err(what) = same(&expected[0], &evaluated[0]) {
        panic!("{prim:?} of {types:?}, interpreter and evaluator: {what}");
    }
}

fn typed(prim: &Prim, types: &[DType]) -> bool {
    let types: Vec<Type> = types.iter().map(|d| Type::scalar(*d)).collect();
    prim.result_types(&types).is_ok() && halves::direct(prim, &types)
}

#[test]
fn of_one() {
    let random = &mut Random(11);
    for d in DType::ALL {
        for u in Unary::ALL {
            let prim = Prim::Unary(*u);
            if typed(&prim, &[d]) {
                agree(random, &prim, &[d], LaneKind::Unary(*u, Value(0)));
            }
        }
    }
}

#[test]
fn of_two() {
    let random = &mut Random(12);
    for d in DType::ALL {
        for op in Binary::ALL {
            let prim = Prim::Binary(*op);
            if typed(&prim, &[d, d]) {
                agree(random, &prim, &[d, d], LaneKind::Binary(*op, Value(0), Value(1)));
            }
        }
        for op in Compare::ALL {
            let prim = Prim::Compare(*op);
            if typed(&prim, &[d, d]) {
                agree(random, &prim, &[d, d], LaneKind::Compare(*op, Value(0), Value(1)));
            }
        }
    }
}

#[test]
fn of_three() {
    let random = &mut Random(13);
    let three = (Value(0), Value(1), Value(2));
    for d in DType::ALL {
        let types = [DType::Bool, d, d];
        agree(random, &Prim::Select, &types, LaneKind::Select(three.0, three.1, three.2));
        if typed(&Prim::MulAdd, &[d, d, d]) {
            agree(random, &Prim::MulAdd, &[d, d, d], LaneKind::MulAdd(three.0, three.1, three.2));
        }
    }
}

#[test]
fn conversions() {
    let random = &mut Random(14);
    for from in DType::ALL {
        for to in DType::ALL {
            let prim = Prim::Convert(to);
            if from != to && typed(&prim, &[from]) {
                agree(random, &prim, &[from], LaneKind::Convert(Value(0)));
            }
        }
    }
}

/// 1 / sqrt(x), as programs have it, in one loop.
#[test]
fn inverse_roots() {
    let random = &mut Random(15);
    for d in [DType::F32, DType::F64] {
        let args = operands(random, &[d]);
        let n = args[0].ty.size();
        let mut build = Build::new();
        let (input, out) = (build.input(args[0].clone()), build.output(d, &[n]));
        let root = op(LaneKind::Unary(Unary::Sqrt, Value(0)), d);
        let ops = vec![
            load(input, &[1], d),
            root,
            op(LaneKind::Lit(Lit::of(d, 1.0)), d),
            op(LaneKind::Binary(Binary::Div, Value(2), Value(1)), d),
            store(out, &[1], 3, d),
        ];
        build.straight(vec![lanes(&[n], ops)]);
        build.check();
    }
}

/// Dividends of 24 bits whose quotients by `y` are next to a point halfway between two floats: `2^k x - m y` is small, `m` odd and of 25 bits.
fn nearly_halfway(y: u32) -> Vec<f32> {
    // Newton's iteration, modulo 2^32.
    let inverse = (0..5).fold(y, |x, _| x.wrapping_mul(2u32.wrapping_sub(y.wrapping_mul(x))));
    let mut all = Vec::new();
    for k in [24, 25] {
        for difference in (-31i64..32).step_by(2) {
            let m = u64::from((-difference as u32).wrapping_mul(inverse) % (1 << k)) | 1 << 24;
            let x = (m as i64 * i64::from(y) + difference) >> k;
            if (1 << 23..1 << 24).contains(&x) {
                all.push(x as f32);
            }
        }
    }
    all
}

/// Many numbers divided by one, for which compiled code need not divide. What is strange stands apart from what is not.
#[test]
fn by_one_number() {
    let random = &mut Random(16);
    let mut divisors: Vec<f32> = special(DType::F32).iter().map(|lit| f32::from_bits(lit.bits as u32)).collect();
    for k in 0..600 {
        let mantissa = (1 << 23 | random.bits() as u32 & 0x7f_ffff | 1) as f32;
        divisors.push(mantissa * 2f32.powi(random.below(46) as i32 - 46) * if k % 9 == 0 { -1.0 } else { 1.0 });
    }
    let n = 160;
    let mut dividends = Vec::new();
    for y in &divisors {
        let mut row = nearly_halfway(y.to_bits() & 0x7f_ffff | 0x80_0001);
        assert!(row.len() > 8);
        let scale = 2f32.powi(random.below(100) as i32 - 60);
        row.iter_mut().for_each(|x| *x *= scale);
        row.truncate(60);
        row.extend([0.0, -0.0, -scale, scale]);
        while row.len() < 96 {
            row.push((random.bits() as i32) as f32 * scale);
        }
        while row.len() < 128 {
            row.push(f32::from_bits(random.bits() as u32));
        }
        row.extend(special(DType::F32).iter().rev().take(n - 128).map(|lit| f32::from_bits(lit.bits as u32)));
        dividends.extend(row.into_iter().map(Lit::f32));
    }
    let rows = divisors.len();
    let divisors: Vec<Lit> = divisors.into_iter().map(Lit::f32).collect();
    let mut build = Build::new();
    let x = build.input(ArrayData::from_lits(DType::F32, &[rows, n], &dividends));
    let y = build.input(ArrayData::from_lits(DType::F32, &[rows], &divisors));
    let out = build.output(DType::F32, &[rows, n]);
    let ops = vec![
        load(x, &[n as isize, 1], DType::F32),
        load(y, &[1, 0], DType::F32),
        op(LaneKind::Binary(Binary::Div, Value(0), Value(1)), DType::F32),
        store(out, &[n as isize, 1], 2, DType::F32),
    ];
    build.straight(vec![lanes(&[rows, n], ops)]);
    build.check();
    // The same for divisors that are known.
    for y in [1.1f32, 3.0, -7.0, 0.0, 1e-30, 1048576.0, 1048577.0] {
        let mut build = Build::new();
        let x = build.input(ArrayData::from_lits(DType::F32, &[rows * n], &dividends));
        let out = build.output(DType::F32, &[rows * n]);
        let ops = vec![
            load(x, &[1], DType::F32),
            op(LaneKind::Lit(Lit::f32(y)), DType::F32),
            op(LaneKind::Binary(Binary::Div, Value(0), Value(1)), DType::F32),
            store(out, &[1], 2, DType::F32),
        ];
        build.straight(vec![lanes(&[rows * n], ops)]);
        build.check();
    }
}
