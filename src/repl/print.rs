//! Values as text: as the language writes them, and where they are large, their ends, their type and their sizes.
//!
//! ```text
//! [[ 0.1, 0.2],          State {                        [0, 1, 2, …, 997, 998, 999] : i32[1000]
//!  [10.0, 3.0]]            x: 0.5
//!                          history: [0.0, 1.0, 4.0] }
//! ```

use std::sync::Arc;

use whorl_core::ir::{ArrayData, DType, Type};
use whorl_trace::{Kept, Known, Outline};

/// Arrays of more elements are told by their ends.
const MOST_ELEMENTS: usize = 100;
/// Of an axis that is cut short: so many at either end.
const ENDS: usize = 3;
/// An axis of records of more is cut short.
const MOST_RECORDS: usize = 8;
/// Digits of a number in an array; one alone is told to its last.
const DIGITS: usize = 6;

/// The value in lines of about `width` characters.
pub fn value(kept: &Kept, width: usize) -> String {
    let arrays: Vec<&ArrayData> = kept.arrays.iter().map(Arc::as_ref).collect();
    lines(&kept.outline, &arrays, 0, width.max(20)).join("\n")
}

/// A value in few words, on one line: for lists of names.
pub fn in_short(kept: &Kept, width: usize) -> String {
    let text = value(kept, usize::MAX / 2);
    if !text.contains('\n') && text.chars().count() <= width { text } else { kept.outline.type_text() }
}

/// Element `at` of what `arrays` hold.
fn lines(outline: &Outline, arrays: &[&ArrayData], at: usize, width: usize) -> Vec<String> {
    match outline {
        Outline::Numbers(ty) => numbers(ty, arrays[0], at, width),
        Outline::Known(known) => vec![known_text(known)],
        Outline::Key => {
            let word = |k: usize| arrays[k].element(at).to_f64();
            let (high, low) = (word(0), word(1));
            vec![if high == 0.0 { format!("key({low})") } else { format!("a key of the words {high} and {low}") }]
        }
        Outline::Unit => vec!["()".to_string()],
        Outline::Function(text) => vec![text.clone()],
        Outline::Module(path) => vec![format!("the module {path}")],
        Outline::Tuple(parts) => {
            let parts = parts.iter().map(|part| (String::new(), part));
            group("(", ")", "", each(parts, arrays, at, width), width)
        }
        Outline::Record { name, fields } => {
            let open = name.as_ref().map_or("{".to_string(), |name| format!("{name} {{"));
            let fields = fields.iter().map(|(name, part)| (format!("{name}: "), part));
            group(&open, "}", " ", each(fields, arrays, at, width), width)
        }
        Outline::Enum { of, variants, fields } => {
            let tag = match &fields[0].1 {
                Outline::Known(Known::Int(tag)) => *tag as usize,
                _ => arrays[0].element(at).to_f64() as usize,
            };
            let tag = tag.min(variants.len().saturating_sub(1));
            let (variant, named, count) = &variants[tag];
            let before: usize = variants[..tag].iter().map(|(_, _, n)| n).sum();
            let own = &fields[1 + before..1 + before + count];
            let skipped: usize = fields[..1 + before].iter().map(|(_, part)| part.arrays()).sum();
            let head = format!("{}.{variant}", of.name);
            if own.is_empty() {
                return vec![head];
            }
            // Fields are called by what tells them from those of other variants: `Circle.radius`.
            let name = |path: &str| match path.rsplit_once('.') {
                Some((_, name)) => format!("{name}: "),
                None => format!("{path}: "),
            };
            let parts = own.iter().map(|(path, part)| (if *named { name(path) } else { String::new() }, part));
            let inner = each(parts, &arrays[skipped..], at, width);
            match named {
                true => group(&format!("{head} {{"), "}", " ", inner, width),
                false => group(&format!("{head}("), ")", "", inner, width),
            }
        }
        Outline::Array(n, inner) => {
            let shown = ends(*n, MOST_RECORDS);
            let element = |k: Option<usize>| match k {
                Some(k) => lines(inner, arrays, at * n + k, width.saturating_sub(2)),
                None => vec!["…".to_string()],
            };
            let mut out = group("[", "]", "", shown.iter().map(|k| element(*k)).collect(), width);
            if shown.contains(&None) {
                tell(&mut out, &outline.type_text());
            }
            out
        }
    }
}

/// The parts of a record or a tuple, each with its name in front.
fn each<'o>(
    parts: impl Iterator<Item = (String, &'o Outline)>,
    mut arrays: &[&ArrayData],
    at: usize,
    width: usize,
) -> Vec<Vec<String>> {
    let part = |(name, part): (String, &Outline)| {
        let (own, rest) = arrays.split_at(part.arrays());
        arrays = rest;
        let wide = name.chars().count();
        let mut block = lines(part, own, at, width.saturating_sub(wide + 3));
        // Rows of numbers stand below each other; what else takes several lines ends where the name begins.
        let indent = if matches!(part, Outline::Numbers(_)) { wide } else { 0 };
        for (k, line) in block.iter_mut().enumerate() {
            *line = if k == 0 { format!("{name}{line}") } else { format!("{:indent$}{line}", "") };
        }
        block
    };
    parts.map(part).collect()
}

