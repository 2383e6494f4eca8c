//! Matrix products at the shapes of reinforcement learning, on one thread, beside what the machine's multipliers can do in the same run.
//!
//!     cargo bench --bench products [-- PART OF A NAME]
//!
//! A time is the least of many short repetitions, operands in the cache. A part of the peak is of the same type's.

use std::hint::black_box;
use std::time::Instant;

use whorl_kernels::matmul::{Epilogue, MatmulDesc, Plan};
use whorl_kernels::simd::Level;

/// Which operands lie transposed.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    NN,
    TN,
    NT,
}

struct Case {
    m: usize,
    n: usize,
    k: usize,
    batch: usize,
    layout: Layout,
    epilogue: Epilogue,
}

const fn case(m: usize, n: usize, k: usize) -> Case {
    Case { m, n, k, batch: 1, layout: Layout::NN, epilogue: Epilogue::None }
}

fn cases() -> Vec<(&'static str, Vec<Case>)> {
    let sizes = [
        (64, 64, 64),
        (128, 64, 64),
        (256, 64, 64),
        (512, 64, 64),
        (128, 128, 128),
        (256, 128, 128),
        (1024, 128, 128),
        (256, 256, 256),
        (512, 512, 512),
    ];
    let of = |layout| sizes.iter().map(|&(m, n, k)| Case { layout, ..case(m, n, k) }).collect();
    // The gradient of weights: k is the rows of the batch.
    let weights = sizes.iter().map(|&(m, n, k)| Case { layout: Layout::TN, ..case(n, k, m) }).collect();
    let epilogues = [Epilogue::Bias, Epilogue::BiasRelu, Epilogue::BiasTanh];
    let ended = |&(m, n, k): &(usize, usize, usize)| epilogues.map(|epilogue| Case { epilogue, ..case(m, n, k) });
    let heads = [1, 2, 6].into_iter();
    vec![
        ("A B", of(Layout::NN)),
        ("A Bᵀ", of(Layout::NT)),
        ("Aᵀ B", weights),
        ("with an epilogue", [(128, 64, 64), (128, 64, 4), (1024, 128, 128)].iter().flat_map(ended).collect()),
        ("heads", heads.clone().map(|n| case(128, n, 64)).collect()),
        ("heads' weights", heads.clone().map(|n| Case { layout: Layout::TN, ..case(64, n, 128) }).collect()),
        ("heads' inputs", heads.map(|n| Case { layout: Layout::NT, ..case(128, 64, n) }).collect()),
        ("few rows", vec![case(4, 64, 4), case(4, 64, 64), case(4, 2, 64), case(1, 64, 64), case(16, 256, 256)]),
        ("first layers", vec![case(128, 64, 4), Case { layout: Layout::TN, ..case(4, 64, 128) }, case(128, 64, 17)]),
        ("odd sizes", vec![case(100, 100, 100), case(127, 65, 63), case(33, 48, 200)]),
        (
            "many steps",
            [(16, 36, 65536), (32, 64, 8192), (64, 64, 4096)]
                .map(|(m, n, k)| Case { layout: Layout::TN, ..case(m, n, k) })
                .into(),
        ),
        (
            "batches",
            [(8, 64), (32, 32), (64, 16), (256, 8), (1024, 4)].map(|(batch, n)| Case { batch, ..case(n, n, n) }).into(),
        ),
    ]
}

/// Memory as generated code has it: arrays begin with a line of the cache.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line<T>([T; 16]);

