//! Brings any product into the form of `tile.rs`: which operand is walked along vectors, what is packed, where the result goes.

use super::lanes::Lanes;
use super::tile::{Panel, run_panel};
use super::{Epilogue, MatmulDesc};
use crate::scratch::Scratch;

/// Steps of k in a block: with the widest vectors, 64 KiB of B.
const BLOCK: usize = 256;

/// `BLOCKED`: as [`Form::is_blocked`] says.
///
/// # Safety
/// As [`super::Plan::run`]; the instruction set of L must be there.
#[inline(always)]
pub unsafe fn run<T: Copy, L: Lanes<T>, const BLOCKED: bool>(
    form: &Form,
    a: *const T,
    b: *const T,
    c: *mut T,
    bias: *const T,
) {
    if form.m == 0 || form.n == 0 {
        return;
    }
    let (a, b) = if form.turned { (b, a) } else { (a, b) };
    let mut product = Product { form, a, b, c, bias };
    if !BLOCKED && product.is_one_panel::<L>() {
        // SAFETY: the caller's, for each pair of the batch.
        unsafe {
            let mut panel = product.panel(0, form.n);
            for _ in 0..form.batch {
                run_panel::<T, L, false>(&panel);
                panel.a = panel.a.wrapping_offset(form.a_batch);
                panel.b = panel.b.wrapping_offset(form.b_batch);
                panel.c = panel.c.wrapping_offset(form.c_batch);
            }
        }
        return;
    }
    for _ in 0..form.batch {
        // SAFETY: the caller's, for each pair of the batch.
        unsafe { product.run::<L, BLOCKED>() };
        product.a = product.a.wrapping_offset(form.a_batch);
        product.b = product.b.wrapping_offset(form.b_batch);
        product.c = product.c.wrapping_offset(form.c_batch);
    }
}

/// A product's shape, perhaps seen as Cᵀ = Bᵀ Aᵀ, and what must be moved for it.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    a_batch: isize,
    a_row: isize,
    a_col: isize,
    b_batch: isize,
    b_row: isize,
    b_col: isize,
    c_batch: isize,
    c_row: isize,
    c_col: isize,
    accumulate: bool,
    epilogue: Epilogue,
    /// It is the transposed product: a and b change places, bias goes by rows.
    turned: bool,
    /// B is brought into rows of scratch memory.
    packs: bool,
    /// C is made in rows of scratch memory.
    scatters: bool,
}

impl Form {
    pub fn new<T: Copy, L: Lanes<T>>(d: &MatmulDesc) -> Form {
        let plain = Form {
            batch: d.batch,
            m: d.m,
            n: d.n,
            k: d.k,
            a_batch: d.a_batch,
            a_row: d.a_row,
            a_col: d.a_col,
            b_batch: d.b_batch,
            b_row: d.b_row,
            b_col: d.b_col,
            c_batch: d.c_batch,
            c_row: d.c_row,
            c_col: d.c_col,
            accumulate: d.accumulate,
            epilogue: d.epilogue,
            turned: false,
            packs: false,
            scatters: false,
        }
        .moving();
        let turned = plain.transposed().moving();
        if turned.cost::<T, L>() < plain.cost::<T, L>() { turned } else { plain }
    }

    fn transposed(self) -> Form {
        Form {
            m: self.n,
            n: self.m,
            a_batch: self.b_batch,
            a_row: self.b_col,
            a_col: self.b_row,
            b_batch: self.a_batch,
            b_row: self.a_col,
            b_col: self.a_row,
            c_row: self.c_col,
            c_col: self.c_row,
            turned: !self.turned,
            ..self
        }
    }

    fn moving(self) -> Form {
        Form { packs: self.b_col != 1 && self.n > 1 && self.k > 0, scatters: self.c_col != 1 && self.n > 1, ..self }
    }

