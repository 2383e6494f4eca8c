//! Checks of what is in scope. Most hold: a program that fails at once says little.

use std::sync::Arc;

use super::Generator;
use crate::check::{Check, CheckKind};
use crate::ir::*;
use crate::prim::*;

impl Generator<'_> {
    pub fn check(&mut self) {
        let (kind, values) = match self.random.below(3) {
            0 => self.bound(),
            1 => self.assertion(),
            _ => self.finite(),
        };
        let shape = self.b.ty(values[0]).shape;
        let mask = match self.random.below(3) {
            0 if shape.is_empty() || self.random.below(2) == 0 => self.condition(&[]),
            0 => {
                let float = self.config.float;
                match self.find(|t| t.dtype == float && t.shape == shape) {
                    Some(_) => self.condition(&shape),
                    None => Lit::bool(true).into(),
                }
            }
            _ => Lit::bool(true).into(),
        };
        let check = Arc::new(Check::new(kind, "check"));
        self.b.effect(Effect::Check { check, values, mask });
    }

    fn bound(&mut self) -> (CheckKind, Atoms) {
        let mut index = self.find(|t| t.dtype == DType::I32).unwrap_or(Lit::i32(1).into());
        let len = 1 + self.random.below(self.config.largest + 3);
        if self.random.below(4) > 0 {
            index = self.b.binary(Binary::Max, index, Lit::i32(0).into());
            index = self.b.binary(Binary::Min, index, Lit::i32(len as i32 - self.random.below(2) as i32).into());
        }
        (CheckKind::Index { width: 1 + self.random.below(8) / 7, len }, Atoms::from_iter([index]))
    }

    fn assertion(&mut self) -> (CheckKind, Atoms) {
        let x = self.float();
        let limit = if self.random.below(2) == 0 { 0.5 } else { 100.0 };
        let limit = Lit::of(self.config.float, limit).into();
        let op = self.random.pick(&[Compare::Lt, Compare::Le, Compare::Ne]);
        let holds = self.b.prim1(Prim::Compare(op), &[x, limit]);
        if self.random.below(2) == 0 {
            return (CheckKind::Assert(None), Atoms::from_iter([holds]));
        }
        (CheckKind::Assert(Some(op)), Atoms::from_iter([holds, x, limit]))
    }

    fn finite(&mut self) -> (CheckKind, Atoms) {
        let x = self.float();
        let divisor = if self.random.below(2) == 0 {
            self.b.unary(Unary::Floor, x)
        } else {
            Lit::of(self.config.float, 2.0).into()
        };
        let one = Lit::of(self.config.float, 1.0).into();
        let made = self.b.binary(Binary::Div, one, divisor);
        (CheckKind::Finite, Atoms::from_iter([made, one, divisor]))
    }
}
