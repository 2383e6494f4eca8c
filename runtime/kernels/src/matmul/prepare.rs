//! Brings any product into the form of `tile.rs`: which operand is walked along vectors, what is packed, where the result goes.

use super::lanes::Lanes;
use super::tile::{Panel, run_panel};
use super::{Epilogue, MatmulDesc};
use crate::scratch::Scratch;

/// # Safety
/// As [`super::matmul_f32`]; the instruction set of L must be there.
#[inline(always)]
pub unsafe fn run<T: Copy, L: Lanes<T>>(desc: &MatmulDesc, a: *const T, b: *const T, c: *mut T, bias: *const T) {
    if desc.m == 0 || desc.n == 0 {
        return;
    }
    let (plain, swapped) = (Product::new(desc, a, b, c, bias), Product::new(desc, a, b, c, bias).transposed());
    let mut product = if swapped.cost::<T, L>() < plain.cost::<T, L>() { swapped } else { plain };
    for _ in 0..desc.batch {
        // SAFETY: the caller's, for each pair of the batch.
        unsafe { product.run::<L>() };
        let (a_batch, b_batch) =
            if product.bias_by_row { (desc.b_batch, desc.a_batch) } else { (desc.a_batch, desc.b_batch) };
        product.a = product.a.wrapping_offset(a_batch);
        product.b = product.b.wrapping_offset(b_batch);
        product.c = product.c.wrapping_offset(desc.c_batch);
    }
}

/// One product, perhaps seen as Cᵀ = Bᵀ Aᵀ.
#[derive(Clone, Copy)]
struct Product<T> {
    m: usize,
    n: usize,
    k: usize,
    a: *const T,
    a_row: isize,
    a_col: isize,
    b: *const T,
    b_row: isize,
    b_col: isize,
    c: *mut T,
    c_row: isize,
    c_col: isize,
    accumulate: bool,
    epilogue: Epilogue,
    bias: *const T,
    /// Also says that the product is the transposed one.
    bias_by_row: bool,
}

impl<T: Copy> Product<T> {
    #[inline(always)]
    fn new(d: &MatmulDesc, a: *const T, b: *const T, c: *mut T, bias: *const T) -> Product<T> {
        Product {
            m: d.m,
            n: d.n,
            k: d.k,
            a,
            a_row: d.a_row,
            a_col: d.a_col,
            b,
            b_row: d.b_row,
            b_col: d.b_col,
            c,
            c_row: d.c_row,
            c_col: d.c_col,
            accumulate: d.accumulate,
            epilogue: d.epilogue,
            bias,
            bias_by_row: false,
        }
    }

    #[inline(always)]
    fn transposed(self) -> Product<T> {
        Product {
            m: self.n,
            n: self.m,
            k: self.k,
            a: self.b,
            a_row: self.b_col,
            a_col: self.b_row,
            b: self.a,
            b_row: self.a_col,
            b_col: self.a_row,
            c: self.c,
            c_row: self.c_col,
            c_col: self.c_row,
            accumulate: self.accumulate,
            epilogue: self.epilogue,
            bias: self.bias,
            bias_by_row: !self.bias_by_row,
        }
    }

    /// Cycles, roughly: two vector fmas a cycle, a quarter of a cycle for an element that a transposition packs in registers, two
    /// for one that moves alone.
    #[inline(always)]
    fn cost<U: Copy, L: Lanes<U>>(&self) -> usize {
        let vectors = self.n.div_ceil(L::N);
        // Fewer than eight accumulators wait for each other.
        let fmas = (self.m * vectors / 2).max(4) * self.k;
        let blocks = if self.b_row == 1 { (self.n - self.n % L::N) * (self.k - self.k % L::N) } else { 0 };
        let pack = if self.packs() { blocks / 4 + 2 * (self.n * self.k - blocks) } else { 0 };
        let scatter = if self.scatters() { 2 * self.m * self.n } else { 0 };
        fmas + pack + scatter
    }

    #[inline(always)]
    fn packs(&self) -> bool {
        self.b_col != 1 && self.n > 1 && self.k > 0
    }

