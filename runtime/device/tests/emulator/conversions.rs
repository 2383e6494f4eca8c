//! Conversions between all types, with every rounding.

use crate::instructions::{check, cut, signed, unsigned};
use std::cmp::Ordering::{Equal, Greater, Less};

fn of_int(x: u64, ty: &str) -> i128 {
    let n = ty[1..].parse().unwrap();
    if ty.starts_with('s') { signed(x, n) } else { unsigned(x, n) }
}

fn width(ty: &str) -> u32 {
    ty.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().unwrap()
}

#[test]
fn whole_numbers_to_whole_numbers() {
    // Registers of 16 bits and more hold types of 8 bits.
    for from in ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"] {
        for to in ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"] {
            let (source, target) = (width(from).max(16), width(to).max(16));
            check(&format!("cvt.{to}.{from} D, A"), target, &[source], false, |a, _, _| {
                let exact = of_int(a, from);
                // Narrowed to the type, and extended again to the register as the type says.
                cut(of_int(cut(exact, 64), to), target)
            });
            let range = |ty: &str| {
                let n = width(ty);
                if ty.starts_with('s') { (-(1i128 << (n - 1)), (1 << (n - 1)) - 1) } else { (0, (1 << n) - 1) }
            };
            let ((low, high), (least, most)) = (range(to), range(from));
            if low <= least && most <= high {
                continue;
            }
            check(&format!("cvt.sat.{to}.{from} D, A"), target, &[source], false, |a, _, _| {
                cut(of_int(a, from).clamp(low, high), target)
            });
        }
    }
}

#[test]
fn floats_to_whole_numbers() {
    type Row<'a> = (&'a str, fn(f64) -> f64);
    let rounds: [Row; 4] =
        [("rni", f64::round_ties_even), ("rzi", f64::trunc), ("rmi", f64::floor), ("rpi", f64::ceil)];
    for (round, op) in rounds {
        for to in ["u16", "s16", "u32", "s32", "u64", "s64"] {
            for from in ["f16", "f32", "f64"] {
                let n = width(to);
                check(&format!("cvt.{round}.{to}.{from} D, A"), n, &[width(from)], false, |a, _, _| {
                    let value = match from {
                        "f16" => half::f16::from_bits(a as u16).to_f64(),
                        "f32" => f64::from(f32::from_bits(a as u32)),
                        _ => f64::from_bits(a),
                    };
                    if value.is_nan() {
                        return if from == "f64" || n == 64 { 1 << (n - 1) } else { 0 };
                    }
                    let (low, high) =
                        if to.starts_with('s') { (-(1i128 << (n - 1)), (1 << (n - 1)) - 1) } else { (0, (1 << n) - 1) };
                    cut((op(value) as i128).clamp(low, high), n)
                });
            }
        }
        check(&format!("cvt.{round}.f32.f32 D, A"), 32, &[32], true, |a, _, _| {
            (op(f32::from_bits(a as u32).into()) as f32).to_bits().into()
        });
        check(&format!("cvt.{round}.f64.f64 D, A"), 64, &[64], true, |a, _, _| op(f64::from_bits(a)).to_bits());
    }
}

/// Whether `got` is what an exact value (given by how it compares with a float) is rounded to.
fn is_rounded(round: &str, got: f64, below: f64, above: f64, exact: i128) -> bool {
    let cmp = |x: f64| {
        if exact < x.ceil() as i128 || x == f64::INFINITY {
            Less
        } else if exact > x.floor() as i128 || x == f64::NEG_INFINITY {
            Greater
        } else {
            Equal
        }
    };
    match round {
        "rm" => cmp(got) != Less && cmp(above) == Less,
        "rp" => cmp(got) != Greater && cmp(below) == Greater,
        _ => {
            if exact >= 0 {
                cmp(got) != Less && cmp(above) == Less
            } else {
                cmp(got) != Greater && cmp(below) == Greater
            }
        }
    }
}

#[test]
fn whole_numbers_to_floats() {
    for from in ["u16", "s16", "u32", "s32", "u64", "s64"] {
        let n = width(from);
        check(&format!("cvt.rn.f32.{from} D, A"), 32, &[n], true, |a, _, _| (of_int(a, from) as f32).to_bits().into());
        check(&format!("cvt.rn.f64.{from} D, A"), 64, &[n], true, |a, _, _| (of_int(a, from) as f64).to_bits());
        for round in ["rz", "rm", "rp"] {
            check(&format!("cvt.{round}.f32.{from} D, A"), 32, &[n], true, |a, _, _| {
                // Among the nearest and its neighbours is the one.
                let (exact, nearest) = (of_int(a, from), of_int(a, from) as f32);
                let fits = |x: &f32| is_rounded(round, (*x).into(), x.next_down().into(), x.next_up().into(), exact);
                let found = [nearest, nearest.next_down(), nearest.next_up()].into_iter().find(fits);
                found.unwrap().to_bits().into()
            });
        }
    }
}

#[test]
fn floats_to_floats() {
    check("cvt.f64.f32 D, A", 64, &[32], true, |a, _, _| f64::from(f32::from_bits(a as u32)).to_bits());
    check("cvt.rn.f32.f64 D, A", 32, &[64], true, |a, _, _| (f64::from_bits(a) as f32).to_bits().into());
    for round in ["rz", "rm", "rp"] {
        check(&format!("cvt.{round}.f32.f64 D, A"), 32, &[64], true, |a, _, _| {
            let (exact, nearest) = (f64::from_bits(a), f64::from_bits(a) as f32);
            if exact.is_nan() {
                return nearest.to_bits().into();
            }
            let down = if f64::from(nearest) > exact { nearest.next_down() } else { nearest };
            let up = if f64::from(nearest) < exact { nearest.next_up() } else { nearest };
            let zero = if exact > 0.0 {
                down
            } else if exact < 0.0 {
                up
            } else {
                nearest
            };
            match round {
                "rm" => down,
                "rp" => up,
                _ => zero,
            }
            .to_bits()
            .into()
        });
    }
    check("cvt.f32.f16 D, A", 32, &[16], true, |a, _, _| half::f16::from_bits(a as u16).to_f32().to_bits().into());
    check("cvt.rn.f16.f32 D, A", 16, &[32], true, |a, _, _| {
        half::f16::from_f32(f32::from_bits(a as u32)).to_bits().into()
    });
    check("cvt.rn.bf16x2.f32 D, A, B", 32, &[32, 32], false, |a, b, _| {
        let to = |x: u64| u64::from(half::bf16::from_f32(f32::from_bits(x as u32)).to_bits());
        to(a) << 16 | to(b)
    });
    check("cvt.rn.f16x2.f32 D, A, B", 32, &[32, 32], false, |a, b, _| {
        let to = |x: u64| u64::from(half::f16::from_f32(f32::from_bits(x as u32)).to_bits());
        to(a) << 16 | to(b)
    });
    check("cvt.sat.f32.f32 D, A", 32, &[32], false, |a, _, _| {
        let x = f32::from_bits(a as u32);
        if x > 0.0 { x.min(1.0).to_bits().into() } else { 0 }
    });
}
