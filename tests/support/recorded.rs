//! Values that other systems computed: NumPy archives and JSON in the folder that `WHORL_DATA` names.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use whorl_core::ir::{ArrayData, DType, Type};
use zip::ZipArchive;

/// Where the recorded values are, or `None`, having said so: a test that needs them then returns.
pub fn folder() -> Option<PathBuf> {
    let given = std::env::var_os("WHORL_DATA").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| super::root().join("../shared/data"));
    if !folder.is_dir() {
        println!("skipped: no recorded values (WHORL_DATA)");
        return None;
    }
    Some(folder)
}

/// The arrays and the description that are recorded under a name.
pub struct Recorded {
    pub about: serde_json::Value,
    arrays: ZipArchive<BufReader<File>>,
}

impl Recorded {
    /// `None`, having said so, where there are no recorded values at all; a folder without this name is an error.
    pub fn open(name: &str) -> Option<Recorded> {
        let folder = folder()?;
        let file = |end: &str| {
            let path = folder.join(format!("{name}.{end}"));
            BufReader::new(File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        };
        let about = serde_json::from_reader(file("json")).unwrap_or_else(|e| panic!("{name}.json: {e}"));
        let arrays = ZipArchive::new(file("npz")).unwrap_or_else(|e| panic!("{name}.npz: {e}"));
        Some(Recorded { about, arrays })
    }

    #[track_caller]
    pub fn array(&mut self, name: &str) -> ArrayData {
        let mut bytes = Vec::new();
        let mut file = self.arrays.by_name(&format!("{name}.npy")).unwrap_or_else(|e| panic!("{name}: {e}"));
        file.read_to_end(&mut bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        npy(&bytes).unwrap_or_else(|| panic!("{name}: not an array of ours"))
    }

    /// A list of whole numbers in the description.
    #[track_caller]
    pub fn numbers(&self, field: &str) -> Vec<u64> {
        let list = self.about[field].as_array().unwrap_or_else(|| panic!("no list `{field}`"));
        list.iter().map(|v| v.as_u64().unwrap_or_else(|| panic!("{field}: {v}"))).collect()
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
    let elements = &rest[from + length..];
    let mut narrowed = Vec::new();
    let dtype = match after("'descr':")?.split('\'').nth(1)? {
        "<f4" => DType::F32,
        "<f8" => DType::F64,
        "<i4" => DType::I32,
        "<u4" => DType::U32,
        "|u1" => DType::U8,
        "|b1" => DType::Bool,
        // NumPy's default for whole numbers; those recorded are small.
        "<i8" => {
            for word in elements.chunks_exact(8) {
                let wide = i64::from_le_bytes(word.try_into().ok()?);
                narrowed.extend_from_slice(&i32::try_from(wide).ok()?.to_ne_bytes());
            }
            DType::I32
        }
        _ => return None,
    };
    let elements = if narrowed.is_empty() { elements } else { &narrowed };
    let sizes = after("'shape':")?.strip_prefix('(')?.split_once(')')?.0;
    let sizes = sizes.split(',').map(str::trim).filter(|n| !n.is_empty());
    let shape: Vec<usize> = sizes.map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let ty = Type::new(dtype, &shape);
    (elements.len() == ty.size() * dtype.bytes()).then(|| ArrayData { ty, bytes: elements.to_vec() })
}
