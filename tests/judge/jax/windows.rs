//! Windows that move over an array in equal steps: `reduce_window` and what its derivatives are made of.
//!
//! Which elements a window has is known beforehand: a constant array of places, and a `Map` that picks them.

use std::sync::Arc;

use whorl_core::Builder;
use whorl_core::ir::{ArrayData, Atom, DType, Lit, Type};
use whorl_core::prim::{Compare, Monoid, Prim};

use super::places::{add, at, pick, reduce_last, reshape, rows, with_spare, without_spare};

/// On each axis. A window may reach beyond the array, into its padding, which may be negative.
#[derive(Clone, Debug)]
pub struct Window {
    pub dimensions: Vec<usize>,
    pub strides: Vec<usize>,
    pub padding: Vec<(i64, i64)>,
    /// Elements of the array are so far apart, before the padding.
    pub base_dilation: Vec<usize>,
    /// Elements of a window are so far apart.
    pub window_dilation: Vec<usize>,
}

impl Window {
    /// How many windows there are on each axis of an array.
    pub fn count(&self, shape: &[usize]) -> Vec<usize> {
        let one = |k: usize| {
            let dilated = |n: usize, by: usize| if n == 0 { 0 } else { (n - 1) as i64 * by as i64 + 1 };
            let base = dilated(shape[k], self.base_dilation[k]) + self.padding[k].0 + self.padding[k].1;
            let window = dilated(self.dimensions[k], self.window_dilation[k]);
            if base < window { 0 } else { ((base - window) / self.strides[k] as i64) as usize + 1 }
        };
        (0..shape.len()).map(one).collect()
    }

    /// The elements of each window, window after window: `i32[count…, dimensions…]`, flat. What is in no element is the number of elements.
    pub fn places(&self, b: &mut Builder, shape: &[usize]) -> Atom {
        let n: usize = shape.iter().product();
        // Windows first, then the elements in one: on each axis their element, as the sum of a start and a distance.
        let count = self.count(shape);
        let mut starts: Vec<Vec<i64>> = vec![Vec::new()];
        for (k, n) in count.iter().enumerate() {
            let along = (0..*n).map(|w| (w * self.strides[k]) as i64 - self.padding[k].0);
            starts = product(&starts, along);
        }
        let mut distances: Vec<Vec<i64>> = vec![Vec::new()];
        for k in 0..shape.len() {
            distances = product(&distances, (0..self.dimensions[k]).map(|i| (i * self.window_dilation[k]) as i64));
        }
        let element = |start: &[i64], distance: &[i64]| {
            let mut place = 0;
            for k in 0..shape.len() {
                let (at, by) = (start[k] + distance[k], self.base_dilation[k] as i64);
                if at < 0 || at % by != 0 || at / by >= shape[k] as i64 {
                    return None;
                }
                place = place * shape[k] + (at / by) as usize;
            }
            Some(place)
        };
        let places = starts.iter().flat_map(|s| distances.iter().map(|d| element(s, d).unwrap_or(n) as i32));
        let places: Vec<i32> = places.collect();
        b.constant(Arc::new(ArrayData::vector(&places)))
    }
}

/// Each of these with each of those behind it.
fn product(front: &[Vec<i64>], along: impl Iterator<Item = i64> + Clone) -> Vec<Vec<i64>> {
    front.iter().flat_map(|f| along.clone().map(|x| [&f[..], &[x]].concat())).collect()
}

/// The windows of all axes, as rows: `[windows, elements of one]`.
struct Patches {
    count: Vec<usize>,
    places: Atom,
    /// `[windows, elements of one]`
    shape: [usize; 2],
}

impl Patches {
    fn new(b: &mut Builder, x: Atom, window: &Window) -> Patches {
        let own = b.ty(x).shape;
        let count = window.count(&own);
        let shape = [count.iter().product(), window.dimensions.iter().product()];
        Patches { places: window.places(b, &own), count, shape }
    }

    /// The elements of an array, `fill` where a window has none.
    fn of(&self, b: &mut Builder, x: Atom, fill: Atom) -> Atom {
        let rank = b.ty(x).rank();
        let flat = rows(b, x, rank);
        let flat = with_spare(b, flat, fill);
        let picked = pick(b, flat, self.places);
        reshape(b, picked, &self.shape)
    }

    /// The first greatest or least of each window.
    fn chosen(&self, b: &mut Builder, patches: Atom, greatest: bool) -> Atom {
        if self.shape[0] == 0 {
            return b.zeros(&Type::new(DType::I32, &[0]));
        }
        b.prim1(if greatest { Prim::ArgMax(1) } else { Prim::ArgMin(1) }, &[patches])
    }

