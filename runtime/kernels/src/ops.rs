//! The few operations that every backend has, and that all elementary functions are written with.
//!
//! [`crate::math`] writes each function once, over this trait. The interpreter implements it by plain numbers, the AVX kernels by
//! vectors, the CPU and PTX backends by emitting instructions: so all agree to the bit.

/// 32 rows of eight numbers: what a function needs to know of the piece of its range that an argument is in.
///
/// Both ways, for machines that look up a column in registers (`vpermi2ps`: one operation a number) and for those that load a row.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Table {
    pub columns: [[f32; 32]; 8],
    pub rows: [[f32; 8]; 32],
}

impl Table {
    pub const fn new(rows: [[f32; 8]; 32]) -> Table {
        let mut columns = [[0.0; 32]; 8];
        let mut at = 0;
        while at < 256 {
            columns[at % 8][at / 8] = rows[at / 8][at % 8];
            at += 1;
        }
        Table { columns, rows }
    }
}

/// A machine with one width of floats `F`, integers `I` of the same width, and masks `M`. Every operation rounds once,
/// to nearest even; nothing is contracted.
pub trait Ops {
    type F: Copy;
    type I: Copy;
    type M: Copy;

    fn f(&mut self, x: f64) -> Self::F;
    /// The low bits of `x`.
    fn i(&mut self, x: i64) -> Self::I;

    fn add(&mut self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(&mut self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(&mut self, a: Self::F, b: Self::F) -> Self::F;
    fn div(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b + c, rounded once.
    fn fma(&mut self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn sqrt(&mut self, a: Self::F) -> Self::F;
    fn neg(&mut self, a: Self::F) -> Self::F;
    fn abs(&mut self, a: Self::F) -> Self::F;
    fn floor(&mut self, a: Self::F) -> Self::F;
    fn ceil(&mut self, a: Self::F) -> Self::F;
    /// To the nearest integer, ties to even.
    fn round(&mut self, a: Self::F) -> Self::F;

    fn lt(&mut self, a: Self::F, b: Self::F) -> Self::M;
    fn le(&mut self, a: Self::F, b: Self::F) -> Self::M;
    fn eq(&mut self, a: Self::F, b: Self::F) -> Self::M;
    fn select(&mut self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;

    /// `a < b ? a : b`: b where either is NaN. One instruction on x86 (`minps`).
    #[inline(always)]
    fn min(&mut self, a: Self::F, b: Self::F) -> Self::F {
        let less = self.lt(a, b);
        self.select(less, a, b)
    }
    /// `a > b ? a : b`: b where either is NaN. One instruction on x86 (`maxps`).
    #[inline(always)]
    fn max(&mut self, a: Self::F, b: Self::F) -> Self::F {
        let more = self.lt(b, a);
        self.select(more, a, b)
    }
    /// `rare()` where m, else `usual`, for an m that hardly ever holds: a machine that can branch skips `rare` where it never does.
    /// The value is the same either way.
    #[inline(always)]
    fn rarely(&mut self, m: Self::M, usual: Self::F, rare: impl FnOnce(&mut Self) -> Self::F) -> Self::F {
        let r = rare(self);
        self.select(m, r, usual)
    }
    /// a × 2ⁿ for an integer-valued n, rounded once, where the machine has that as one instruction (`vscalefps`).
    #[inline(always)]
    fn scale(&mut self, _a: Self::F, _n: Self::F) -> Option<Self::F> {
        None
    }

    /// The row of a table that the low five bits of `at` name. Only for machines of 32-bit floats.
    fn row(&mut self, table: &'static Table, at: Self::I) -> [Self::F; 8];

    fn bits(&mut self, a: Self::F) -> Self::I;
    #[allow(clippy::wrong_self_convention, reason = "the receiver is the machine, not what is converted")]
    fn from_bits(&mut self, a: Self::I) -> Self::F;
    /// Towards zero; only for values that fit in 32 bits.
    fn to_int(&mut self, a: Self::F) -> Self::I;
    /// Only for integers that fit in 32 bits, signed.
    fn to_float(&mut self, a: Self::I) -> Self::F;

    fn iadd(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn isub(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn iand(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn ior(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn ixor(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// By a constant below the width.
    fn ishl(&mut self, a: Self::I, by: u32) -> Self::I;
    /// Logical.
    fn ishr(&mut self, a: Self::I, by: u32) -> Self::I;
    /// Arithmetic.
    fn isar(&mut self, a: Self::I, by: u32) -> Self::I;
    fn ieq(&mut self, a: Self::I, b: Self::I) -> Self::M;
    /// Signed.
    fn ilt(&mut self, a: Self::I, b: Self::I) -> Self::M;
    fn iselect(&mut self, m: Self::M, a: Self::I, b: Self::I) -> Self::I;
    fn mand(&mut self, a: Self::M, b: Self::M) -> Self::M;
    fn mor(&mut self, a: Self::M, b: Self::M) -> Self::M;
}