/// Blocks between brackets: in one line if they fit, else each in its own.
fn group(open: &str, close: &str, inside: &str, blocks: Vec<Vec<String>>, width: usize) -> Vec<String> {
    if blocks.is_empty() {
        return vec![format!("{open}{close}")];
    }
    let flat = blocks.iter().all(|b| b.len() == 1);
    if flat {
        let line = format!(
            "{open}{inside}{}{inside}{close}",
            blocks.iter().map(|b| b[0].as_str()).collect::<Vec<_>>().join(", ")
        );
        if line.chars().count() <= width {
            return vec![line];
        }
    }
    let mut out = vec![open.to_string()];
    for block in blocks {
        out.extend(block.into_iter().map(|line| format!("  {line}")));
    }
    out.push(close.to_string());
    out
}

/// The type, behind the last line.
fn tell(lines: &mut [String], type_text: &str) {
    if let Some(last) = lines.last_mut() {
        *last += &format!(" : {type_text}");
    }
}

/// The places of an axis that are shown; `None` stands for what is left out.
fn ends(n: usize, most: usize) -> Vec<Option<usize>> {
    if n <= most.max(2 * ENDS) {
        return (0..n).map(Some).collect();
    }
    (0..ENDS).map(Some).chain([None]).chain((n - ENDS..n).map(Some)).collect()
}

fn numbers(ty: &Type, array: &ArrayData, at: usize, width: usize) -> Vec<String> {
    let first = at * ty.size();
    let text = |k: usize| number(array, first + k, ty.is_scalar());
    let short = ty.size() > MOST_ELEMENTS;
    let mut out = if ty.is_scalar() {
        vec![text(0)]
    } else {
        let shown: Vec<Vec<Option<usize>>> =
            ty.shape.iter().map(|n| ends(*n, if short { 2 * ENDS } else { MOST_ELEMENTS })).collect();
        // Columns are as wide as their widest number; a vector has none.
        let places = positions(&ty.shape, &shown);
        let wide =
            if ty.shape.len() < 2 { 0 } else { places.iter().map(|k| text(*k).chars().count()).max().unwrap_or(0) };
        rows(&ty.shape, &shown, 0, wide, width, &text)
    };
    // Elsewhere the text says what it is.
    let plain = matches!(ty.dtype, DType::F32 | DType::I32 | DType::Bool);
    if short || !plain || ty.size() == 0 {
        tell(&mut out, &Outline::Numbers(ty.clone()).type_text());
    }
    out
}

/// The elements that are shown, row-major.
fn positions(shape: &[usize], shown: &[Vec<Option<usize>>]) -> Vec<usize> {
    shape.iter().zip(shown).fold(vec![0], |before, (n, places)| {
        before.iter().flat_map(|p| places.iter().flatten().map(move |k| p * n + k)).collect()
    })
}

fn rows(
    shape: &[usize],
    shown: &[Vec<Option<usize>>],
    at: usize,
    wide: usize,
    width: usize,
    text: &dyn Fn(usize) -> String,
) -> Vec<String> {
    let [n, inner @ ..] = shape else { return vec![text(at)] };
    if inner.is_empty() {
        let cell = |k: &Option<usize>| k.map_or("…".to_string(), |k| format!("{:>wide$}", text(at * n + k)));
        return wrapped(shown[0].iter().map(cell), width);
    }
    let mut out: Vec<String> = Vec::new();
    let last = shown[0].len().saturating_sub(1);
    for (i, k) in shown[0].iter().enumerate() {
        let row = match k {
            Some(k) => rows(inner, &shown[1..], at * n + k, wide, width.saturating_sub(1), text),
            None => vec!["…".to_string()],
        };
        let comma = if i < last && k.is_some() { "," } else { "" };
        let count = row.len();
        for (j, line) in row.into_iter().enumerate() {
            let end = if j + 1 == count { comma } else { "" };
            out.push(format!("{}{line}{end}", if out.is_empty() { "[" } else { " " }));
        }
    }
    if out.is_empty() {
        out.push("[".to_string());
    }
    if let Some(line) = out.last_mut() {
        line.push(']');
    }
    out
}

