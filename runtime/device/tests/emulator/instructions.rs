//! Every instruction against plain Rust, over values at the edges and others.

use crate::help::*;
use whorl_device::{Checks, Device, Emulator, Limits};

/// Bits of an operand or result: 16, 32 or 64; 1 is a predicate.
type Bits = u32;

fn register(bits: Bits) -> &'static str {
    match bits {
        16 => "%x",
        32 => "%y",
        _ => "%z",
    }
}

/// Does `instruction` (with `D`, `A`, `B`, `C` for registers) for each tuple of operands.
fn apply(instruction: &str, result: Bits, operands: &[Bits], tuples: &[[u64; 3]]) -> Vec<u64> {
    let mut body = String::from(
        "    .reg .b16 %x<4>;\n    .reg .b32 %y<4>;\n    .reg .b64 %z<4>;
    mov.u32 %r0, %tid.x;
    mov.u32 %r1, %ctaid.x;
    mad.lo.u32 %r0, %r1, 256, %r0;
    setp.ge.u64 %q0, %rd9, %p1;
    @%q0 exit;
    mad.wide.u32 %rd0, %r0, 32, %p0;\n",
    );
    body = body.replace("    setp.ge.u64", "    cvt.u64.u32 %rd9, %r0;\n    setp.ge.u64");
    let mut text = instruction.to_string();
    for (i, (bits, name)) in operands.iter().zip(["A", "B", "C"]).enumerate() {
        let reg = format!("{}{}", register(*bits), i + 1);
        body += &format!("    ld.global.b{bits} {reg}, [%rd0+{}];\n", 8 * i);
        text = text.replace(name, &reg);
    }
    let reg = if result == 1 { "%q5".to_string() } else { format!("{}0", register(result)) };
    body += &format!("    {};\n", text.replace('D', &reg));
    body += &match result {
        1 => "    selp.b64 %z0, 1, 0, %q5;\n    st.global.b64 [%rd0+24], %z0;".to_string(),
        bits => format!("    st.global.b{bits} [%rd0+24], {reg};"),
    };
    let ptx = kernel(2, "", &body);
    let bytes: Vec<u8> =
        tuples.iter().flat_map(|[a, b, c]| [*a, *b, *c, 0]).flat_map(|word| word.to_le_bytes()).collect();
    let device = Emulator::new(Emulator::hopper(), Checks::ALL, Limits::default());
    let at = device.allocate(bytes.len() as u64).unwrap();
    device.upload(at, &bytes).unwrap();
    let shape = Shape { grid: tuples.len().div_ceil(256) as u32, threads: 256, shared: 0, cooperative: false };
    start(&device, &ptx, &shape, &[at, tuples.len() as u64]).unwrap_or_else(|error| panic!("{error}"));
    device.finish(&mut || {}).unwrap_or_else(|error| panic!("{error}"));
    let mut out = vec![0; bytes.len()];
    device.download(at, &mut out).unwrap();
    out.chunks(32).map(|tuple| u64::from_le_bytes(tuple[24..].try_into().unwrap())).collect()
}

