//! NumPy's archives of arrays, as far as the recorded values need them.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use whorl_core::{ArrayData, DType, Type};
use zip::ZipArchive;

pub struct Npz(ZipArchive<BufReader<File>>);

impl Npz {
    pub fn open(path: &Path) -> Npz {
        let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Npz(ZipArchive::new(BufReader::new(file)).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    pub fn array(&mut self, name: &str) -> ArrayData {
        let mut bytes = Vec::new();
        let mut file = self.0.by_name(&format!("{name}.npy")).unwrap_or_else(|e| panic!("{name}: {e}"));
        file.read_to_end(&mut bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        npy(&bytes).unwrap_or_else(|| panic!("{name}: not an array of ours"))
    }
}

/// A file in NumPy's format, version 1 to 3, little-endian and row-major: a magic word, the length of a header, the header (a
/// dictionary as Python writes it), the elements.
fn npy(bytes: &[u8]) -> Option<ArrayData> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (length, from) = match rest.first()? {
        1 => (u16::from_le_bytes(rest.get(2..4)?.try_into().ok()?) as usize, 4),
        _ => (u32::from_le_bytes(rest.get(2..6)?.try_into().ok()?) as usize, 6),
    };
    let header = std::str::from_utf8(rest.get(from..from + length)?).ok()?;
    if header.contains("'fortran_order': True") {
        return None;
    }
    let after = |key: &str| header.split_once(key).map(|(_, value)| value.trim_start());
    let dtype = match after("'descr':")?.split('\'').nth(1)? {
        "<f4" => DType::F32,
        "<f8" => DType::F64,
        "<i4" => DType::I32,
        "<u4" => DType::U32,
        "|u1" => DType::U8,
        "|b1" => DType::Bool,
        _ => return None,
    };
    let sizes = after("'shape':")?.strip_prefix('(')?.split_once(')')?.0;
    let sizes = sizes.split(',').map(str::trim).filter(|n| !n.is_empty());
    let shape: Vec<usize> = sizes.map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let ty = Type::new(dtype, &shape);
    let elements = &rest[from + length..];
    (elements.len() == ty.size() * dtype.bytes()).then(|| ArrayData { ty, bytes: elements.to_vec() })
}
