//! `conv_general_dilated`: patches of the input, picked by a `Map`, and one product of matrices.

use whorl_core::Builder;
use whorl_core::ir::{Atom, DType, Lit};
use whorl_core::prim::{Dot, Prim};

use super::places::{pick, reshape, rows, transpose, with_spare};
use super::windows::Window;

/// What `conv_general_dilated` is told beside its operands.
#[derive(Clone, Debug)]
pub struct Convolution {
    pub window_strides: Vec<usize>,
    pub padding: Vec<(i64, i64)>,
    pub lhs_dilation: Vec<usize>,
    pub rhs_dilation: Vec<usize>,
    /// `ConvDimensionNumbers`: the axes of the batch and of the features, then those of space.
    pub lhs_spec: Vec<usize>,
    /// The axes of the features out and in, then those of space.
    pub rhs_spec: Vec<usize>,
    pub out_spec: Vec<usize>,
    pub feature_group_count: usize,
    pub batch_group_count: usize,
    /// What is added in, and given; else the operands' type.
    pub preferred: Option<DType>,
}

/// Rows are the batch and the features at a place in space, so that padding, strides and both dilations are a matter of which rows.
pub fn conv_general_dilated(b: &mut Builder, lhs: Atom, rhs: Atom, c: &Convolution) -> Atom {
    let (given, wanted) = (b.ty(lhs).dtype, c.preferred.unwrap_or(b.ty(lhs).dtype));
    let inner = if wanted.bytes() > given.bytes() { wanted } else { given };
    let (lhs, rhs) = (converted(b, lhs, inner), converted(b, rhs, inner));
    // [space…, batch, features], [features out, features in, space…]
    let order: Vec<usize> = c.lhs_spec[2..].iter().chain(&c.lhs_spec[..2]).copied().collect();
    let (lhs, rhs) = (transpose(b, lhs, &order), transpose(b, rhs, &c.rhs_spec));
    let (l, r) = (b.ty(lhs).shape, b.ty(rhs).shape);
    let space = c.lhs_spec.len() - 2;
    let (batch, out) = (l[space], r[0]);
    let window = Window {
        dimensions: r[2..].to_vec(),
        strides: c.window_strides.clone(),
        padding: c.padding.clone(),
        base_dilation: c.lhs_dilation.clone(),
        window_dilation: c.rhs_dilation.clone(),
    };
    let count = window.count(&l[..space]);
    let (places, kernel): (usize, usize) = (count.iter().product(), window.dimensions.iter().product());
    let at = window.places(b, &l[..space]);
    let source = rows(b, lhs, space);
    let source = with_spare(b, source, Lit::zero(inner).into());
    let patches = pick(b, source, at);
    // Groups of either kind are a batch of products.
    let (by_batch, by_feature) = (c.batch_group_count, c.feature_group_count);
    let patches = reshape(b, patches, &[places, kernel, by_batch, batch / by_batch, by_feature, r[1]]);
    let weights = reshape(b, rhs, &[by_batch, by_feature, out / (by_batch * by_feature), r[1], kernel]);
    let dot = Dot {
        lhs_batch: [2, 4].into_iter().collect(),
        rhs_batch: [0, 1].into_iter().collect(),
        lhs_contract: [1, 5].into_iter().collect(),
        rhs_contract: [4, 3].into_iter().collect(),
    };
    // [batch groups, feature groups, places, batch, features out]
    let product = b.prim1(Prim::Dot(dot), &[patches, weights]);
    let product = transpose(b, product, &[3, 0, 1, 4, 2]);
    let sizes: Vec<usize> = [batch / by_batch, out].into_iter().chain(count).collect();
    let product = reshape(b, product, &sizes);
    let mut back = vec![0; sizes.len()];
    c.out_spec.iter().enumerate().for_each(|(k, &axis)| back[axis] = k);
    let product = transpose(b, product, &back);
    converted(b, product, wanted)
}

fn converted(b: &mut Builder, x: Atom, dtype: DType) -> Atom {
    if b.ty(x).dtype == dtype { x } else { b.prim1(Prim::Convert(dtype), &[x]) }
}
