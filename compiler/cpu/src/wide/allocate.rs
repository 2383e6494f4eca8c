//! Places for virtual registers: linear scan over live intervals (Poletto and Sarkar, "Linear scan register allocation", 1999).
//!
//! An interval reaches from the first write to the last use, and to the end of every loop that it is used in and written before.
//! Where registers run out, what costs least goes to memory for good: constants before all else, as most instructions read them from there.

use smallvec::SmallVec;

use super::code::{ARENA, Class, Code, FRAME, Fold, Operand, Reg};

/// Where a register's value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The machine's register of this number.
    Register(u8),
    /// So many bytes into the function's frame.
    Stack(usize),
    /// A constant, made again at each use.
    Nowhere,
}

pub struct Allocation {
    pub places: Vec<Place>,
    /// Bytes of the frame that registers take.
    pub frame: usize,
}

/// Of the last vector registers, two are for operands that are in memory, and one for a result that goes there.
pub const SCRATCH_VECTORS: u8 = 3;
pub const SCRATCH_MASKS: [u8; 2] = [6, 7];
/// rax and r11.
pub const SCRATCH_GENERAL: [u8; 2] = [0, 11];
/// rdi, the first argument.
const ARENA_REGISTER: u8 = 7;
/// rsp
pub const FRAME_REGISTER: u8 = 4;
/// rcx, rdx, rsi, r8, r9, r10, then those that the caller wants back: rbx, r12, r13, r14, r15. (rbp holds the caller's stack.)
const GENERAL: [u8; 11] = [1, 2, 6, 8, 9, 10, 3, 12, 13, 14, 15];
pub const CALLEE_SAVED: [u8; 5] = [3, 12, 13, 14, 15];

#[derive(Clone, Debug)]
struct Interval {
    reg: Reg,
    from: usize,
    to: usize,
    /// What its uses cost from memory.
    weight: f64,
    constant: bool,
    /// Registers that may die where this one is written.
    hints: SmallVec<[Reg; 3]>,
}

pub fn allocate(code: &Code) -> Allocation {
    let mut places = vec![Place::Nowhere; code.regs.len()];
    places[ARENA.0 as usize] = Place::Register(ARENA_REGISTER);
    places[FRAME.0 as usize] = Place::Register(FRAME_REGISTER);
    let mut frame = 0;
    let intervals = intervals(code);
    for class in [Class::Vector, Class::Mask, Class::General] {
        let numbers: Vec<u8> = match class {
            Class::Vector => (0..code.set.registers() - SCRATCH_VECTORS).collect(),
            Class::Mask => (1..6).collect(),
            Class::General => GENERAL.to_vec(),
        };
        let of_class: Vec<&Interval> = intervals.iter().filter(|i| code.class(i.reg) == class).collect();
        scan(&of_class, numbers, &mut places, &mut frame, if class == Class::Vector { code.set.bytes() } else { 8 });
    }
    Allocation { places, frame: frame.next_multiple_of(64) }
}

fn scan(intervals: &[&Interval], numbers: Vec<u8>, places: &mut [Place], frame: &mut usize, bytes: usize) {
    // The first to be given is the last of the list.
    let mut free: Vec<u8> = numbers.into_iter().rev().collect();
    let mut active: Vec<&Interval> = Vec::new();
    for interval in intervals {
        active.retain(|other| {
            let lives = other.to > interval.from;
            if !lives && let Place::Register(r) = places[other.reg.0 as usize] {
                free.push(r);
            }
            lives
        });
        let wanted = interval.hints.iter().find_map(|h| match places[h.0 as usize] {
            Place::Register(r) => free.iter().position(|f| *f == r),
            Place::Stack(_) | Place::Nowhere => None,
        });
        let register = match wanted {
            Some(k) => Some(free.remove(k)),
            None => free.pop(),
        };
        if let Some(r) = register {
            places[interval.reg.0 as usize] = Place::Register(r);
            active.push(interval);
            continue;
        }
        let cheapest = (0..active.len()).min_by(|&a, &b| cost(active[a]).total_cmp(&cost(active[b])));
        let victim = match cheapest {
            Some(k) if cost(active[k]) < cost(interval) => std::mem::replace(&mut active[k], interval),
            _ => interval,
        };
        if victim.reg != interval.reg {
            places[interval.reg.0 as usize] = places[victim.reg.0 as usize];
        }
        places[victim.reg.0 as usize] = if victim.constant {
            Place::Nowhere
        } else {
            *frame = frame.next_multiple_of(bytes);
            *frame += bytes;
            Place::Stack(*frame - bytes)
        };
    }
}

/// What it costs to have it in memory, for each instruction that it takes a register from.
fn cost(interval: &Interval) -> f64 {
    interval.weight / (interval.to - interval.from + 1) as f64
}

