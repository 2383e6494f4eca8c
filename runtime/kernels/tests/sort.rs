//! Sorting against the standard library's stable sort.

use std::cmp::Ordering;

use whorl_kernels::elem::Elem;
use whorl_kernels::part::part_words;
use whorl_kernels::simd::Level;
use whorl_kernels::sort::{SortDesc, SortOperand, sort_rows};

fn operand(elem: Elem, n: usize) -> SortOperand {
    SortOperand { elem, in_row: n as isize, in_element: 1, out_row: n as isize, out_element: 1 }
}

fn hash(i: usize) -> u32 {
    (i as u32).wrapping_mul(0x9e37_79b9).rotate_left(15).wrapping_mul(0x85eb_ca6b)
}

/// -inf < … -0 = +0 … inf < NaN, of either sign
fn float_order(a: f32, b: f32) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then_with(|| a.partial_cmp(&b).unwrap_or(Ordering::Equal))
}

/// Sorts rows of one f32 key with an i32 payload of positions.
fn check_floats(keys: &[f32], rows: usize) {
    let n = keys.len() / rows;
    let positions: Vec<i32> = (0..keys.len()).map(|i| (i % n) as i32).collect();
    let mut out_keys = vec![0f32; keys.len()];
    let mut out_positions = vec![0i32; keys.len()];
    let operands = [operand(Elem::F32, n), operand(Elem::I32, n)];
    let desc = SortDesc { rows, n, operands: 2, keys: 1, operand: operands.as_ptr() };
    let inputs = [keys.as_ptr().cast::<u8>(), positions.as_ptr().cast()];
    let outputs = [out_keys.as_mut_ptr().cast::<u8>(), out_positions.as_mut_ptr().cast()];
    // SAFETY: the arrays have rows × n elements.
    unsafe { sort_rows(&desc, inputs.as_ptr(), outputs.as_ptr()) };
    for row in 0..rows {
        let keys = &keys[row * n..][..n];
        let mut want: Vec<usize> = (0..n).collect();
        want.sort_by(|&a, &b| float_order(keys[a], keys[b]));
        for (i, &w) in want.iter().enumerate() {
            assert_eq!(out_positions[row * n + i], w as i32, "row {row}, place {i}");
            assert_eq!(out_keys[row * n + i].to_bits(), keys[w].to_bits());
        }
    }
}

#[test]
fn floats_in_order_and_stable() {
    let special = [0.0, -0.0, 1.0, -1.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -1e-45];
    for n in [1, 2, 5, 95, 96, 512, 4096] {
        let keys: Vec<f32> = (0..3 * n)
            .map(|i| {
                if hash(i).is_multiple_of(3) {
                    special[hash(i + 1) as usize % 10]
                } else {
                    (hash(i) >> 20) as f32 - 2000.0
                }
            })
            .collect();
        check_floats(&keys, 3);
    }
}

/// Keys that differ in their low bits only, which insertion after two radix passes would take long over.
#[test]
fn crowded_keys() {
    let keys: Vec<f32> = (0..4096).map(|i| f32::from_bits(0x3f80_0000 + hash(i) % 5000)).collect();
    check_floats(&keys, 1);
}

#[test]
fn every_key_type_in_place() {
    for n in [7, 300] {
        let mut u: Vec<u32> = (0..n).map(hash).collect();
        let mut want = u.clone();
        want.sort();
        sort_in_place(Elem::U32, &mut u);
        assert_eq!(u, want);

        let mut i: Vec<i32> = (0..n).map(|i| hash(i) as i32).collect();
        let mut want = i.clone();
        want.sort();
        sort_in_place(Elem::I32, &mut i);
        assert_eq!(i, want);

        let mut b: Vec<u8> = (0..n).map(|i| hash(i) as u8).collect();
        let mut want = b.clone();
        want.sort();
        sort_in_place(Elem::U8, &mut b);
        assert_eq!(b, want);

        let mut d: Vec<f64> = (0..n).map(|i| hash(i) as f64 - 2e9).collect();
        let mut want = d.clone();
        want.sort_by(f64::total_cmp);
        sort_in_place(Elem::F64, &mut d);
        assert_eq!(d, want);
    }
}

fn sort_in_place<T>(elem: Elem, x: &mut [T]) {
    let operands = [operand(elem, x.len())];
    let desc = SortDesc { rows: 1, n: x.len(), operands: 1, keys: 1, operand: operands.as_ptr() };
    let pointer = x.as_mut_ptr().cast::<u8>();
    // SAFETY: one array of n elements, in place.
    unsafe { sort_rows(&desc, &pointer.cast_const(), &pointer) };
}

