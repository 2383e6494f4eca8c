//! A node test of ONNX: an operator, its attributes, inputs and the outputs that are wanted.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use serde_json::Value;
use whorl_core::ir::{ArrayData, DType};

use super::script::Excluded;
use crate::support::recorded::{Recorded, folder};

/// One test of one operator. Inputs and outputs are numbered as ONNX's documentation of the operator numbers them.
pub struct Case {
    pub op: String,
    pub opset: i64,
    attrs: Value,
    /// `None` is an optional input that is left out.
    inputs: Vec<Option<ArrayData>>,
    /// `None` is an optional output that is not asked for.
    pub outputs: Vec<Option<ArrayData>>,
    pub rtol: f64,
    pub atol: f64,
}

impl Case {
    /// Whether there is an input `k`.
    pub fn has(&self, k: usize) -> bool {
        self.inputs.get(k).is_some_and(Option::is_some)
    }

    /// Input `k`, which there must be.
    pub fn input(&self, k: usize) -> Result<&ArrayData, Excluded> {
        self.inputs.get(k).and_then(Option::as_ref).ok_or_else(|| Excluded(format!("{} without input {k}", self.op)))
    }

    /// How many inputs there are, those left out among them.
    pub fn arity(&self) -> usize {
        self.inputs.len()
    }

    pub fn shape(&self, k: usize) -> Result<Vec<usize>, Excluded> {
        Ok(self.input(k)?.ty.shape.to_vec())
    }

    pub fn rank(&self, k: usize) -> Result<usize, Excluded> {
        Ok(self.shape(k)?.len())
    }

    pub fn dtype(&self, k: usize) -> Result<DType, Excluded> {
        Ok(self.input(k)?.ty.dtype)
    }

    /// The whole numbers in input `k`: axes, sizes and the like are known when a program is traced, and are literals in the script.
    pub fn known(&self, k: usize) -> Result<Vec<i64>, Excluded> {
        Ok(self.input(k)?.to_f64().into_iter().map(|x| x as i64).collect())
    }

    /// The one number in input `k`, if it is there.
    pub fn known_number(&self, k: usize) -> Result<Option<f64>, Excluded> {
        if !self.has(k) {
            return Ok(None);
        }
        Ok(self.input(k)?.to_f64().first().copied())
    }

    /// Whether output `k` is asked for.
    pub fn wants(&self, k: usize) -> bool {
        self.outputs.get(k).is_some_and(Option::is_some)
    }

    pub fn has_attr(&self, name: &str) -> bool {
        self.attrs.get(name).is_some()
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attrs.get(name).and_then(Value::as_i64).unwrap_or(default)
    }

    pub fn float(&self, name: &str, default: f64) -> f64 {
        self.attrs.get(name).and_then(Value::as_f64).unwrap_or(default)
    }

    pub fn text(&self, name: &str, default: &'static str) -> &str {
        self.attrs.get(name).and_then(Value::as_str).unwrap_or(default)
    }

    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attrs.get(name)?.as_array()?.iter().map(Value::as_i64).collect()
    }

    pub fn floats(&self, name: &str) -> Option<Vec<f64>> {
        self.attrs.get(name)?.as_array()?.iter().map(Value::as_f64).collect()
    }

    pub fn texts(&self, name: &str) -> Option<Vec<&str>> {
        self.attrs.get(name)?.as_array()?.iter().map(Value::as_str).collect()
    }

    /// Attribute `axis`, or another, as an axis of `rank`: negative ones count from the end.
    pub fn axis(&self, name: &str, default: i64, rank: usize) -> usize {
        counted(self.int(name, default), rank)
    }

    /// The inputs that are there, in order: the parameters of the script's function.
    pub fn arguments(&self) -> impl Iterator<Item = (usize, &ArrayData)> {
        self.inputs.iter().enumerate().filter_map(|(k, a)| Some((k, a.as_ref()?)))
    }
}

/// An axis as a place from the front.
pub fn counted(axis: i64, rank: usize) -> usize {
    (if axis < 0 { axis + rank as i64 } else { axis }) as usize
}

