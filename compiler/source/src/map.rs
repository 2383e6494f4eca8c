//! The files of a program, and positions in them.

use serde::{Deserialize, Serialize};

/// A file of the program, by its number in the [`SourceMap`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct FileId(pub u32);

/// The bytes `start..end` of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: FileId, start: usize, end: usize) -> Span {
        Span { file, start: start as u32, end: end as u32 }
    }

    /// The smallest span that holds both; they lie in one file.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// For what the compiler itself made, in no file of the user's.
    pub const NONE: Span = Span { file: FileId(u32::MAX), start: 0, end: 0 };

    /// Stands among the spans of a statement and says that it belongs to number `n` of something: where a report needs to know
    /// what became of it. It is no place in a file.
    pub fn mark(n: u32) -> Span {
        Span { file: FileId(u32::MAX - 1), start: n, end: n }
    }

    /// The number of a [`Span::mark`].
    pub fn marked(self) -> Option<u32> {
        (self.file == FileId(u32::MAX - 1)).then_some(self.start)
    }
}

/// One file: its name as the user knows it, and its text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
    line_starts: Vec<u32>,
}

impl SourceFile {
    /// Line and column of a byte offset, both from 1; columns count characters.
    pub fn position(&self, offset: u32) -> (usize, usize) {
        let offset = (offset as usize).min(self.text.len());
        let line = self.line_starts.partition_point(|&s| s as usize <= offset) - 1;
        let start = self.line_starts[line] as usize;
        let column = self.text.get(start..offset).map_or(0, |t| t.chars().count());
        (line + 1, column + 1)
    }

    /// The text of a line counted from 1, without its end; empty past the last.
    pub fn line(&self, line: usize) -> &str {
        let Some(&start) = self.line_starts.get(line - 1) else { return "" };
        let end = self.line_starts.get(line).map_or(self.text.len(), |&e| e as usize);
        self.text[start as usize..end].trim_end_matches(['\n', '\r'])
    }
}

/// All files of a program.
#[derive(Clone, Default, Debug)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    pub fn new() -> SourceMap {
        SourceMap::default()
    }

    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let text = text.into();
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i as u32 + 1)).collect();
        self.files.push(SourceFile { name: name.into(), text, line_starts });
        FileId(self.files.len() as u32 - 1)
    }

    /// `None` for [`Span::NONE`]'s file.
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(i, f)| (FileId(i as u32), f))
    }

    /// `file.whorl:12`, or `(compiler)` for what has no place in a file.
    pub fn line_name(&self, span: Span) -> String {
        match self.file(span.file) {
            Some(f) => format!("{}:{}", f.name, f.position(span.start).0),
            None => "(compiler)".to_string(),
        }
    }
}
