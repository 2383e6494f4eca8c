//! Addresses, and how groups of lanes are loaded and stored.

use iced_x86::Code as Op;
use whorl_core::ir::DType;
use whorl_kernels::ops::Ops;
use whorl_schedule::loop_ir::{BufferId, Place, View};

use super::code::{ARENA, Class, Constant, Fold, Immediate, Inst, Kind, Memory, Operand, Part, Reg};
use super::machine::{Lane, Wide};
use super::set::Set;
use crate::CpuError;
use crate::lanes::machine::{LaneOffset, Layout, Machine};

/// A step towards an address.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Link {
    Constant(BufferId),
    Bytes(Reg, i64),
    Plus(Reg, Reg),
    Scaled(Reg, Reg, i64),
}

/// Addresses that are in registers already, in the order in which they were computed.
#[derive(Default, Debug)]
pub struct Chains(Vec<(Link, Reg)>);

impl Chains {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those computed in a loop are not there behind it.
    pub fn forget(&mut self, from: usize) {
        self.0.truncate(from);
    }
}

fn is_scale(step: i64) -> bool {
    matches!(step, 1 | 2 | 4 | 8)
}

impl Wide<'_> {
    fn link(&mut self, link: Link) -> Reg {
        if let Some((_, r)) = self.chains.0.iter().find(|(other, _)| *other == link) {
            return *r;
        }
        let r = match link {
            Link::Constant(id) => self.code.general(Op::Mov_r64_imm64, &[], Some(Immediate::Constant(id.0))),
            Link::Bytes(base, bytes) => {
                let distance = self.code.general(Op::Mov_r64_imm64, &[], Some(Immediate::Quad(bytes as u64)));
                self.plus(base, distance)
            }
            Link::Plus(base, bytes) => self.plus(base, bytes),
            Link::Scaled(base, index, step) if is_scale(step) => {
                let sum = Memory { base, index: Some(index), scale: step as u32, bytes: 0 };
                self.code.general(Op::Lea_r64_m, &[sum.into()], None)
            }
            Link::Scaled(base, index, step) => {
                let bytes = self.scaled(index, step);
                self.plus(base, bytes)
            }
        };
        self.chains.0.push((link, r));
        r
    }

    /// A register and a constant distance: where the buffer is, moved by `dynamic` and by the terms.
    pub fn base_of(&mut self, view: &View, dynamic: Option<Reg>, terms: &[(Reg, i64)]) -> Result<(Reg, i64), CpuError> {
        let buffer = self.program.buffers.get(view.buffer.0 as usize);
        let buffer = buffer.ok_or_else(|| CpuError::internal("a buffer that is not there"))?;
        let (mut base, bytes) = match buffer.place {
            Place::Arena(at) => (ARENA, at as i64),
            Place::Constant(_) => (self.link(Link::Constant(view.buffer)), 0),
        };
        if let Some(dynamic) = dynamic {
            base = self.link(Link::Plus(base, dynamic));
        }
        for &(index, step) in terms {
            base = self.link(Link::Scaled(base, index, step));
        }
        Ok((base, bytes))
    }

    pub fn place_of(
        &mut self,
        view: &View,
        dynamic: Option<Reg>,
        terms: &[(Reg, i64)],
        bytes: i64,
    ) -> Result<Memory, CpuError> {
        // The innermost index goes into the instruction itself.
        let (last, before) = match terms.split_last() {
            Some((last, before)) if is_scale(last.1) => (Some(*last), before),
            _ => (None, terms),
        };
        let (mut base, start) = self.base_of(view, dynamic, before)?;
        let mut bytes = start + bytes;
        // Lanes of a group are at most a few strides further on.
        if bytes.abs() >= 1 << 30 {
            base = self.link(Link::Bytes(base, bytes));
            bytes = 0;
        }
        let (index, scale) = last.map_or((None, 1), |(index, step)| (Some(index), step as u32));
        Ok(Memory { base, index, scale, bytes: bytes as i32 })
    }

    pub fn run_time_bytes(&mut self, view: &View) -> Result<Option<Reg>, CpuError> {
        let buffer = self.program.buffers.get(view.buffer.0 as usize);
        let width = buffer.ok_or_else(|| CpuError::internal("a buffer that is not there"))?.dtype.bytes() as i64;
        let mut sum = None;
        for d in &view.dynamic {
            let of_index =
                View { buffer: d.index, offset: 0, dynamic: Default::default(), strides: Default::default() };
            let from = self.place_of(&of_index, None, &[], 0)?;
            let index = self.code.general(Op::Movsxd_r64_rm32, &[from.into()], None);
            for (limit, op) in [(0, Op::Cmovl_r64_rm64), (d.max, Op::Cmovg_r64_rm64)] {
                let bound = self.code.general(Op::Mov_r64_imm64, &[], Some(Immediate::Quad(limit as i64 as u64)));
                self.code.effect(Op::Cmp_rm64_imm32, &[index.into()], Some(Immediate::Signed(limit)));
                self.code.push(Inst { tied: true, ..Inst::new(Kind::Plain(op), Some(index), &[bound.into()]) });
            }
            let bytes = self.scaled(index, d.stride as i64 * width);
            sum = Some(sum.map_or(bytes, |s| self.plus(s, bytes)));
        }
        Ok(sum)
    }

    /// The same place without an index, which a vector's takes the place of.
    fn plain(&mut self, at: Memory) -> Memory {
        let Some(index) = at.index else { return at };
        let base = self.link(Link::Scaled(at.base, index, at.scale as i64));
        Memory { base, index: None, scale: 1, bytes: at.bytes }
    }

    /// The low 32 bits of a general register in all lanes.
    pub fn splat_general(&mut self, r: Reg) -> Reg {
        if self.code.set == Set::Avx2 {
            let one = self.code.vector(Op::VEX_Vmovd_xmm_rm32, Fold::No, &[Operand::Reg(r, Part::Half)]);
            self.code.last().out = Some((one, Part::Quarter));
            let ins = [Operand::Reg(one, Part::Quarter)];
            return self.code.vector(Op::VEX_Vpbroadcastd_ymm_xmmm32, Fold::No, &ins);
        }
        self.code.vector(Op::EVEX_Vpbroadcastd_zmm_k1z_r32, Fold::No, &[Operand::Reg(r, Part::Half)])
    }

    /// `by`, 2 `by`, … in 32-bit lanes.
    fn multiples(&mut self, by: i32) -> Reg {
        let mut bytes = [0; 64];
        for (k, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&(k as i32).wrapping_mul(by).to_le_bytes());
        }
        self.code.constant(Constant::Vector(bytes))
    }

    /// Restricts the last instruction to the first lanes; of a load, the others become zero.
    fn first_only(&mut self, width: usize, all: usize, zero: bool) {
        if width < all {
            let mask = self.first_mask(width, all < self.lanes());
            let last = self.code.last();
            last.mask = Some(mask);
            last.zero = zero;
        }
    }

    /// A row of neighbours through one instruction.
    pub fn row(&mut self, op: Op, at: Memory, width: usize, all: usize) -> Reg {
        let r = self.code.vector(op, Fold::No, &[at.into()]);
        self.first_only(width, all, true);
        r
    }

    pub fn upper(&mut self, v: Reg) -> Reg {
        let r = self.code.vector_by(Op::EVEX_Vextracti64x4_ymmm256_k1z_zmm_imm8, Fold::No, &[v.into()], 1);
        self.code.last().out = Some((r, Part::Half));
        r
    }

    pub fn load_lanes(&mut self, dtype: DType, at: Memory, layout: Layout, width: usize) -> Lane {
        match layout {
            Layout::Row => self.load_row(dtype, at, width),
            Layout::Same => self.load_splat(dtype, at),
            Layout::Apart(bytes) => match dtype {
                DType::F32 | DType::I32 | DType::U32 if Self::are_near(bytes) => {
                    Lane::one(self.load_strided(at, bytes, width))
                }
                DType::F32 | DType::I32 | DType::U32 | DType::F64 => {
                    let places = self.multiples(bytes);
                    self.load_places(dtype, at, places, width)
                }
                DType::F16 | DType::BF16 | DType::U8 | DType::Bool => {
                    let places: Vec<Memory> =
                        (0..width as i32).map(|k| Memory { bytes: at.bytes + k * bytes, ..at }).collect();
                    self.load_each(dtype, &places)
                }
            },
        }
    }

    fn load_row(&mut self, dtype: DType, at: Memory, width: usize) -> Lane {
        let all = self.lanes();
        let half = all / 2;
        if self.code.set == Set::Avx2 && dtype.bytes() < 4 && (width < all || dtype == DType::Bool) {
            let v = self.load_bytes(at, dtype.bytes() * width);
            return self.widened(dtype, v);
        }
        Lane::one(match dtype {
            DType::F32 | DType::I32 | DType::U32 => self.row(Op::EVEX_Vmovups_zmm_k1z_zmmm512, at, width, all),
            DType::F64 => {
                let lo = self.row(Op::EVEX_Vmovupd_zmm_k1z_zmmm512, at, width.min(half), half);
                if width <= half {
                    return Lane::one(lo);
                }
                let at = Memory { bytes: at.bytes + 8 * half as i32, ..at };
                return Lane { lo, hi: self.row(Op::EVEX_Vmovupd_zmm_k1z_zmmm512, at, width - half, half) };
            }
            DType::U8 => self.row(Op::EVEX_Vpmovzxbd_zmm_k1z_xmmm128, at, width, all),
            DType::F16 | DType::BF16 => self.row(Op::EVEX_Vpmovzxwd_zmm_k1z_ymmm256, at, width, all),
            DType::Bool => {
                let bytes = self.row(Op::EVEX_Vmovdqu8_xmm_k1z_xmmm128, at, width, 16);
                self.code.last().out = Some((bytes, Part::Quarter));
                self.not_zero(bytes)
            }
        })
    }

    /// Elements of one or two bytes from a vector of 128 bits, in AVX2.
    fn widened(&mut self, dtype: DType, v: Reg) -> Lane {
        let op = if dtype.is_half() { Op::EVEX_Vpmovzxwd_zmm_k1z_ymmm256 } else { Op::EVEX_Vpmovzxbd_zmm_k1z_xmmm128 };
        let v = self.code.vector(op, Fold::No, &[Operand::Reg(v, Part::Quarter)]);
        Lane::one(if dtype == DType::Bool { self.ints().not_zero(v) } else { v })
    }

    /// Which of 16 bytes are not zero.
    fn not_zero(&mut self, bytes: Reg) -> Reg {
        let x = Operand::Reg(bytes, Part::Quarter);
        self.code.mask(Op::EVEX_Vptestmb_kr_k1_xmm_xmmm128, Fold::No, &[x, x], None)
    }

    fn load_splat(&mut self, dtype: DType, at: Memory) -> Lane {
        let small = |this: &mut Self, op: Op| {
            let r = this.code.general(op, &[at.into()], None);
            this.code.last().out = Some((r, Part::Half));
            this.splat_general(r)
        };
        Lane::one(match dtype {
            DType::F32 | DType::I32 | DType::U32 => {
                self.code.vector(Op::EVEX_Vbroadcastss_zmm_k1z_xmmm32, Fold::No, &[at.into()])
            }
            DType::F64 => self.code.vector(Op::EVEX_Vbroadcastsd_zmm_k1z_xmmm64, Fold::No, &[at.into()]),
            DType::F16 | DType::BF16 => small(self, Op::Movzx_r32_rm16),
            DType::U8 => small(self, Op::Movzx_r32_rm8),
            DType::Bool => {
                let v = small(self, Op::Movzx_r32_rm8);
                self.ints().not_zero(v)
            }
        })
    }

    /// Elements of 32 or 64 bits, so many bytes behind `at`.
    fn load_places(&mut self, dtype: DType, at: Memory, places: Reg, width: usize) -> Lane {
        let at = self.plain(at);
        let double = dtype == DType::F64;
        let one = |this: &mut Self, places: Reg, width: usize| {
            let out = this.code.fresh(Class::Vector);
            let zero = this.code.each32(0);
            this.code.copy(out, zero);
            let (first, left) = (this.first_mask(width, double), this.code.fresh(this.code.set.masks()));
            this.code.copy(left, first);
            let op = if double { Op::EVEX_Vgatherdpd_zmm_k1_vm32y } else { Op::EVEX_Vpgatherdd_zmm_k1_vm32z };
            let from = Memory { index: Some(places), ..at };
            // The mask is all zeros afterwards.
            this.code.push(Inst {
                tied: true,
                mask: Some(left),
                ..Inst::new(Kind::Plain(op), Some(out), &[from.into()])
            });
            out
        };
        if !double {
            return Lane::one(one(self, places, width));
        }
        let half = self.lanes() / 2;
        let lo = one(self, places, width.min(half));
        if width <= half {
            return Lane::one(lo);
        }
        let upper = self.upper(places);
        Lane { lo, hi: one(self, upper, width - half) }
    }

    /// Elements of one or two bytes from places of their own.
    fn load_each(&mut self, dtype: DType, places: &[Memory]) -> Lane {
        let halves = dtype.is_half();
        let op = if halves { Op::EVEX_Vpinsrw_xmm_xmm_r32m16_imm8 } else { Op::EVEX_Vpinsrb_xmm_xmm_r32m8_imm8 };
        let parts: Vec<Reg> = places
            .chunks(if halves { 8 } else { 16 })
            .map(|places| {
                let mut v = self.code.each32(0);
                for (lane, at) in places.iter().enumerate() {
                    v = self.code.vector_by(op, Fold::No, &[Operand::Reg(v, Part::Quarter), (*at).into()], lane as u8);
                    self.code.last().out = Some((v, Part::Quarter));
                }
                v
            })
            .collect();
        if self.code.set == Set::Avx2 {
            return self.widened(dtype, parts[0]);
        }
        Lane::one(match dtype {
            DType::Bool => self.not_zero(parts[0]),
            DType::F16 | DType::BF16 => {
                let high = parts.get(1).copied().unwrap_or(parts[0]);
                let ins = [Operand::Reg(parts[0], Part::Half), Operand::Reg(high, Part::Quarter)];
                let v = self.code.vector_by(Op::EVEX_Vinserti32x4_ymm_k1z_ymm_xmmm128_imm8, Fold::No, &ins, 1);
                self.code.last().out = Some((v, Part::Half));
                self.code.vector(Op::EVEX_Vpmovzxwd_zmm_k1z_ymmm256, Fold::No, &[Operand::Reg(v, Part::Half)])
            }
            DType::U8 | DType::F32 | DType::F64 | DType::I32 | DType::U32 => {
                let v = Operand::Reg(parts[0], Part::Quarter);
                self.code.vector(Op::EVEX_Vpmovzxbd_zmm_k1z_xmmm128, Fold::No, &[v])
            }
        })
    }

    pub fn gather_lanes(
        &mut self,
        dtype: DType,
        at: Memory,
        layout: Layout,
        offsets: &[LaneOffset<Lane>],
        each: bool,
        width: usize,
    ) -> Lane {
        let zero = self.code.each32(0);
        let mut sum = None;
        for offset in offsets {
            let most = self.code.each32(offset.max as u32);
            let mut ints = self.ints();
            let v = ints.two(Op::EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32, offset.index.lo, zero);
            let mut v = ints.two(Op::EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32, v, most);
            if offset.step != 1 {
                let step = self.code.each32(offset.step as u32);
                v = self.ints().two(Op::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, v, step);
            }
            sum = Some(sum.map_or(v, |s| self.ints().iadd(s, v)));
        }
        let sum = sum.unwrap_or(zero);
        if !each {
            let moved = self.lane_offset(sum, 0);
            let base = self.plus(at.base, moved);
            return self.load_lanes(dtype, Memory { base, ..at }, layout, width);
        }
        let lane_bytes = match layout {
            Layout::Row => dtype.bytes() as i32,
            Layout::Same => 0,
            Layout::Apart(bytes) => bytes,
        };
        let places = if lane_bytes == 0 {
            sum
        } else {
            let lanes = self.multiples(lane_bytes);
            self.ints().iadd(sum, lanes)
        };
        match dtype {
            DType::F32 | DType::I32 | DType::U32 | DType::F64 => self.load_places(dtype, at, places, width),
            DType::F16 | DType::BF16 | DType::U8 | DType::Bool => {
                let at = self.plain(at);
                let each: Vec<Memory> =
                    (0..width).map(|lane| Memory { index: Some(self.lane_offset(places, lane)), ..at }).collect();
                self.load_each(dtype, &each)
            }
        }
    }

    /// One of the 32-bit lanes, sign-extended.
    fn lane_offset(&mut self, v: Reg, lane: usize) -> Reg {
        let mut from = v;
        if lane >= 4 {
            let op = Op::EVEX_Vextracti32x4_xmmm128_k1z_zmm_imm8;
            from = self.code.vector_by(op, Fold::No, &[v.into()], (lane / 4) as u8);
            self.code.last().out = Some((from, Part::Quarter));
        }
        let op = Op::EVEX_Vpextrd_rm32_xmm_imm8;
        let ins = [Operand::Reg(from, Part::Quarter)];
        let word = self.code.general(op, &ins, Some(Immediate::Byte((lane % 4) as u8)));
        self.code.last().out = Some((word, Part::Half));
        self.code.general(Op::Movsxd_r64_rm32, &[Operand::Reg(word, Part::Half)], None)
    }

    fn put(&mut self, op: Op, at: Memory, v: Operand, width: usize, all: usize) {
        self.code.effect(op, &[at.into(), v], None);
        self.first_only(width, all, false);
    }

    /// Masks as bytes 0 and 1.
    fn bytes_of_mask(&mut self, mask: Reg) -> Reg {
        let ones = self.code.each32(0x0101_0101);
        let ins = [Operand::Reg(ones, Part::Quarter)];
        let r = self.code.vector(Op::EVEX_Vmovdqu8_xmm_k1z_xmmm128, Fold::No, &ins);
        let last = self.code.last();
        (last.out, last.mask, last.zero) = (Some((r, Part::Quarter)), Some(mask), true);
        r
    }

    /// Elements of one or two bytes in the low bits of a vector.
    fn packed(&mut self, dtype: DType, v: Lane) -> (Reg, Part) {
        if self.code.set == Set::Avx2 {
            return (self.packed_small(dtype, v), Part::Quarter);
        }
        match dtype {
            DType::Bool => (self.bytes_of_mask(v.lo), Part::Quarter),
            DType::F16 | DType::BF16 => {
                let r = self.code.vector(Op::EVEX_Vpmovdw_ymmm256_k1z_zmm, Fold::No, &[v.lo.into()]);
                self.code.last().out = Some((r, Part::Half));
                (r, Part::Half)
            }
            DType::U8 | DType::F32 | DType::F64 | DType::I32 | DType::U32 => {
                let r = self.code.vector(Op::EVEX_Vpmovdb_xmmm128_k1z_zmm, Fold::No, &[v.lo.into()]);
                self.code.last().out = Some((r, Part::Quarter));
                (r, Part::Quarter)
            }
        }
    }

    pub fn store_lanes(&mut self, dtype: DType, v: Lane, at: Memory, layout: Layout, width: usize) {
        let bytes = match layout {
            Layout::Row => return self.store_row(dtype, v, at, width),
            Layout::Same => 0,
            Layout::Apart(bytes) => bytes,
        };
        match dtype {
            DType::F32 | DType::I32 | DType::U32 | DType::F64 if self.code.set == Set::Avx2 => {
                self.store_apart(dtype, v, at, bytes, width);
            }
            DType::F32 | DType::I32 | DType::U32 if width == 1 => {
                self.code.effect(Op::EVEX_Vmovd_rm32_xmm, &[at.into(), Operand::Reg(v.lo, Part::Quarter)], None);
            }
            DType::F32 | DType::I32 | DType::U32 if Self::are_near(bytes) => {
                self.store_strided(v.lo, at, bytes, width);
            }
            DType::F32 | DType::I32 | DType::U32 => {
                let places = self.multiples(bytes);
                self.store_places(Op::EVEX_Vpscatterdd_vm32z_k1_zmm, at, places, v.lo, width);
            }
            DType::F64 if width == 1 => {
                self.code.effect(Op::EVEX_Vmovsd_m64_k1_xmm, &[at.into(), Operand::Reg(v.lo, Part::Quarter)], None);
            }
            DType::F64 => {
                let places = self.multiples(bytes);
                self.store_places(Op::EVEX_Vscatterdpd_vm32y_k1_zmm, at, places, v.lo, width.min(8));
                if width > 8 {
                    let upper = self.upper(places);
                    self.store_places(Op::EVEX_Vscatterdpd_vm32y_k1_zmm, at, upper, v.hi, width - 8);
                }
            }
            DType::F16 | DType::BF16 | DType::U8 | DType::Bool => {
                let (packed, part) = self.packed(dtype, v);
                let (op, in_quarter) = if dtype.is_half() {
                    (Op::EVEX_Vpextrw_r32m16_xmm_imm8, 8)
                } else {
                    (Op::EVEX_Vpextrb_r32m8_xmm_imm8, 16)
                };
                let mut from = packed;
                for lane in 0..width {
                    if lane == 8 && part == Part::Half {
                        let op = Op::EVEX_Vextracti32x4_xmmm128_k1z_ymm_imm8;
                        from = self.code.vector_by(op, Fold::No, &[Operand::Reg(packed, Part::Half)], 1);
                        self.code.last().out = Some((from, Part::Quarter));
                    }
                    let to = Memory { bytes: at.bytes + lane as i32 * bytes, ..at };
                    let ins = [to.into(), Operand::Reg(from, Part::Quarter)];
                    self.code.effect(op, &ins, Some(Immediate::Byte((lane % in_quarter) as u8)));
                }
            }
        }
    }

    /// Where places are the same, the last lane's value stays.
    fn store_places(&mut self, op: Op, at: Memory, places: Reg, v: Reg, width: usize) {
        let at = self.plain(at);
        let (first, left) = (self.first_mask(width, false), self.code.fresh(Class::Mask));
        self.code.copy(left, first);
        let to = Memory { index: Some(places), ..at };
        self.code.effect(op, &[to.into(), v.into()], None);
        self.code.last().mask = Some(left);
    }

    fn store_row(&mut self, dtype: DType, v: Lane, at: Memory, width: usize) {
        if self.code.set == Set::Avx2 {
            return self.store_row_in_pieces(dtype, v, at, width);
        }
        match dtype {
            DType::F32 | DType::I32 | DType::U32 => {
                self.put(Op::EVEX_Vmovups_zmmm512_k1z_zmm, at, v.lo.into(), width, 16);
            }
            DType::F64 => {
                self.put(Op::EVEX_Vmovupd_zmmm512_k1z_zmm, at, v.lo.into(), width.min(8), 8);
                if width > 8 {
                    let at = Memory { bytes: at.bytes + 64, ..at };
                    self.put(Op::EVEX_Vmovupd_zmmm512_k1z_zmm, at, v.hi.into(), width - 8, 8);
                }
            }
            DType::U8 => self.put(Op::EVEX_Vpmovdb_xmmm128_k1z_zmm, at, v.lo.into(), width, 16),
            DType::F16 | DType::BF16 => self.put(Op::EVEX_Vpmovdw_ymmm256_k1z_zmm, at, v.lo.into(), width, 16),
            DType::Bool => {
                let bytes = self.bytes_of_mask(v.lo);
                self.put(Op::EVEX_Vmovdqu8_xmmm128_k1z_xmm, at, Operand::Reg(bytes, Part::Quarter), width, 16);
            }
        }
    }
}
