//! The floats of 16 bits: what they are stored as, and what arithmetic on them means.
//!
//! `F16` is IEEE 754's binary16; `BF16` is the upper half of an `f32`. No primitive computes with them: [`Builder::prim`] writes
//! a conversion to `f32` before, and one back behind, wherever one is asked to. Conversion back rounds to nearest even, so that
//! `+ - * /` and the square root are correctly rounded (an `f32` has more than 2p + 2 bits: Figueroa, 1995), and sums, products of
//! matrices and prefix sums add in `f32` and round once. What is beyond the verifier knows no more of them than how wide they are
//! and how they convert. Why: docs/notes/009-halves.md.

use half::{bf16, f16};
use smallvec::SmallVec;

use crate::builder::Builder;
use crate::ir::*;
use crate::prim::Prim;

/// The `f32` that a half of these bits is, exactly.
pub fn widened(dtype: DType, bits: u16) -> f32 {
    match dtype == DType::BF16 {
        true => bf16::from_bits(bits).to_f32(),
        false => f16::from_bits(bits).to_f32(),
    }
}

/// The bits of the nearest half; of two, the even one. NaN stays NaN, and is quiet.
pub fn narrowed(dtype: DType, x: f32) -> u16 {
    match dtype == DType::BF16 {
        true => bf16::from_f32(x).to_bits(),
        false => f16::from_f32(x).to_bits(),
    }
}

impl Prim {
    /// Whether it is defined for halves: what moves or chooses elements, and conversion to and from `f32`.
    pub fn takes_halves(&self) -> bool {
        match self {
            Prim::Select
            | Prim::Convert(_)
            | Prim::Bitcast(_)
            | Prim::StopGradient
            | Prim::Custom(_)
            | Prim::Broadcast { .. }
            | Prim::Reshape(_)
            | Prim::Transpose(_)
            | Prim::Slice { .. }
            | Prim::Pad { .. }
            | Prim::Reverse(_)
            | Prim::Concat(_)
            | Prim::Index(_)
            | Prim::IndexSet(_) => true,
            Prim::Unary(_)
            | Prim::Binary(_)
            | Prim::Compare(_)
            | Prim::MulAdd
            | Prim::Threefry
            | Prim::Iota(_)
            | Prim::IndexAdd(_)
            | Prim::Reduce(_)
            | Prim::ArgMax(_)
            | Prim::ArgMin(_)
            | Prim::Cumulative { .. }
            | Prim::Dot(_)
            | Prim::Sort { .. } => false,
        }
    }
}

impl Builder {
    /// A half as the `f32` that it is; anything else as it is.
    #[track_caller]
    pub fn widen(&mut self, x: Atom) -> Atom {
        match x {
            Atom::Lit(l) if l.dtype.is_half() => Lit::f32(l.to_f64() as f32).into(),
            _ if self.ty(x).dtype.is_half() => self.prim1(Prim::Convert(DType::F32), &[x]),
            _ => x,
        }
    }

    /// The results of what is no primitive of its own: arithmetic of halves, and conversions by way of `f32`.
    #[track_caller]
    pub(crate) fn of_halves(
        &mut self,
        prim: &Prim,
        args: &[Atom],
        types: &[Type],
        outs: &[Type],
    ) -> Option<SmallVec<[Atom; 2]>> {
        if direct(prim, types) {
            return None;
        }
        let wide: SmallVec<[Atom; 4]> = args.iter().map(|a| self.widen(*a)).collect();
        if let Prim::Convert(to) = prim {
            // To a half from what is none, from a half to what is none, or from one kind to the other.
            let in_f32 = match self.ty(wide[0]).dtype == DType::F32 {
                true => wide[0],
                false => self.prim1(Prim::Convert(DType::F32), &wide),
            };
            return Some(SmallVec::from_iter([self.prim1(Prim::Convert(*to), &[in_f32])]));
        }
        let results = self.prim(prim.clone(), &wide);
        let back = |b: &mut Builder, r: Atom, out: &Type| match out.dtype.is_half() {
            true => b.prim1(Prim::Convert(out.dtype), &[r]),
            false => r,
        };
        Some(results.iter().zip(outs).map(|(r, out)| back(self, *r, out)).collect())
    }
}

/// Whether the primitive is one of Core for operands of these types, and not what [`Builder::prim`] makes of several.
pub fn direct(prim: &Prim, types: &[Type]) -> bool {
    let halves = types.iter().any(|t| t.dtype.is_half());
    match prim {
        Prim::Convert(to) => {
            let from = types[0].dtype;
            from == *to || !(halves || to.is_half()) || from == DType::F32 || *to == DType::F32
        }
        _ => !halves || prim.takes_halves(),
    }
}
