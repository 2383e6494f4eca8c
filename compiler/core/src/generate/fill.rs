//! One primitive, on what is in scope.

use super::Generator;
use crate::ir::*;
use crate::prim::*;

impl Generator<'_> {
    /// Appends some primitive, and what keeps its values moderate.
    pub fn primitive(&mut self) {
        let made = match self.random.below(if self.halves() { 13 } else { 12 }) {
            0..=2 => self.unary(),
            3..=5 => self.binary(),
            6 => self.rearranged(),
            7 => self.accessed(),
            8 => self.over_axes(),
            9 => self.product(),
            10 => self.chosen(),
            11 => self.integer(),
            _ => self.half(),
        };
        self.offer([made]);
    }

    /// A float of any shape.
    pub fn float(&mut self) -> Atom {
        let float = self.config.float;
        self.find(|t| t.dtype == float).unwrap_or_else(|| self.literal())
    }

    /// A float of this shape: one in scope, or a scalar repeated.
    pub fn float_of(&mut self, shape: &[usize]) -> Atom {
        let float = self.config.float;
        if let Some(a) = self.find(|t| t.dtype == float && t.shape[..] == *shape) {
            return a;
        }
        let scalar = self.scalar();
        self.b.broadcast(scalar, shape)
    }

    pub fn scalar(&mut self) -> Atom {
        let float = self.config.float;
        if self.random.below(4) == 0 {
            return self.literal();
        }
        self.find(|t| t.dtype == float && t.is_scalar()).unwrap_or_else(|| self.literal())
    }

    pub fn literal(&mut self) -> Atom {
        Lit::of(self.config.float, self.random.float()).into()
    }

    /// What forms carry and give: a float; in a wild program, anything.
    pub fn value(&mut self) -> Atom {
        if self.is_wild() { self.anything() } else { self.float() }
    }

    /// A value of this type, as [`Generator::value`] gave one.
    pub fn value_of(&mut self, ty: &Type) -> Atom {
        if self.is_wild() { self.of_type(ty) } else { self.float_of(&ty.shape) }
    }

    /// What an accumulator may begin with.
    pub fn summand(&mut self) -> Atom {
        if self.is_wild() { self.something_to_add_to() } else { self.float() }
    }

    /// A float array of at least one axis.
    fn array(&mut self) -> Atom {
        let float = self.config.float;
        if let Some(a) = self.find(|t| t.dtype == float && t.rank() > 0) {
            return a;
        }
        let shape = [self.size(), self.size()];
        self.float_of(&shape)
    }

    /// An `i32` scalar, for places and branches: small, perhaps outside of an axis.
    pub fn place(&mut self) -> Atom {
        if self.is_wild() {
            return self.of_type(&Type::scalar(DType::I32));
        }
        let literal = Lit::i32(self.random.below(self.config.largest + 2) as i32 - 1).into();
        if self.random.below(3) == 0 {
            return literal;
        }
        self.find(|t| *t == Type::scalar(DType::I32)).unwrap_or(literal)
    }

    /// Into (-1, 1), smoothly.
    fn tamed(&mut self, x: Atom) -> Atom {
        self.b.unary(Unary::Tanh, x)
    }

    /// The mean: sums of moderate values stay moderate.
    pub fn mean(&mut self, x: Atom) -> Atom {
        let ty = self.b.ty(x);
        let axes: Vec<usize> = (0..ty.rank()).collect();
        let sum = self.b.reduce(Monoid::Sum, &axes, x);
        let weight = Lit::of(ty.dtype, 1.0 / ty.size().max(1) as f64);
        self.b.mul(sum, weight.into())
    }

    /// The mean of everything in this scope.
    pub fn total(&mut self) -> Atom {
        let float = self.config.float;
        let all: Vec<Var> = self.scope.iter().copied().filter(|v| self.b.vars.ty(*v).dtype == float).collect();
        let mut total: Atom = Lit::zero(float).into();
        for v in &all {
            let mean = self.mean((*v).into());
            total = self.b.add(total, mean);
        }
        total
    }

    fn unary(&mut self) -> Atom {
        let x = self.float();
        let smooth = [Unary::Neg, Unary::Sin, Unary::Cos, Unary::Tanh, Unary::Sigmoid, Unary::Erf, Unary::Atan];
        let other = [Unary::Abs, Unary::Sign, Unary::Floor, Unary::Ceil, Unary::Round];
        match self.random.below(10) {
            0 if !self.config.smooth => {
                let op = self.random.pick(&other);
                self.b.unary(op, x)
            }
            1 | 2 => {
                // These grow or have a domain: of values in (-1, 1), moved where they are defined.
                let small = self.tamed(x);
                let op = self.random.pick(&[Unary::Exp, Unary::Expm1, Unary::Log1p, Unary::Log, Unary::Sqrt]);
                let half = self.b.mul(small, Lit::of(self.config.float, 0.5).into());
                let from_half = matches!(op, Unary::Log | Unary::Sqrt);
                let one = Lit::of(self.config.float, 1.0).into();
                let in_domain = if from_half { self.b.add(half, one) } else { half };
                self.b.unary(op, in_domain)
            }
            _ => {
                let op = self.random.pick(&smooth);
                self.b.unary(op, x)
            }
        }
    }

    fn binary(&mut self) -> Atom {
        let x = self.float();
        let shape = self.b.ty(x).shape;
        let y = if self.random.below(3) == 0 { self.scalar() } else { self.float_of(&shape) };
        match self.random.below(6) {
            0 => self.b.add(x, y),
            1 => self.b.binary(Binary::Sub, x, y),
            2 => {
                let z = self.scalar();
                let sum = self.b.prim1(Prim::MulAdd, &[x, y, z]);
                self.tamed(sum)
            }
            3 => {
                // Away from zero.
                let y = self.tamed(y);
                let y = self.b.add(y, Lit::of(self.config.float, 2.0).into());
                self.b.binary(Binary::Div, x, y)
            }
            4 if !self.config.smooth => {
                let op = self.random.pick(&[Binary::Min, Binary::Max]);
                self.b.binary(op, x, y)
            }
            _ => {
                let product = self.b.mul(x, y);
                self.tamed(product)
            }
        }
    }

    /// Whether floats of 16 bits occur: what is rounded so coarsely has no useful differences.
    fn halves(&self) -> bool {
        !self.config.smooth && self.config.halves
    }

    /// Through one of the floats of 16 bits, with something done there.
    fn half(&mut self) -> Atom {
        let half = self.random.pick(&[DType::F16, DType::BF16]);
        let wide = self.config.float;
        let x = if self.random.below(2) == 0 { self.array() } else { self.float() };
        let shape = self.b.ty(x).shape;
        let y = self.float_of(&shape);
        let (x, y) = (self.b.prim1(Prim::Convert(half), &[x]), self.b.prim1(Prim::Convert(half), &[y]));
        let rank = shape.len();
        let made = match self.random.below(8) {
            0 => self.b.add(x, y),
            1 => self.b.mul(x, Lit::of(half, 0.3).into()),
            2 => self.b.unary(Unary::Tanh, x),
            3 => {
                let condition = self.condition(&shape);
                self.b.prim1(Prim::Select, &[condition, x, y])
            }
            4 if rank > 0 => {
                let i = self.place();
                let row = self.b.prim1(Prim::Index(None), &[y, i]);
                let j = self.place();
                self.b.prim1(Prim::IndexSet(None), &[x, row, j])
            }
            5 if rank > 0 => self.b.prim1(Prim::Concat(self.random.below(rank)), &[x, y]),
            6 if rank > 0 => {
                let axes: Vec<usize> = (0..rank).collect();
                self.b.reduce(Monoid::Max, &axes, x)
            }
            _ => self.b.prim1(Prim::Reshape([shape.iter().product()].as_slice().into()), &[x]),
        };
        self.b.prim1(Prim::Convert(wide), &[made])
    }

    fn rearranged(&mut self) -> Atom {
        let x = self.array();
        let shape = self.b.ty(x).shape;
        let rank = shape.len();
        match self.random.below(7) {
            0 => self.b.prim1(Prim::Transpose((0..rank).rev().collect()), &[x]),
            1 => self.b.prim1(Prim::Reshape(Shape::from_slice(&[shape.iter().product()])), &[x]),
            2 => self.b.prim1(Prim::Reverse([self.random.below(rank)].as_slice().into()), &[x]),
            3 => {
                let starts: Shape = shape.iter().map(|n| self.random.below(*n)).collect();
                let strides: Shape = shape.iter().map(|_| 1 + self.random.below(2)).collect();
                let shape = (0..rank).map(|k| (shape[k] - starts[k]).div_ceil(strides[k])).collect();
                self.b.prim1(Prim::Slice { starts, shape, strides }, &[x])
            }
            4 => {
                let fill = self.scalar();
                let mut few = |_: &usize| self.random.below(2);
                let (low, high) = (shape.iter().map(&mut few).collect(), shape.iter().map(&mut few).collect());
                let interior = shape.iter().map(&mut few).collect();
                self.b.prim1(Prim::Pad { low, high, interior }, &[x, fill])
            }
            5 => {
                let y = self.float_of(&shape);
                self.b.prim1(Prim::Concat(self.random.below(rank)), &[x, y])
            }
            _ if rank < 3 => {
                let before = self.random.below(2) == 0;
                let n = self.size();
                let mut wide = shape.clone();
                wide.insert(if before { 0 } else { rank }, n);
                let axes = (0..rank).map(|k| k + before as usize).collect();
                self.b.prim1(Prim::Broadcast { shape: wide, axes }, &[x])
            }
            _ => self.mean(x),
        }
    }

    fn accessed(&mut self) -> Atom {
        let x = self.array();
        let ty = self.b.ty(x);
        let indices: Vec<Atom> = (0..1 + self.random.below(ty.rank())).map(|_| self.place()).collect();
        let on = ty.shape[indices.len() - 1];
        let window = if self.random.below(3) == 0 { Some(1 + self.random.below(on)) } else { None };
        let mut args = vec![x];
        args.extend(&indices);
        let read = self.b.prim1(Prim::Index(window), &args);
        match self.random.below(3) {
            0 => read,
            kind => {
                let shape = self.b.ty(read).shape;
                let value = self.float_of(&shape);
                args.insert(1, value);
                self.b.prim1(if kind == 1 { Prim::IndexSet(window) } else { Prim::IndexAdd(window) }, &args)
            }
        }
    }

    fn over_axes(&mut self) -> Atom {
        let x = self.array();
        let rank = self.b.ty(x).rank();
        let axis = self.random.below(rank);
        match self.random.below(6) {
            0 | 1 => {
                let sum = self.b.reduce(Monoid::Sum, &[axis], x);
                self.tamed(sum)
            }
            2 => self.mean(x),
            3 => {
                let sums = Prim::Cumulative { op: Monoid::Sum, axis, reverse: self.random.below(2) == 0 };
                let sums = self.b.prim1(sums, &[x]);
                self.tamed(sums)
            }
            4 if self.config.smooth => {
                // By whole numbers, of which some are equal.
                let shape = self.b.ty(x).shape;
                let places = self.b.prim1(Prim::Iota(shape[axis]), &[]);
                let (times, range) = (Lit::i32(2 + self.random.below(3) as i32), Lit::i32(3));
                let keys = self.b.mul(places, times.into());
                let keys = self.b.binary(Binary::Rem, keys, range.into());
                let axes = std::iter::once(axis).collect();
                let keys = self.b.prim1(Prim::Broadcast { shape, axes }, &[keys]);
                self.b.prim(Prim::Sort { axis, keys: 1 }, &[keys, x])[1]
            }
            4 => {
                let shape = self.b.ty(x).shape;
                let payload = self.float_of(&shape);
                self.b.prim(Prim::Sort { axis, keys: 1 }, &[x, payload])[1]
            }
            5 if !self.config.smooth => {
                let op = self.random.pick(&[Monoid::Max, Monoid::Min]);
                self.b.reduce(op, &[axis], x)
            }
            _ => {
                let product = self.b.reduce(Monoid::Prod, &[axis], x);
                self.tamed(product)
            }
        }
    }

    fn product(&mut self) -> Atom {
        let x = self.array();
        let shape = self.b.ty(x).shape;
        let inner = shape[shape.len() - 1];
        let mut other = Shape::from_slice(&[inner]);
        if self.random.below(3) > 0 {
            other.push(self.size());
        }
        let y = self.float_of(&other);
        let product = self.b.prim1(Prim::Dot(Dot::matmul(shape.len())), &[x, y]);
        self.tamed(product)
    }

    /// A select by a comparison: of floats, or, if all is to be smooth, of places.
    fn chosen(&mut self) -> Atom {
        let x = self.float();
        let shape = self.b.ty(x).shape;
        let y = self.float_of(&shape);
        let condition = self.condition(&shape);
        self.b.prim1(Prim::Select, &[condition, x, y])
    }

    /// A bool of this shape, or a scalar.
    pub fn condition(&mut self, shape: &[usize]) -> Atom {
        let op = self.random.pick(Compare::ALL);
        if self.config.smooth {
            let (i, j) = (self.place(), Lit::i32(self.random.below(self.config.largest) as i32));
            return self.b.prim1(Prim::Compare(op), &[i, j.into()]);
        }
        let x = self.float_of(shape);
        let y = self.literal();
        self.b.prim1(Prim::Compare(op), &[x, y])
    }

    /// Small `i32`s, from places and from what is not float.
    fn integer(&mut self) -> Atom {
        let x = self.place();
        let range = Lit::i32(self.config.largest as i32).into();
        let result = match self.random.below(4) {
            0 if !self.config.smooth => {
                let x = self.array();
                let axis = self.random.below(self.b.ty(x).rank());
                let places =
                    self.b.prim1(if self.random.below(2) == 0 { Prim::ArgMax(axis) } else { Prim::ArgMin(axis) }, &[x]);
                let axes: Vec<usize> = (0..self.b.ty(places).rank()).collect();
                self.b.reduce(Monoid::Max, &axes, places)
            }
            1 => {
                let n = self.size();
                let all = self.b.prim1(Prim::Iota(n), &[]);
                self.b.prim1(Prim::Convert(self.config.float), &[all])
            }
            2 => {
                let y = self.place();
                self.b.add(x, y)
            }
            _ => self.b.mul(x, Lit::i32(3).into()),
        };
        match self.b.ty(result).dtype == self.config.float {
            true => self.b.mul(result, Lit::of(self.config.float, 0.125).into()),
            false => self.b.binary(Binary::Rem, result, range),
        }
    }
}