/// By their beginnings.
fn intervals(code: &Code) -> Vec<Interval> {
    let mut found: Vec<Option<Interval>> = vec![None; code.regs.len()];
    let mut depths = vec![0usize; code.insts.len()];
    for extent in &code.loops {
        depths[extent.from..=extent.to].iter_mut().for_each(|d| *d += 1);
    }
    // What is seldom gone through has a weight all the same, but a small one.
    let mut weights: Vec<f64> = depths.iter().map(|d| 8f64.powi((*d).min(6) as i32)).collect();
    for detour in code.detours() {
        weights[detour.from..detour.to].iter_mut().for_each(|w| *w /= 1e6);
    }
    let mut touch = |reg: Reg, at: usize, weight: f64, hints: &[Reg]| {
        if reg == ARENA || reg == FRAME {
            return;
        }
        // Constants are there before the first instruction.
        let at = at + 1;
        let constant = code.regs[reg.0 as usize].constant.is_some();
        let from = if constant { 0 } else { at };
        let new = || Interval { reg, from, to: at, weight: 0.0, constant, hints: hints.into() };
        let interval = found[reg.0 as usize].get_or_insert_with(new);
        interval.to = interval.to.max(at);
        // A constant costs a read, where it costs anything; another value a write and reads, and the wait between them.
        interval.weight += weight * if constant { 1.0 } else { 20.0 };
    };
    for (at, inst) in code.insts.iter().enumerate() {
        let weight = weights[at];
        let last = inst.ins.len().wrapping_sub(1);
        for (k, operand) in inst.ins.iter().enumerate() {
            match operand {
                Operand::Reg(r, _) => {
                    let folds = k == last && inst.fold != Fold::No;
                    // Where the result is first what it is merged with, it may be in no operand's place.
                    let until = if inst.merge.is_some_and(|m| m != *r) { at + 1 } else { at };
                    touch(*r, until, if folds { weight } else { 3.0 * weight }, &[]);
                }
                Operand::Memory(m) => {
                    [Some(m.base), m.index].into_iter().flatten().for_each(|r| touch(r, at, 3.0 * weight, &[]))
                }
            }
        }
        if let Some(mask) = inst.mask {
            touch(mask, at, 2.0 * weight, &[]);
        }
        if let Some(merge) = inst.merge {
            touch(merge, at, 3.0 * weight, &[]);
        }
        if let Some((out, _)) = inst.out {
            let operands = inst.ins.iter().filter_map(|o| match o {
                Operand::Reg(r, _) => Some(*r),
                Operand::Memory(_) => None,
            });
            let same = |r: &Reg| code.class(*r) == code.class(out) && code.regs[r.0 as usize].constant.is_none();
            let hints: SmallVec<[Reg; 3]> = inst.merge.into_iter().chain(operands).filter(same).collect();
            touch(out, at, weight, &hints);
        }
    }
    let mut all: Vec<Interval> = found.into_iter().flatten().collect();
    // Loops are listed as they end, inner ones first: what lives to the end of an inner loop is used there by the outer one.
    for interval in &mut all {
        for extent in &code.loops {
            let (from, to) = (extent.from + 1, extent.to + 1);
            if interval.from < from && (from..to).contains(&interval.to) {
                interval.to = to;
            }
        }
    }
    all.sort_by_key(|i| i.from);
    all
}

#[cfg(test)]
mod tests {
    use iced_x86::Code as Op;

    use super::super::code::Part;
    use super::super::encode::encode;
    use super::super::set::Set;
    use super::*;

    fn registers(code: &Code) -> Vec<Place> {
        allocate(code).places
    }

    /// Two values that live at once have places of their own; what is known when it is compiled leaves its register first.
    #[test]
    fn constants_go_to_memory_first() {
        let mut code = Code::new(Set::Avx512);
        let constants: Vec<Reg> = (0..8).map(|k| code.each32(k + 1)).collect();
        let mut all = Vec::new();
        for k in 0..28 {
            let ins = [constants[k % 8].into(), constants[(k + 1) % 8].into()];
            all.push(code.vector(Op::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, Fold::Each32, &ins));
        }
        let mut sum = all[0];
        for r in all[1..].iter().chain(&constants) {
            sum = code.vector(Op::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, Fold::Each32, &[sum.into(), (*r).into()]);
        }
        let places = registers(&code);
        let of = |r: &Reg| places[r.0 as usize];
        assert!(all.iter().all(|r| matches!(of(r), Place::Register(_))));
        let distinct: std::collections::BTreeSet<String> = all.iter().map(|r| format!("{:?}", of(r))).collect();
        assert_eq!(distinct.len(), all.len());
        assert!(constants.iter().filter(|r| of(r) == Place::Nowhere).count() >= 6);
    }

    /// Many masks at once: what has no register is loaded, two at a time.
    #[test]
    fn masks_beyond_the_registers() {
        let mut code = Code::new(Set::Avx512);
        let zero = code.each32(0);
        let masks: Vec<Reg> = (0..12)
            .map(|k| {
                let limit = code.each32(k);
                let ins = [zero.into(), limit.into()];
                code.mask(Op::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8, Fold::Each32, &ins, Some(1))
            })
            .collect();
        for pair in masks.windows(2) {
            code.mask(Op::VEX_Kandw_kr_kr_kr, Fold::No, &[pair[0].into(), pair[1].into()], None);
        }
        let places = registers(&code);
        assert!(masks.iter().any(|r| matches!(places[r.0 as usize], Place::Stack(_))));
        assert!(encode(&code, false).is_ok());
    }

    /// What is written before a loop and read in it keeps its register to the loop's end.
    #[test]
    fn a_loop_keeps_what_it_reads() {
        let mut code = Code::new(Set::Avx512);
        let ins = |r: Reg| [Operand::Reg(r, Part::Whole), Operand::Reg(r, Part::Whole)];
        let one = code.each32(1);
        let before = code.vector(Op::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, Fold::No, &ins(one));
        let from = code.insts.len();
        let read = code.vector(Op::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, Fold::No, &ins(before));
        let later = code.vector(Op::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, Fold::No, &ins(read));
        let last = code.vector(Op::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, Fold::No, &ins(later));
        code.loops.push(super::super::code::Extent { from, to: code.insts.len() - 1 });
        let places = registers(&code);
        for r in [read, later, last] {
            assert_ne!(places[r.0 as usize], places[before.0 as usize]);
        }
    }
}
