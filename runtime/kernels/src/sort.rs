//! Stable sorting of rows by one or several keys, carrying payloads along.
//!
//! Keys become unsigned integers in the order of `Prim::Sort`: floats -inf < … -0 = +0 … inf < NaN, all NaNs being
//! equal. One key of at most 32 bits, the usual case (a random permutation is a sort of positions by random keys), is packed
//! with its position into 64 bits and sorted by radix, which is stable by itself. A key that is a `bool` parts the positions in one pass.

use crate::elem::Elem;
use crate::part::part_words;
use crate::scratch::Scratch;
use crate::simd::Level;

/// One array of a sort, and the places of its elements: `[row, position]` at `row * …_row + position * …_element`, in elements.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SortOperand {
    pub elem: Elem,
    pub in_row: isize,
    pub in_element: isize,
    pub out_row: isize,
    pub out_element: isize,
}

/// Sorts `rows` rows of `n` elements of every operand so that the first `keys` operands ascend lexicographically.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SortDesc {
    pub rows: usize,
    /// Below 2³².
    pub n: usize,
    /// Length of `operand`.
    pub operands: usize,
    pub keys: usize,
    pub operand: *const SortOperand,
}

/// Reads `inputs[i]`, writes `outputs[i]`, for every operand.
///
/// # Safety
/// `desc` and its operands, and `operands` pointers on both sides, must be readable, 1 <= keys <= operands; the inputs readable and the
/// outputs writable at every place their strides reach, aligned. An output may be an input if both have the same strides, and must not
/// overlap one otherwise.
pub unsafe extern "C" fn sort_rows(desc: *const SortDesc, inputs: *const *const u8, outputs: *const *mut u8) {
    // SAFETY: the caller's promises; the scratch has room for two arrays of n words, and for a row of every operand at 8 bytes.
    unsafe {
        let desc = &*desc;
        let operands = std::slice::from_raw_parts(desc.operand, desc.operands);
        let inputs = std::slice::from_raw_parts(inputs, desc.operands);
        let outputs = std::slice::from_raw_parts(outputs, desc.operands);
        let n = desc.n;
        if n == 0 {
            return;
        }
        let in_place = outputs.iter().any(|&output| inputs.contains(&output.cast_const()));
        let mut scratch = Scratch::take::<u64>((2 + desc.operands) * n);
        let words = std::slice::from_raw_parts_mut(scratch.pointer::<u64>(), (2 + desc.operands) * n);
        let (order, rest) = words.split_at_mut(n);
        let (spare, held) = rest.split_at_mut(n);
        for row in 0..desc.rows {
            let place = |i: usize| Column {
                base: inputs[i].offset(row as isize * operands[i].in_row * operands[i].elem.bytes() as isize),
                stride: operands[i].in_element,
            };
            let target = |i: usize| ColumnMut {
                base: outputs[i].offset(row as isize * operands[i].out_row * operands[i].elem.bytes() as isize),
                stride: operands[i].out_element,
            };
            if part_row(operands, desc.keys, n, place, target, spare) {
                continue;
            }
            if desc.keys == 1 && operands[0].elem == Elem::Bool {
                part(place(0), order);
            } else if desc.keys == 1 && operands[0].elem != Elem::F64 {
                order_by_short_key(operands[0].elem, place(0), order, spare);
            } else {
                order_by_keys(&operands[..desc.keys], place, order);
            }
            if !in_place {
                for (i, operand) in operands.iter().enumerate() {
                    gather(operand.elem, place(i), order, target(i));
                }
                continue;
            }
            let holder = |i: usize, held: &mut [u64]| held[i * n..].as_mut_ptr().cast::<u8>();
            for (i, operand) in operands.iter().enumerate() {
                let to = ColumnMut { base: holder(i, held), stride: 1 };
                gather(operand.elem, place(i), order, to);
            }
            for (i, operand) in operands.iter().enumerate() {
                let from = Column { base: holder(i, held), stride: 1 };
                copy(operand.elem, from, n, |i| i, target(i));
            }
        }
    }
}

/// One row of an operand: `stride` counts elements.
#[derive(Clone, Copy)]
struct Column {
    base: *const u8,
    stride: isize,
}

