//! From instructions with places to bytes.
//!
//! The function is `fn(arena, context, from, to) -> status` of the System V convention (the last two where it has a range); its constants lie behind its code.

use std::collections::HashMap;

use iced_x86::{Code as Op, Encoder, Formatter, Instruction, IntelFormatter, OpKind, Register};
use smallvec::SmallVec;

use super::allocate::{
    Allocation, CALLEE_SAVED, FRAME_REGISTER, Place, SCRATCH_GENERAL, SCRATCH_MASKS, SCRATCH_VECTORS, allocate,
};
use super::code::{
    Class, Code, Constant, Extent, FRAME, Fold, Immediate, Inst, Kind, Label, Memory, Operand, Part, Reg,
};
use super::set::Set;
use crate::CpuError;

/// A function's bytes, to begin at a multiple of 64, the places in them that are addresses of constants (and of which buffer), and its text if it was wanted.
pub struct Encoded {
    pub bytes: Vec<u8>,
    pub constants: Vec<(u32, u32)>,
    pub text: Option<String>,
}

pub fn encode(code: &Code, text: bool) -> Result<Encoded, CpuError> {
    let allocation = allocate(code);
    let mut emitter = Emitter {
        code,
        allocation: &allocation,
        encoder: Encoder::new(64),
        at: 0,
        labels: HashMap::new(),
        fresh_labels: 0,
        jumps: Vec::new(),
        code_detours: code.detours(),
        later: Vec::new(),
        pool: Vec::new(),
        places_in_pool: HashMap::new(),
        reads_of_pool: Vec::new(),
        constants: Vec::new(),
        text: text.then(String::new),
        formatter: IntelFormatter::new(),
    };
    emitter.function()?;
    emitter.finish()
}

/// What an operand is when it is written.
#[derive(Clone, Copy)]
pub enum Final {
    Register(Register),
    Memory {
        base: Register,
        index: Register,
        scale: u32,
        bytes: i64,
    },
    /// A constant behind the code, by its distance from the first.
    Pool(usize),
}

pub struct Emitter<'a> {
    pub code: &'a Code,
    allocation: &'a Allocation,
    encoder: Encoder,
    /// Bytes so far.
    at: u64,
    labels: HashMap<u32, u64>,
    /// How many labels there are beside the code's.
    fresh_labels: u32,
    /// Ends of jumps, and where they go.
    jumps: Vec<(u64, Label)>,
    code_detours: Vec<Extent>,
    /// Detours that are still to be written, and where they begin.
    later: Vec<(Label, Extent)>,
    pool: Vec<u8>,
    places_in_pool: HashMap<Vec<u8>, usize>,
    /// Where a distance to the pool is written, the end of that instruction, and the place in the pool.
    reads_of_pool: Vec<(u64, u64, usize)>,
    /// Where the addresses of constants are, and of which buffer.
    constants: Vec<(u32, u32)>,
    text: Option<String>,
    formatter: IntelFormatter,
}

fn general(n: u8, part: Part) -> Register {
    if part == Part::Whole { Register::RAX + n as i32 } else { Register::EAX + n as i32 }
}

pub fn failed(error: impl std::fmt::Display) -> CpuError {
    CpuError::internal(format!("the encoder of vectors failed: {error}"))
}

