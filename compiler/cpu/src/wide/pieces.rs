//! Rows of AVX2 that are not whole vectors, and elements of one or two bytes: memory in pieces of 16, 8, 4, 2 bytes and one, so that
//! nothing behind an array's end is touched. How many bytes there are is known when the code is made.

use iced_x86::Code as Op;
use whorl_core::ir::DType;

use super::code::{Fold, Immediate, Memory, Operand, Part, Reg};
use super::machine::{Lane, Wide};

/// Of a vector's first 128 bits: bytes, the instruction that loads so many, and the one that stores them.
const PIECES: [(usize, Op, Op); 4] = [
    (8, Op::VEX_Vpinsrq_xmm_xmm_rm64_imm8, Op::VEX_Vpextrq_rm64_xmm_imm8),
    (4, Op::VEX_Vpinsrd_xmm_xmm_rm32_imm8, Op::VEX_Vpextrd_rm32_xmm_imm8),
    (2, Op::VEX_Vpinsrw_xmm_xmm_r32m16_imm8, Op::VEX_Vpextrw_r32m16_xmm_imm8),
    (1, Op::VEX_Vpinsrb_xmm_xmm_r32m8_imm8, Op::VEX_Vpextrb_r32m8_xmm_imm8),
];

fn moved(at: Memory, bytes: usize) -> Memory {
    Memory { bytes: at.bytes + bytes as i32, ..at }
}

impl Wide<'_> {
    fn quarter(&mut self, op: Op, ins: &[Operand], immediate: Option<u8>) -> Reg {
        let r = self.code.vector(op, Fold::No, ins);
        let last = self.code.last();
        (last.out, last.immediate) = (Some((r, Part::Quarter)), immediate.map(Immediate::Byte));
        r
    }

    /// At most 16 bytes, zeros behind them.
    pub fn load_bytes(&mut self, at: Memory, bytes: usize) -> Reg {
        match bytes {
            16 => return self.quarter(Op::VEX_Vmovups_xmm_xmmm128, &[at.into()], None),
            8 => return self.quarter(Op::VEX_Vmovq_xmm_xmmm64, &[at.into()], None),
            4 => return self.quarter(Op::VEX_Vmovd_xmm_rm32, &[at.into()], None),
            _ => {}
        }
        let (mut all, mut done) = (self.code.each32(0), 0);
        for (size, op, _) in PIECES {
            if bytes - done >= size {
                let ins = [Operand::Reg(all, Part::Quarter), moved(at, done).into()];
                all = self.quarter(op, &ins, Some((done / size) as u8));
                done += size;
            }
        }
        all
    }

    /// The first bytes of a vector.
    pub fn store_bytes(&mut self, v: Reg, at: Memory, bytes: usize) {
        if bytes == 32 {
            return self.code.effect(Op::EVEX_Vmovups_zmmm512_k1z_zmm, &[at.into(), v.into()], None);
        }
        let (mut from, mut done) = (v, 0);
        if bytes >= 16 {
            self.code.effect(Op::VEX_Vmovups_xmmm128_xmm, &[at.into(), Operand::Reg(v, Part::Quarter)], None);
            done = 16;
            if bytes > 16 {
                from = self.upper(v);
            }
        }
        for (size, _, op) in PIECES {
            if bytes - done < size {
                continue;
            }
            let ins = [moved(at, done).into(), Operand::Reg(from, Part::Quarter)];
            match (size, done % 16) {
                (8, 0) => self.code.effect(Op::VEX_Vmovq_xmmm64_xmm, &ins, None),
                (4, 0) => self.code.effect(Op::VEX_Vmovd_rm32_xmm, &ins, None),
                (_, place) => self.code.effect(op, &ins, Some(Immediate::Byte((place / size) as u8))),
            }
            done += size;
        }
    }

    /// Numbers of 32 bits to the low 8 or 16 bits of each, one behind the other.
    pub fn packed_small(&mut self, dtype: DType, v: Lane) -> Reg {
        let mut x = v.lo;
        if dtype == DType::Bool {
            let one = self.code.each32(1);
            x = self.code.vector(Op::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32, Fold::Each32, &[x.into(), one.into()]);
        }
        // Within each half of the vector, then both halves together.
        let (places, halves) = if dtype.is_half() {
            ([0x0504_0100, 0x0d0c_0908, !0, !0], [0, 1, 4, 5, 0, 0, 0, 0])
        } else {
            ([0x0c08_0400, !0, !0, !0], [0, 4, 0, 0, 0, 0, 0, 0])
        };
        let places = self.code.words(std::array::from_fn(|k| places[k % 4]));
        let within = self.code.vector(Op::VEX_Vpshufb_ymm_ymm_ymmm256, Fold::Each32, &[x.into(), places.into()]);
        let halves = self.code.words(halves);
        self.code.vector(Op::VEX_Vpermd_ymm_ymm_ymmm256, Fold::No, &[halves.into(), within.into()])
    }

    /// A row of elements, where vectors have no masks to store under.
    pub fn store_row_in_pieces(&mut self, dtype: DType, v: Lane, at: Memory, width: usize) {
        match dtype {
            DType::F32 | DType::I32 | DType::U32 => self.store_bytes(v.lo, at, 4 * width),
            DType::F64 => {
                self.store_bytes(v.lo, at, 8 * width.min(4));
                if width > 4 {
                    self.store_bytes(v.hi, moved(at, 32), 8 * (width - 4));
                }
            }
            DType::F16 | DType::BF16 | DType::U8 | DType::Bool => {
                let packed = self.packed_small(dtype, v);
                self.store_bytes(packed, at, dtype.bytes() * width);
            }
        }
    }

    /// Elements of four or eight bytes, the last lane last.
    pub fn store_apart(&mut self, dtype: DType, v: Lane, at: Memory, bytes: i32, width: usize) {
        let (size, op) =
            if dtype == DType::F64 { (8, Op::VEX_Vpextrq_rm64_xmm_imm8) } else { (4, Op::VEX_Vpextrd_rm32_xmm_imm8) };
        let in_vector = 32 / size;
        let mut from = v.lo;
        for lane in 0..width {
            let (whole, place) = (if lane < in_vector { v.lo } else { v.hi }, size * lane % 32);
            match place {
                0 => from = whole,
                16 => from = self.upper(whole),
                _ => {}
            }
            let to = Memory { bytes: at.bytes + lane as i32 * bytes, ..at };
            let ins = [to.into(), Operand::Reg(from, Part::Quarter)];
            self.code.effect(op, &ins, Some(Immediate::Byte((place % 16 / size) as u8)));
        }
    }
}
