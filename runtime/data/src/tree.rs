//! Names with dots as records: `net.first.weight` and `net.first.bias` are a record in a record.

use std::collections::HashMap;

use crate::array::Array;
use crate::problem::Problem;

/// What a file holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    Array(Array),
    Tuple(Vec<Data>),
    Record(Vec<(String, Data)>),
}

/// Records within records are no deeper.
const DEEPEST: usize = 64;

/// The arrays as a record of their names, which dots and slashes take apart. Names that are `0`, `1`, … are the parts of a
/// tuple; characters that names do not have become `_`.
pub fn nest(arrays: Vec<(String, Array)>) -> Result<Data, Problem> {
    let mut root = Node::default();
    for (name, array) in arrays {
        let parts: Vec<String> = name.split(['.', '/']).map(identifier).collect();
        if parts.len() > DEEPEST {
            return Err(Problem::malformed("a name in it has too many parts"));
        }
        root.insert(&parts, array).map_err(|why| Problem::malformed(format!("`{}` {why}", name.escape_debug())))?;
    }
    Ok(root.data())
}

/// The name with `_` for what names cannot hold.
fn identifier(part: &str) -> String {
    let letters: String = part.trim().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    // What a bracket leaves at the end, as in `length (cm)`, says nothing.
    let mut name = String::new();
    for c in if part.ends_with('_') { &letters } else { letters.trim_end_matches('_') }.chars() {
        if !(c == '_' && name.ends_with('_')) || part.contains("__") {
            name.push(c);
        }
    }
    let number = !name.is_empty() && name.chars().all(|c| c.is_ascii_digit());
    if name.is_empty() || (!number && name.starts_with(char::is_numeric)) { format!("_{name}") } else { name }
}

#[derive(Default)]
struct Node {
    array: Option<Array>,
    parts: Vec<(String, Node)>,
    places: HashMap<String, usize>,
}

impl Node {
    fn insert(&mut self, name: &[String], array: Array) -> Result<(), &'static str> {
        let Some((first, rest)) = name.split_first() else {
            if self.array.is_some() {
                return Err("is there twice");
            }
            if !self.parts.is_empty() {
                return Err("is an array, and the first part of the names of others");
            }
            self.array = Some(array);
            return Ok(());
        };
        if self.array.is_some() {
            return Err("begins with the name of another array");
        }
        let place = *self.places.entry(first.clone()).or_insert_with(|| {
            self.parts.push((first.clone(), Node::default()));
            self.parts.len() - 1
        });
        self.parts[place].1.insert(rest, array)
    }

    fn data(mut self) -> Data {
        if let Some(array) = self.array {
            return Data::Array(array);
        }
        let n = self.parts.len();
        if (0..n).all(|k| self.places.contains_key(&k.to_string())) {
            self.parts.sort_by_key(|(name, _)| name.parse::<usize>().unwrap_or(n));
            return Data::Tuple(self.parts.into_iter().map(|(_, node)| node.data()).collect());
        }
        let name =
            |name: String| if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name };
        Data::Record(self.parts.into_iter().map(|(n, node)| (name(n), node.data())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Element;

    fn shown(names: &[&str]) -> Result<String, String> {
        fn show(d: &Data) -> String {
            match d {
                Data::Array(_) => "x".to_string(),
                Data::Tuple(parts) => format!("({})", parts.iter().map(show).collect::<Vec<_>>().join(" ")),
                Data::Record(fields) => {
                    let fields: Vec<String> = fields.iter().map(|(n, d)| format!("{n}:{}", show(d))).collect();
                    format!("{{{}}}", fields.join(" "))
                }
            }
        }
        let array = || Array { element: Element::U8, shape: vec![1], bytes: vec![0] };
        let data = nest(names.iter().map(|n| (n.to_string(), array())).collect());
        data.map(|d| show(&d)).map_err(|e| e.message)
    }

    #[test]
    fn names_nest() {
        assert_eq!(shown(&["net.w", "x", "net/b"]).unwrap(), "{net:{w:x b:x} x:x}");
        assert_eq!(shown(&["t.1", "t.0.a", "t.2"]).unwrap(), "{t:({a:x} x x)}");
        assert_eq!(shown(&["l.0", "l.2"]).unwrap(), "{l:{_0:x _2:x}}");
        assert_eq!(
            shown(&["sepal length (cm)", "2nd", "a__b", "", "c_"]).unwrap(),
            "{sepal_length_cm:x _2nd:x a__b:x _:x c_:x}"
        );
    }

    #[test]
    fn names_that_meet_are_told() {
        assert_eq!(shown(&["a", "a"]).unwrap_err(), "`a` is there twice");
        assert_eq!(shown(&["a b", "a-b"]).unwrap_err(), "`a-b` is there twice");
        assert_eq!(shown(&["a", "a.b"]).unwrap_err(), "`a.b` begins with the name of another array");
        assert_eq!(shown(&["a.b", "a"]).unwrap_err(), "`a` is an array, and the first part of the names of others");
        assert!(shown(&[&"a.".repeat(1000)]).is_err());
    }
}