#[derive(Clone, Copy)]
struct ColumnMut {
    base: *mut u8,
    stride: isize,
}

impl Column {
    /// # Safety
    /// The place must be readable as T.
    #[inline(always)]
    unsafe fn get<T: Copy>(self, at: usize) -> T {
        // SAFETY: the caller's.
        unsafe { *self.base.cast::<T>().offset(at as isize * self.stride) }
    }
}

/// Ascending with the order of floats; -0 and +0 become one, as do all NaNs.
#[inline(always)]
fn ordered_f32(x: f32) -> u32 {
    // x + 0 turns -0 into +0 and changes nothing else but a NaN.
    let bits = if x.is_nan() { u32::MAX >> 1 } else { (x + 0.0).to_bits() };
    bits ^ ((bits as i32 >> 31) as u32 | 1 << 31)
}

fn ordered_f64(x: f64) -> u64 {
    let bits = if x.is_nan() { u64::MAX >> 1 } else { (x + 0.0).to_bits() };
    bits ^ ((bits as i64 >> 63) as u64 | 1 << 63)
}

/// The element as an unsigned integer of the same order.
///
/// # Safety
/// The place must be readable as an `elem`.
unsafe fn ordered(elem: Elem, column: Column, at: usize) -> u64 {
    // SAFETY: the caller's.
    unsafe {
        match elem {
            Elem::F32 => ordered_f32(column.get(at)) as u64,
            Elem::F64 => ordered_f64(column.get(at)),
            Elem::I32 => (column.get::<u32>(at) ^ 1 << 31) as u64,
            Elem::U32 => column.get::<u32>(at) as u64,
            Elem::U8 | Elem::Bool => column.get::<u8>(at) as u64,
        }
    }
}

/// Sorts a row of words by a `bool`, where that is all there is and nothing lies apart.
///
/// # Safety
/// As [`sort_rows`], of one row; `spare` must have room for as many words.
unsafe fn part_row(
    operands: &[SortOperand],
    keys: usize,
    n: usize,
    from: impl Fn(usize) -> Column,
    to: impl Fn(usize) -> ColumnMut,
    spare: &mut [u64],
) -> bool {
    let [key, word] = operands else { return false };
    let dense = |o: &SortOperand| o.in_element == 1 && o.out_element == 1;
    if keys != 1 || key.elem != Elem::Bool || word.elem.bytes() != 4 || !dense(key) || !dense(word) {
        return false;
    }
    // SAFETY: the caller's. Words that are sorted in place are read from a copy; flags are written when they have been read.
    unsafe {
        let mut words = from(1).base.cast::<u32>();
        let sorted = to(1).base.cast::<u32>();
        if words == sorted.cast_const() {
            let copy = spare.as_mut_ptr().cast::<u32>();
            copy.copy_from_nonoverlapping(words, n);
            words = copy;
        }
        let first = part_words(Level::of_machine(), from(0).base, words, n, sorted);
        let flags = to(0).base;
        flags.write_bytes(0, first);
        flags.add(first).write_bytes(1, n - first);
    }
    true
}

/// Positions of `false`, then those of `true`.
///
/// # Safety
/// The column must have `order.len()` elements of `bool`.
unsafe fn part(column: Column, order: &mut [u64]) {
    // SAFETY: the caller's.
    let is = |at: usize| unsafe { column.get::<u8>(at) } != 0;
    let count = (0..order.len()).filter(|at| !is(*at)).count();
    let mut next = [0, count];
    for at in 0..order.len() {
        let side = &mut next[usize::from(is(at))];
        order[*side] = at as u64;
        *side += 1;
    }
}

/// Leaves the sorted positions in the low halves of `order`.
///
/// # Safety
/// The column must have `order.len()` elements of `elem`, which is neither `F64` nor `Bool`.
unsafe fn order_by_short_key(elem: Elem, column: Column, order: &mut [u64], spare: &mut [u64]) {
    macro_rules! fill {
        ($t:ty, $key:expr) => {
            for (at, packed) in order.iter_mut().enumerate() {
                // SAFETY: the caller's.
                let x = unsafe { column.get::<$t>(at) };
                *packed = ($key(x) as u64) << 32 | at as u64;
            }
        };
    }
    match elem {
        Elem::F32 => fill!(f32, ordered_f32),
        Elem::I32 => fill!(u32, |x: u32| x ^ 1 << 31),
        Elem::U32 => fill!(u32, |x: u32| x),
        Elem::U8 => fill!(u8, |x: u8| x),
        Elem::F64 | Elem::Bool => unreachable!("sorted in another way"),
    }
    sort_packed(order, spare);
}

