//! The machine of 16 lanes, or of eight.
//!
//! `f32`, `i32` and `u32` are a vector; `u8` one of numbers 0–255, `f16` and `bf16` one of their bits; `f64` two vectors; `bool` a mask.

use iced_x86::Code as Op;
use whorl_core::ir::{DType, Lit};
use whorl_core::prim::{Binary, Compare, Monoid, Unary};
use whorl_kernels::math::{self, MathFn, MathFn2};
use whorl_kernels::ops::Ops;
use whorl_schedule::loop_ir::{LoopProgram, View};

use super::code::{Class, Code, Constant, Extent, FRAME, Fold, Immediate, Inst, Kind, Label, Memory, Reg};
use super::memory::Chains;
use super::ops::{self, Vectors};
use super::set::Set;
use crate::CpuError;
use crate::lanes::machine::{LaneOffset, Layout, Machine};
use crate::paired::Paired;

/// A group's values, of an `f64` half of them a vector.
pub type Lane = Paired<Reg>;

pub struct Started {
    label: Label,
    from: usize,
    at: Reg,
    step: i32,
    end: End,
    /// How many chains of addresses there were before.
    chains: usize,
}

/// Where a loop ends.
enum End {
    At(i32),
    /// Where the function's range does.
    OfRange,
}

pub struct Wide<'p> {
    pub code: Code,
    pub program: &'p LoopProgram,
    pub chains: Chains,
    /// Whether there is an instruction that counts bits.
    popcount: bool,
}

/// Whether there is an instruction that counts bits in all lanes.
pub fn counts_bits() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512vpopcntdq");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

impl<'p> Wide<'p> {
    pub fn new(program: &'p LoopProgram, set: Set) -> Wide<'p> {
        let popcount = set == Set::Avx512 && counts_bits();
        Wide { code: Code::new(set), program, chains: Chains::default(), popcount }
    }

    pub fn has_popcount(&self) -> bool {
        self.popcount
    }

    pub fn vectors(&mut self, dtype: DType) -> Vectors<'_> {
        Vectors { code: &mut self.code, double: dtype == DType::F64 }
    }

    pub fn ints(&mut self) -> Vectors<'_> {
        Vectors { code: &mut self.code, double: false }
    }

    pub fn mask_op(&mut self, op: Op, a: Reg, b: Reg) -> Reg {
        self.code.mask(op, Fold::No, &[a.into(), b.into()], None)
    }

    pub fn not(&mut self, a: Reg) -> Reg {
        self.ints().not(a)
    }

    /// The first lanes, of 32 bits or of 64.
    pub fn first_mask(&mut self, count: usize, double: bool) -> Reg {
        self.code.lanes(((1u32 << count) - 1) as u16, double)
    }

    fn math(&mut self, f: MathFn, dtype: DType, x: Lane) -> Lane {
        x.map(|x| {
            let mut vectors = self.vectors(dtype);
            if dtype == DType::F64 { f.apply64(&mut vectors, x) } else { f.apply32(&mut vectors, x) }
        })
    }

    fn math2(&mut self, f: MathFn2, dtype: DType, a: Lane, b: Lane) -> Lane {
        a.zip(b, |a, b| {
            let mut vectors = self.vectors(dtype);
            if dtype == DType::F64 { f.apply64(&mut vectors, a, b) } else { f.apply32(&mut vectors, a, b) }
        })
    }

    /// Lane `k` is what lane `k + by` was, for `k` below `by`.
    fn rotated(&mut self, dtype: DType, v: Reg, by: u8) -> Reg {
        if self.code.set == Set::Avx2 {
            let (halves, op) = (Op::VEX_Vperm2i128_ymm_ymm_ymmm256_imm8, Op::VEX_Vpshufd_ymm_ymmm256_imm8);
            return match by * if dtype == DType::F64 { 2 } else { 1 } {
                4 => self.code.vector_by(halves, Fold::No, &[v.into(), v.into()], 1),
                2 => self.code.vector_by(op, Fold::No, &[v.into()], 0x4e),
                _ => self.code.vector_by(op, Fold::No, &[v.into()], 0xb1),
            };
        }
        if dtype == DType::Bool {
            return self.code.mask(Op::VEX_Kshiftrw_kr_kr_imm8, Fold::No, &[v.into()], Some(by));
        }
        let op = if dtype == DType::F64 {
            Op::EVEX_Valignq_zmm_k1z_zmm_zmmm512b64_imm8
        } else {
            Op::EVEX_Valignd_zmm_k1z_zmm_zmmm512b32_imm8
        };
        self.code.vector_by(op, Fold::No, &[v.into(), v.into()], by)
    }

    fn started(&mut self, at: Reg, step: usize, end: End) -> (Started, Reg) {
        let label = self.code.label();
        let from = self.code.insts.len();
        self.code.place(label);
        (Started { label, from, at, step: step as i32, end, chains: self.chains.len() }, at)
    }

    fn slot_memory(&mut self, slot: i32, var: Option<Reg>, add: i64) -> Memory {
        let Some(var) = var else {
            return Memory { base: FRAME, index: None, scale: 1, bytes: slot + 128 * (add % 16) as i32 };
        };
        let lea = Memory { base: var, index: None, scale: 1, bytes: add as i32 };
        let at = self.code.general(Op::Lea_r64_m, &[lea.into()], None);
        self.code.push(Inst {
            tied: true,
            immediate: Some(Immediate::Signed(15)),
            ..Inst::new(Kind::Plain(Op::And_rm64_imm32), Some(at), &[])
        });
        let at = self.scaled(at, 128);
        Memory { base: FRAME, index: Some(at), scale: 1, bytes: slot }
    }

    fn bools(&mut self, op: Binary, a: Reg, b: Reg) -> Result<Reg, CpuError> {
        let op = match op {
            Binary::And => Op::VEX_Kandw_kr_kr_kr,
            Binary::Or => Op::VEX_Korw_kr_kr_kr,
            Binary::Xor => Op::VEX_Kxorw_kr_kr_kr,
            Binary::Add
            | Binary::Sub
            | Binary::Mul
            | Binary::Div
            | Binary::Rem
            | Binary::Pow
            | Binary::Atan2
            | Binary::Min
            | Binary::Max
            | Binary::Shl
            | Binary::Shr
            | Binary::ShrLogical => return Err(CpuError::ill_typed(op, DType::Bool)),
        };
        Ok(self.mask_op(op, a, b))
    }
}

