//! Every operation on every element type, with awkward values.

mod common;

use common::*;
use whorl_core::halves;
use whorl_core::ir::{ArrayData, Type};
use whorl_core::ir::{DType, Lit};
use whorl_core::prim::{Binary, Compare, Prim, Unary};
use whorl_schedule::loop_ir::*;

/// A loop of `n` lanes over operands of these types.
#[track_caller]
fn elementwise(random: &mut Random, n: usize, args: &[DType], kind: LaneKind, result: DType) {
    let mut build = Build::new();
    let mut ops = Vec::new();
    for d in args {
        let input = build.input(random.array(*d, &[n]));
        ops.push(load(input, &[1], *d));
    }
    ops.push(op(kind, result));
    let out = build.output(result, &[n]);
    ops.push(store(out, &[1], args.len() as u32, result));
    build.straight(vec![lanes(&[n], ops)]);
    build.check();
}

fn typed(prim: Prim, args: &[DType]) -> bool {
    let types: Vec<Type> = args.iter().map(|d| Type::scalar(*d)).collect();
    prim.result_types(&types).is_ok() && halves::direct(&prim, &types)
}

#[test]
fn unary() {
    let random = &mut Random(1);
    for d in DType::ALL {
        for u in Unary::ALL.iter().copied().filter(|u| typed(Prim::Unary(*u), &[d])) {
            elementwise(random, 83, &[d], LaneKind::Unary(u, Value(0)), d);
        }
    }
}

#[test]
fn binary() {
    let random = &mut Random(2);
    for d in DType::ALL {
        for b in Binary::ALL.iter().copied().filter(|b| typed(Prim::Binary(*b), &[d, d])) {
            elementwise(random, 203, &[d, d], LaneKind::Binary(b, Value(0), Value(1)), d);
        }
    }
}

#[test]
fn integers_by_literals() {
    let random = &mut Random(3);
    for d in [DType::I32, DType::U32, DType::U8] {
        for b in [Binary::Div, Binary::Rem, Binary::Shl, Binary::Shr, Binary::ShrLogical] {
            for by in [0u64, 1, 3, 7, 8, 10, 16, 31, 32, 641, 0xffff, 0x8000_0000, 0x8000_0001, 0xffff_ffff] {
                let lit = Lit { dtype: d, bits: if d == DType::U8 { by & 0xff } else { by } };
                let mut build = Build::new();
                let input = build.input(random.array(d, &[37]));
                let out = build.output(d, &[37]);
                let kind = LaneKind::Binary(b, Value(0), Value(1));
                let ops = vec![load(input, &[1], d), op(LaneKind::Lit(lit), d), op(kind, d), store(out, &[1], 2, d)];
                build.straight(vec![lanes(&[37], ops)]);
                build.check();
            }
        }
    }
}

#[test]
fn compare_select_convert() {
    let random = &mut Random(4);
    for d in DType::ALL {
        for c in Compare::ALL.iter().copied().filter(|c| typed(Prim::Compare(*c), &[d, d])) {
            elementwise(random, 67, &[d, d], LaneKind::Compare(c, Value(0), Value(1)), DType::Bool);
        }
        let select = LaneKind::Select(Value(0), Value(1), Value(2));
        elementwise(random, 67, &[DType::Bool, d, d], select, d);
        for to in DType::ALL {
            elementwise(random, 131, &[d], LaneKind::Convert(Value(0)), to);
            let bool = d == DType::Bool || to == DType::Bool;
            if d.bytes() == to.bytes() && !bool {
                elementwise(random, 67, &[d], LaneKind::Bitcast(Value(0)), to);
            }
        }
    }
    for d in [DType::F32, DType::F64] {
        elementwise(random, 131, &[d, d, d], LaneKind::MulAdd(Value(0), Value(1), Value(2)), d);
    }
}

/// Every half to `f32`, and all upper halves of `f32` with lower halves around the places where rounding changes, to halves.
/// The evaluator converts by the crate `half`.
#[test]
fn halves_convert() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let lows = [0u32, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x3000, 0x7fff, 0x8000, 0x8001, 0xb000, 0xffff];
    let floats: Vec<Lit> = (0..=u16::MAX as u32)
        .flat_map(|high| lows.map(|low| Lit { dtype: DType::F32, bits: ((high << 16) | low) as u64 }))
        .collect();
    let floats = ArrayData::from_lits(DType::F32, &[floats.len()], &floats);
    for half in [DType::F16, DType::BF16] {
        let lits: Vec<Lit> = all.iter().map(|&x| Lit { dtype: half, bits: x as u64 }).collect();
        let halves = ArrayData::from_lits(half, &[lits.len()], &lits);
        for (data, to) in [(halves, DType::F32), (floats.clone(), half)] {
            let (from, n) = (data.ty.dtype, data.ty.size());
            let mut build = Build::new();
            let (input, out) = (build.input(data), build.output(to, &[n]));
            let ops = vec![load(input, &[1], from), op(LaneKind::Convert(Value(0)), to), store(out, &[1], 1, to)];
            build.straight(vec![lanes(&[n], ops)]);
            build.check();
        }
    }
}

#[test]
fn threefry() {
    let random = &mut Random(5);
    let mut build = Build::new();
    let d = DType::U32;
    let key = build.input(random.array(d, &[2]));
    let counter = build.input(random.array(d, &[2, 35]));
    let (x, y) = (build.output(d, &[35]), build.output(d, &[35]));
    let words = [Value(0), Value(1), Value(2), Value(3)];
    let part = |offset: isize, buffer: BufferId, stride: isize| {
        op(LaneKind::Load(View { offset, ..view(buffer, &[stride]) }), d)
    };
    let ops = vec![
        part(0, key, 0),
        part(1, key, 0),
        part(0, counter, 1),
        part(35, counter, 1),
        op(LaneKind::Threefry(1, words), d),
        op(LaneKind::Threefry(0, words), d),
        store(x, &[1], 4, d),
        store(y, &[1], 5, d),
    ];
    build.straight(vec![lanes(&[35], ops)]);
    build.check();
}
