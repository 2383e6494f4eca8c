//! The recorded arrays, by name.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use whorl_core::{ArrayData, DType, Type};
use whorl_data::problem::Room;

pub struct Npz(HashMap<String, ArrayData>);

impl Npz {
    pub fn open(path: &Path) -> Npz {
        let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let arrays =
            whorl_data::npz::read(file, &mut Room(1 << 32)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let array = |a: whorl_data::Array| {
            let dtype = DType::ALL.into_iter().find(|d| d.name() == a.element.name()).expect("a type of ours");
            ArrayData { ty: Type::new(dtype, &a.shape), bytes: a.bytes }
        };
        Npz(arrays.into_iter().map(|(name, a)| (name, array(a))).collect())
    }

    pub fn array(&self, name: &str) -> ArrayData {
        self.0.get(name).unwrap_or_else(|| panic!("no array {name}")).clone()
    }
}
