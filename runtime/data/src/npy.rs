//! One array as NumPy stores it: a header that is a Python dictionary, then the elements.
//!
//! The format is that of `numpy.lib.format`, versions 1 to 3.

use std::io::Read;

use crate::array::{Array, Element};
use crate::convert::{self, Stored};
use crate::problem::{Problem, Room};

const MAGIC: &[u8] = b"\x93NUMPY";

/// The array as a `.npy` file.
pub fn write(a: &Array) -> Vec<u8> {
    let shape: Vec<String> = a.shape.iter().map(usize::to_string).collect();
    let shape = if shape.len() == 1 { format!("{},", shape[0]) } else { shape.join(", ") };
    let mut header = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({shape}), }}", descr(a.element));
    // The elements begin at a multiple of 64 bytes.
    let prefix = MAGIC.len() + 4;
    let padded = (prefix + header.len() + 1).next_multiple_of(64) - prefix;
    header.extend(std::iter::repeat_n(' ', padded - header.len() - 1));
    header.push('\n');
    let mut out = Vec::with_capacity(prefix + header.len() + a.bytes.len());
    out.extend_from_slice(MAGIC);
    // A shape of so many axes that version 1 cannot hold the header has no place in memory either.
    out.extend_from_slice(&[1, 0]);
    out.extend_from_slice(&(header.len() as u16).to_le_bytes());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&a.bytes);
    out
}

fn descr(e: Element) -> String {
    let end = if cfg!(target_endian = "little") { '<' } else { '>' };
    match e {
        Element::F32 => format!("{end}f4"),
        Element::F64 => format!("{end}f8"),
        Element::F16 => format!("{end}f2"),
        // NumPy has no name for them; this is how `ml_dtypes` has them stored.
        Element::BF16 => format!("{end}V2"),
        Element::I32 => format!("{end}i4"),
        Element::U32 => format!("{end}u4"),
        Element::U8 => "|u1".to_string(),
        Element::Bool => "|b1".to_string(),
    }
}

/// The array in a `.npy` file, from where the reader stands to its end.
pub fn read(from: &mut dyn Read, room: &mut Room) -> Result<Array, Problem> {
    let mut start = [0; 8];
    exact(from, &mut start)?;
    if !start.starts_with(MAGIC) {
        return Err(Problem::malformed("this is no `.npy` file: it does not begin with `\\x93NUMPY`"));
    }
    let length = match start[6] {
        1 => {
            let mut length = [0; 2];
            exact(from, &mut length)?;
            u16::from_le_bytes(length) as usize
        }
        2 | 3 => {
            let mut length = [0; 4];
            exact(from, &mut length)?;
            u32::from_le_bytes(length) as usize
        }
        version => return Err(Problem::malformed(format!("version {version} of the format is unknown"))),
    };
    if length > LONGEST_HEADER {
        return Err(Problem::malformed(format!("its header would have {length} bytes")));
    }
    let mut header = vec![0; length];
    exact(from, &mut header)?;
    let header = String::from_utf8_lossy(&header);
    let Header { stored, big_endian, fortran, shape } = parse(&header)?;
    let array = convert::read(from, stored, big_endian, &shape, room)?;
    let array = if fortran { convert::row_major(array) } else { array };
    match from.read(&mut [0]) {
        Ok(0) => Ok(array),
        Ok(_) => Err(Problem::malformed("there are bytes behind its last element")),
        Err(e) => Err(Problem::malformed(e.to_string())),
    }
}

/// Headers of real arrays have about a hundred bytes.
const LONGEST_HEADER: usize = 1 << 20;
const MOST_AXES: usize = 32;

fn exact(from: &mut dyn Read, bytes: &mut [u8]) -> Result<(), Problem> {
    from.read_exact(bytes).map_err(|_| Problem::malformed("the file ends inside of its header"))
}

