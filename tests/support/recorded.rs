//! Values that other systems computed: NumPy archives and JSON in the folder that `WHORL_DATA` names.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use whorl::data::array_data;
use whorl_core::ir::ArrayData;
use whorl_data::npz;
use whorl_data::problem::Room;

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
    arrays: HashMap<String, ArrayData>,
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
        let arrays = npz::each(file("npz"), &mut Room(1 << 32)).unwrap_or_else(|e| panic!("{name}.npz: {e}"));
        // Some hold what we have no type for, such as complex numbers.
        let arrays = arrays.into_iter().filter_map(|(name, a)| Some((name, array_data(a.ok()?))));
        Some(Recorded { about, arrays: arrays.collect() })
    }

    /// Whether there is such an array, of a type that we have.
    pub fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    #[track_caller]
    pub fn array(&mut self, name: &str) -> ArrayData {
        self.arrays.get(name).unwrap_or_else(|| panic!("there is no array `{name}`")).clone()
    }

    /// The array of a name, if there is one of a type that we have.
    pub fn find(&self, name: &str) -> Option<&ArrayData> {
        self.arrays.get(name)
    }

    /// A list of whole numbers in the description.
    #[track_caller]
    pub fn numbers(&self, field: &str) -> Vec<u64> {
        let list = self.about[field].as_array().unwrap_or_else(|| panic!("no list `{field}`"));
        list.iter().map(|v| v.as_u64().unwrap_or_else(|| panic!("{field}: {v}"))).collect()
    }
}