    /// Steps of k that are taken at once. Sums of many wait in C, or beside it where C is added to, so that rows of A meet a block of B that
    /// is still in the cache.
    #[inline(always)]
    fn depth(&self) -> usize {
        let waits = self.m > 1 && !(self.accumulate && self.m > 512);
        if self.k > 2 * BLOCK && waits { BLOCK } else { self.k }
    }

    pub fn is_blocked(&self) -> bool {
        self.depth() < self.k
    }

    /// Cycles, roughly: two vector fmas a cycle, a sixth of a cycle for an element that a transposition packs in registers, two for one that
    /// moves alone.
    fn cost<T: Copy, L: Lanes<T>>(&self) -> usize {
        let vectors = self.n.div_ceil(L::N);
        // Fewer than eight accumulators wait for each other.
        // One vector a row is bound by the loads of A.
        let row = (5 * vectors).max(9);
        let fmas = (self.m * row / 10).max(4) * self.k;
        let blocks = if self.b_row == 1 { (self.n - self.n % L::N) * (self.k - self.k % L::N) } else { 0 };
        let pack = if self.packs { blocks / 6 + 2 * (self.n * self.k - blocks) } else { 0 };
        let scatter = if self.scatters { self.m * self.n * 5 / 4 } else { 0 };
        fmas + pack + scatter
    }
}

/// One product of a batch.
struct Product<'f, T> {
    form: &'f Form,
    a: *const T,
    b: *const T,
    c: *mut T,
    bias: *const T,
}