    /// Of `i32` places in windows, the element of each: one a window.
    fn at(&self, b: &mut Builder, patches: Atom, chosen: Atom) -> Atom {
        if self.shape[0] == 0 {
            return b.zeros(&Type::new(b.ty(patches).dtype, &[0]));
        }
        b.map(self.shape[0], |b, k| {
            let place = at(b, chosen, k);
            vec![b.prim1(Prim::Index(None), &[patches, k, place])]
        })[0]
    }
}

/// `init` and those elements of each window that are in the array, by a monoid. Of equal greatest numbers the first has the derivative, as in JAX.
/// (By XLA's definition there is an `init` for each place outside; on the CPU there is not, and JAX has 0 or 1 there in all that it does itself.)
pub fn reduce_window(b: &mut Builder, x: Atom, init: Atom, window: &Window, op: Monoid) -> Atom {
    let dtype = b.ty(x).dtype;
    let patches = Patches::new(b, x, window);
    let all = patches.of(b, x, op.identity(dtype).into());
    let reduced = match op {
        Monoid::Max | Monoid::Min if dtype.is_float() && patches.shape[1] > 0 => {
            let chosen = patches.chosen(b, all, op == Monoid::Max);
            patches.at(b, all, chosen)
        }
        _ => reduce_last(b, op, all),
    };
    let reduced = reshape(b, reduced, &patches.count);
    if init == op.identity(dtype).into() {
        return reduced;
    }
    b.binary(op.binary(), init, reduced)
}

/// The same by any function of carries and elements, in the order of the elements; of several arrays at once.
pub fn reduce_window_by(
    b: &mut Builder,
    xs: &[Atom],
    inits: &[Atom],
    window: &Window,
    step: impl Fn(&mut Builder, &[Atom], &[Atom]) -> Vec<Atom>,
) -> Vec<Atom> {
    let patches = Patches::new(b, xs[0], window);
    let all: Vec<Atom> = xs.iter().zip(inits).map(|(x, init)| patches.of(b, *x, *init)).collect();
    let n = b.ty(xs[0]).size();
    let inside = b.prim1(Prim::Compare(Compare::Lt), &[patches.places, Lit::i32(n as i32).into()]);
    let inside = reshape(b, inside, &patches.shape);
    let [windows, elements] = patches.shape;
    let one = |b: &mut Builder, k: Atom| {
        let last = b.scan(elements, false, inits, |b, i, carries| {
            let now: Vec<Atom> = all.iter().map(|x| b.prim1(Prim::Index(None), &[*x, k, i])).collect();
            let next = step(b, carries, &now);
            let inside = b.prim1(Prim::Index(None), &[inside, k, i]);
            let kept = next.into_iter().zip(carries);
            kept.map(|(next, old)| b.prim1(Prim::Select, &[inside, next, *old])).collect()
        });
        last.to_vec()
    };
    let reduced = if windows * elements == 0 {
        inits.iter().map(|init| b.broadcast(*init, &[windows])).collect()
    } else {
        b.map(windows, one).to_vec()
    };
    reduced.into_iter().map(|r| reshape(b, r, &patches.count)).collect()
}

/// For each window, the tangent of its first greatest (or least) element.
pub fn select_and_gather_add(b: &mut Builder, tangents: Atom, operand: Atom, greatest: bool, window: &Window) -> Atom {
    let patches = Patches::new(b, operand, window);
    let op = if greatest { Monoid::Max } else { Monoid::Min };
    let all = patches.of(b, operand, op.identity(b.ty(operand).dtype).into());
    let chosen = patches.chosen(b, all, greatest);
    let tangents = patches.of(b, tangents, Lit::zero(b.ty(tangents).dtype).into());
    let picked = patches.at(b, tangents, chosen);
    reshape(b, picked, &patches.count)
}

/// Zeros of the operand's sizes, with the source of each window added at its first greatest (or least) element.
pub fn select_and_scatter_add(b: &mut Builder, source: Atom, operand: Atom, greatest: bool, window: &Window) -> Atom {
    let ty = b.ty(operand);
    let patches = Patches::new(b, operand, window);
    let op = if greatest { Monoid::Max } else { Monoid::Min };
    let all = patches.of(b, operand, op.identity(ty.dtype).into());
    let chosen = patches.chosen(b, all, greatest);
    let places = reshape(b, patches.places, &patches.shape);
    let places = patches.at(b, places, chosen);
    // Of bools the sum is whether any is true.
    let of_bools = ty.dtype == DType::Bool;
    let source = if of_bools { b.prim1(Prim::Convert(DType::I32), &[source]) } else { source };
    let zeros = b.zeros(&Type::new(b.ty(source).dtype, &[ty.size() + 1]));
    let source = reshape(b, source, &[patches.shape[0]]);
    let sums = add(b, zeros, places, source);
    let sums = without_spare(b, sums);
    let sums = if of_bools { b.prim1(Prim::Convert(DType::Bool), &[sums]) } else { sums };
    reshape(b, sums, &ty.shape)
}
