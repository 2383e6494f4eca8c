//! Programs as CUDA kernels.

use whorl_source::{SourceMap, Span};

/// The names of all files, and where a span is: the number of its file, counted from 1, and the line.
pub fn lines(map: &SourceMap) -> (Vec<String>, impl Fn(Span) -> Option<(u32, u32)>) {
    let files = map.files().map(|(_, f)| f.name.clone()).collect();
    let line = |span: Span| {
        let file = map.file(span.file)?;
        Some((span.file.0 + 1, file.position(span.start).0 as u32))
    };
    (files, line)
}