/// The least seconds that `f` takes, of many short repetitions.
fn least(flops: f64, mut f: impl FnMut()) -> f64 {
    let repeats = (2e6 / flops).max(1.0) as usize;
    let times = (0..300).map(|_| {
        let begin = Instant::now();
        (0..repeats).for_each(|_| f());
        begin.elapsed().as_secs_f64() / repeats as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

macro_rules! products {
    ($t:ty, $peak:expr, $filter:expr) => {
        let peak = $peak;
        println!("\n{}: multiplications and additions at most {:.0} GFLOP/s", stringify!($t), peak);
        for (group, cases) in cases() {
            println!("{group}");
            for c in cases {
                let layout = match c.layout {
                    Layout::NN => ["", ""],
                    Layout::TN => ["ᵀ", ""],
                    Layout::NT => ["", "ᵀ"],
                };
                let batch = if c.batch == 1 { String::new() } else { format!("{} × ", c.batch) };
                let epilogue = match c.epilogue {
                    Epilogue::None => "",
                    Epilogue::Bias => " + b",
                    Epilogue::BiasRelu => " + b, relu",
                    Epilogue::BiasTanh => " + b, tanh",
                };
                let [ta, tb] = layout;
                let name = format!("{batch}[{}, {}]{ta} [{}, {}]{tb}{epilogue}", c.m, c.k, c.k, c.n);
                if !format!("{}: {group}: {name}", stringify!($t)).contains($filter) {
                    continue;
                }
                let aligned = |n: usize| vec![Line([0.5 as $t; 16]); n.div_ceil(16)];
                let (a, b, bias) = (aligned(c.batch * c.m * c.k), aligned(c.batch * c.k * c.n), aligned(c.n));
                let mut out = aligned(c.batch * c.m * c.n);
                let strides = |turned: bool, rows: usize, columns: usize| {
                    if turned { (1, rows as isize) } else { (columns as isize, 1) }
                };
                let (a_row, a_col) = strides(c.layout == Layout::TN, c.m, c.k);
                let (b_row, b_col) = strides(c.layout == Layout::NT, c.k, c.n);
                let plan = Plan::<$t>::new(&MatmulDesc {
                    batch: c.batch,
                    m: c.m,
                    n: c.n,
                    k: c.k,
                    a_batch: (c.m * c.k) as isize,
                    a_row,
                    a_col,
                    b_batch: (c.k * c.n) as isize,
                    b_row,
                    b_col,
                    c_batch: (c.m * c.n) as isize,
                    c_row: c.n as isize,
                    c_col: 1,
                    accumulate: false,
                    epilogue: c.epilogue,
                });
                let flops = 2.0 * (c.batch * c.m * c.n * c.k) as f64;
                // SAFETY: the arrays have the sizes of the shapes.
                let seconds = least(flops, || unsafe {
                    plan.run(a.as_ptr().cast(), b.as_ptr().cast(), out.as_mut_ptr().cast(), bias.as_ptr().cast())
                });
                let rate = flops / seconds / 1e9;
                let part = 100.0 * rate / peak;
                println!("  {name:44} {:9.3} µs {rate:7.1} GFLOP/s {part:4.0} %", seconds * 1e6);
            }
        }
    };
}

/// Chains of fma that nothing else waits for, on one instruction set.
macro_rules! chains {
    ($name:ident, $t:ty, $features:literal, $splat:ident, $fma:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        fn $name(turns: usize) -> usize {
            use std::arch::x86_64::*;
            let (x, y) = ($splat(black_box(0.5)), $splat(black_box(0.25)));
            let mut sums = [x; CHAINS];
            for _ in 0..turns {
                for sum in &mut sums {
                    *sum = $fma(*sum, x, y);
                }
            }
            black_box(sums);
            turns * CHAINS * size_of_val(&x) / size_of::<$t>()
        }
    };
}

const CHAINS: usize = 12;

chains!(wide_f32, f32, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps);
chains!(wide_f64, f64, "avx512f", _mm512_set1_pd, _mm512_fmadd_pd);
chains!(narrow_f32, f32, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps);
chains!(narrow_f64, f64, "avx2,fma", _mm256_set1_pd, _mm256_fmadd_pd);

/// On machines without these: four lanes, which compilers vectorise.
fn portable<T: Copy>(turns: usize, start: T, fma: impl Fn(T) -> T) -> usize {
    let mut sums = [[start; 4]; CHAINS];
    for _ in 0..turns {
        sums.iter_mut().flatten().for_each(|sum| *sum = fma(*sum));
    }
    black_box(&mut sums);
    turns * CHAINS * 4
}

/// GFLOP/s: two for each fma.
fn peak(double: bool) -> f64 {
    let run = |turns: usize| match (Level::of_machine(), double) {
        // SAFETY: the machine has its own level.
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, false) => unsafe { wide_f32(turns) },
        // SAFETY: the machine has its own level.
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, true) => unsafe { wide_f64(turns) },
        // SAFETY: the machine has its own level.
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, false) => unsafe { narrow_f32(turns) },
        // SAFETY: the machine has its own level.
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, true) => unsafe { narrow_f64(turns) },
        (Level::Portable, false) => portable(turns, 0.5f32, |x| x.mul_add(0.5, 0.25)),
        (Level::Portable, true) => portable(turns, 0.5f64, |x| x.mul_add(0.5, 0.25)),
    };
    let done = run(5000);
    2.0 * done as f64
        / least(2e6, || {
            black_box(run(5000));
        })
        / 1e9
}

fn main() {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let filter = filter.as_str();
    products!(f32, peak(false), filter);
    products!(f64, peak(true), filter);
}
