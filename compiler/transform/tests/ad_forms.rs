//! Every form in every other: derivatives of derivatives.

mod derivatives;

use derivatives::layers::{Layer, nest};
use derivatives::{Numbers, check, f64s};
use whorl_core::ArrayData;

fn check_nest(layers: &[Layer], order: usize) {
    let p = nest(layers);
    let mut numbers = Numbers(3);
    let w = numbers.array(&f64s(&[3, 3]));
    check(&p, &[ArrayData::vector(&[0.7f64, -0.3, 0.4]), w], order);
}

#[test]
fn single_to_third_order() {
    for a in Layer::ALL {
        check_nest(&[a], 3);
    }
}

#[test]
fn pairs_to_second_order() {
    for a in Layer::ALL {
        for b in Layer::ALL {
            check_nest(&[a, b], 2);
        }
    }
}

#[test]
fn triples() {
    for a in Layer::ALL {
        for b in Layer::ALL {
            for c in Layer::ALL {
                check_nest(&[a, b, c], 1);
            }
        }
    }
}

#[test]
fn deep_ones_to_second_order() {
    check_nest(&[Layer::Map, Layer::Scan, Layer::Switch], 2);
    check_nest(&[Layer::Scan, Layer::Map, Layer::Grad], 2);
    check_nest(&[Layer::Map, Layer::Reverse, Layer::Grad], 2);
}
