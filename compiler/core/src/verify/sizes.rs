//! Sizes that can be counted in bytes, literals and constants whose bits are values of their type.

use super::{Flaw, ensure};
use crate::ir::*;
use crate::names::Attribute;
use crate::prim::Prim;

/// So that no product of a few sizes overflows.
const LARGEST_ATTRIBUTE: usize = i32::MAX as usize;

pub fn variables(vars: &Vars) -> Result<(), Flaw> {
    (0..vars.len() as u32)
        .try_for_each(|k| fits(vars.ty(Var(k))).map_err(|flaw| Flaw::from(format!("%{k}: {}", flaw.message))))
}

pub fn fits(ty: &Type) -> Result<(), Flaw> {
    let bytes = ty.shape.iter().try_fold(ty.dtype.bytes(), |n, s| n.checked_mul(*s));
    ensure!(bytes.is_some_and(|n| n <= isize::MAX as usize), "{}{:?} is too large", ty.dtype.name(), ty.shape);
    Ok(())
}

pub fn attributes(prim: &Prim) -> Result<(), Flaw> {
    for (name, attribute) in prim.attributes() {
        if let Attribute::Sizes(sizes) = attribute {
            ensure!(sizes.iter().all(|n| *n <= LARGEST_ATTRIBUTE), "{name}={sizes:?} of {} is too large", prim.name());
        }
    }
    if let Prim::Reshape(shape) = prim {
        fits(&Type { dtype: DType::F64, shape: shape.clone() })?;
    }
    Ok(())
}

pub fn literal(lit: Lit) -> Result<(), String> {
    let largest = match lit.dtype {
        DType::F64 => u64::MAX,
        DType::F32 | DType::I32 | DType::U32 => u32::MAX as u64,
        DType::F16 | DType::BF16 => u16::MAX as u64,
        DType::U8 => u8::MAX as u64,
        DType::Bool => 1,
    };
    ensure!(lit.bits <= largest, "the bits {:#x} are no {}", lit.bits, lit.dtype.name());
    Ok(())
}

pub fn constant(data: &ArrayData) -> Result<(), Flaw> {
    fits(&data.ty)?;
    let wanted = data.ty.size() * data.ty.dtype.bytes();
    ensure!(data.bytes.len() == wanted, "{} bytes for a constant of {wanted}", data.bytes.len());
    ensure!(
        data.ty.dtype != DType::Bool || data.bytes.iter().all(|b| *b <= 1),
        "a constant bool that is neither 0 nor 1"
    );
    Ok(())
}
