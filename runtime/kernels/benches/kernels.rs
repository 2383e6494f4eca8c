//! Tiles and sorts at the sizes of PPO on CartPole. Matrix products have a benchmark of their own.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use whorl_kernels::elem::Elem;
use whorl_kernels::math::{MathFn, threefry2x32};
use whorl_kernels::sort::{SortDesc, SortOperand, sort_rows};
use whorl_kernels::tiles::TILES_F32;

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
    targets = tiles, sorts
}
criterion_main!(kernels);
