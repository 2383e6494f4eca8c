//! How many FLOPs an elementary function is: the function itself, run on a machine that counts.

use std::sync::OnceLock;

use whorl_core::ir::DType;
use whorl_kernels::math::{MathFn, MathFn2};
use whorl_kernels::ops::{Ops, Table};

/// FLOPs of one value. Floats of 16 bits are computed in `f32`.
pub fn flops_of(f: MathFn, dtype: DType) -> u64 {
    static TABLE: OnceLock<Vec<[u64; 2]>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let of = |f: &MathFn| [counted(|o| f.apply32(o, ())), counted(|o| f.apply64(o, ()))];
        MathFn::ALL.iter().map(of).collect()
    });
    let row = MathFn::ALL.iter().position(|g| *g == f).expect("all functions are in the table");
    table[row][usize::from(dtype == DType::F64)]
}

/// The same of two values.
pub fn flops_of2(f: MathFn2, dtype: DType) -> u64 {
    static TABLE: OnceLock<Vec<[u64; 2]>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let of = |f: &MathFn2| [counted(|o| f.apply32(o, (), ())), counted(|o| f.apply64(o, (), ()))];
        MathFn2::ALL.iter().map(of).collect()
    });
    let row = MathFn2::ALL.iter().position(|g| *g == f).expect("all functions are in the table");
    table[row][usize::from(dtype == DType::F64)]
}

fn counted(f: impl FnOnce(&mut Counter)) -> u64 {
    let mut counter = Counter { flops: 0 };
    f(&mut counter);
    counter.flops
}

/// A machine without values. What a function does on rare arguments only is not counted: it is skipped.
struct Counter {
    flops: u64,
}

impl Counter {
    fn flop(&mut self, n: u64) {
        self.flops += n;
    }
}

impl Ops for Counter {
    type F = ();
    type I = ();
    type M = ();

    fn f(&mut self, _: f64) {}
    fn i(&mut self, _: i64) {}
    fn add(&mut self, _: (), _: ()) {
        self.flop(1);
    }
    fn sub(&mut self, _: (), _: ()) {
        self.flop(1);
    }
    fn mul(&mut self, _: (), _: ()) {
        self.flop(1);
    }
    fn div(&mut self, _: (), _: ()) {
        self.flop(1);
    }
    fn fma(&mut self, _: (), _: (), _: ()) {
        self.flop(2);
    }
    fn sqrt(&mut self, _: ()) {
        self.flop(1);
    }
    fn neg(&mut self, _: ()) {}
    fn abs(&mut self, _: ()) {}
    fn floor(&mut self, _: ()) {}
    fn ceil(&mut self, _: ()) {}
    fn round(&mut self, _: ()) {}
    fn lt(&mut self, _: (), _: ()) {}
    fn le(&mut self, _: (), _: ()) {}
    fn eq(&mut self, _: (), _: ()) {}
    fn select(&mut self, _: (), _: (), _: ()) {}
    fn rarely(&mut self, _: (), _: (), _: impl FnOnce(&mut Self)) {}
    fn row(&mut self, _: &'static Table, _: ()) -> [(); 8] {
        [(); 8]
    }
    fn bits(&mut self, _: ()) {}
    fn from_bits(&mut self, _: ()) {}
    fn to_int(&mut self, _: ()) {}
    fn to_float(&mut self, _: ()) {}
    fn iadd(&mut self, _: (), _: ()) {}
    fn isub(&mut self, _: (), _: ()) {}
    fn iand(&mut self, _: (), _: ()) {}
    fn ior(&mut self, _: (), _: ()) {}
    fn ixor(&mut self, _: (), _: ()) {}
    fn ishl(&mut self, _: (), _: u32) {}
    fn ishr(&mut self, _: (), _: u32) {}
    fn isar(&mut self, _: (), _: u32) {}
    fn ieq(&mut self, _: (), _: ()) {}
    fn ilt(&mut self, _: (), _: ()) {}
    fn iselect(&mut self, _: (), _: (), _: ()) {}
    fn mand(&mut self, _: (), _: ()) {}
    fn mor(&mut self, _: (), _: ()) {}
}
