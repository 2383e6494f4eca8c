//! Branches, barriers, and what lanes of a warp do together.

use super::{Decoder, Result, count, refuse};
use crate::emulator::code::*;
use crate::emulator::ptx::{Operand, Type};

use Type::{B32, F32, Pred as P, U32};

impl Decoder<'_> {
    pub(super) fn control(&mut self, words: &[&str], ops: &[Operand]) -> Result<()> {
        match words {
            ["bra"] | ["bra", "uni"] => {
                let [Operand::Name(label)] = ops else { return refuse("bra takes a label") };
                self.jumps.push((self.code.insts.len(), label.clone(), self.now.0));
                self.emit(Op::Jump(0));
            }
            ["ret"] | ["ret", "uni"] | ["exit"] => {
                count(ops, 0)?;
                self.emit(Op::Exit);
            }
            ["trap"] => self.emit(Op::Trap),
            ["bar" | "barrier", "warp", "sync"] => {
                count(ops, 1)?;
                let members = self.src(&ops[0], B32)?;
                self.emit(Op::WarpBarrier { members });
            }
            ["bar" | "barrier", rest @ ..] => self.barrier(words, rest, ops)?,
            ["shfl", "sync", kind, "b32"] => self.shuffle(kind, ops)?,
            ["vote", "sync", kind, ty] => self.vote(kind, ty, ops)?,
            ["activemask", "b32"] => {
                count(ops, 1)?;
                let d = self.dst(&ops[0], B32)?;
                self.emit(Op::ActiveMask { d });
            }
            ["nanosleep", "u32"] => {
                count(ops, 1)?;
                self.src(&ops[0], U32)?;
                self.emit(Op::Sleep);
            }
            ["mma", rest @ ..] => self.mma(words, rest, ops)?,
            _ => return refuse(format!("the instruction {} is not emulated", words.join("."))),
        }
        Ok(())
    }

    /// `bar.sync a{, b}`, `barrier{.cta}.sync{.aligned} a{, b}`, `bar.red.popc.u32 d, a{, b}, p` and its like.
    fn barrier(&mut self, words: &[&str], rest: &[&str], ops: &[Operand]) -> Result<()> {
        let rest: Vec<&str> = rest.iter().copied().filter(|word| *word != "cta").collect();
        let aligned = words[0] == "bar" || rest.contains(&"aligned");
        let rest: Vec<&str> = rest.into_iter().filter(|word| *word != "aligned").collect();
        let mut ops = ops.to_vec();
        let red = match rest.as_slice() {
            ["sync"] => None,
            ["red", kind, ty] if ops.len() >= 3 => {
                let p = ops.pop().expect("there are three");
                let d = ops.remove(0);
                let (mut p, negated) = self.pred(&p)?;
                if negated {
                    let not = self.temporary(P);
                    self.emit(Op::Logic { table: 0b0101, d: not, a: p, b: p });
                    p = not;
                }
                let (red, d) = match (*kind, *ty) {
                    ("popc", "u32") => (Red::Popc, self.dst(&d, U32)?),
                    ("and", "pred") => (Red::And, self.pred_dst(&d)?),
                    ("or", "pred") => (Red::Or, self.pred_dst(&d)?),
                    _ => return refuse(format!("the instruction {} is not emulated", words.join("."))),
                };
                Some((red, p, d))
            }
            _ => return refuse(format!("the instruction {} is not emulated", words.join("."))),
        };
        let (1 | 2, Some(id)) = (ops.len(), ops.first()) else { return refuse("a barrier has a number") };
        if let Operand::Int(id) = id
            && !(0..16).contains(id)
        {
            return refuse("barriers are numbered 0 to 15");
        }
        if let Some(Operand::Int(threads)) = ops.get(1)
            && (*threads <= 0 || threads % 32 != 0)
        {
            return refuse("a barrier counts threads by whole warps");
        }
        let id = self.src(id, U32)?;
        let count = if ops.len() == 2 { self.src(&ops[1], U32)? } else { NONE };
        self.emit(Op::Barrier { id, count, aligned, red });
        Ok(())
    }

    fn shuffle(&mut self, kind: &str, ops: &[Operand]) -> Result<()> {
        let kind = match kind {
            "up" => ShuffleKind::Up,
            "down" => ShuffleKind::Down,
            "bfly" => ShuffleKind::Butterfly,
            "idx" => ShuffleKind::Index,
            _ => return refuse(format!("there is no shfl.sync.{kind}")),
        };
        count(ops, 5)?;
        let (d, p) = match &ops[0] {
            Operand::Pair(d, p) => (self.dst(d, B32)?, self.pred_dst(p)?),
            other => (self.dst(other, B32)?, NONE),
        };
        let (a, b, c) = (self.src(&ops[1], B32)?, self.src(&ops[2], B32)?, self.src(&ops[3], B32)?);
        let members = self.src(&ops[4], B32)?;
        self.code.shuffles.push(Shuffle { kind, d, p, a, b, c, members });
        self.emit(Op::Shuffle(self.code.shuffles.len() as u32 - 1));
        Ok(())
    }

    fn vote(&mut self, kind: &str, ty: &str, ops: &[Operand]) -> Result<()> {
        count(ops, 3)?;
        let (kind, d) = match (kind, ty) {
            ("all", "pred") => (Vote::All, self.dst(&ops[0], P)?),
            ("any", "pred") => (Vote::Any, self.dst(&ops[0], P)?),
            ("uni", "pred") => (Vote::Uni, self.dst(&ops[0], P)?),
            ("ballot", "b32") => (Vote::Ballot, self.dst(&ops[0], B32)?),
            _ => return refuse(format!("there is no vote.sync.{kind}.{ty}")),
        };
        let (p, negated) = self.pred(&ops[1])?;
        let members = self.src(&ops[2], B32)?;
        self.emit(Op::Vote { kind, d, p, negated, members });
        Ok(())
    }

    fn mma(&mut self, words: &[&str], rest: &[&str], ops: &[Operand]) -> Result<()> {
        let ["sync", "aligned", shape, "row", "col", "f32", a, b, "f32"] = rest else {
            return refuse(format!("the instruction {} is not emulated", words.join(".")));
        };
        let (kind, na, nb) = match (*shape, *a) {
            ("m16n8k4", "tf32") => (MmaKind::Tf32K4, 2, 1),
            ("m16n8k8", "tf32") => (MmaKind::Tf32K8, 4, 2),
            ("m16n8k8", "f16") => (MmaKind::F16K8, 2, 1),
            ("m16n8k16", "f16") => (MmaKind::F16K16, 4, 2),
            ("m16n8k8", "bf16") => (MmaKind::Bf16K8, 2, 1),
            ("m16n8k16", "bf16") => (MmaKind::Bf16K16, 4, 2),
            _ => return refuse(format!("the instruction {} is not emulated", words.join("."))),
        };
        if a != b {
            return refuse("both factors of mma have one type");
        }
        count(ops, 4)?;
        let mut lists: Vec<Vec<Slot>> = Vec::new();
        for (i, (operand, (n, ty))) in ops.iter().zip([(4, F32), (na, B32), (nb, B32), (4, F32)]).enumerate() {
            let list = match operand {
                Operand::List(list) if list.len() == n => list,
                _ => return refuse(format!("operand {} of mma is a list of {n} registers", i + 1)),
            };
            // Of registers ptxas takes those of this very type.
            if list.iter().any(|part| matches!(part, Operand::Reg(reg) if self.vreg(*reg).ty != ty)) {
                return refuse(format!("operand {} of mma has registers of .{}", i + 1, ty.name()));
            }
            let slots = list
                .iter()
                .map(|reg| if i == 0 { self.dst(reg, ty) } else { self.src(reg, ty) })
                .collect::<Result<_>>();
            lists.push(slots?);
        }
        let take = |list: &[Slot]| {
            let mut out = [NONE; 4];
            out[..list.len()].copy_from_slice(list);
            out
        };
        let b = take(&lists[2]);
        let mma = Mma { kind, d: take(&lists[0]), a: take(&lists[1]), b: [b[0], b[1]], c: take(&lists[3]) };
        self.code.mmas.push(mma);
        self.emit(Op::Mma(self.code.mmas.len() as u32 - 1));
        Ok(())
    }
}
