//! Event files, decoded by what shares nothing with what wrote them: a checksum bit by bit, and a reader of any message.

use std::fs;
use std::path::{Path, PathBuf};

use whorl_host::metrics::Record;
use whorl_host::tensorboard::Events;

/// CRC-32C by its definition.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= *byte as u32;
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn masked(bytes: &[u8]) -> u32 {
    let crc = crc32c(bytes);
    (crc >> 15 | crc << 17).wrapping_add(0xa282_ead8)
}

#[derive(Clone, PartialEq, Debug)]
enum Field {
    Varint(u64),
    Eight([u8; 8]),
    Bytes(Vec<u8>),
    Four([u8; 4]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut x, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        x |= ((byte & 0x7f) as u64) << shift;
        shift += 7;
        if byte < 0x80 {
            return x;
        }
    }
}

fn taken<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (first, rest) = bytes.split_first_chunk().expect("as many bytes");
    *bytes = rest;
    *first
}

fn message(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut bytes)),
            1 => Field::Eight(taken(&mut bytes)),
            2 => {
                let n = varint(&mut bytes) as usize;
                let (data, rest) = bytes.split_at(n);
                bytes = rest;
                Field::Bytes(data.to_vec())
            }
            5 => Field::Four(taken(&mut bytes)),
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, field));
    }
    fields
}

/// Step and tags with values of each event behind the first, which must be the version.
fn events(path: &Path) -> Vec<(u64, Vec<(String, f32)>)> {
    let bytes = fs::read(path).expect("a file");
    let mut rest = &bytes[..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let length = &rest[..8];
        let n = u64::from_le_bytes(length.try_into().expect("eight")) as usize;
        assert_eq!(rest[8..12], masked(length).to_le_bytes(), "the checksum of the length");
        let data = &rest[12..12 + n];
        assert_eq!(rest[12 + n..16 + n], masked(data).to_le_bytes(), "the checksum of the data");
        all.push(message(data));
        rest = &rest[16 + n..];
    }
    let first = all.remove(0);
    assert_eq!(first[1], (3, Field::Bytes(b"brain.Event:2".to_vec())));
    all.into_iter()
        .map(|event| {
            let [(1, Field::Eight(time)), (2, Field::Varint(step)), (5, Field::Bytes(summary))] = &event[..] else {
                panic!("{event:?}")
            };
            assert!(f64::from_le_bytes(*time) > 1.7e9);
            let scalar = |(number, value): (u64, Field)| {
                assert_eq!(number, 1);
                let Field::Bytes(value) = value else { panic!("{value:?}") };
                match &message(&value)[..] {
                    [(1, Field::Bytes(tag)), (2, Field::Four(x))] => {
                        (String::from_utf8(tag.clone()).expect("text"), f32::from_le_bytes(*x))
                    }
                    other => panic!("{other:?}"),
                }
            };
            (*step, message(summary).into_iter().map(scalar).collect())
        })
        .collect()
}

fn records(steps: std::ops::Range<u64>) -> Vec<Record> {
    let of = |step: u64| {
        let x = step as f64;
        let record = |name: &str, values: [Option<f64>; 2]| Record { step, name: name.into(), values: values.into() };
        [
            record("loss", [Some(x / 3.0), Some(-x)]),
            record("return", [None, Some(300.0 * x)]),
            record("env_steps", [Some(512.0), Some(512.0)]),
        ]
    };
    steps.flat_map(of).collect()
}

fn file(folder: &Path, of: &str) -> PathBuf {
    let entries: Vec<PathBuf> =
        fs::read_dir(folder.join("tensorboard").join(of)).expect("a folder").map(|e| e.expect("read").path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("whorl-events-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn names() -> Vec<String> {
    ["loss", "return", "env_steps"].map(String::from).to_vec()
}

#[test]
fn every_run_and_the_mean() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    let folder = folder("whole");
    let mut out = Events::create(&folder, 2, &names()).expect("made");
    out.append(&records(0..1)).expect("written");
    out.append(&records(1..200)).expect("written");
    out.flush().expect("flushed");
    let (first, second, mean) =
        (events(&file(&folder, "run0")), events(&file(&folder, "run1")), events(&file(&folder, "mean")));
    assert_eq!(first.len(), 200);
    for step in [0u64, 1, 127, 128, 199] {
        let x = step as f32;
        let at = step as usize;
        assert_eq!(first[at], (step, vec![("loss".into(), (step as f64 / 3.0) as f32)]));
        assert_eq!(second[at], (step, vec![("loss".into(), -x), ("return".into(), 300.0 * x)]));
        assert_eq!(mean[at].1[1], ("return".into(), 300.0 * x));
        assert_eq!(mean[at].1[0].1, ((step as f64 / 3.0 - step as f64) / 2.0) as f32);
    }
    fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_run_that_goes_on() {
    let folder = folder("resumed");
    let mut out = Events::create(&folder, 2, &names()).expect("made");
    out.append(&records(0..150)).expect("written");
    out.flush().expect("flushed");
    drop(out);
    // Killed in the middle of an event.
    for (of, cut) in [("run0", 1), ("run1", 20), ("mean", 60)] {
        let path = file(&folder, of);
        let bytes = fs::read(&path).expect("read");
        fs::write(&path, &bytes[..bytes.len() - cut]).expect("written");
    }
    let mut out = Events::reopen(&folder, 2, &names(), 130).expect("opened");
    out.append(&records(130..140)).expect("written");
    out.flush().expect("flushed");
    for of in ["run0", "run1", "mean"] {
        let steps: Vec<u64> = events(&file(&folder, of)).iter().map(|e| e.0).collect();
        assert_eq!(steps, (0..140).collect::<Vec<_>>(), "{of}");
    }
    // From the start: nothing but the version is left.
    drop(Events::reopen(&folder, 2, &names(), 0).expect("opened"));
    assert_eq!(events(&file(&folder, "mean")), []);
    fs::remove_dir_all(&folder).expect("removed");
    // Where the folder is gone, it is made anew.
    drop(Events::reopen(&folder, 2, &names(), 5).expect("made"));
    assert_eq!(events(&file(&folder, "run1")), []);
    fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn many_runs_have_no_folders_of_their_own() {
    let folder = folder("many");
    let mut out = Events::create(&folder, 40, &["x".to_string()]).expect("made");
    let values = (0..40).map(|k| Some(k as f64)).collect();
    out.append(&[Record { step: 7, name: "x".into(), values }]).expect("written");
    out.flush().expect("flushed");
    assert_eq!(fs::read_dir(folder.join("tensorboard")).expect("a folder").count(), 33);
    assert_eq!(events(&file(&folder, "run31")), [(7, vec![("x".to_string(), 31.0)])]);
    assert_eq!(events(&file(&folder, "mean")), [(7, vec![("x".to_string(), 19.5)])]);
    fs::remove_dir_all(&folder).expect("removed");
}