impl Machine for Wide<'_> {
    type Lane = Lane;
    type Int = Reg;
    type Address = Memory;
    type Cell = (DType, Lane);
    type Slot = i32;
    type Loop = Started;
    type Branch = (Label, usize);

    fn lanes(&self) -> usize {
        self.code.set.lanes()
    }

    fn begin_loop(&mut self, n: usize, step: usize) -> (Started, Reg) {
        let at = self.code.general(Op::Mov_r32_imm32, &[], Some(Immediate::Word(0)));
        self.code.last().out = Some((at, super::code::Part::Half));
        self.started(at, step, End::At(n as i32))
    }

    fn begin_range(&mut self, step: usize) -> (Started, Reg) {
        let (from, _) = self.code.range();
        let at = self.code.general(Op::Mov_r64_rm64, &[from.into()], None);
        self.started(at, step, End::OfRange)
    }

    fn end_loop(&mut self, Started { label, from, at, step, end, chains }: Started) {
        self.code.push(Inst {
            tied: true,
            immediate: Some(Immediate::Signed(step)),
            ..Inst::new(Kind::Plain(Op::Add_rm64_imm32), Some(at), &[])
        });
        match end {
            End::At(n) => self.code.effect(Op::Cmp_rm64_imm32, &[at.into()], Some(Immediate::Signed(n))),
            End::OfRange => {
                let (_, to) = self.code.range();
                self.code.effect(Op::Cmp_r64_rm64, &[at.into(), to.into()], None);
            }
        }
        self.code.jump(Op::Jl_rel32_64, label);
        self.code.loops.push(Extent { from, to: self.code.insts.len() - 1 });
        self.chains.forget(chains);
    }

    fn begin_last(&mut self, at: usize) -> (Label, usize) {
        let (_, to) = self.code.range();
        self.code.effect(Op::Cmp_rm64_imm32, &[to.into()], Some(Immediate::Signed(at as i32)));
        let label = self.code.label();
        self.code.jump(Op::Jne_rel32_64, label);
        (label, self.chains.len())
    }

    fn end_last(&mut self, (label, chains): (Label, usize)) {
        self.code.place(label);
        self.chains.forget(chains);
    }

    fn scaled(&mut self, x: Reg, by: i64) -> Reg {
        if by == 1 {
            return x;
        }
        match i32::try_from(by) {
            Ok(by) => self.code.general(Op::Imul_r64_rm64_imm32, &[x.into()], Some(Immediate::Signed(by))),
            Err(_) => {
                let by = self.code.general(Op::Mov_r64_imm64, &[], Some(Immediate::Quad(by as u64)));
                self.code.push(Inst { tied: true, ..Inst::new(Kind::Plain(Op::Imul_r64_rm64), Some(by), &[x.into()]) });
                by
            }
        }
    }

    fn plus(&mut self, x: Reg, y: Reg) -> Reg {
        let sum = Memory { base: x, index: Some(y), scale: 1, bytes: 0 };
        self.code.general(Op::Lea_r64_m, &[sum.into()], None)
    }

    fn dynamic(&mut self, view: &View) -> Result<Option<Reg>, CpuError> {
        self.run_time_bytes(view)
    }

    fn address(
        &mut self,
        view: &View,
        dynamic: Option<Reg>,
        terms: &[(Reg, i64)],
        bytes: i64,
    ) -> Result<Memory, CpuError> {
        self.place_of(view, dynamic, terms, bytes)
    }

    fn expect(&mut self, view: &View, dynamic: Option<Reg>, terms: &[(Reg, i64)]) -> Result<(), CpuError> {
        self.base_of(view, dynamic, terms).map(drop)
    }

    fn load(&mut self, dtype: DType, at: Memory, layout: Layout, width: usize) -> Lane {
        self.load_lanes(dtype, at, layout, width)
    }

    fn store(&mut self, dtype: DType, v: Lane, at: Memory, layout: Layout, width: usize) {
        self.store_lanes(dtype, v, at, layout, width)
    }

    fn gather(
        &mut self,
        dtype: DType,
        at: Memory,
        layout: Layout,
        offsets: &[LaneOffset<Lane>],
        each: bool,
        width: usize,
    ) -> Lane {
        self.gather_lanes(dtype, at, layout, offsets, each, width)
    }

    fn scatter(
        &mut self,
        _: DType,
        _: Lane,
        _: Memory,
        _: Layout,
        _: &[LaneOffset<Lane>],
        _: bool,
        _: bool,
        _: usize,
    ) -> Result<(), CpuError> {
        Err(CpuError::internal("a loop that writes lane after lane, in wide vectors"))
    }

    fn literal(&mut self, lit: Lit) -> Lane {
        Lane::one(match lit.dtype {
            DType::F64 => self.code.each64(lit.bits),
            DType::F32 | DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 => {
                self.code.each32(lit.bits as u32)
            }
            DType::Bool => self.code.lanes(if lit.bits != 0 { !0 } else { 0 }, false),
        })
    }

    fn position(&mut self, var: Option<Reg>, add: i64, along: bool) -> Lane {
        let fixed = if along {
            let mut bytes = [0; 64];
            for (k, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&((add + k as i64) as u32).to_le_bytes());
            }
            self.code.constant(Constant::Vector(bytes))
        } else {
            self.code.each32(add as u32)
        };
        let Some(var) = var else { return Lane::one(fixed) };
        let var = self.splat_general(var);
        Lane::one(self.ints().iadd(var, fixed))
    }

    fn unary(&mut self, op: Unary, dtype: DType, x: Lane) -> Result<Lane, CpuError> {
        if dtype.is_half() {
            return Err(CpuError::ill_typed(op, dtype));
        }
        if !dtype.is_float() {
            return self.int_unary(op, dtype, x);
        }
        Ok(match op {
            Unary::Math(function) => self.math(function, dtype, x),
            Unary::Sign => x.map(|x| math::sign(&mut self.vectors(dtype), x)),
            Unary::Neg => x.map(|x| self.vectors(dtype).neg(x)),
            Unary::Abs => x.map(|x| self.vectors(dtype).abs(x)),
            Unary::Floor => x.map(|x| self.vectors(dtype).floor(x)),
            Unary::Ceil => x.map(|x| self.vectors(dtype).ceil(x)),
            Unary::Round => x.map(|x| self.vectors(dtype).round(x)),
            Unary::Sqrt => x.map(|x| self.vectors(dtype).sqrt(x)),
            Unary::Not | Unary::PopCount => return Err(CpuError::ill_typed(op, dtype)),
        })
    }

    fn binary(
        &mut self,
        op: Binary,
        dtype: DType,
        a: Lane,
        b: Lane,
        literal: Option<u64>,
        _width: usize,
    ) -> Result<Lane, CpuError> {
        if dtype.is_half() {
            return Err(CpuError::ill_typed(op, dtype));
        }
        if dtype == DType::Bool {
            return Ok(Lane::one(self.bools(op, a.lo, b.lo)?));
        }
        if !dtype.is_float() {
            return self.int_binary(op, dtype, a, b, literal);
        }
        Ok(match op {
            Binary::Add => a.zip(b, |a, b| self.vectors(dtype).add(a, b)),
            Binary::Sub => a.zip(b, |a, b| self.vectors(dtype).sub(a, b)),
            Binary::Mul => a.zip(b, |a, b| self.vectors(dtype).mul(a, b)),
            Binary::Div => a.zip(b, |a, b| self.vectors(dtype).div(a, b)),
            Binary::Pow | Binary::Atan2 | Binary::Min | Binary::Max => {
                let function = op.elementary().ok_or_else(|| CpuError::ill_typed(op, dtype))?;
                self.math2(function, dtype, a, b)
            }
            Binary::Rem | Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr | Binary::ShrLogical => {
                return Err(CpuError::ill_typed(op, dtype));
            }
        })
    }

    fn divide_by_one(&mut self, dtype: DType, a: Lane, b: Lane, literal: Option<u64>) -> Result<Lane, CpuError> {
        match dtype {
            // The divider of 256 bits takes a third of the time of that of 512.
            DType::F32 if self.code.set == Set::Avx512 => Ok(Lane::one(self.quotient(a.lo, b.lo, literal))),
            _ => self.binary(Binary::Div, dtype, a, b, literal, self.lanes()),
        }
    }

    fn compare(&mut self, op: Compare, dtype: DType, a: Lane, b: Lane) -> Lane {
        if dtype == DType::Bool {
            // False is less than true.
            let (and_not, or) = (Op::VEX_Kandnw_kr_kr_kr, Op::VEX_Korw_kr_kr_kr);
            let (a, b) = (a.lo, b.lo);
            return Lane::one(match op {
                Compare::Eq => self.mask_op(Op::VEX_Kxnorw_kr_kr_kr, a, b),
                Compare::Ne => self.mask_op(Op::VEX_Kxorw_kr_kr_kr, a, b),
                Compare::Lt => self.mask_op(and_not, a, b),
                Compare::Gt => self.mask_op(and_not, b, a),
                Compare::Le => {
                    let not = self.not(a);
                    self.mask_op(or, not, b)
                }
                Compare::Ge => {
                    let not = self.not(b);
                    self.mask_op(or, not, a)
                }
            });
        }
        if dtype == DType::F32 || dtype == DType::F64 {
            let predicate = match op {
                Compare::Eq => ops::EQUAL,
                Compare::Ne => ops::NOT_EQUAL,
                Compare::Lt => ops::LESS,
                Compare::Le => ops::LESS_OR_EQUAL,
                Compare::Gt => ops::GREATER,
                Compare::Ge => ops::GREATER_OR_EQUAL,
            };
            let masks = a.zip(b, |a, b| self.vectors(dtype).compare(predicate, a, b));
            return if dtype == DType::F64 { Lane::one(self.joined(masks)) } else { masks };
        }
        Lane::one(self.int_compare(op, dtype, a.lo, b.lo))
    }

    fn select(&mut self, c: Lane, dtype: DType, a: Lane, b: Lane) -> Lane {
        match dtype {
            DType::Bool => {
                let taken = self.mask_op(Op::VEX_Kandw_kr_kr_kr, c.lo, a.lo);
                let other = self.mask_op(Op::VEX_Kandnw_kr_kr_kr, c.lo, b.lo);
                Lane::one(self.mask_op(Op::VEX_Korw_kr_kr_kr, taken, other))
            }
            DType::F64 => {
                let c = self.split(c.lo);
                let lo = self.vectors(dtype).blend(c.lo, a.lo, b.lo);
                Lane { lo, hi: self.vectors(dtype).blend(c.hi, a.hi, b.hi) }
            }
            DType::F32 | DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 => {
                Lane::one(self.ints().blend(c.lo, a.lo, b.lo))
            }
        }
    }

    fn mul_add(&mut self, dtype: DType, a: Lane, b: Lane, c: Lane) -> Lane {
        if !dtype.is_float() {
            let mut v = self.ints();
            let product = v.two(Op::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, a.lo, b.lo);
            let sum = v.iadd(product, c.lo);
            return Lane::one(self.wrapped(dtype, sum));
        }
        let lo = self.vectors(dtype).fma(a.lo, b.lo, c.lo);
        let same = a.hi == a.lo && b.hi == b.lo && c.hi == c.lo;
        Lane { lo, hi: if same { lo } else { self.vectors(dtype).fma(a.hi, b.hi, c.hi) } }
    }

    fn convert(&mut self, from: DType, to: DType, x: Lane, _width: usize) -> Lane {
        self.converted(from, to, x)
    }

    fn bitcast(&mut self, from: DType, to: DType, x: Lane) -> Lane {
        match (from, to) {
            (DType::Bool, DType::U8) | (DType::U8, DType::Bool) => self.converted(from, to, x),
            _ => x,
        }
    }

    fn threefry(&mut self, inputs: [Lane; 4]) -> [Lane; 2] {
        self.random_words(inputs.map(|x| x.lo)).map(Lane::one)
    }

    fn first_lanes(&mut self, count: usize, dtype: DType, a: Lane, b: Lane) -> Lane {
        if count >= self.lanes() {
            return a;
        }
        let first = self.first_mask(count, false);
        self.select(Lane::one(first), dtype, a, b)
    }

    fn across_lanes(&mut self, op: Monoid, dtype: DType, v: &[Lane]) -> Result<Lane, CpuError> {
        let mut both = v[0];
        for other in &v[1..] {
            both = self.fold(op, dtype, both, *other)?;
        }
        let (mut all, mut by) = (both.lo, self.lanes() as u8 / 2);
        if dtype == DType::F64 {
            all = self.fold(op, dtype, Lane::one(both.lo), Lane::one(both.hi))?.lo;
            by /= 2;
        }
        while by > 0 {
            let other = self.rotated(dtype, all, by);
            all = self.fold(op, dtype, Lane::one(all), Lane::one(other))?.lo;
            by /= 2;
        }
        Ok(Lane::one(all))
    }

    fn new_cell(&mut self, dtype: DType, start: Lit) -> (DType, Lane) {
        let class = if dtype == DType::Bool { self.code.set.masks() } else { Class::Vector };
        let lo = self.code.fresh(class);
        let hi = if dtype == DType::F64 { self.code.fresh(class) } else { lo };
        let cell = (dtype, Lane { lo, hi });
        let start = self.literal(start);
        self.set(cell, start);
        cell
    }

    fn read(&mut self, (_, cell): (DType, Lane)) -> Lane {
        cell
    }

    fn set(&mut self, (_, cell): (DType, Lane), v: Lane) {
        self.code.set(cell.lo, v.lo);
        if cell.hi != cell.lo {
            // Both halves may be one register, of which the first use has taken the writing.
            let from = if v.hi == v.lo { cell.lo } else { v.hi };
            if v.hi == v.lo { self.code.copy(cell.hi, from) } else { self.code.set(cell.hi, from) }
        }
    }

    fn new_slot(&mut self, dtype: DType, start: Lit) -> i32 {
        // Two vectors each, for the sake of f64.
        let slot = self.code.allocate(32);
        let start = self.literal(start);
        (0..16).for_each(|k| self.write_slot(slot, dtype, None, k, start));
        slot
    }

    fn read_slot(&mut self, slot: i32, dtype: DType, var: Option<Reg>, add: i64) -> Lane {
        let at = self.slot_memory(slot, var, add);
        if dtype == DType::Bool && self.code.set == Set::Avx512 {
            return Lane::one(self.code.mask(Op::VEX_Kmovw_kr_km16, Fold::No, &[at.into()], None));
        }
        let lo = self.code.vector(Op::EVEX_Vmovups_zmm_k1z_zmmm512, Fold::No, &[at.into()]);
        let upper = Memory { bytes: at.bytes + 64, ..at };
        let hi = if dtype == DType::F64 {
            self.code.vector(Op::EVEX_Vmovups_zmm_k1z_zmmm512, Fold::No, &[upper.into()])
        } else {
            lo
        };
        Lane { lo, hi }
    }

    fn write_slot(&mut self, slot: i32, dtype: DType, var: Option<Reg>, add: i64, v: Lane) {
        let at = self.slot_memory(slot, var, add);
        if dtype == DType::Bool && self.code.set == Set::Avx512 {
            return self.code.effect(Op::VEX_Kmovw_m16_kr, &[at.into(), v.lo.into()], None);
        }
        self.code.effect(Op::EVEX_Vmovups_zmmm512_k1z_zmm, &[at.into(), v.lo.into()], None);
        if dtype == DType::F64 {
            let upper = Memory { bytes: at.bytes + 64, ..at };
            self.code.effect(Op::EVEX_Vmovups_zmmm512_k1z_zmm, &[upper.into(), v.hi.into()], None);
        }
    }
}