/// Along a column: strides; two keys, the first with many ties; and a payload of bytes.
#[test]
fn several_keys_and_strides() {
    let (rows, n) = (3, 200);
    let first: Vec<u8> = (0..rows * n).map(|i| hash(i) as u8 % 4).collect();
    let second: Vec<f64> = (0..rows * n).map(|i| (hash(i + 7) % 16) as f64).collect();
    let payload: Vec<i32> = (0..rows * n).map(|i| i as i32).collect();
    let mut out = (first.clone(), second.clone(), payload.clone());
    // Element [row, position] lies at position * rows + row.
    let strided =
        |elem| SortOperand { elem, in_row: 1, in_element: rows as isize, out_row: 1, out_element: rows as isize };
    let operands = [strided(Elem::U8), strided(Elem::F64), strided(Elem::I32)];
    let desc = SortDesc { rows, n, operands: 3, keys: 2, operand: operands.as_ptr() };
    let inputs = [first.as_ptr(), second.as_ptr().cast::<u8>(), payload.as_ptr().cast()];
    let outputs = [out.0.as_mut_ptr(), out.1.as_mut_ptr().cast::<u8>(), out.2.as_mut_ptr().cast()];
    // SAFETY: the arrays have rows × n elements.
    unsafe { sort_rows(&desc, inputs.as_ptr(), outputs.as_ptr()) };
    for row in 0..rows {
        let mut want: Vec<usize> = (0..n).map(|p| p * rows + row).collect();
        want.sort_by(|&a, &b| first[a].cmp(&first[b]).then(second[a].total_cmp(&second[b])));
        for (p, &w) in want.iter().enumerate() {
            let at = p * rows + row;
            assert_eq!((out.0[at], out.1[at], out.2[at]), (first[w], second[w], payload[w]));
        }
    }
}

/// Sorts rows of a `bool` key with payloads of words (every `stride`-th), and of a byte if `third`; in place if asked.
fn check_bools(n: usize, stride: usize, third: bool, in_place: bool) {
    let rows = 3;
    let mut keys: Vec<u8> = (0..rows * n).map(|i| u8::from(hash(i).is_multiple_of(3) == (i / n != 1))).collect();
    let mut words: Vec<u32> = (0..rows * n * stride).map(hash).collect();
    let mut bytes: Vec<u8> = (0..rows * n).map(|i| hash(i) as u8).collect();
    let (before_keys, before_words, before_bytes) = (keys.clone(), words.clone(), bytes.clone());
    let strided = SortOperand {
        in_row: (n * stride) as isize,
        in_element: stride as isize,
        out_row: (n * stride) as isize,
        out_element: stride as isize,
        ..operand(Elem::I32, n)
    };
    let operands = [operand(Elem::Bool, n), strided, operand(Elem::U8, n)];
    let desc = SortDesc { rows, n, operands: 2 + usize::from(third), keys: 1, operand: operands.as_ptr() };
    let (mut out_keys, mut out_words, mut out_bytes) =
        (vec![9u8; rows * n], vec![0u32; words.len()], vec![0u8; rows * n]);
    let inputs = [keys.as_mut_ptr(), words.as_mut_ptr().cast(), bytes.as_mut_ptr()];
    let apart = [out_keys.as_mut_ptr(), out_words.as_mut_ptr().cast(), out_bytes.as_mut_ptr()];
    let outputs = if in_place { inputs } else { apart };
    // SAFETY: the arrays have rows × n elements, words `stride` times as many.
    unsafe { sort_rows(&desc, inputs.as_ptr().cast(), outputs.as_ptr()) };
    if in_place {
        (out_keys, out_words, out_bytes) = (keys, words, bytes);
    }
    for row in 0..rows {
        let mut want: Vec<usize> = (row * n..row * n + n).collect();
        want.sort_by_key(|&at| before_keys[at]);
        for (i, &w) in want.iter().enumerate() {
            let at = row * n + i;
            assert_eq!(out_keys[at], before_keys[w], "n {n}, row {row}, place {i}");
            assert_eq!(out_words[at * stride], before_words[w * stride], "n {n}, row {row}, place {i}");
            assert!(!third || out_bytes[at] == before_bytes[w]);
        }
    }
}

#[test]
fn bools_part_in_two() {
    for n in [1, 2, 15, 16, 17, 63, 64, 500, 1000] {
        for (stride, third) in [(1, false), (1, true), (3, false)] {
            for in_place in [false, true] {
                check_bools(n, stride, third, in_place);
            }
        }
    }
}

#[test]
fn parting_is_the_same_at_every_level() {
    for n in [0, 1, 15, 16, 33, 256, 1001] {
        let flags: Vec<u8> = (0..n).map(|i| u8::from(hash(i) % 5 > 1)).collect();
        let words: Vec<u32> = (0..n).map(|i| hash(i + 7)).collect();
        let mut want: Vec<u32> = (0..n).filter(|i| flags[*i] == 0).map(|i| words[i]).collect();
        let first = want.len();
        want.extend((0..n).filter(|i| flags[*i] != 0).map(|i| words[i]));
        for level in Level::available() {
            let mut to = vec![0u32; n + 1];
            to[n] = 77;
            // SAFETY: the arrays have n elements and one more to see that it stays.
            let count = unsafe { part_words(level, flags.as_ptr(), words.as_ptr(), n, to.as_mut_ptr()) };
            assert_eq!((count, &to[..n], to[n]), (first, &want[..], 77), "{level:?}, n {n}");
        }
    }
}
