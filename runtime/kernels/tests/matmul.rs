//! Every path of the matrix product against the plain loop, to the bit.

use whorl_kernels::math::MathFn;
use whorl_kernels::math::scalar::{unary_f32, unary_f64};
use whorl_kernels::matmul::{Epilogue, MatmulDesc, Plan};
use whorl_kernels::simd::Level;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }
    fn real(&mut self) -> f64 {
        self.below(1 << 20) as f64 / (1 << 19) as f64 - 1.0
    }
}

/// Strides of a `[batch, rows, columns]` array in one of the layouts in use, and its size.
fn layout(kind: usize, batch: usize, rows: usize, columns: usize) -> ([isize; 3], usize) {
    let (b, r, c) = (batch as isize, rows as isize, columns as isize);
    match kind {
        0 => ([r * c, c, 1], batch * rows * columns),
        1 => ([r * c, 1, r], batch * rows * columns),
        2 => ([r * (c + 3), c + 3, 1], batch * rows * (columns + 3)),
        3 => ([1, b, b * r], batch * rows * columns),
        _ => ([2 * r * c, 2 * c, 2], 2 * batch * rows * columns),
    }
}

macro_rules! check {
    ($name:ident, $t:ty, $unary:ident) => {
        fn $name(random: &mut Random, m: usize, n: usize, k: usize) {
            let batch = 1 + random.below(4);
            let (sa, a_size) = layout(random.below(5), batch, m, k);
            let (sb, b_size) = layout(random.below(5), batch, k, n);
            let (sc, c_size) = layout(random.below(5), batch, m, n);
            let epilogue = [Epilogue::None, Epilogue::Bias, Epilogue::BiasTanh, Epilogue::BiasRelu][random.below(4)];
            let accumulate = random.below(2) == 1;
            let mut fill = |size: usize| (0..size).map(|_| random.real() as $t).collect::<Vec<$t>>();
            let (a, b, c, bias) = (fill(a_size), fill(b_size), fill(c_size), fill(n));
            let desc = MatmulDesc {
                batch,
                m,
                n,
                k,
                a_batch: sa[0],
                a_row: sa[1],
                a_col: sa[2],
                b_batch: sb[0],
                b_row: sb[1],
                b_col: sb[2],
                c_batch: sc[0],
                c_row: sc[1],
                c_col: sc[2],
                accumulate,
                epilogue,
            };
            let at = |s: &[isize; 3], i: usize, j: usize, l: usize| {
                (i as isize * s[0] + j as isize * s[1] + l as isize * s[2]) as usize
            };
            let mut want = c.clone();
            for g in 0..batch {
                for i in 0..m {
                    for j in 0..n {
                        let mut sum: $t = 0.0;
                        let mut wide = 0.0;
                        for p in 0..k {
                            let (x, y) = (a[at(&sa, g, i, p)], b[at(&sb, g, p, j)]);
                            sum = x.mul_add(y, sum);
                            wide += x as f64 * y as f64;
                        }
                        assert!((sum as f64 - wide).abs() < 1e-4, "the chain is a sum");
                        let place = &mut want[at(&sc, g, i, j)];
                        if accumulate {
                            sum += *place;
                        }
                        *place = match epilogue {
                            Epilogue::None => sum,
                            Epilogue::Bias => sum + bias[j],
                            Epilogue::BiasTanh => $unary(MathFn::Tanh, sum + bias[j]),
                            Epilogue::BiasRelu => {
                                if sum + bias[j] > 0.0 {
                                    sum + bias[j]
                                } else {
                                    0.0
                                }
                            }
                        };
                    }
                }
            }
            for level in Level::available() {
                let mut got = c.clone();
                // SAFETY: the level is available, and the arrays have the sizes of their layouts.
                unsafe {
                    Plan::<$t>::at(level, &desc).run(a.as_ptr(), b.as_ptr(), got.as_mut_ptr(), bias.as_ptr());
                }
                for (i, (g, w)) in got.iter().zip(&want).enumerate() {
                    assert_eq!(g.to_bits(), w.to_bits(), "{level:?} at {i}: {g} for {w}, {desc:?}");
                }
            }
        }
    };
}

check!(check_f32, f32, unary_f32);
check!(check_f64, f64, unary_f64);

#[test]
fn all_paths_agree_to_the_bit() {
    let mut random = Random(7);
    let fixed = [
        (128, 64, 4),
        (128, 64, 64),
        (128, 2, 64),
        (128, 1, 64),
        (64, 64, 128),
        (4, 64, 64),
        (4, 2, 64),
        (64, 64, 1),
        (5, 7, 0),
        // In blocks of k.
        (16, 36, 1100),
        (3, 70, 513),
        (1, 20, 600),
    ];
    for (m, n, k) in fixed {
        for _ in 0..6 {
            check_f32(&mut random, m, n, k);
            check_f64(&mut random, m, n, k);
        }
    }
    for _ in 0..400 {
        let (m, n, k) = (1 + random.below(40), 1 + random.below(150), random.below(40));
        check_f32(&mut random, m, n, k);
        check_f64(&mut random, n, m, k);
    }
}