struct Header {
    stored: Stored,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
fn parse(header: &str) -> Result<Header, Problem> {
    let value = |key: &str| {
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let after = quoted.iter().find_map(|q| header.split_once(q.as_str()));
        let value = after.and_then(|(_, rest)| rest.trim_start().strip_prefix(':')).map(str::trim_start);
        value.ok_or_else(|| Problem::malformed(format!("its header has no `{key}`")))
    };
    let descr = value("descr")?;
    let descr = match descr.chars().next() {
        Some(quote @ ('\'' | '"')) => descr[1..].split(quote).next().unwrap_or(""),
        _ => return Err(Problem::element("its elements are records").help("save each field as an array of its own")),
    };
    let (stored, big_endian) = element(descr)?;
    let fortran = value("fortran_order")?.starts_with("True");
    let sizes = value("shape")?.strip_prefix('(').and_then(|s| s.split_once(')'));
    let Some((sizes, _)) = sizes else { return Err(Problem::malformed("the shape in its header is no tuple")) };
    let sizes = sizes.split(',').map(str::trim).filter(|n| !n.is_empty());
    let shape: Option<Vec<usize>> = sizes.map(|n| n.trim_end_matches('L').parse().ok()).collect();
    match shape {
        Some(shape) if shape.len() <= MOST_AXES => Ok(Header { stored, big_endian, fortran, shape }),
        Some(_) | None => Err(Problem::malformed("the shape in its header is no tuple of sizes")),
    }
}

/// NumPy's name of an element type: the order of bytes, a letter, and how many bytes.
fn element(descr: &str) -> Result<(Stored, bool), Problem> {
    let big_endian = descr.starts_with('>');
    let stored = match descr.trim_start_matches(['<', '>', '|', '=']) {
        "b1" | "?" => Stored::Bool,
        "i1" => Stored::I8,
        "i2" => Stored::I16,
        "i4" => Stored::I32,
        "i8" => Stored::I64,
        "u1" => Stored::U8,
        "u2" => Stored::U16,
        "u4" => Stored::U32,
        "u8" => Stored::U64,
        "f2" => Stored::F16,
        "V2" => Stored::BF16,
        "f4" => Stored::F32,
        "f8" => Stored::F64,
        other => {
            let (what, help) = match other.chars().next() {
                Some('f') => ("floating-point numbers of another width", "`x.astype(np.float32)` before saving it"),
                Some('c') => ("complex numbers", "save the real and the imaginary part"),
                Some('U' | 'S' | 'a') => ("strings", "save numbers that stand for them"),
                Some('O') => ("Python objects", "save arrays of numbers, of one length"),
                Some('M' | 'm') => ("times", "`x.astype('datetime64[s]').astype(np.int64)` are seconds"),
                _ => ("of no type that is known here", "save arrays of numbers"),
            };
            let e = Problem::element(format!("its elements are {what} (`{}`)", descr.escape_default()));
            return Err(e.help(help));
        }
    };
    Ok((stored, big_endian))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, elements: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), elements].concat()
    }

    fn read_all(bytes: &[u8]) -> Result<Array, String> {
        read(&mut &bytes[..], &mut Room(1 << 20)).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_written_is_read() {
        for shape in [vec![], vec![6], vec![2, 3], vec![1, 2, 3]] {
            let bytes: Vec<u8> = (0..shape.iter().product::<usize>() as u32).flat_map(|x| x.to_ne_bytes()).collect();
            let a = Array { element: Element::U32, shape, bytes };
            assert_eq!(write(&a).len() % 64, a.bytes.len() % 64);
            assert_eq!(read_all(&write(&a)), Ok(a));
        }
    }

    #[test]
    fn other_orders_and_widths() {
        let turned = file("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}", &[0, 3, 1, 4, 2, 5]);
        assert_eq!(read_all(&turned).expect("read").bytes, [0, 1, 2, 3, 4, 5]);
        let cube = file("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2, 2)}", &[0, 4, 2, 6, 1, 5, 3, 7]);
        assert_eq!(read_all(&cube).expect("read").bytes, [0, 1, 2, 3, 4, 5, 6, 7]);
        let big = file("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }", &[0xff, 0xfe, 1, 0]);
        assert_eq!(read_all(&big).expect("read").numbers(), [-2.0, 256.0]);
        let long = file("{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}", &(-7i64).to_le_bytes());
        assert_eq!(read_all(&long).expect("read").numbers(), [-7.0]);
        let truth = file("{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", &[0, 77]);
        assert_eq!(read_all(&truth).expect("read").bytes, [0, 1]);
    }

    #[test]
    fn problems_are_told() {
        let of = |header: &str, elements: &[u8]| read_all(&file(header, elements)).expect_err("a problem");
        let f4 = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
        assert_eq!(of(f4, &[0; 7]), "the file ends before its elements do");
        assert_eq!(of(f4, &[0; 9]), "there are bytes behind its last element");
        let wide = of("{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}", &(1i64 << 40).to_le_bytes());
        assert!(wide.contains("1099511627776") && wide.contains("i32"), "{wide}");
        assert!(of("{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}", &[]).contains("complex numbers (`<c8`)"));
        assert!(of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", &[]).contains("records"));
        let none = read_all(&file("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2)}", &[]));
        assert_eq!(none.map(|a| (a.shape, a.bytes)), Ok((vec![0, 2], Vec::new())));
        let huge = of("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999)}", &[]);
        assert!(huge.contains("more than any machine has"), "{huge}");
        let large = of("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,)}", &[]);
        assert!(large.contains("takes 372.5 GiB, and 0.0 GiB are free"), "{large}");
        assert!(read_all(b"PK").expect_err("a problem").contains("header"));
    }
}