    #[inline(always)]
    fn scatters(&self) -> bool {
        self.c_col != 1 && self.n > 1
    }

    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn run<L: Lanes<T>>(&self) {
        let wide = L::WIDTH * L::N;
        let room = |needed: bool, rows: usize| if needed { rows * wide } else { 0 };
        let (packed, gathered) = (room(self.packs(), self.k), room(self.scatters(), self.m));
        let mut scratch = (packed + gathered > 0).then(|| Scratch::take::<T>(packed + gathered));
        let scratch = scratch.as_mut().map_or(std::ptr::null_mut(), Scratch::pointer::<T>);
        let mut column = 0;
        while column < self.n {
            let columns = wide.min(self.n - column);
            // SAFETY: the caller's; columns stay below n, and the scratch has room for a packed panel of B and one of C.
            unsafe {
                let mut panel = Panel {
                    rows: self.m,
                    columns,
                    k: self.k,
                    a: self.a,
                    a_row: self.a_row,
                    a_col: self.a_col,
                    b: self.b.offset(column as isize * self.b_col),
                    b_row: self.b_row,
                    c: self.c.offset(column as isize * self.c_col),
                    c_row: self.c_row,
                    accumulate: self.accumulate,
                    epilogue: self.epilogue,
                    bias: self.bias,
                    bias_by_row: self.bias_by_row,
                };
                if self.epilogue != Epilogue::None && !self.bias_by_row {
                    panel.bias = self.bias.add(column);
                }
                if self.packs() {
                    pack::<T, L>(panel.b, self.b_row, self.b_col, self.k, columns, scratch, wide);
                    panel.b = scratch;
                    panel.b_row = wide as isize;
                }
                if self.scatters() {
                    let home = panel.c;
                    panel.c = scratch.add(packed);
                    panel.c_row = wide as isize;
                    if self.accumulate {
                        self.move_c(home, panel.c, wide, columns, false);
                    }
                    run_panel::<T, L>(&panel);
                    self.move_c(home, panel.c, wide, columns, true);
                } else {
                    run_panel::<T, L>(&panel);
                }
            }
            column += columns;
        }
    }

    /// Copies a panel of C between its home and scratch rows.
    ///
    /// # Safety
    /// Both must be good for m rows of `columns`.
    #[inline(always)]
    unsafe fn move_c(&self, home: *mut T, scratch: *mut T, scratch_row: usize, columns: usize, to_home: bool) {
        for column in 0..columns {
            for row in 0..self.m {
                // SAFETY: the caller's.
                unsafe {
                    let home = home.offset(row as isize * self.c_row + column as isize * self.c_col);
                    let scratch = scratch.add(row * scratch_row + column);
                    if to_home { *home = *scratch } else { *scratch = *home }
                }
            }
        }
    }
}

/// `to[p * to_row + j] = b[p * b_row + j * b_col]` for p < k, j < columns.
///
/// # Safety
/// Both sides must be good for those places.
#[inline(always)]
unsafe fn pack<T: Copy, L: Lanes<T>>(
    b: *const T,
    b_row: isize,
    b_col: isize,
    k: usize,
    columns: usize,
    to: *mut T,
    to_row: usize,
) {
    let (mut blocks_k, mut blocks_j) = (0, 0);
    if b_row == 1 {
        (blocks_k, blocks_j) = (k - k % L::N, columns - columns % L::N);
    }
    // SAFETY: the caller's; whole blocks first, then the elements beside and below them.
    unsafe {
        for j in (0..blocks_j).step_by(L::N) {
            for p in (0..blocks_k).step_by(L::N) {
                L::transpose(b.offset(j as isize * b_col).add(p), b_col, to.add(p * to_row + j), to_row);
            }
        }
        for j in 0..columns {
            let first = if j < blocks_j { blocks_k } else { 0 };
            for p in first..k {
                *to.add(p * to_row + j) = *b.offset(p as isize * b_row + j as isize * b_col);
            }
        }
    }
}