/// `[a, b, c]`, in as many lines as it takes.
fn wrapped(cells: impl Iterator<Item = String>, width: usize) -> Vec<String> {
    let mut out = vec!["[".to_string()];
    let mut first = true;
    for cell in cells {
        let line = out.last_mut().expect("never empty");
        if first {
            *line += &cell;
        } else if line.chars().count() + cell.chars().count() + 3 > width {
            line.push(',');
            out.push(format!(" {cell}"));
        } else {
            *line += &format!(", {cell}");
        }
        first = false;
    }
    out.last_mut().expect("never empty").push(']');
    out
}

/// An element: alone with all its digits, in an array with so many.
fn number(array: &ArrayData, k: usize, alone: bool) -> String {
    let x = array.element(k).to_f64();
    let rounded = || format!("{x:.*e}", DIGITS - 1).parse().unwrap_or(x);
    let x = if alone || !array.ty.dtype.is_float() || !x.is_finite() { x } else { rounded() };
    match array.ty.dtype {
        DType::F32 | DType::F16 | DType::BF16 => format!("{:?}", x as f32),
        DType::F64 => format!("{x:?}"),
        DType::Bool => format!("{}", x != 0.0),
        DType::I32 | DType::U32 | DType::U8 => format!("{x}"),
    }
}

fn known_text(known: &Known) -> String {
    match known {
        Known::Int(i) => i.to_string(),
        // As the `f32` that it is where nothing else decides.
        Known::Float(x) if (*x as f32).is_finite() => format!("{:?}", *x as f32),
        Known::Float(x) => format!("{x:?}"),
        Known::Bool(b) => b.to_string(),
        Known::Str(s) => format!("{s:?}"),
        Known::List(items) => {
            let (ends, long) = (ends(items.len(), MOST_ELEMENTS), items.len() > MOST_ELEMENTS);
            let item = |k: &Option<usize>| k.map_or("…".to_string(), |k| known_text(&items[k]));
            let text = format!("[{}]", ends.iter().map(item).collect::<Vec<_>>().join(", "));
            if long { format!("{text} : {}", Outline::Known(known.clone()).type_text()) } else { text }
        }
        Known::Range(from, to) => format!("{from}..{to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(outline: Outline, arrays: &[ArrayData], width: usize) -> String {
        value(&Kept { outline, arrays: arrays.iter().cloned().map(Arc::new).collect() }, width)
    }

    fn of(array: ArrayData, width: usize) -> String {
        shown(Outline::Numbers(array.ty.clone()), &[array], width)
    }

    #[test]
    fn numbers_and_arrays() {
        assert_eq!(of(ArrayData::scalar(1.0f32 / 3.0), 80), "0.33333334");
        assert_eq!(of(ArrayData::scalar(true), 80), "true");
        assert_eq!(of(ArrayData::scalar(200u8), 80), "200 : u8");
        assert_eq!(of(ArrayData::vector(&[1.0f32 / 3.0, -2.0]), 80), "[0.333333, -2.0]");
        assert_eq!(of(ArrayData::vector::<f32>(&[]), 80), "[] : f32[0]");
        assert_eq!(of(ArrayData::new(&[2, 2], &[1i32, 20, -300, 4]), 80), "[[   1,   20],\n [-300,    4]]");
        assert_eq!(of(ArrayData::new(&[1, 2, 1], &[1i32, 2]), 80), "[[[1],\n  [2]]]");
        assert_eq!(
            of(ArrayData::vector(&(0..12).collect::<Vec<i32>>()), 20),
            "[0, 1, 2, 3, 4, 5,\n 6, 7, 8, 9, 10, 11]"
        );
    }

    #[test]
    fn large_arrays_are_cut_short() {
        let long = ArrayData::vector(&(0..1000).collect::<Vec<i32>>());
        assert_eq!(of(long, 80), "[0, 1, 2, …, 997, 998, 999] : i32[1000]");
        let square = ArrayData::new(&[100, 2], &(0..200).collect::<Vec<i32>>());
        let expected =
            "[[  0,   1],\n [  2,   3],\n [  4,   5],\n …\n [194, 195],\n [196, 197],\n [198, 199]] : i32[100, 2]";
        assert_eq!(of(square, 80), expected);
    }

    #[test]
    fn records_keep_to_the_width() {
        let number = || Outline::Numbers(Type::scalar(DType::F32));
        let fields = vec![("x".to_string(), number()), ("angle".to_string(), number())];
        let record = Outline::Record { name: Some("State".to_string()), fields };
        let arrays = [ArrayData::vector(&[1.0f32, 2.0]), ArrayData::vector(&[0.5f32, 0.25])];
        let two = Outline::Array(2, Box::new(record));
        assert_eq!(shown(two.clone(), &arrays, 80), "[State { x: 1.0, angle: 0.5 }, State { x: 2.0, angle: 0.25 }]");
        let expected = "[\n  State { x: 1.0, angle: 0.5 }\n  State { x: 2.0, angle: 0.25 }\n]";
        assert_eq!(shown(two, &arrays, 40), expected);
    }
}