/// Values at the edges of all types, and some in between, for tuples of `n`.
fn tuples(operands: &[Bits]) -> Vec<[u64; 3]> {
    let edges = |bits: Bits| -> Vec<u64> {
        let floats32 = [
            0.0f32,
            1.0,
            1.5,
            2.5,
            0.5,
            f32::MIN_POSITIVE,
            1e-45,
            3e-39,
            f32::MAX,
            f32::INFINITY,
            f32::NAN,
            16_777_217.0,
            2_147_483_648.0,
            4_294_967_040.0,
            1e-8,
            std::f32::consts::PI,
            65520.0,
        ];
        let ints = [0u64, 1, 2, 7, 31, 32, 33, 63, 64, 127, 128, 255, 256, 32767, 32768, 65535];
        match bits {
            16 => ints.iter().copied().chain([0x3c00, 0x7c00, 0x7e00, 0xbc00, 0x7bff, 0x0001]).collect(),
            32 => floats32
                .iter()
                .flat_map(|x| [x.to_bits(), (-x).to_bits()])
                .map(u64::from)
                .chain(ints)
                .chain([0x7fff_ffff, 0x8000_0001, 0xffff_ffff, 0xffff_fffe, 0x1234_5678])
                .collect(),
            _ => floats32
                .iter()
                .flat_map(|x| [f64::from(*x).to_bits(), f64::from(-x).to_bits()])
                .chain(ints)
                .chain([1u64 << 63, (1 << 63) - 1, !0, 1 << 32, (1 << 53) + 1, 0x1234_5678_9abc_def0])
                .chain([5e-324f64.to_bits(), f64::MAX.to_bits(), 1e300f64.to_bits(), 9.3e18f64.to_bits()])
                .collect(),
        }
    };
    let lists: Vec<Vec<u64>> = operands.iter().map(|bits| edges(*bits)).collect();
    let mut out = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut draw = |bits: Bits| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if bits == 64 { random } else { random & ((1 << bits) - 1) }
    };
    let at = |list: &[u64], i: usize| list.get(i % list.len().max(1)).copied().unwrap_or(0);
    let total: usize = lists.iter().take(2).map(Vec::len).product();
    for i in 0..total {
        let first = lists.first().map_or(1, Vec::len);
        let (a, b) = (at(&lists[0], i), lists.get(1).map_or(0, |list| at(list, i / first)));
        // Of the third operand one for each pair, in another order.
        out.push([a, b, lists.get(2).map_or(0, |list| at(list, i.wrapping_mul(7919) >> 2))]);
    }
    for _ in 0..1000 {
        let mut tuple = [0; 3];
        operands.iter().zip(&mut tuple).for_each(|(bits, to)| *to = draw(*bits));
        out.push(tuple);
    }
    out
}

fn same(expected: u64, got: u64, float: bool, bits: Bits) -> bool {
    let nan = |x: u64| match bits {
        32 => f32::from_bits(x as u32).is_nan(),
        64 => f64::from_bits(x).is_nan(),
        _ => half::f16::from_bits(x as u16).is_nan(),
    };
    expected == got || (float && nan(expected) && nan(got))
}

#[track_caller]
pub fn check(instruction: &str, result: Bits, operands: &[Bits], float: bool, expected: impl Fn(u64, u64, u64) -> u64) {
    let tuples = tuples(operands);
    let got = apply(instruction, result, operands, &tuples);
    for ([a, b, c], got) in tuples.iter().zip(got) {
        let expected = expected(*a, *b, *c);
        assert!(
            same(expected, got, float, result),
            "{instruction} of {a:#x}, {b:#x}, {c:#x}: {got:#x}, not {expected:#x}"
        );
    }
}

fn f(x: u64) -> f32 {
    f32::from_bits(x as u32)
}

fn d(x: u64) -> f64 {
    f64::from_bits(x)
}

fn bits(x: f32) -> u64 {
    x.to_bits().into()
}

