//! Elements of 32 bits that are a few elements apart: whole vectors of memory and permutations, where gathering or scattering takes about
//! thirty instructions' time.

use iced_x86::Code as Op;

use super::code::{Class, Constant, Fold, Inst, Kind, Memory, Reg};
use super::machine::Wide;
use super::set::Set;
use crate::lanes::machine::Machine;

/// The most elements from one lane's to the next.
const FURTHEST: usize = 4;

/// Where a group's elements are: lane `k` at `first + k * step`, in elements from `start`.
struct Places {
    start: Memory,
    first: usize,
    step: isize,
    width: usize,
    /// Lanes of a vector.
    lanes: usize,
}

impl Places {
    fn of(at: Memory, bytes: i32, width: usize, lanes: usize) -> Places {
        let step = (bytes / 4) as isize;
        // Backwards, the last lane is first in memory.
        let first = if step < 0 { (width - 1) * step.unsigned_abs() } else { 0 };
        Places { start: Memory { bytes: at.bytes - 4 * first as i32, ..at }, first, step, width, lanes }
    }

    fn element(&self, lane: usize) -> usize {
        (self.first as isize + lane as isize * self.step) as usize
    }

    /// Elements from the first in memory to the last.
    fn span(&self) -> usize {
        (self.width - 1) * self.step.unsigned_abs() + 1
    }

    fn vector(&self, k: usize) -> Memory {
        Memory { bytes: self.start.bytes + (4 * self.lanes * k) as i32, ..self.start }
    }
}

impl Wide<'_> {
    fn indices(&mut self, of: impl Fn(usize) -> usize) -> Reg {
        let mut bytes = [0; 64];
        for (k, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&(of(k) as u32).to_le_bytes());
        }
        self.code.constant(Constant::Vector(bytes))
    }

    /// Whether elements so many bytes apart are loaded and stored as here.
    pub fn are_near(bytes: i32) -> bool {
        bytes % 4 == 0 && (4..=FURTHEST as u32 * 4).contains(&bytes.unsigned_abs())
    }

    /// Lanes beyond the width hold others' values.
    pub fn load_strided(&mut self, at: Memory, bytes: i32, width: usize) -> Reg {
        let lanes = self.lanes();
        let places = Places::of(at, bytes, width, lanes);
        let vectors = places.span().div_ceil(lanes);
        let first = self.row(Op::EVEX_Vmovups_zmm_k1z_zmmm512, places.vector(0), places.span().min(lanes), lanes);
        if vectors == 1 {
            let indices = self.indices(|lane| places.element(lane.min(width - 1)));
            return self.code.vector(Op::EVEX_Vpermd_zmm_k1z_zmm_zmmm512b32, Fold::No, &[indices.into(), first.into()]);
        }
        let mut found = first;
        if self.code.set == Set::Avx2 {
            let indices = self.indices(|lane| places.element(lane.min(width - 1)) % lanes);
            found = self.code.vector(Op::VEX_Vpermd_ymm_ymm_ymmm256, Fold::No, &[indices.into(), first.into()]);
        }
        for k in 1..vectors {
            let here = (places.span() - lanes * k).min(lanes);
            let v = self.row(Op::EVEX_Vmovups_zmm_k1z_zmmm512, places.vector(k), here, lanes);
            let end = (lanes * (k + 1)).min(places.span());
            // What was found before is in its own lane, but for the first time.
            let indices = self.indices(|lane| match places.element(lane.min(width - 1)) {
                e if e >= end => 0,
                e if e >= lanes * k => e - lanes * k + lanes,
                e if k == 1 => e,
                _ => lane,
            });
            if self.code.set == Set::Avx2 {
                found = self.found_too(found, v, &places, k);
                continue;
            }
            let out = self.code.fresh(Class::Vector);
            self.code.copy(out, found);
            let kind = Kind::Plain(Op::EVEX_Vpermt2d_zmm_k1z_zmm_zmmm512b32);
            self.code.push(Inst { tied: true, ..Inst::new(kind, Some(out), &[indices.into(), v.into()]) });
            found = out;
        }
        found
    }

    /// The lanes whose elements are in the `k`th vector, put over what was found in those before.
    fn found_too(&mut self, found: Reg, v: Reg, places: &Places, k: usize) -> Reg {
        let element = |lane: usize| places.element(lane.min(places.width - 1));
        let indices = self.indices(|lane| element(lane) % places.lanes);
        let there = self.code.vector(Op::VEX_Vpermd_ymm_ymm_ymmm256, Fold::No, &[indices.into(), v.into()]);
        let here =
            (0..places.lanes).filter(|lane| element(*lane) / places.lanes == k).fold(0, |all, lane| all | 1 << lane);
        let ins = [found.into(), there.into()];
        self.code.vector_by(Op::VEX_Vpblendd_ymm_ymm_ymmm256_imm8, Fold::No, &ins, here)
    }

    pub fn store_strided(&mut self, v: Reg, at: Memory, bytes: i32, width: usize) {
        let lanes = self.lanes();
        let places = Places::of(at, bytes, width, lanes);
        for k in 0..places.span().div_ceil(lanes) {
            let lane_at = |place: usize| (0..width).find(|lane| places.element(*lane) == lanes * k + place);
            let mask = (0..lanes).filter(|p| lane_at(*p).is_some()).fold(0, |all, p| all | 1 << p);
            let indices = self.indices(|place| lane_at(place).unwrap_or(0));
            let moved = self.code.vector(Op::EVEX_Vpermd_zmm_k1z_zmm_zmmm512b32, Fold::No, &[indices.into(), v.into()]);
            self.code.effect(Op::EVEX_Vmovups_zmmm512_k1z_zmm, &[places.vector(k).into(), moved.into()], None);
            if mask != u16::MAX {
                let mask = self.code.constant(Constant::Mask(mask));
                self.code.last().mask = Some(mask);
            }
        }
    }
}
