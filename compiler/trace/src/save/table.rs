//! Tables: a record of vectors, an array of records of numbers, or a matrix.

use whorl_source::{Diagnostic, Span};

use super::SaveFormat;
use crate::tracer::{Tracer, fail};
use crate::tree::type_text;
use crate::value::{R, Value};

impl<'a> Tracer<'a> {
    pub(super) fn table(&self, v: &Value<'a>, span: Span) -> R<SaveFormat> {
        let what = "a table is a record of vectors of one length, an array of records of numbers, or a matrix";
        if let Value::Leaf(a) = v {
            return match self.b.ty(*a).rank() {
                1 | 2 => Ok(SaveFormat::Matrix),
                _ => fail(Diagnostic::error("E0804", what).at(span, format!("this is {}", v.describe(&self.b)))),
            };
        }
        let mut columns = Vec::new();
        v.leaf_paths("", &mut columns);
        let mut length: Option<(usize, &str)> = None;
        for (path, a) in &columns {
            let ty = self.b.ty(*a);
            let [n] = ty.shape[..] else {
                let e = Diagnostic::error("E0804", what).at(span, format!("`{path}` is {}", type_text(&ty)));
                return fail(e.help("`.npz` holds arrays of any sizes"));
            };
            match length {
                None => length = Some((n, path)),
                Some((m, _)) if m == n => {}
                Some((m, first)) => {
                    let e = Diagnostic::error("E0804", what);
                    return fail(e.at(span, format!("`{first}` has {m} rows and `{path}` has {n}")));
                }
            }
        }
        Ok(SaveFormat::Columns)
    }
}