#[test]
fn floats_of_32_bits() {
    let two = |name: &str, op: fn(f32, f32) -> f32| {
        check(&format!("{name} D, A, B"), 32, &[32, 32], true, |a, b, _| bits(op(f(a), f(b))));
    };
    two("add.rn.f32", |a, b| a + b);
    two("sub.rn.f32", |a, b| a - b);
    two("mul.rn.f32", |a, b| a * b);
    two("div.rn.f32", |a, b| a / b);
    two("min.f32", |a, b| if a == 0.0 && b == 0.0 { f32::from_bits(a.to_bits() | b.to_bits()) } else { a.min(b) });
    two("max.f32", |a, b| if a == 0.0 && b == 0.0 { f32::from_bits(a.to_bits() & b.to_bits()) } else { a.max(b) });
    two("min.NaN.f32", |a, b| {
        let zeros = a == 0.0 && b == 0.0;
        match (zeros, a.is_nan(), b < a || b.is_nan()) {
            (true, ..) => f32::from_bits(a.to_bits() | b.to_bits()),
            (_, false, true) => b,
            _ => a,
        }
    });
    two("copysign.f32", |a, b| b.copysign(a));
    // The product of two floats is exact in f64; the sum rounded to odd there, and so the last rounding is the only one.
    check("fma.rn.f32 D, A, B, C", 32, &[32, 32, 32], true, |a, b, c| {
        let (product, c) = (f64::from(f(a)) * f64::from(f(b)), f64::from(f(c)));
        let sum = product + c;
        let big = sum - product;
        let error = (product - (sum - big)) + (c - big);
        let even = sum.to_bits() & 1 == 0;
        let odd = if error != 0.0 && error.is_finite() && sum.is_finite() && even {
            let away = (error > 0.0) == (sum > 0.0);
            f64::from_bits(if away { sum.to_bits() + 1 } else { sum.to_bits() - 1 })
        } else {
            sum
        };
        bits(odd as f32)
    });
    let one = |name: &str, op: fn(f32) -> f32| {
        check(&format!("{name} D, A"), 32, &[32], true, |a, _, _| bits(op(f(a))));
    };
    one("sqrt.rn.f32", f32::sqrt);
    one("rcp.rn.f32", |a| 1.0 / a);
    one("neg.f32", |a| -a);
    one("abs.f32", f32::abs);
    one("ex2.approx.f32", |a| f64::from(a).exp2() as f32);
    one("lg2.approx.f32", |a| f64::from(a).log2() as f32);
    one("tanh.approx.f32", |a| f64::from(a).tanh() as f32);
    one("rsqrt.approx.f32", |a| (1.0 / f64::from(a).sqrt()) as f32);
    one("rcp.approx.f32", |a| 1.0 / a);
}

#[test]
fn floats_of_64_bits() {
    let two = |name: &str, op: fn(f64, f64) -> f64| {
        check(&format!("{name} D, A, B"), 64, &[64, 64], true, |a, b, _| op(d(a), d(b)).to_bits());
    };
    two("add.rn.f64", |a, b| a + b);
    two("sub.rn.f64", |a, b| a - b);
    two("mul.rn.f64", |a, b| a * b);
    two("div.rn.f64", |a, b| a / b);
    two("min.f64", |a, b| if a == 0.0 && b == 0.0 { f64::from_bits(a.to_bits() | b.to_bits()) } else { a.min(b) });
    two("max.f64", |a, b| if a == 0.0 && b == 0.0 { f64::from_bits(a.to_bits() & b.to_bits()) } else { a.max(b) });
    two("copysign.f64", |a, b| b.copysign(a));
    check("fma.rn.f64 D, A, B, C", 64, &[64, 64, 64], true, |a, b, c| d(a).mul_add(d(b), d(c)).to_bits());
    check("sqrt.rn.f64 D, A", 64, &[64], true, |a, _, _| d(a).sqrt().to_bits());
    check("rcp.rn.f64 D, A", 64, &[64], true, |a, _, _| (1.0 / d(a)).to_bits());
    check("neg.f64 D, A", 64, &[64], true, |a, _, _| a ^ 1 << 63);
    check("abs.f64 D, A", 64, &[64], true, |a, _, _| a & !(1 << 63));
}

/// Sign extension of the low bits.
pub fn signed(x: u64, bits: Bits) -> i128 {
    i128::from((x << (64 - bits)) as i64 >> (64 - bits))
}

pub fn unsigned(x: u64, bits: Bits) -> i128 {
    i128::from(x << (64 - bits) >> (64 - bits))
}

pub fn cut(x: i128, bits: Bits) -> u64 {
    (x as u128 & (u128::MAX >> (128 - bits))) as u64
}

