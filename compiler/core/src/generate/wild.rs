//! Programs in which anything that the type rules admit may occur, on whatever values.
//!
//! An operand is something in scope that the primitive takes, or is made of what there is. At least one operand of each
//! primitive is no literal: passes fold those of literals alone, in which a zero's sign may matter that they drop elsewhere.

use std::sync::Arc;

use super::{Generator, values};
use crate::ir::*;
use crate::prim::*;

/// Axes of the largest array that is made.
pub const MOST_AXES: usize = 4;

impl Generator<'_> {
    /// Elements of the largest array that is used further.
    pub fn most_elements(&self) -> usize {
        100 * self.config.largest
    }

    pub fn wild_program(mut self) -> Program {
        self.palette.dtypes = (0..1 + self.random.below(4)).map(|_| self.any_dtype()).collect();
        self.palette.sizes = (0..1 + self.random.below(4)).map(|_| self.any_size()).collect();
        let params: Vec<Var> = (0..2 + self.random.below(5))
            .map(|_| {
                let ty = self.some_type();
                self.b.fresh(ty)
            })
            .collect();
        self.scope.extend(&params);
        self.b.begin();
        self.statements(self.config.statements);
        // What was made last, the rest being steps on the way or useless; or all of it.
        let most = [5, 30][self.random.below(2)];
        let made = self.scope.iter().rev().filter(|v| !params.contains(v));
        let mut results: Vec<Atom> = made.take(most).map(|v| (*v).into()).collect();
        if results.is_empty() {
            results.push(params[0].into());
        }
        let body = self.b.end(results);
        Program { vars: self.b.vars, main: Function { params, body } }
    }

    pub fn wild_statement(&mut self) {
        match self.random.below(16) {
            12 | 13 if self.depth < self.config.depth => self.form(),
            14 if self.config.checks => self.check(),
            15 => self.log(),
            _ => self.wild_primitive(),
        }
    }

    fn log(&mut self) {
        let value = self.anything();
        let shape = self.b.ty(value).shape;
        let mask = match self.random.below(3) {
            0 => Lit::bool(true).into(),
            1 => self.truth(),
            _ => self.of_type(&Type { dtype: DType::Bool, shape }),
        };
        self.b.effect(Effect::Log { name: "value".into(), value, mask });
    }

    fn any_dtype(&mut self) -> DType {
        use DType::*;
        self.random.pick(&[F32, F32, F32, I32, I32, Bool, F64, U32, U8, F16, BF16])
    }

    /// One, none, or several.
    fn any_size(&mut self) -> usize {
        let most = 1 + self.random.below(self.config.largest);
        self.random.pick(&[1, 2, 0, 3, most, most, most, most]).min(self.config.largest)
    }

    pub fn dtype(&mut self) -> DType {
        match self.random.below(8) {
            7 => self.any_dtype(),
            k => self.palette.dtypes[k % self.palette.dtypes.len()],
        }
    }

    pub fn wild_size(&mut self) -> usize {
        match self.random.below(8) {
            7 => self.any_size(),
            k => self.palette.sizes[k % self.palette.sizes.len()],
        }
    }

    fn some_type(&mut self) -> Type {
        let (dtype, shape) = (self.dtype(), self.some_shape());
        Type { dtype, shape }
    }

    pub fn some_shape(&mut self) -> Shape {
        let rank = [1, 0, 2, 1, 0, 2, 3][self.random.below(7)];
        (0..rank).map(|_| self.size()).collect()
    }

    /// Any value in scope.
    pub fn anything(&mut self) -> Atom {
        self.fitting(|_| true)
    }

    /// Something in scope that fits, or an array made for it.
    pub fn fitting(&mut self, fits: impl Fn(&Type) -> bool) -> Atom {
        if let Some(a) = self.find(&fits) {
            return a;
        }
        let shape = self.some_shape();
        let with_axes: [Shape; 2] = [[2].as_slice().into(), [2, 3].as_slice().into()];
        let shapes = std::iter::once(shape).chain(with_axes).chain([Shape::new()]);
        let types = shapes.flat_map(|shape| DType::ALL.map(|dtype| Type { dtype, shape: shape.clone() }));
        let ty = types.into_iter().find(|ty| fits(ty)).expect("a type that fits");
        self.made(&ty)
    }

    /// A value of this type: one in scope, or one made of what there is.
    pub fn of_type(&mut self, ty: &Type) -> Atom {
        if self.random.below(5) < 4
            && let Some(a) = self.find(|t| t == ty)
        {
            return a;
        }
        match self.random.below(5) {
            0 => self.made(ty),
            1 if ty.is_scalar() => values::value(&mut self.random, ty.dtype).into(),
            1 => {
                let scalar = match self.find(|t| *t == Type::scalar(ty.dtype)) {
                    Some(a) => a,
                    None => values::value(&mut self.random, ty.dtype).into(),
                };
                self.b.broadcast(scalar, &ty.shape)
            }
            2 => match self.find(|t| t.shape == ty.shape) {
                Some(a) => self.b.prim1(Prim::Convert(ty.dtype), &[a]),
                None => self.made(ty),
            },
            3 => match self.find(|t| t.dtype == ty.dtype && t.size() == ty.size()) {
                Some(a) => self.b.prim1(Prim::Reshape(ty.shape.clone()), &[a]),
                None => self.made(ty),
            },
            _ => {
                match self.find(|t| t.dtype == ty.dtype && t.rank() == ty.rank() + 1 && t.shape[1..] == ty.shape[..]) {
                    Some(a) if self.b.ty(a).shape[0] > 0 => {
                        let i = self.small_place();
                        self.b.prim1(Prim::Index(None), &[a, i])
                    }
                    _ => self.made(ty),
                }
            }
        }
    }

    /// A constant of this type.
    fn made(&mut self, ty: &Type) -> Atom {
        let lits: Vec<Lit> = (0..ty.size()).map(|_| values::value(&mut self.random, ty.dtype)).collect();
        self.b.constant(Arc::new(ArrayData::from_lits(ty.dtype, &ty.shape, &lits)))
    }

    fn small_place(&mut self) -> Atom {
        match self.find(|t| *t == Type::scalar(DType::I32)) {
            Some(a) => a,
            None => values::value(&mut self.random, DType::I32).into(),
        }
    }

    /// A bool scalar.
    pub fn truth(&mut self) -> Atom {
        if self.random.below(2) == 0 {
            return self.of_type(&Type::scalar(DType::Bool));
        }
        let x = self.fitting(|t| t.is_scalar());
        let y = self.of_type(&self.b.ty(x));
        let op = self.random.pick(Compare::ALL);
        self.b.prim1(Prim::Compare(op), &[x, y])
    }

    /// What an accumulator may begin with: of a type that `add` is a primitive of, and whose sum has one value.
    pub fn something_to_add_to(&mut self) -> Atom {
        let floats = self.float_sums();
        self.fitting(|t| t.dtype.is_int() || floats && matches!(t.dtype, DType::F32 | DType::F64))
    }

    pub fn float_sums(&self) -> bool {
        self.config.wild.as_ref().is_some_and(|w| w.float_sums)
    }

    fn wild_primitive(&mut self) {
        let made = match self.random.below(20) {
            0 | 1 => self.any_unary(),
            2..=4 => self.any_binary(),
            5 => self.any_comparison(),
            6 => self.any_choice(),
            7 => self.any_conversion(),
            8 => return self.any_threefry(),
            9..=12 => self.any_rearrangement(),
            13 | 14 => self.any_access(),
            15 | 16 => self.any_reduction(),
            17 => self.any_product(),
            18 => return self.any_sort(),
            _ => self.any_shift(),
        };
        self.offer([made]);
    }

    /// Something that the primitive takes alone.
    pub fn taken_by(&mut self, prim: &Prim) -> Atom {
        self.fitting(|t| prim.result_types(std::slice::from_ref(t)).is_ok())
    }

    /// Another operand for something elementwise: of the same type, or, where that has axes, a scalar; perhaps a number that
    /// leaves the other as it is.
    fn beside(&mut self, ty: &Type) -> Atom {
        match self.random.below(8) {
            4 | 5 => self.of_type(&Type::scalar(ty.dtype)),
            6 | 7 => {
                let x = self.random.pick(&[0.0, 1.0, -0.0, -1.0, 2.0]);
                let plain = Lit::of(ty.dtype, x);
                if self.random.below(2) == 0 { plain.into() } else { self.b.broadcast(plain.into(), &ty.shape) }
            }
            _ => self.of_type(ty),
        }
    }

    fn any_unary(&mut self) -> Atom {
        let prim = Prim::Unary(self.random.pick(Unary::ALL));
        let x = self.taken_by(&prim);
        self.b.prim1(prim, &[x])
    }

    fn any_binary(&mut self) -> Atom {
        let op = match self.random.below(2) {
            0 => self.random.pick(&[Binary::Add, Binary::Mul, Binary::Sub, Binary::Div]),
            _ => self.random.pick(Binary::ALL),
        };
        let prim = Prim::Binary(op);
        let x = self.fitting(|t| prim.result_types(&[t.clone(), t.clone()]).is_ok());
        let y = self.beside(&self.b.ty(x));
        let args = if self.random.below(2) == 0 { [x, y] } else { [y, x] };
        self.b.prim1(prim, &args)
    }

    /// Of integers by integers of which most are small.
    fn any_shift(&mut self) -> Atom {
        let prim = Prim::Binary(self.random.pick(&[Binary::Shl, Binary::Shr, Binary::ShrLogical]));
        let x = self.fitting(|t| t.dtype.is_int());
        let dtype = self.b.ty(x).dtype;
        let by = Lit::of(dtype, self.random.below(36) as f64);
        self.b.prim1(prim, &[x, by.into()])
    }

    fn any_comparison(&mut self) -> Atom {
        let op = self.random.pick(Compare::ALL);
        let x = self.anything();
        let y = self.beside(&self.b.ty(x));
        self.b.prim1(Prim::Compare(op), &[x, y])
    }

    fn any_choice(&mut self) -> Atom {
        if self.random.below(3) == 2 {
            let x = self.fitting(|t| t.dtype.is_float());
            let ty = self.b.ty(x);
            let (y, z) = (self.beside(&ty), self.beside(&ty));
            let args = self.random.pick(&[[x, y, z], [y, x, z], [y, z, x]]);
            return self.b.prim1(Prim::MulAdd, &args);
        }
        let x = self.anything();
        let ty = self.b.ty(x);
        let y = self.beside(&ty);
        let condition = self.beside(&Type { dtype: DType::Bool, shape: ty.shape });
        let args = if self.random.below(2) == 0 { [condition, x, y] } else { [condition, y, x] };
        self.b.prim1(Prim::Select, &args)
    }

    fn any_conversion(&mut self) -> Atom {
        let x = self.anything();
        let from = self.b.ty(x).dtype;
        match self.random.below(5) {
            0..=2 => {
                let to = self.random.pick(&DType::ALL);
                self.b.prim1(Prim::Convert(to), &[x])
            }
            3 => {
                // A bool is stored as 0 or 1.
                let same = DType::ALL.into_iter().filter(|d| d.bytes() == from.bytes() && *d != DType::Bool);
                let same: Vec<DType> = same.collect();
                let to = self.random.pick(&same);
                // Which NaN it is, is not said.
                let x = if to.is_float() { x } else { self.without_nan(x) };
                self.b.prim1(Prim::Bitcast(to), &[x])
            }
            _ => self.b.prim1(Prim::StopGradient, &[x]),
        }
    }

    /// The value with ones where it is not a number.
    pub fn without_nan(&mut self, x: Atom) -> Atom {
        let dtype = self.b.ty(x).dtype;
        if !dtype.is_float() {
            return x;
        }
        let is_number = self.b.prim1(Prim::Compare(Compare::Eq), &[x, x]);
        self.b.prim1(Prim::Select, &[is_number, x, Lit::of(dtype, 1.0).into()])
    }

    fn any_threefry(&mut self) {
        let x = self.fitting(|t| t.dtype == DType::U32);
        let ty = self.b.ty(x);
        let args = [x, self.beside(&ty), self.beside(&ty), self.beside(&ty)];
        let words = self.b.prim(Prim::Threefry, &args);
        self.offer(words);
    }
}
