//! Matrix products, tiles and sorts at the sizes of PPO on CartPole.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use whorl_kernels::elem::Elem;
use whorl_kernels::math::{MathFn, threefry2x32};
use whorl_kernels::matmul::{Epilogue, MatmulDesc, matmul_f32};
use whorl_kernels::sort::{SortDesc, SortOperand, sort_rows};
use whorl_kernels::tiles::TILES_F32;

struct Case {
    name: &'static str,
    m: usize,
    n: usize,
    k: usize,
    /// A, B stored transposed.
    a_transposed: bool,
    b_transposed: bool,
    epilogue: Epilogue,
}

fn matrix_products(criterion: &mut Criterion) {
    let case =
        |name, m, n, k| Case { name, m, n, k, a_transposed: false, b_transposed: false, epilogue: Epilogue::None };
    let cases = [
        case("128x4 @ 4x64", 128, 64, 4),
        case("128x64 @ 64x64", 128, 64, 64),
        case("64x64 @ 64x64", 64, 64, 64),
        case("128x64 @ 64x2", 128, 2, 64),
        case("128x64 @ 64x1", 128, 1, 64),
        case("4x4 @ 4x64", 4, 64, 4),
        case("4x64 @ 64x64", 4, 64, 64),
        case("4x64 @ 64x2", 4, 2, 64),
        case("256x256 @ 256x256", 256, 256, 256),
        case("1024x128 @ 128x128", 1024, 128, 128),
        Case { a_transposed: true, ..case("(128x64)T @ 128x64", 64, 64, 128) },
        Case { a_transposed: true, ..case("(128x4)T @ 128x64", 4, 64, 128) },
        Case { a_transposed: true, ..case("(128x64)T @ 128x2", 64, 2, 128) },
        Case { b_transposed: true, ..case("128x64 @ (64x64)T", 128, 64, 64) },
        Case { b_transposed: true, ..case("128x2 @ (64x2)T", 128, 64, 2) },
        Case { epilogue: Epilogue::BiasTanh, ..case("tanh(128x64 @ 64x64 + b)", 128, 64, 64) },
    ];
    let mut group = criterion.benchmark_group("matmul_f32");
    for Case { name, m, n, k, a_transposed, b_transposed, epilogue } in cases {
        let (a, b, bias) = (vec![0.5f32; m * k], vec![0.25f32; k * n], vec![0.1f32; n]);
        let mut c = vec![0f32; m * n];
        let strides = |transposed, rows: usize, columns: usize| {
            if transposed { (1, rows as isize) } else { (columns as isize, 1) }
        };
        let ((a_row, a_col), (b_row, b_col)) = (strides(a_transposed, m, k), strides(b_transposed, k, n));
        let desc = MatmulDesc {
            batch: 1,
            m,
            n,
            k,
            a_row,
            a_col,
            b_row,
            b_col,
            c_row: n as isize,
            c_col: 1,
            epilogue,
            ..MatmulDesc::default()
        };
        group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        group.bench_function(name, |bench| {
            // SAFETY: the arrays have the sizes of the shapes.
            bench.iter(|| unsafe { matmul_f32(&desc, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), bias.as_ptr()) })
        });
    }
}

fn tiles(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tiles_f32, 8192 elements");
    group.throughput(Throughput::Elements(8192));
    for (function, tile) in TILES_F32 {
        let low = if matches!(function, MathFn::Log | MathFn::Log1p) { 0.01 } else { -4.0 };
        let x: Vec<f32> = (0..8192).map(|i| low + i as f32 * 1e-3).collect();
        let mut y = x.clone();
        // SAFETY: both arrays have that length.
        group.bench_function(format!("{function:?}"), |bench| {
            bench.iter(|| unsafe { tile(x.as_ptr(), y.as_mut_ptr(), 8192) })
        });
    }
}

fn sorts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sort u32 keys, i32 payload");
    for n in [512usize, 4096] {
        let keys: Vec<u32> = (0..n as u32).map(|i| threefry2x32(0, 0, i, 0).0).collect();
        let payload: Vec<i32> = (0..n as i32).collect();
        let (mut sorted_keys, mut sorted_payload) = (keys.clone(), payload.clone());
        let operand = |elem| SortOperand { elem, in_row: 0, in_element: 1, out_row: 0, out_element: 1 };
        let operands = [operand(Elem::U32), operand(Elem::I32)];
        let desc = SortDesc { rows: 1, n, operands: 2, keys: 1, operand: operands.as_ptr() };
        let inputs = [keys.as_ptr().cast::<u8>(), payload.as_ptr().cast()];
        let outputs = [sorted_keys.as_mut_ptr().cast::<u8>(), sorted_payload.as_mut_ptr().cast()];
        group.throughput(Throughput::Elements(n as u64));
        // SAFETY: all four arrays have n elements.
        group.bench_function(n.to_string(), |bench| {
            bench.iter(|| unsafe { sort_rows(&desc, inputs.as_ptr(), outputs.as_ptr()) })
        });
    }
}

criterion_group! {
    name = kernels;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(100)).measurement_time(std::time::Duration::from_millis(300));
    targets = matrix_products, tiles, sorts
}
criterion_main!(kernels);