#[test]
fn whole_numbers() {
    for n in [16, 32, 64] {
        for (letter, of) in [('s', signed as fn(u64, Bits) -> i128), ('u', unsigned)] {
            let two = |name: &str, op: &dyn Fn(i128, i128) -> i128| {
                let text = format!("{name}.{letter}{n} D, A, B");
                check(&text, n, &[n, n], false, |a, b, _| cut(op(of(a, n), of(b, n)), n));
            };
            two("add", &|a, b| a + b);
            two("sub", &|a, b| a - b);
            two("mul.lo", &|a, b| a.wrapping_mul(b));
            two("mul.hi", &|a, b| if letter == 'u' { ((a as u128 * b as u128) >> n) as i128 } else { (a * b) >> n });
            two("min", &|a, b| a.min(b));
            two("max", &|a, b| a.max(b));
            // By zero it is unspecified: all ones, and the dividend.
            two("div", &|a, b| if b == 0 { -1 } else { a / b });
            two("rem", &|a, b| if b == 0 { a } else { a % b });
            let text = format!("mad.lo.{letter}{n} D, A, B, C");
            check(&text, n, &[n, n, n], false, |a, b, c| {
                cut(of(a, n).wrapping_mul(of(b, n)).wrapping_add(of(c, n)), n)
            });
            if n < 64 {
                let text = format!("mul.wide.{letter}{n} D, A, B");
                check(&text, 2 * n, &[n, n], false, |a, b, _| cut(of(a, n) * of(b, n), 2 * n));
            }
            if n == 32 {
                let text = format!("mad.wide.{letter}32 D, A, B, C");
                check(&text, 64, &[32, 32, 64], false, |a, b, c| cut(of(a, 32) * of(b, 32) + of(c, 64), 64));
            }
            let text = format!("shr.{letter}{n} D, A, B");
            check(&text, n, &[n, 32], false, |a, b, _| cut(of(a, n) >> b.min(100), n));
        }
        check(&format!("neg.s{n} D, A"), n, &[n], false, |a, _, _| cut(-signed(a, n), n));
        check(&format!("abs.s{n} D, A"), n, &[n], false, |a, _, _| cut(signed(a, n).abs(), n));
        check(
            &format!("shl.b{n} D, A, B"),
            n,
            &[n, 32],
            false,
            |a, b, _| if b < 64 { cut(i128::from(a) << b, n) } else { 0 },
        );
        check(&format!("and.b{n} D, A, B"), n, &[n, n], false, |a, b, _| a & b);
        check(&format!("or.b{n} D, A, B"), n, &[n, n], false, |a, b, _| a | b);
        check(&format!("xor.b{n} D, A, B"), n, &[n, n], false, |a, b, _| a ^ b);
        check(&format!("not.b{n} D, A"), n, &[n], false, |a, _, _| cut(!i128::from(a), n));
    }
}