impl<T: Copy> Product<'_, T> {
    /// Whether each product of the batch is one panel: what else comes with each product, small ones have no time for.
    #[inline(always)]
    fn is_one_panel<L: Lanes<T>>(&self) -> bool {
        let form = self.form;
        let alike = (form.b_batch * size_of::<T>() as isize) % (L::N * size_of::<T>()) as isize == 0;
        let moves = form.packs || form.scatters || form.m >= 16 && !alike || self.lies_badly::<L>();
        form.n <= L::WIDTH * L::N && !moves
    }

    /// Some columns, with B and C where they lie.
    ///
    /// # Safety
    /// As [`run`]; the columns are below n.
    #[inline(always)]
    unsafe fn panel(&self, column: usize, columns: usize) -> Panel<T> {
        let form = self.form;
        let by_column = form.epilogue != Epilogue::None && !form.turned;
        // SAFETY: the caller's.
        let c = unsafe { self.c.offset(column as isize * form.c_col) };
        Panel {
            rows: form.m,
            columns,
            k: form.k,
            a: self.a,
            a_row: form.a_row,
            a_col: form.a_col,
            // SAFETY: the caller's.
            b: unsafe { self.b.offset(column as isize * form.b_col) },
            b_row: form.b_row,
            c,
            c_row: form.c_row,
            sums: c,
            sums_row: form.c_row,
            begins: true,
            ends: true,
            accumulate: form.accumulate,
            epilogue: form.epilogue,
            // SAFETY: the caller's: there are n of them.
            bias: if by_column { unsafe { self.bias.add(column) } } else { self.bias },
            bias_by_row: form.turned,
        }
    }

    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn run<L: Lanes<T>, const BLOCKED: bool>(&self) {
        let form = self.form;
        let wide = L::WIDTH * L::N;
        let room = |needed: bool, rows: usize| if needed { rows * wide } else { 0 };
        let packs = form.packs || self.lies_badly::<L>();
        let depth = if BLOCKED { form.depth() } else { form.k };
        let (packed, gathered) = (room(packs, depth), room(form.scatters, form.m));
        let waits = BLOCKED && form.accumulate;
        let total = packed + gathered + room(waits, form.m);
        let mut scratch = (total > 0).then(|| Scratch::take::<T>(total));
        let scratch = scratch.as_mut().map_or(std::ptr::null_mut(), Scratch::pointer::<T>);
        let mut column = 0;
        while column < form.n {
            let columns = wide.min(form.n - column);
            // SAFETY: the caller's; columns stay below n, steps below k, and the scratch has room for a packed block of B, a panel of C and one
            // of its sums.
            unsafe {
                let mut panel = self.panel(column, columns);
                let (b, home) = (panel.b, panel.c);
                if form.scatters {
                    (panel.c, panel.c_row) = (scratch.add(packed), wide as isize);
                    if form.accumulate {
                        self.fetch_c(home, panel.c, wide, columns);
                    }
                }
                (panel.sums, panel.sums_row) =
                    if waits { (scratch.add(packed + gathered), wide as isize) } else { (panel.c, panel.c_row) };
                let mut step = 0;
                loop {
                    if BLOCKED {
                        panel.k = depth.min(form.k - step);
                        panel.begins = step == 0;
                        panel.ends = step + panel.k == form.k;
                        panel.a = self.a.offset(step as isize * form.a_col);
                        panel.b = b.offset(step as isize * form.b_row);
                    }
                    if packs {
                        let b = if BLOCKED { b.offset(step as isize * form.b_row) } else { b };
                        pack::<T, L>(b, form.b_row, form.b_col, panel.k, columns, scratch, wide);
                        (panel.b, panel.b_row) = (scratch, wide as isize);
                    }
                    run_panel::<T, L, BLOCKED>(&panel);
                    step += panel.k;
                    if !BLOCKED || step == form.k {
                        break;
                    }
                }
                if form.scatters {
                    self.return_c::<L>(home, panel.c, wide, columns);
                }
            }
            column += columns;
        }
    }

    /// Whether rows of B lie badly, and are read often enough for copies to pay, which cost about as much as two rows of A: they begin within
    /// lines of the cache, so that each vector is in two, or so far from each other that a panel of them finds few places in the cache.
    #[inline(always)]
    fn lies_badly<L: Lanes<T>>(&self) -> bool {
        let line = L::N * size_of::<T>();
        let row = self.form.b_row.unsigned_abs() * size_of::<T>();
        let across = !(self.b as usize).is_multiple_of(line) || !row.is_multiple_of(line);
        let apart = row >= 2048 && self.form.k >= 128;
        self.form.m >= 16 && self.form.n >= L::N && (across || apart)
    }

    /// Copies a panel of C from its home to scratch rows.
    ///
    /// # Safety
    /// Both must be good for m rows of `columns`.
    #[inline(always)]
    unsafe fn fetch_c(&self, home: *const T, scratch: *mut T, scratch_row: usize, columns: usize) {
        for row in 0..self.form.m {
            for column in 0..columns {
                // SAFETY: the caller's.
                unsafe {
                    let home = home.offset(row as isize * self.form.c_row + column as isize * self.form.c_col);
                    *scratch.add(row * scratch_row + column) = *home;
                }
            }
        }
    }

    /// The way back.
    ///
    /// # Safety
    /// As [`Product::fetch_c`]; the scratch rows have room for whole vectors.
    #[inline(always)]
    unsafe fn return_c<L: Lanes<T>>(&self, home: *mut T, scratch: *const T, scratch_row: usize, columns: usize) {
        for row in 0..self.form.m {
            for column in (0..columns).step_by(L::N) {
                // SAFETY: the caller's.
                unsafe {
                    let home = home.offset(row as isize * self.form.c_row + column as isize * self.form.c_col);
                    let v = L::load(scratch.add(row * scratch_row + column));
                    L::scatter(home, self.form.c_col, v, L::N.min(columns - column));
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
    if b_col == 1 {
        let whole = columns - columns % L::N;
        for p in 0..k {
            // SAFETY: the caller's.
            unsafe {
                let (from, to) = (b.offset(p as isize * b_row), to.add(p * to_row));
                for j in (0..whole).step_by(L::N) {
                    L::store(to.add(j), L::load(from.add(j)));
                }
                if whole < columns {
                    let mask = L::mask(columns - whole);
                    L::store_some(to.add(whole), mask, L::load_some(from.add(whole), mask));
                }
            }
        }
        return;
    }
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
