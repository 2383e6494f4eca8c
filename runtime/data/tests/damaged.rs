//! Files of any content give arrays or a problem; nothing panics, and nothing takes more memory than it may.

use std::io::Cursor;

use proptest::prelude::*;
use whorl_data::{Array, Data, Element, Format, npy, npz, read, table, tensors};

/// Memory that a test file may take.
const ROOM: u64 = 1 << 20;

fn arrays() -> Vec<(String, Array)> {
    let floats: Vec<u8> = (0..24).flat_map(|x| (x as f32 / 7.0).to_ne_bytes()).collect();
    let array = |element, shape: &[usize], bytes: Vec<u8>| Array { element, shape: shape.to_vec(), bytes };
    vec![
        ("net.first.weight".to_string(), array(Element::F32, &[4, 6], floats)),
        ("net.0".to_string(), array(Element::Bool, &[3], vec![0, 1, 1])),
        ("halves".to_string(), array(Element::F16, &[2], vec![0, 60, 1, 2])),
        ("brains".to_string(), array(Element::BF16, &[1], vec![128, 63])),
        ("labels".to_string(), array(Element::U8, &[2, 2], vec![1, 2, 3, 4])),
    ]
}

fn files() -> Vec<(Format, Vec<u8>)> {
    let columns: Vec<(String, Array)> = arrays().into_iter().filter(|(_, a)| a.shape.len() == 1).collect();
    vec![
        (Format::Npz, npz::write(&arrays()).expect("written")),
        (Format::Npy, npy::write(&arrays()[0].1)),
        (Format::Safetensors, tensors::write(&arrays()).expect("written")),
        (Format::Csv, table::write_columns(&columns).expect("written")),
        (Format::Tsv, b"a\tb\n1\t2.5\n3\t4\n".to_vec()),
    ]
}

/// Sizes and bytes agree, and bools are 0 or 1: what compiled code relies on.
fn sound(data: &Data) -> bool {
    match data {
        Data::Array(a) => {
            a.bytes.len() == a.size() * a.element.bytes()
                && a.size() > 0
                && (a.element != Element::Bool || a.bytes.iter().all(|b| *b < 2))
        }
        Data::Tuple(parts) => parts.iter().all(sound),
        Data::Record(fields) => fields.iter().all(|(_, d)| sound(d)),
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Set(usize, u8),
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(k, b)| Damage::Set(k, b)),
        (any::<usize>(), 0..8u8).prop_map(|(k, b)| Damage::Flip(k, b)),
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), proptest::collection::vec(any::<u8>(), 1..8)).prop_map(|(k, b)| Damage::Insert(k, b)),
        (any::<usize>(), 1..64usize).prop_map(|(k, n)| Damage::Repeat(k, n)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for d in damages {
        let n = bytes.len().max(1);
        match d {
            Damage::Set(k, b) => bytes.iter_mut().skip(k % n).take(1).for_each(|x| *x = *b),
            Damage::Flip(k, b) => bytes.iter_mut().skip(k % n).take(1).for_each(|x| *x ^= 1 << b),
            Damage::Cut(k) => bytes.truncate(k % n),
            Damage::Insert(k, new) => drop(bytes.splice(k % n..k % n, new.clone()).collect::<Vec<_>>()),
            Damage::Repeat(k, count) => {
                let part: Vec<u8> = bytes.iter().skip(k % n).take(*count).copied().collect();
                bytes.extend(part);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn damaged_files_are_answered(which in 0..5usize, header in any::<bool>(), damages in proptest::collection::vec(damage(), 0..4)) {
        let (format, bytes) = files().swap_remove(which);
        if let Ok(data) = read(Cursor::new(damaged(bytes, &damages)), format, header, ROOM) {
            prop_assert!(sound(&data));
        }
    }

    #[test]
    fn any_bytes_are_answered(which in 0..5usize, header in any::<bool>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(data) = read(Cursor::new(bytes), Format::ALL[which].1, header, ROOM) {
            prop_assert!(sound(&data));
        }
    }

    #[test]
    fn any_header_is_answered(text in "[{'descrfoa_hp: ,()<>|0-9TFalse}]{0,80}", elements in proptest::collection::vec(any::<u8>(), 0..40)) {
        let length = (text.len() as u16).to_le_bytes();
        let bytes = [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), &elements].concat();
        if let Ok(data) = read(Cursor::new(bytes), Format::Npy, true, ROOM) {
            prop_assert!(sound(&data));
        }
    }
}

#[test]
fn whole_files_are_read() {
    for (format, bytes) in files() {
        let data = read(Cursor::new(bytes), format, true, ROOM).unwrap_or_else(|e| panic!("{format:?}: {e}"));
        assert!(sound(&data), "{format:?}");
    }
}

/// A megabyte of zeros that says it is a terabyte does not take one.
#[test]
fn claims_are_not_believed() {
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (137438953472,), }";
    let length = (header.len() as u16).to_le_bytes();
    let bytes = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &[0; 1 << 20]].concat();
    for room in [1 << 30, u64::MAX >> 1] {
        assert!(read(Cursor::new(&bytes), Format::Npy, true, room).is_err());
    }
}