#[test]
fn bits_of_words() {
    check("popc.b32 D, A", 32, &[32], false, |a, _, _| a.count_ones().into());
    check("popc.b64 D, A", 32, &[64], false, |a, _, _| a.count_ones().into());
    check("clz.b32 D, A", 32, &[32], false, |a, _, _| (a as u32).leading_zeros().into());
    check("clz.b64 D, A", 32, &[64], false, |a, _, _| a.leading_zeros().into());
    check("brev.b32 D, A", 32, &[32], false, |a, _, _| (a as u32).reverse_bits().into());
    check("brev.b64 D, A", 64, &[64], false, |a, _, _| a.reverse_bits());
    check("bfind.u32 D, A", 32, &[32], false, |a, _, _| (a as u32).checked_ilog2().unwrap_or(u32::MAX).into());
    for (mode, shift) in [("wrap", (|c| c % 32) as fn(u64) -> u64), ("clamp", |c| c.min(32))] {
        check(&format!("shf.l.{mode}.b32 D, A, B, C"), 32, &[32; 3], false, |a, b, c| {
            cut((i128::from(b << 32 | a) << shift(c)) >> 32, 32)
        });
        check(&format!("shf.r.{mode}.b32 D, A, B, C"), 32, &[32; 3], false, |a, b, c| {
            cut(i128::from(b << 32 | a) >> shift(c), 32)
        });
    }
    // A field that reaches past the word is filled with the sign of the word, or zeros.
    for (n, bits) in [(32u32, 32), (64, 64)] {
        check(&format!("bfe.u{n} D, A, B, C"), bits, &[n, 32, 32], false, |a, b, c| {
            let (start, length) = (b & 255, c & 255);
            if length == 0 { 0 } else { cut((unsigned(a, n) >> start.min(100)) & ((1i128 << length.min(100)) - 1), n) }
        });
        check(&format!("bfe.s{n} D, A, B, C"), bits, &[n, 32, 32], false, |a, b, c| {
            let (start, length) = (b & 255, c & 255);
            if length == 0 {
                return 0;
            }
            let field = signed(a, n) >> start.min(100);
            let kept = if length >= 100 {
                field
            } else {
                (field << (127 - length.min(100) + 1)) >> (127 - length.min(100) + 1)
            };
            cut(kept, n)
        });
        // The length is the fixed 7: an instruction here has three operands.
        check(&format!("bfi.b{n} D, A, B, C, 7"), bits, &[n, n, 32], false, |a, b, c| {
            let start = (c & 255).min(100);
            let mask = 127i128 << start;
            cut((unsigned(a, n) << start & mask) | (unsigned(b, n) & !mask), n)
        });
    }
    check("prmt.b32 D, A, B, C", 32, &[32; 3], false, |a, b, c| {
        let bytes: Vec<u8> = (a as u32).to_le_bytes().into_iter().chain((b as u32).to_le_bytes()).collect();
        let pick = |i: u32| {
            let nibble = c >> (4 * i) & 15;
            let byte = bytes[nibble as usize & 7];
            if nibble < 8 {
                byte
            } else if byte > 127 {
                255
            } else {
                0
            }
        };
        u32::from_le_bytes([pick(0), pick(1), pick(2), pick(3)]).into()
    });
    for table in [0u64, 0x80, 0xfe, 0x96, 0xe8, 0x1b, 0xff, 0x3c] {
        check(&format!("lop3.b32 D, A, B, C, {table}"), 32, &[32; 3], false, |a, b, c| {
            (0..32).fold(0, |out, i| {
                let index = (a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1);
                out | (table >> index & 1) << i
            })
        });
    }
    check("cnot.b32 D, A", 32, &[32], false, |a, _, _| u64::from(a == 0));
    check("slct.b32.s32 D, A, B, C", 32, &[32; 3], false, |a, b, c| if (c as i32) < 0 { b } else { a });
    check("slct.b64.s32 D, A, B, C", 64, &[64, 64, 32], false, |a, b, c| if (c as i32) < 0 { b } else { a });
    check("mov.b64 D, {A, B}", 64, &[32, 32], false, |a, b, _| b << 32 | a);
    check("mov.b32 D, {A, B}", 32, &[16, 16], false, |a, b, _| b << 16 | a);
    check("mov.b64 {D, _}, A", 32, &[64], false, |a, _, _| a & 0xffff_ffff);
    check("mov.b64 {_, D}, A", 32, &[64], false, |a, _, _| a >> 32);
}

