//! What a small change of the script would save.

use whorl_source::{Diagnostic, SourceMap};

use super::analysis::Part;

pub fn warnings(_parts: &[Part], _map: &SourceMap) -> Vec<Diagnostic> {
    Vec::new()
}
