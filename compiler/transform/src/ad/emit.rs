//! Small things that derivative rules write often.

use whorl_core::prim::{Monoid, Prim};
use whorl_core::{Atom, Body, Builder, Function, Lit, Program, Type};

use crate::dce::dce;

/// The number `x` as a scalar of the element type of `like`.
pub(super) fn number(b: &Builder, like: Atom, x: f64) -> Atom {
    Lit::of(b.ty(like).dtype, x).into()
}

/// A scalar repeated to `ty`'s shape; what has the shape already, as it is.
pub(super) fn fit(b: &mut Builder, x: Atom, ty: &Type) -> Atom {
    b.broadcast(x, &ty.shape)
}

/// The transpose of [`fit`]: the sum over all axes if the operand of type `ty` was a scalar.
pub(super) fn unfit(b: &mut Builder, ct: Atom, ty: &Type) -> Atom {
    let rank = b.ty(ct).rank();
    if !ty.is_scalar() || rank == 0 {
        return ct;
    }
    let axes: Vec<usize> = (0..rank).collect();
    b.reduce(Monoid::Sum, &axes, ct)
}

/// A tangent or cotangent, zeros of the type of `of` where there is none.
pub(super) fn or_zeros(b: &mut Builder, x: Option<Atom>, of: Atom) -> Atom {
    let ty = b.ty(of);
    x.unwrap_or_else(|| b.zeros(&ty))
}

/// A tangent as an operand of an elementwise primitive, where a scalar zero will do.
pub(super) fn or_zero(b: &Builder, x: Option<Atom>, of: Atom) -> Atom {
    x.unwrap_or_else(|| number(b, of, 0.0))
}

/// `x` with its axes in the order `perm`; `x` itself where nothing moves.
pub(super) fn transpose(b: &mut Builder, x: Atom, perm: &[usize]) -> Atom {
    if perm.iter().copied().eq(0..perm.len()) {
        return x;
    }
    b.prim1(Prim::Transpose(perm.into()), &[x])
}

/// The permutation that undoes `perm`.
pub(super) fn inverse(perm: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; perm.len()];
    perm.iter().enumerate().for_each(|(k, &p)| inverse[p] = k);
    inverse
}

/// The body without what its results do not need.
pub(super) fn prune(body: Body) -> Body {
    dce(Program { main: Function { params: Vec::new(), body }, ..Program::default() }).main.body
}
