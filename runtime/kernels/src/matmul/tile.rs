//! The loops of a product whose B and C have unit column stride: tiles of a few rows by a few vectors, kept in registers over all of k.

use super::Epilogue;
use super::lanes::Lanes;

/// One panel of columns of a product: at most `Lanes::WIDTH` vectors of them.
#[derive(Clone, Copy)]
pub struct Panel<T> {
    pub rows: usize,
    pub columns: usize,
    pub k: usize,
    pub a: *const T,
    pub a_row: isize,
    pub a_col: isize,
    pub b: *const T,
    pub b_row: isize,
    pub c: *mut T,
    pub c_row: isize,
    /// Adds what C holds.
    pub accumulate: bool,
    pub epilogue: Epilogue,
    pub bias: *const T,
    /// Bias goes by rows rather than by columns (the transposed product).
    pub bias_by_row: bool,
}

/// # Safety
/// The panel's pointers must be good for its shape; the instruction set of L must be there.
#[inline(always)]
pub unsafe fn run_panel<T: Copy, L: Lanes<T>>(panel: &Panel<T>) {
    // SAFETY: the caller's; a number of vectors that covers the columns.
    unsafe {
        // Four rows by four vectors, and as many accumulators in narrower panels: 8 or more hide the latency of fma.
        match panel.columns.div_ceil(L::N) {
            1 => rows::<T, L, 1, 12>(panel),
            2 => rows::<T, L, 2, 6>(panel),
            3 => rows::<T, L, 3, 4>(panel),
            _ => rows::<T, L, 4, 4>(panel),
        }
    }
}

/// Blocks of R rows, then 4, 2 and 1 of what is left.
///
/// # Safety
/// As [`run_panel`].
#[inline(always)]
unsafe fn rows<T: Copy, L: Lanes<T>, const W: usize, const R: usize>(panel: &Panel<T>) {
    if W > L::WIDTH {
        // Never called so; without this, tiles that spill would still be compiled.
        return;
    }
    // SAFETY: the caller's; every block starts with as many rows left as it has.
    unsafe {
        let mut row = 0;
        while row + R <= panel.rows {
            block::<T, L, W, R>(panel, row);
            row += R;
        }
        if R > 4 {
            while row + 4 <= panel.rows {
                block::<T, L, W, 4>(panel, row);
                row += 4;
            }
        }
        if row + 2 <= panel.rows {
            block::<T, L, W, 2>(panel, row);
            row += 2;
        }
        if row < panel.rows {
            block::<T, L, W, 1>(panel, row);
        }
    }
}

/// # Safety
/// As [`run_panel`]; `row + R <= panel.rows`.
#[inline(always)]
unsafe fn block<T: Copy, L: Lanes<T>, const W: usize, const R: usize>(panel: &Panel<T>, row: usize) {
    // SAFETY: the caller's; the mask keeps the last vector within the columns.
    unsafe {
        let mask = L::mask(panel.columns - (W - 1) * L::N);
        let zero = L::splat(std::mem::zeroed());
        let mut sums = [[zero; W]; R];
        let mut a = panel.a.offset(row as isize * panel.a_row);
        let mut b = panel.b;
        for _ in 0..panel.k {
            let mut columns = [zero; W];
            for (w, column) in columns.iter_mut().enumerate() {
                *column = if w + 1 == W { L::load_some(b.add(w * L::N), mask) } else { L::load(b.add(w * L::N)) };
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = L::splat(*a.offset(r as isize * panel.a_row));
                for w in 0..W {
                    sums[w] = L::fma(x, columns[w], sums[w]);
                }
            }
            a = a.offset(panel.a_col);
            b = b.offset(panel.b_row);
        }
        let c = panel.c.offset(row as isize * panel.c_row);
        for (r, sums) in sums.iter().enumerate() {
            let c = c.offset(r as isize * panel.c_row);
            for (w, &sum) in sums.iter().enumerate() {
                let c = c.add(w * L::N);
                if w + 1 == W {
                    let sum = if panel.accumulate { L::add(L::load_some(c, mask), sum) } else { sum };
                    L::store_some(c, mask, sum);
                } else {
                    let sum = if panel.accumulate { L::add(L::load(c), sum) } else { sum };
                    L::store(c, sum);
                }
            }
        }
    }
}

/// The epilogue over all of a panel's C, which is near in the cache; one copy of it rather than one a tile.
///
/// # Safety
/// As [`run_panel`].
#[inline(always)]
pub unsafe fn run_epilogue<T: Copy, L: Lanes<T>>(panel: &Panel<T>) {
    if panel.epilogue == Epilogue::None {
        return;
    }
    // SAFETY: the caller's; whole vectors end at or before the columns, the mask keeps the last within them.
    unsafe {
        for row in 0..panel.rows {
            let c = panel.c.offset(row as isize * panel.c_row);
            let mut at = 0;
            while at < panel.columns {
                let mask = L::mask((panel.columns - at).min(L::N));
                let v = L::load_some(c.add(at), mask);
                let bias = if panel.bias_by_row {
                    L::splat(*panel.bias.add(row))
                } else {
                    L::load_some(panel.bias.add(at), mask)
                };
                let v = L::add(v, bias);
                let v = match panel.epilogue {
                    Epilogue::None | Epilogue::Bias => v,
                    Epilogue::BiasTanh => L::tanh(v),
                    Epilogue::BiasRelu => L::relu(v),
                };
                L::store_some(c.add(at), mask, v);
                at += L::N;
            }
        }
    }
}
