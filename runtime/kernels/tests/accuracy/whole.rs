//! Functions of one `f32`, over all bit patterns, against the same function of `f64`: its error is a millionth of what is measured.

use whorl_kernels::math::MathFn;
use whorl_kernels::math::scalar::{ScalarF32, ScalarF64};
use whorl_kernels::with_functions_of_one_float;

use crate::function::{Function, scale};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Points {
    /// Every 4093rd bit pattern, and what is around zeros and ends of functions.
    Some,
    All,
}

/// The largest error, in units in the last place, and where it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Worst {
    pub ulps: f64,
    pub at: String,
}

const CHUNK: usize = 4096;
const BLOCK: usize = 64;

/// Floats, what a function makes of them, and what it should.
struct Chunk {
    x: [f32; CHUNK],
    got: [f32; CHUNK],
    want: [f64; CHUNK],
    /// Blocks in which something may be more than `limit` units wrong.
    odd: [bool; CHUNK / BLOCK],
    limit: f64,
}

type Fill = fn(&mut Chunk);

/// Without branches, so that it is vectorised.
#[inline(always)]
fn mark(chunk: &mut Chunk) {
    for block in 0..CHUNK / BLOCK {
        let mut odd = false;
        for k in block * BLOCK..(block + 1) * BLOCK {
            let (got, want) = (chunk.got[k] as f64, chunk.want[k]);
            let near = (got - want).abs() <= chunk.limit * unit(want);
            let same_sign = (got.to_bits() ^ want.to_bits()) >> 63 == 0;
            let not_numbers = got.is_nan() & want.is_nan();
            odd |= !((near & same_sign) | not_numbers | ((got == want) & (want != 0.0)));
        }
        chunk.odd[block] = odd;
    }
}

macro_rules! fills {
    ($($function:ident $name:literal $module:ident::$definition:ident $cost:literal;)*) => {
        fn fill_of(f: MathFn) -> Fill {
            match f {
                $(MathFn::$function => |chunk| run!(
                    chunk,
                    x,
                    MathFn::$function.apply32(&mut ScalarF32, x),
                    MathFn::$function.apply64(&mut ScalarF64, x)
                )),*
            }
        }
    };
}

/// The same loop, compiled for the wide vectors of the machine where it has them: plain floats are Ops that a compiler can vectorise.
macro_rules! run {
    ($chunk:ident, $x:ident, $narrow:expr, $wide:expr) => {{
        #[inline(always)]
        fn body(chunk: &mut Chunk) {
            for k in 0..CHUNK {
                let $x = chunk.x[k];
                chunk.got[k] = $narrow;
                let $x = $x as f64;
                chunk.want[k] = $wide;
            }
            mark(chunk);
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma")]
        fn wide(chunk: &mut Chunk) {
            body(chunk);
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn narrow(chunk: &mut Chunk) {
            body(chunk);
        }
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
            {
                // SAFETY: the machine has the instructions.
                return unsafe { wide($chunk) };
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the machine has the instructions.
                return unsafe { narrow($chunk) };
            }
        }
        body($chunk)
    }};
}

with_functions_of_one_float!(fills);

pub fn worst(f: MathFn, points: Points) -> Worst {
    over(points, fill_of(f), &|x| scale(f, x))
}

pub fn worst_of_roots(f: Function, points: Points) -> Worst {
    let fill: Fill = match f {
        Function::Root => |chunk| run!(chunk, x, x.sqrt(), x.sqrt()),
        Function::InverseRoot => |chunk| run!(chunk, x, 1.0 / x.sqrt(), 1.0 / x.sqrt()),
        Function::One(_) | Function::Two(_) => unreachable!("{f:?} is no root"),
    };
    over(points, fill, &|_| 0.0)
}

fn over(points: Points, fill: Fill, scale: &(dyn Fn(f64) -> f64 + Sync)) -> Worst {
    let (ulps, x) = match points {
        Points::All => {
            // Threads take every n-th block of chunks.
            let n = std::thread::available_parallelism().map_or(1, |n| n.get()) as u32;
            let blocks = (1u64 << 32) / CHUNK as u64;
            let part = |thread: u32| {
                let mut found = (0.0, 0.0f32);
                for block in (thread as u64..blocks).step_by(n as usize) {
                    let first = (block * CHUNK as u64) as u32;
                    find(fill, scale, &mut found, |k| f32::from_bits(first + k as u32));
                }
                found
            };
            std::thread::scope(|s| {
                let threads: Vec<_> = (0..n).map(|t| s.spawn(move || part(t))).collect();
                let found = threads.into_iter().map(|t| t.join().expect("no panic"));
                found.fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a })
            })
        }
        Points::Some => {
            let mut found = (0.0, 0.0f32);
            let places = interesting();
            for block in 0..=(u32::MAX / 4093 / CHUNK as u32) {
                find(fill, scale, &mut found, |k| f32::from_bits((block * CHUNK as u32 + k as u32).wrapping_mul(4093)));
            }
            for chunk in places.chunks(CHUNK) {
                find(fill, scale, &mut found, |k| chunk[k % chunk.len()]);
            }
            found
        }
    };
    Worst { ulps, at: format!("{x:e}") }
}