#[test]
fn comparisons() {
    for n in [32, 64] {
        let value = |x: u64| if n == 32 { f64::from(f(x)) } else { d(x) };
        let float = |name: &str, op: fn(f64, f64) -> bool| {
            check(&format!("setp.{name}.f{n} D, A, B"), 1, &[n, n], false, |a, b, _| op(value(a), value(b)).into());
        };
        float("eq", |a, b| a == b);
        float("ne", |a, b| a != b && !a.is_nan() && !b.is_nan());
        float("lt", |a, b| a < b);
        float("le", |a, b| a <= b);
        float("gt", |a, b| a > b);
        float("ge", |a, b| a >= b);
        float("equ", |a, b| a == b || a.is_nan() || b.is_nan());
        float("neu", |a, b| a != b);
        float("ltu", |a, b| a < b || a.is_nan() || b.is_nan());
        float("leu", |a, b| a <= b || a.is_nan() || b.is_nan());
        float("gtu", |a, b| a > b || a.is_nan() || b.is_nan());
        float("geu", |a, b| a >= b || a.is_nan() || b.is_nan());
        float("num", |a, b| !a.is_nan() && !b.is_nan());
        float("nan", |a, b| a.is_nan() || b.is_nan());
    }
    type Row<'a> = (&'a str, fn(i128, i128) -> bool);
    let rows: [Row; 6] = [
        ("eq", |a, b| a == b),
        ("ne", |a, b| a != b),
        ("lt", |a, b| a < b),
        ("le", |a, b| a <= b),
        ("gt", |a, b| a > b),
        ("ge", |a, b| a >= b),
    ];
    for n in [16, 32, 64] {
        for (name, op) in rows {
            let text = |letter| format!("setp.{name}.{letter}{n} D, A, B");
            check(&text('s'), 1, &[n, n], false, |a, b, _| op(signed(a, n), signed(b, n)).into());
            check(&text('u'), 1, &[n, n], false, |a, b, _| op(unsigned(a, n), unsigned(b, n)).into());
        }
        check(&format!("setp.hs.u{n} D, A, B"), 1, &[n, n], false, |a, b, _| (a >= b).into());
    }
    check(
        "set.lt.f32.s32 D, A, B",
        32,
        &[32, 32],
        false,
        |a, b, _| if signed(a, 32) < signed(b, 32) { bits(1.0) } else { 0 },
    );
    check("set.lt.u32.f32 D, A, B", 32, &[32, 32], false, |a, b, _| if f(a) < f(b) { 0xffff_ffff } else { 0 });
}

#[test]
fn predicates() {
    // %q1 and %q2 are the lowest bits of A and B.
    let make = "and.b32 %r10, A, 1;\n    setp.eq.u32 %q1, %r10, 1;\n    and.b32 %r11, B, 1;\n    setp.eq.u32 %q2, %r11, 1;\n    ";
    let check2 = |text: &str, op: fn(bool, bool) -> bool| {
        check(&format!("{make}{text}"), 1, &[32, 32], false, |a, b, _| op(a & 1 == 1, b & 1 == 1).into());
    };
    check2("and.pred D, %q1, %q2", |a, b| a && b);
    check2("or.pred D, %q1, %q2", |a, b| a || b);
    check2("xor.pred D, %q1, %q2", |a, b| a != b);
    check2("not.pred D, %q1", |a, _| !a);
    check2("mov.pred D, %q2", |_, b| b);
    check2("mov.pred D, 1;\n    @%q1 mov.pred D, 0", |a, _| !a);
    check2("and.pred D, %q1, !%q2", |a, b| a && !b);
    check2("or.pred D, !%q1, %q2", |a, b| !a || b);
    check2("setp.eq.and.u32 D, %r10, 1, %q2", |a, b| a && b);
    check2("setp.eq.or.u32 D, %r10, 1, !%q2", |a, b| a || !b);
    check2("setp.eq.xor.u32 D, %r10, 1, %q2", |a, b| a != b);
    check2("setp.eq.u32 %q3|D, %r10, 1", |a, _| !a);
    check2("setp.eq.and.u32 %q3|D, %r10, 1, %q2", |a, b| !a && b);
    check(&format!("{make}selp.b32 D, A, B, %q1"), 32, &[32, 32], false, |a, b, _| if a & 1 == 1 { a } else { b });
    check("setp.lt.s64 %q1, A, B;\n    selp.b64 D, A, B, %q1", 64, &[64, 64], false, |a, b, _| {
        (a as i64).min(b as i64) as u64
    });
    check(&format!("{make}mov.b32 D, A;\n    @!%q1 mov.b32 D, B"), 32, &[32, 32], false, |a, b, _| {
        if a & 1 == 1 { a } else { b }
    });
}