impl Emitter<'_> {
    pub fn vector(&self, n: u8, part: Part) -> Register {
        let first = match (part, self.code.set) {
            (Part::Whole, Set::Avx512) => Register::ZMM0,
            (Part::Half, Set::Avx512) | (Part::Whole, Set::Avx2) => Register::YMM0,
            (Part::Quarter, _) | (Part::Half, Set::Avx2) => Register::XMM0,
        };
        first + n as i32
    }

    fn function(&mut self) -> Result<(), CpuError> {
        let used = |r: u8| {
            let of =
                |(k, place): (usize, &Place)| *place == Place::Register(r) && self.code.regs[k].class == Class::General;
            self.allocation.places.iter().enumerate().any(of)
        };
        let saved: Vec<u8> = CALLEE_SAVED.into_iter().filter(|r| used(*r)).collect();
        let frame = self.allocation.frame + self.code.memory;
        for r in &saved {
            self.plain(Op::Push_r64, &[Final::Register(general(*r, Part::Whole))], None)?;
        }
        let (rbp, rsp) = (Final::Register(Register::RBP), Final::Register(Register::RSP));
        if frame > 0 {
            self.plain(Op::Push_r64, &[rbp], None)?;
            self.plain(Op::Mov_r64_rm64, &[rbp, rsp], None)?;
            self.plain(Op::Sub_rm64_imm32, &[rsp], Some(Immediate::Signed(frame as i32)))?;
            self.plain(Op::And_rm64_imm32, &[rsp], Some(Immediate::Signed(-64)))?;
        }
        if let Some(at) = self.code.range {
            for (k, argument) in [Register::RDX, Register::RCX].into_iter().enumerate() {
                let to = self.in_frame(self.allocation.frame + at as usize + 8 * k);
                self.plain(Op::Mov_rm64_r64, &[to, Final::Register(argument)], None)?;
            }
        }
        for (k, info) in self.code.regs.iter().enumerate() {
            if let (Some(constant), Place::Register(r)) = (&info.constant, self.allocation.places[k]) {
                self.load_constant(constant, r)?;
            }
        }
        self.body()?;
        if self.code.regs.iter().any(|r| r.class == Class::Vector) {
            self.plain(Op::VEX_Vzeroupper, &[], None)?;
        }
        if frame > 0 {
            self.plain(Op::Mov_r64_rm64, &[rsp, rbp], None)?;
            self.plain(Op::Pop_r64, &[rbp], None)?;
        }
        for r in saved.iter().rev() {
            self.plain(Op::Pop_r64, &[Final::Register(general(*r, Part::Whole))], None)?;
        }
        let eax = Final::Register(Register::EAX);
        self.plain(Op::Xor_r32_rm32, &[eax, eax], None)?;
        self.plain(Op::Retnq, &[], None)?;
        self.detours()
    }

    /// All instructions but those of detours, whose jumps are turned round: what is seldom done stands out of the way.
    fn body(&mut self) -> Result<(), CpuError> {
        self.range(0, self.code.insts.len())
    }

    fn range(&mut self, from: usize, to: usize) -> Result<(), CpuError> {
        let mut at = from;
        while at < to {
            let detour = self.code_detours.iter().find(|d| d.from == at + 1 && d.to <= to).copied();
            match (self.code.insts[at].kind, detour) {
                (Kind::Jump(Op::Je_rel32_64, _), Some(detour)) => {
                    self.fresh_labels += 1;
                    let label = Label(self.code.labels + self.fresh_labels - 1);
                    self.jump(Op::Jne_rel32_64, label)?;
                    self.later.push((label, detour));
                    at = detour.to;
                }
                _ => {
                    self.inst(&self.code.insts[at])?;
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// Behind the function's end, and back again.
    fn detours(&mut self) -> Result<(), CpuError> {
        while let Some((label, detour)) = self.later.pop() {
            self.labels.insert(label.0, self.at);
            self.range(detour.from, detour.to)?;
            let Kind::Place(back) = self.code.insts[detour.to].kind else {
                return Err(failed("a detour without an end"));
            };
            self.jump(Op::Jmp_rel32_64, back)?;
        }
        Ok(())
    }

    fn jump(&mut self, op: Op, label: Label) -> Result<(), CpuError> {
        self.write(Instruction::with_branch(op, self.at).map_err(failed)?, None)?;
        self.jumps.push((self.at, label));
        Ok(())
    }

    pub fn place(&self, r: Reg) -> Place {
        self.allocation.places[r.0 as usize]
    }

    fn register(&self, class: Class, n: u8, part: Part) -> Register {
        match class {
            Class::Vector => self.vector(n, part),
            Class::Mask => Register::K0 + n as i32,
            Class::General => general(n, part),
        }
    }

    fn in_frame(&self, bytes: usize) -> Final {
        let base = general(FRAME_REGISTER, Part::Whole);
        Final::Memory { base, index: Register::None, scale: 1, bytes: bytes as i64 }
    }

    /// A constant's bytes in the pool.
    fn in_pool(&mut self, bytes: &[u8]) -> Final {
        let (pool, places) = (&mut self.pool, &mut self.places_in_pool);
        let at = *places.entry(bytes.to_vec()).or_insert_with(|| {
            pool.resize(pool.len().next_multiple_of(bytes.len()), 0);
            pool.extend_from_slice(bytes);
            pool.len() - bytes.len()
        });
        Final::Pool(at)
    }

    fn load_constant(&mut self, constant: &Constant, n: u8) -> Result<(), CpuError> {
        let z = Final::Register(self.vector(n, Part::Whole));
        match constant {
            Constant::Each32(0) | Constant::Each64(0) => {
                // Of 128 bits: the rest becomes zero.
                let x = Final::Register(self.vector(n, Part::Quarter));
                self.plain(Op::EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32, &[x, x, x], None)
            }
            Constant::Each32(bits) => {
                let bits = self.in_pool(&bits.to_le_bytes());
                self.plain(Op::EVEX_Vbroadcastss_zmm_k1z_xmmm32, &[z, bits], None)
            }
            Constant::Each64(bits) => {
                let bits = self.in_pool(&bits.to_le_bytes());
                self.plain(Op::EVEX_Vbroadcastsd_zmm_k1z_xmmm64, &[z, bits], None)
            }
            Constant::Vector(bytes) => {
                let bytes = self.in_pool(&bytes[..self.code.set.bytes()]);
                self.plain(Op::EVEX_Vmovups_zmm_k1z_zmmm512, &[z, bytes], None)
            }
            Constant::Mask(bits) => {
                let bits = self.in_pool(&bits.to_le_bytes());
                self.plain(Op::VEX_Kmovw_kr_km16, &[Final::Register(Register::K0 + n as i32), bits], None)
            }
        }
    }

    /// The register that holds the value, after loading it where it has none.
    pub fn loaded(&mut self, r: Reg, part: Part, scratch: &mut Scratch) -> Result<Register, CpuError> {
        let class = self.code.class(r);
        let n = match self.place(r) {
            Place::Register(n) => n,
            Place::Nowhere | Place::Stack(_) => {
                let n = scratch.next(class, self.code.set)?;
                self.load_into(r, n)?;
                n
            }
        };
        Ok(self.register(class, n, part))
    }

    /// The value in the `n`th register of its class.
    pub fn load_into(&mut self, r: Reg, n: u8) -> Result<(), CpuError> {
        let class = self.code.class(r);
        match self.place(r) {
            Place::Register(from) => self.moved(class, n, self.register(class, from, Part::Whole)),
            Place::Stack(at) => self.load(class, n, self.in_frame(at)),
            Place::Nowhere => {
                let constant = self.code.regs[r.0 as usize].constant.clone();
                self.load_constant(&constant.ok_or_else(|| failed("a value that is nowhere"))?, n)
            }
        }
    }

    fn load(&mut self, class: Class, n: u8, from: Final) -> Result<(), CpuError> {
        let op = match class {
            Class::Vector => Op::EVEX_Vmovups_zmm_k1z_zmmm512,
            Class::Mask => Op::VEX_Kmovw_kr_km16,
            Class::General => Op::Mov_r64_rm64,
        };
        let to = Final::Register(self.register(class, n, Part::Whole));
        self.plain(op, &[to, from], None)
    }

    fn store(&mut self, class: Class, n: u8, at: usize) -> Result<(), CpuError> {
        let op = match class {
            Class::Vector => Op::EVEX_Vmovups_zmmm512_k1z_zmm,
            Class::Mask => Op::VEX_Kmovw_m16_kr,
            Class::General => Op::Mov_rm64_r64,
        };
        let (to, from) = (self.in_frame(at), Final::Register(self.register(class, n, Part::Whole)));
        self.plain(op, &[to, from], None)
    }

    fn memory(&mut self, op: Op, m: &Memory, scratch: &mut Scratch) -> Result<Final, CpuError> {
        let base = self.loaded(m.base, Part::Whole, scratch)?;
        // Places of eight elements of 64 bits are half a vector.
        let eight = matches!(op, Op::EVEX_Vgatherdpd_zmm_k1_vm32y | Op::EVEX_Vscatterdpd_vm32y_k1_zmm);
        let index = match m.index {
            Some(index) => self.loaded(index, if eight { Part::Half } else { Part::Whole }, scratch)?,
            None => Register::None,
        };
        let own = if m.base == FRAME { self.allocation.frame as i64 } else { 0 };
        Ok(Final::Memory { base, index, scale: m.scale, bytes: m.bytes as i64 + own })
    }

    /// Memory for a vector that has no register, if the instruction can read it from there; and whether for all lanes one element.
    pub fn folded(&mut self, r: Reg, fold: Fold) -> Option<(Final, bool)> {
        if self.code.class(r) != Class::Vector || fold == Fold::No {
            return None;
        }
        match self.place(r) {
            Place::Register(_) => None,
            Place::Stack(at) => Some((self.in_frame(at), false)),
            Place::Nowhere => match (self.code.regs[r.0 as usize].constant.clone()?, fold) {
                (constant, _) if self.code.set == Set::Avx2 => Some((self.in_pool(&vector_of(&constant)?), false)),
                (Constant::Each32(bits), Fold::Each32) => Some((self.in_pool(&bits.to_le_bytes()), true)),
                (Constant::Each64(bits), Fold::Each64) => Some((self.in_pool(&bits.to_le_bytes()), true)),
                (Constant::Vector(bytes), _) => Some((self.in_pool(&bytes), false)),
                (Constant::Each32(_) | Constant::Each64(_) | Constant::Mask(_), _) => None,
            },
        }
    }

    fn inst(&mut self, inst: &Inst) -> Result<(), CpuError> {
        let op = match inst.kind {
            Kind::Place(label) => {
                self.labels.insert(label.0, self.at);
                return Ok(());
            }
            Kind::Jump(op, label) => return self.jump(op, label),
            Kind::Nothing => return Ok(()),
            Kind::Copy => return self.copy(inst),
            Kind::MulAdd(kind) => return self.mul_add(inst, kind),
            Kind::Logic { table } => return self.logic(inst, table),
            Kind::Plain(op) => op,
        };
        let mut scratch = Scratch::default();
        let (mut operands, mut each) = (Vec::with_capacity(4), false);
        let out = match inst.out {
            Some((r, part)) => Some((r, self.out(r, inst.tied)?, part)),
            None => None,
        };
        if let (Some(merge), Some((_, n, _))) = (inst.merge, out) {
            self.load_into(merge, n)?;
        }
        if let Some((r, n, part)) = out {
            operands.push(Final::Register(self.register(self.code.class(r), n, part)));
        }
        let last = inst.ins.len().wrapping_sub(1);
        for (k, operand) in inst.ins.iter().enumerate() {
            operands.push(match operand {
                Operand::Memory(m) => self.memory(op, m, &mut scratch)?,
                Operand::Reg(r, part) => match self.folded(*r, if k == last { inst.fold } else { Fold::No }) {
                    Some((memory, one)) => {
                        each = one;
                        memory
                    }
                    None => Final::Register(self.loaded(*r, *part, &mut scratch)?),
                },
            });
        }
        let mask = match inst.mask {
            Some(mask) => Some(self.loaded(mask, Part::Whole, &mut scratch)?),
            None => None,
        };
        self.full(op, &operands, inst.immediate, mask, inst.zero, each)?;
        match out {
            Some((r, n, _)) => self.keep(r, n),
            None => Ok(()),
        }
    }

    /// The register that an instruction writes: a scratch one if the value is in memory, which holds it already if `read`.
    pub fn out(&mut self, r: Reg, read: bool) -> Result<u8, CpuError> {
        let class = self.code.class(r);
        match self.place(r) {
            Place::Register(n) => Ok(n),
            Place::Stack(at) => {
                let n = self.scratch_result(class);
                if read {
                    let from = self.in_frame(at);
                    self.load(class, n, from)?;
                }
                Ok(n)
            }
            Place::Nowhere => Err(failed("a result that is nowhere")),
        }
    }

    fn copy(&mut self, inst: &Inst) -> Result<(), CpuError> {
        let (Some((to, _)), [Operand::Reg(from, _)]) = (inst.out, &inst.ins[..]) else {
            return Err(failed("a copy of nothing"));
        };
        let class = self.code.class(to);
        match (self.place(to), self.place(*from)) {
            (a, b) if a == b => Ok(()),
            (Place::Register(n), _) => self.load_into(*from, n),
            (Place::Stack(at), _) => {
                let n = self.scratch_result(class);
                self.load_into(*from, n)?;
                self.store(class, n, at)
            }
            (Place::Nowhere, _) => Err(failed("a copy to nowhere")),
        }
    }

    fn moved(&mut self, class: Class, n: u8, from: Register) -> Result<(), CpuError> {
        let to = self.register(class, n, Part::Whole);
        if to == from {
            return Ok(());
        }
        let op = match class {
            Class::Vector => Op::EVEX_Vmovaps_zmm_k1z_zmmm512,
            Class::Mask => Op::VEX_Kmovw_kr_km16,
            Class::General => Op::Mov_r64_rm64,
        };
        self.plain(op, &[Final::Register(to), Final::Register(from)], None)
    }

    /// For a result. A mask or a number may be in the place of what it is made of.
    fn scratch_result(&self, class: Class) -> u8 {
        match class {
            Class::Vector => self.code.set.registers() - 1,
            Class::Mask => SCRATCH_MASKS[1],
            Class::General => SCRATCH_GENERAL[1],
        }
    }

    /// Puts a result that is in the `n`th register where it belongs.
    pub fn keep(&mut self, out: Reg, n: u8) -> Result<(), CpuError> {
        match self.place(out) {
            Place::Stack(at) => self.store(self.code.class(out), n, at),
            Place::Register(_) | Place::Nowhere => Ok(()),
        }
    }

    fn plain(&mut self, op: Op, operands: &[Final], immediate: Option<Immediate>) -> Result<(), CpuError> {
        self.full(op, operands, immediate, None, false, false)
    }

    pub fn full(
        &mut self,
        op: Op,
        operands: &[Final],
        immediate: Option<Immediate>,
        mask: Option<Register>,
        zero: bool,
        each: bool,
    ) -> Result<(), CpuError> {
        let (op, mask_at) = self.code.set.form(op, mask.is_some());
        let mut operands: SmallVec<[Final; 4]> = operands.into();
        if let (Some(at), Some(mask)) = (mask_at, mask) {
            operands.insert(at, Final::Register(mask));
        }
        let mask = mask.filter(|_| mask_at.is_none());
        let mut i = Instruction::default();
        i.set_code(op);
        let mut pool = None;
        for (k, operand) in operands.iter().enumerate() {
            let k = k as u32;
            match *operand {
                Final::Register(r) => {
                    i.set_op_kind(k, OpKind::Register);
                    i.set_op_register(k, r);
                }
                Final::Memory { base, index, scale, bytes } => {
                    i.set_op_kind(k, OpKind::Memory);
                    i.set_memory_base(base);
                    i.set_memory_index(index);
                    i.set_memory_index_scale(scale);
                    i.set_memory_displacement64(bytes as u64);
                    i.set_memory_displ_size(1);
                }
                Final::Pool(at) => {
                    pool = Some(at);
                    i.set_op_kind(k, OpKind::Memory);
                    i.set_memory_base(Register::RIP);
                    i.set_memory_displacement64(self.at);
                    i.set_memory_displ_size(8);
                }
            }
        }
        let k = operands.len() as u32;
        match immediate {
            Some(Immediate::Byte(x)) => {
                i.set_op_kind(k, OpKind::Immediate8);
                i.set_immediate8(x);
            }
            Some(Immediate::Word(x)) => {
                i.set_op_kind(k, OpKind::Immediate32);
                i.set_immediate32(x);
            }
            Some(Immediate::Signed(x)) => {
                i.set_op_kind(k, OpKind::Immediate32to64);
                i.set_immediate32to64(x as i64);
            }
            Some(Immediate::Quad(x)) => {
                i.set_op_kind(k, OpKind::Immediate64);
                i.set_immediate64(x);
            }
            Some(Immediate::Constant(id)) => {
                i.set_op_kind(k, OpKind::Immediate64);
                i.set_immediate64(0);
                let begin = self.at;
                self.write(i, pool)?;
                let offset = self.encoder.get_constant_offsets().immediate_offset() as u64;
                self.constants.push(((begin + offset) as u32, id));
                return Ok(());
            }
            None => {}
        }
        if let Some(mask) = mask {
            i.set_op_mask(mask);
            i.set_zeroing_masking(zero);
        }
        i.set_is_broadcast(each);
        self.write(i, pool)
    }

    fn write(&mut self, instruction: Instruction, pool: Option<usize>) -> Result<(), CpuError> {
        let begin = self.at;
        let length =
            self.encoder.encode(&instruction, begin).map_err(|e| failed(format!("{e}: {:?}", instruction.code())))?;
        // Bytes of AVX-512 begin so, and nothing else does.
        let buffer = self.encoder.take_buffer();
        let evex = buffer.get(begin as usize) == Some(&0x62);
        self.encoder.set_buffer(buffer);
        if evex && self.code.set == Set::Avx2 {
            return Err(failed(format!("AVX2 lacks {:?}", instruction.code())));
        }
        self.at += length as u64;
        if let Some(place) = pool {
            let offset = self.encoder.get_constant_offsets().displacement_offset() as u64;
            self.reads_of_pool.push((begin + offset, self.at, place));
        }
        if let Some(text) = &mut self.text {
            let mut line = String::new();
            self.formatter.format(&instruction, &mut line);
            text.push_str(&format!("{begin:6x}  {line}\n"));
        }
        Ok(())
    }

    /// Fills in what was not known when it was written.
    fn finish(mut self) -> Result<Encoded, CpuError> {
        let mut bytes = self.encoder.take_buffer();
        let pool = bytes.len().next_multiple_of(64);
        bytes.resize(pool, 0xcc);
        bytes.extend_from_slice(&self.pool);
        let mut patch = |at: u64, distance: i64| -> Result<(), CpuError> {
            let distance = i32::try_from(distance).map_err(failed)?;
            bytes[at as usize..at as usize + 4].copy_from_slice(&distance.to_le_bytes());
            Ok(())
        };
        for (end, label) in &self.jumps {
            let to = self.labels.get(&label.0).ok_or_else(|| failed("a jump to nowhere"))?;
            patch(end - 4, *to as i64 - *end as i64)?;
        }
        for (at, end, place) in &self.reads_of_pool {
            patch(*at, (pool + place) as i64 - *end as i64)?;
        }
        Ok(Encoded { bytes, constants: self.constants, text: self.text })
    }
}

/// Registers for values that have none, within one instruction.
#[derive(Default)]
pub struct Scratch {
    vectors: usize,
    masks: usize,
    general: usize,
}

impl Scratch {
    fn next(&mut self, class: Class, set: Set) -> Result<u8, CpuError> {
        let first = set.registers() - SCRATCH_VECTORS;
        let vectors = [first, first + 1];
        let (count, all): (&mut usize, &[u8]) = match class {
            Class::Vector => (&mut self.vectors, &vectors),
            Class::Mask => (&mut self.masks, &SCRATCH_MASKS),
            Class::General => (&mut self.general, &SCRATCH_GENERAL),
        };
        *count += 1;
        all.get(*count - 1).copied().ok_or_else(|| failed("too few scratch registers"))
    }
}

/// The bytes of a constant that is a vector of 256 bits.
fn vector_of(constant: &Constant) -> Option<[u8; 32]> {
    Some(match constant {
        Constant::Each32(bits) => std::array::from_fn(|k| bits.to_le_bytes()[k % 4]),
        Constant::Each64(bits) => std::array::from_fn(|k| bits.to_le_bytes()[k % 8]),
        Constant::Vector(bytes) => std::array::from_fn(|k| bytes[k]),
        Constant::Mask(_) => return None,
    })
}