/// The cases of `onnx_cases` by name, each with what it is or why it cannot be given.
pub type Cases = Vec<(String, Result<Case, Excluded>)>;

/// `None` where there are no recorded values.
pub fn read() -> Option<Cases> {
    let mut recorded = Recorded::open("onnx_cases")?;
    let elements = elements();
    let list = recorded.about.as_array().expect("a list").clone();
    let named = |about: Value| (text(&about, "name").to_string(), case(&mut recorded, &elements, &about));
    Some(list.into_iter().map(named).collect())
}

fn case(recorded: &mut Recorded, elements: &HashMap<String, String>, about: &Value) -> Result<Case, Excluded> {
    let i = about["i"].as_u64().expect("a number");
    let mut array = |key: String| match elements.get(&key).map(String::as_str) {
        None => panic!("there is no array `{key}`"),
        // What we have, and 64-bit integers, in which ONNX has places, sizes and axes: where they fit they are given as `i32`,
        // and results are compared with them by value.
        Some("b1" | "u1" | "i4" | "u4" | "i8" | "f2" | "V2" | "f4" | "f8") if recorded.has(&key) => {
            Ok(recorded.array(&key))
        }
        Some("i8") => Err(Excluded::new("64-bit integers that 32 bits do not hold")),
        Some("u8") => Err(Excluded::new("64-bit integers without a sign")),
        Some("i1" | "i2" | "u2") => Err(Excluded::new("integers of 8 bits with a sign, or of 16 bits")),
        Some("f1") => Err(Excluded::new("floats of 8 bits")),
        Some(t) if t.starts_with('c') => Err(Excluded::new("complex numbers")),
        Some(t) if t.starts_with(['U', 'S', 'O']) => Err(Excluded::new("strings")),
        Some(t) => Err(Excluded(format!("elements of the type {t}"))),
    };
    let graph: Vec<&str> = names(about, "graph_inputs");
    let mut inputs = Vec::new();
    for name in names(about, "inputs") {
        let at = graph.iter().position(|g| *g == name);
        inputs.push(at.map(|k| array(format!("{i}/i{k}"))).transpose()?);
    }
    let mut outputs: Vec<Option<ArrayData>> = Vec::new();
    // Outputs that are not asked for have no name, and no number among the arrays.
    for name in names(about, "outputs") {
        let k = outputs.iter().flatten().count();
        outputs.push((!name.is_empty()).then(|| array(format!("{i}/o{k}"))).transpose()?);
    }
    Ok(Case {
        op: text(about, "op").to_string(),
        opset: about["opset"].as_i64().expect("a number"),
        attrs: about["attrs"].clone(),
        inputs,
        outputs,
        rtol: about["rtol"].as_f64().expect("a number"),
        atol: about["atol"].as_f64().expect("a number"),
    })
}

fn text<'a>(about: &'a Value, field: &str) -> &'a str {
    about[field].as_str().unwrap_or_else(|| panic!("no text `{field}`"))
}

fn names<'a>(about: &'a Value, field: &str) -> Vec<&'a str> {
    let list = about[field].as_array().unwrap_or_else(|| panic!("no list `{field}`"));
    list.iter().map(|v| v.as_str().expect("a name")).collect()
}

/// The element type of each array as the file has it, by NumPy's name without the order of bytes: a reader turns integers of
/// all widths into `i32`, and so does not tell.
fn elements() -> HashMap<String, String> {
    let path = folder().expect("was read before").join("onnx_cases.npz");
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut zip = zip::ZipArchive::new(file).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut found = HashMap::new();
    for k in 0..zip.len() {
        let mut entry = zip.by_index(k).unwrap_or_else(|e| panic!("entry {k}: {e}"));
        let name = entry.name().expect("a name of text").trim_end_matches(".npy").to_string();
        let mut head = vec![0; 128];
        let n = entry.read(&mut head).unwrap_or_else(|e| panic!("{name}: {e}"));
        let head = String::from_utf8_lossy(&head[..n]);
        let element = head.split("'descr': '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap_or("record");
        found.insert(name, element.trim_start_matches(['<', '>', '|', '=']).to_string());
    }
    found
}