/// Neighbours of special floats, and uniform ones of moderate size.
fn interesting() -> Vec<f32> {
    let places = [
        0.0,
        0.25,
        0.46875,
        0.5,
        0.75,
        0.92,
        1.0,
        1.4616321,
        1.5,
        2.0,
        2.5,
        3.0,
        4.0,
        9.1,
        10.06,
        17.0,
        88.7,
        89.4,
        104.0,
        128.0,
        149.0,
        131_072.0,
        1e10,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::INFINITY,
        std::f32::consts::PI,
        std::f32::consts::FRAC_PI_2,
    ];
    let near = |place: f32| {
        let beside = move |k: u32| f32::from_bits((place.to_bits() + k).saturating_sub(200));
        (0..400).map(beside).flat_map(|x| [x, -x])
    };
    let uniform = (0..1 << 18).map(|k| (k as f32 / (1 << 18) as f32 - 0.5) * if k % 2 == 0 { 4.0 } else { 40.0 });
    places.into_iter().flat_map(near).chain(uniform).collect()
}

/// Tries `x(0)`, …, `x(CHUNK - 1)`.
fn find(fill: Fill, scale: &(dyn Fn(f64) -> f64 + Sync), found: &mut (f64, f32), x: impl Fn(usize) -> f32) {
    let (got, want, odd) = ([0.0; CHUNK], [0.0; CHUNK], [false; CHUNK / BLOCK]);
    let mut chunk = Chunk { x: std::array::from_fn(x), got, want, odd, limit: found.0 };
    fill(&mut chunk);
    for block in (0..CHUNK / BLOCK).filter(|b| chunk.odd[*b]) {
        for k in block * BLOCK..(block + 1) * BLOCK {
            let ulps = ulps(chunk.got[k], chunk.want[k], || scale(chunk.x[k] as f64));
            if ulps > found.0 {
                *found = (ulps, chunk.x[k]);
            }
        }
    }
}

/// The distance of neighbours among the `f32` around a value.
#[inline(always)]
fn unit(want: f64) -> f64 {
    const LEAST: f64 = f32::MIN_POSITIVE as f64;
    let size = if want.abs() > LEAST { want.abs() } else { LEAST };
    f64::from_bits(size.to_bits() & (0x7ff << 52)) * (1.0 / (1 << 23) as f64)
}

/// Infinite where one is NaN and the other not, or where the sign of zero is wrong. Infinities, and all beyond, count as 2¹²⁸.
pub fn ulps(got: f32, want: f64, scale: impl FnOnce() -> f64) -> f64 {
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got.is_sign_negative() != want.is_sign_negative() && (got == 0.0 || want == 0.0) {
        return f64::INFINITY;
    }
    let end = 2f64.powi(128);
    let (got, want) = ((got as f64).clamp(-end, end), want.clamp(-end, end));
    let size = want.abs().max(scale()).min(f32::MAX as f64);
    (got - want).abs() / unit(size)
}
