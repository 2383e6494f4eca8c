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
    /// Of a part of k: where sums wait that are not complete, and whether this is the first part, and the last.
    pub sums: *mut T,
    pub sums_row: isize,
    pub begins: bool,
    pub ends: bool,
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
pub unsafe fn run_panel<T: Copy, L: Lanes<T>, const PART: bool>(panel: &Panel<T>) {
    // SAFETY: the caller's; a number of vectors that covers the columns, and full ones only where they fill it.
    unsafe {
        // Four rows by four vectors; in narrower panels at least eight accumulators, which hide the latency of fma.
        let vectors = panel.columns.div_ceil(L::N);
        let full = panel.columns == vectors * L::N;
        match (vectors, full) {
            (1, false) => L::panel::<1, 8, false, PART>(panel),
            (1, true) => L::panel::<1, 8, true, PART>(panel),
            (2, false) => L::panel::<2, 6, false, PART>(panel),
            (2, true) => L::panel::<2, 6, true, PART>(panel),
            (3, false) => L::panel::<3, 4, false, PART>(panel),
            (3, true) => L::panel::<3, 4, true, PART>(panel),
            (_, false) => L::panel::<4, 4, false, PART>(panel),
            (_, true) => L::panel::<4, 4, true, PART>(panel),
        }
    }
}

/// Blocks of R rows, then 4, 2 and 1 of what is left. `PART`: this is a part of k.
///
/// # Safety
/// As [`run_panel`].
#[inline(always)]
pub unsafe fn rows<T: Copy, L: Lanes<T>, const W: usize, const R: usize, const FULL: bool, const PART: bool>(
    panel: &Panel<T>,
) {
    if W > L::WIDTH {
        // Never called so; without this, tiles that spill would still be compiled.
        return;
    }
    // SAFETY: the caller's; every block starts with as many rows left as it has.
    unsafe {
        let mut row = 0;
        while row + R <= panel.rows {
            block::<T, L, W, R, FULL, PART>(panel, row);
            row += R;
        }
        if R > 4 {
            while row + 4 <= panel.rows {
                block::<T, L, W, 4, FULL, PART>(panel, row);
                row += 4;
            }
        }
        if row + 2 <= panel.rows {
            block::<T, L, W, 2, FULL, PART>(panel, row);
            row += 2;
        }
        if row < panel.rows {
            block::<T, L, W, 1, FULL, PART>(panel, row);
        }
        if panel.epilogue == Epilogue::BiasTanh && (!PART || panel.ends) {
            activate::<T, L, W, FULL>(panel, 0, panel.rows);
        }
    }
}

/// # Safety
/// As [`run_panel`]; `row + R <= panel.rows`.
#[inline(always)]
unsafe fn block<T: Copy, L: Lanes<T>, const W: usize, const R: usize, const FULL: bool, const PART: bool>(
    panel: &Panel<T>,
    row: usize,
) {
    // SAFETY: the caller's; the mask keeps the last vector within the columns.
    unsafe {
        let mask = L::mask(panel.columns - (W - 1) * L::N);
        let zero = L::splat(std::mem::zeroed());
        let mut sums = [[zero; W]; R];
        let waiting = if PART { panel.sums.offset(row as isize * panel.sums_row) } else { panel.c };
        if PART && !panel.begins {
            for (r, sums) in sums.iter_mut().enumerate() {
                let waiting = waiting.offset(r as isize * panel.sums_row);
                for (w, sum) in sums.iter_mut().enumerate() {
                    let from = waiting.add(w * L::N);
                    *sum = if w + 1 == W && !FULL { L::load_some(from, mask) } else { L::load(from) };
                }
            }
        }
        let mut a = panel.a.offset(row as isize * panel.a_row);
        let mut b = panel.b;
        for _ in 0..panel.k {
            step::<T, L, W, R, FULL>(panel, a, b, mask, &mut sums);
            (a, b) = (a.offset(panel.a_col), b.offset(panel.b_row));
        }
        if PART && !panel.ends {
            for (r, sums) in sums.iter().enumerate() {
                let waiting = waiting.offset(r as isize * panel.sums_row);
                for (w, &sum) in sums.iter().enumerate() {
                    let to = waiting.add(w * L::N);
                    if w + 1 == W && !FULL { L::store_some(to, mask, sum) } else { L::store(to, sum) }
                }
            }
            return;
        }
        let c = panel.c.offset(row as isize * panel.c_row);
        for (r, sums) in sums.iter().enumerate() {
            let c = c.offset(r as isize * panel.c_row);
            for (w, &sum) in sums.iter().enumerate() {
                let c = c.add(w * L::N);
                let some = w + 1 == W && !FULL;
                let mut v = sum;
                if panel.accumulate {
                    v = L::add(if some { L::load_some(c, mask) } else { L::load(c) }, v);
                }
                if panel.epilogue != Epilogue::None {
                    let at = panel.bias.add(if panel.bias_by_row { row + r } else { w * L::N });
                    let bias = match (panel.bias_by_row, some) {
                        (true, _) => L::splat(*at),
                        (false, true) => L::load_some(at, mask),
                        (false, false) => L::load(at),
                    };
                    v = L::add(v, bias);
                    if panel.epilogue == Epilogue::BiasRelu {
                        v = L::relu(v);
                    }
                }
                if some { L::store_some(c, mask, v) } else { L::store(c, v) }
            }
        }
    }
}

/// One step of k.
///
/// # Safety
/// As [`block`]: a and b must be good for R and W elements.
#[inline(always)]
pub unsafe fn step<T: Copy, L: Lanes<T>, const W: usize, const R: usize, const FULL: bool>(
    panel: &Panel<T>,
    a: *const T,
    b: *const T,
    mask: L::Mask,
    sums: &mut [[L::V; W]; R],
) {
    // SAFETY: the caller's.
    unsafe {
        let mut columns = [L::splat(std::mem::zeroed()); W];
        for (w, column) in columns.iter_mut().enumerate() {
            let some = w + 1 == W && !FULL;
            *column = if some { L::load_some(b.add(w * L::N), mask) } else { L::load(b.add(w * L::N)) };
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let x = L::splat(*a.offset(r as isize * panel.a_row));
            for w in 0..W {
                sums[w] = L::fma(x, columns[w], sums[w]);
            }
        }
    }
}

/// tanh over rows of a panel that are stored.
///
/// # Safety
/// As [`run_panel`]; rows up to `to`.
#[inline(always)]
unsafe fn activate<T: Copy, L: Lanes<T>, const W: usize, const FULL: bool>(panel: &Panel<T>, from: usize, to: usize) {
    // SAFETY: the caller's; whole vectors end at or before the columns, the mask keeps the last within them.
    unsafe {
        let mask = L::mask(panel.columns - (W - 1) * L::N);
        for row in from..to {
            let c = panel.c.offset(row as isize * panel.c_row);
            let whole = if FULL { W } else { W - 1 };
            for w in 0..whole {
                let c = c.add(w * L::N);
                L::store(c, L::tanh(L::load(c)));
            }
            if !FULL {
                let c = c.add(whole * L::N);
                L::store_some(c, mask, L::tanh(L::load_some(c, mask)));
            }
        }
    }
}