/// Sorts by the high halves; elements come with ascending low halves. From 96 elements up by radix over the two upper bytes of the key,
/// which leaves keys that are spread out nearly sorted, and then by insertion, unless that turns out to be much work.
fn sort_packed(order: &mut [u64], spare: &mut [u64]) {
    if order.len() < 96 {
        order.sort_unstable();
        return;
    }
    let mut counts = [[0u32; 256]; 2];
    for &packed in order.iter() {
        counts[0][(packed >> 48 & 255) as usize] += 1;
        counts[1][(packed >> 56) as usize] += 1;
    }
    scatter_by_byte(order, spare, 48, &mut counts[0]);
    scatter_by_byte(spare, order, 56, &mut counts[1]);
    if !insertion_sort(order, 4 * order.len()) {
        order.sort_unstable();
    }
}

/// One pass of the radix sort: by the byte at `shift`, of which `counts` tells the frequencies.
fn scatter_by_byte(from: &[u64], to: &mut [u64], shift: u32, counts: &mut [u32; 256]) {
    let mut start = 0;
    for count in counts.iter_mut() {
        start += std::mem::replace(count, start);
    }
    for &packed in from {
        let next = &mut counts[(packed >> shift & 255) as usize];
        to[*next as usize] = packed;
        *next += 1;
    }
}

/// Sorts and says true, or gives up after `budget` moves.
fn insertion_sort(x: &mut [u64], mut budget: usize) -> bool {
    for i in 1..x.len() {
        let moved = x[i];
        let mut at = i;
        while at > 0 && x[at - 1] > moved {
            if budget == 0 {
                // What is in hand goes back to where the gap is.
                x[at] = moved;
                return false;
            }
            budget -= 1;
            x[at] = x[at - 1];
            at -= 1;
        }
        x[at] = moved;
    }
    true
}

/// As [`order_by_short_key`], for any keys: by comparison, which reads them anew.
///
/// # Safety
/// Every column of a key must have `order.len()` elements.
unsafe fn order_by_keys(keys: &[SortOperand], column: impl Fn(usize) -> Column, order: &mut [u64]) {
    for (at, position) in order.iter_mut().enumerate() {
        *position = at as u64;
    }
    let columns: Vec<Column> = (0..keys.len()).map(column).collect();
    order.sort_unstable_by(|&a, &b| {
        for (key, &column) in keys.iter().zip(&columns) {
            // SAFETY: the caller's; positions are below the length.
            let ordering = unsafe { ordered(key.elem, column, a as usize).cmp(&ordered(key.elem, column, b as usize)) };
            if ordering.is_ne() {
                return ordering;
            }
        }
        // Positions decide last, which is what stable means.
        a.cmp(&b)
    });
}

/// `to[i] = from[order[i]]`, the low halves of `order` being positions.
///
/// # Safety
/// Both sides must have `order.len()` elements of `elem`, and positions be below that.
unsafe fn gather(elem: Elem, from: Column, order: &[u64], to: ColumnMut) {
    // SAFETY: the caller's.
    unsafe { copy(elem, from, order.len(), |i| order[i] as u32 as usize, to) }
}

/// `to[i] = from[position(i)]` for i below n.
///
/// # Safety
/// Both sides must have those elements of `elem`.
#[inline(always)]
unsafe fn copy(elem: Elem, from: Column, n: usize, position: impl Fn(usize) -> usize, to: ColumnMut) {
    macro_rules! copy_as {
        ($t:ty) => {
            for i in 0..n {
                // SAFETY: the caller's.
                unsafe { *to.base.cast::<$t>().offset(i as isize * to.stride) = from.get::<$t>(position(i)) };
            }
        };
    }
    match elem.bytes() {
        8 => copy_as!(u64),
        4 => copy_as!(u32),
        _ => copy_as!(u8),
    }
}
