//! Examples in doc comments: the lines between ``` and ``` (or ```whorl) in `///` comments.
//!
//! Their code is read where it stands, with everything around it blanked, so that what is said of it points at the comment:
//!
//! ```text
//! /// ```                                            {
//! /// double([1.0, 2.0])  // = [2.0, 4.0]     ==>        double([1.0, 2.0])  // = [2.0, 4.0]
//! /// ```                                            }
//! ```

use std::collections::HashMap;

use whorl_source::{Diagnostic, FileId, Span};
use whorl_syntax::ast::{Block, Expr, Item, ItemKind, Statement, StatementKind};
use whorl_syntax::codes;

/// What a claim begins with.
const CLAIM: &str = "// =";

/// A block of code in a doc comment.
pub(crate) struct Example {
    /// "the example of `softmax`"
    pub name: String,
    pub span: Span,
    pub statements: Vec<Statement>,
    /// What statements are said to give, by where they end.
    pub claims: HashMap<u32, Expr>,
    /// What could not be read.
    pub errors: Vec<Diagnostic>,
}

/// All examples of a file.
pub(crate) fn examples(file: FileId, text: &str, items: &[Item]) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    for (code, documented) in fenced(text) {
        let name = match items.iter().find(|i| i.span.start as usize >= code.end) {
            Some(item) if documented => item_name(item),
            Some(_) | None => None,
        };
        let of = name.map_or("the file".to_string(), |n| format!("`{n}`"));
        let before = found.iter().filter(|e| e.name.ends_with(&of)).count();
        let name = if before == 0 { format!("the example of {of}") } else { format!("example {} of {of}", before + 1) };
        found.push(read(file, text, name, &code));
    }
    found
}

/// The bytes from an opening fence to the end of the closing one.
struct Code {
    start: usize,
    end: usize,
}

/// The fenced parts of doc comments that are code of the language, and whether an item follows right away.
fn fenced(text: &str) -> Vec<(Code, bool)> {
    let (mut found, mut open, mut at) = (Vec::new(), None, 0);
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let fence = (trimmed.starts_with("///") && !trimmed.starts_with("////")).then(|| trimmed[3..].trim());
        match (fence.filter(|f| f.starts_with("```")), open) {
            (Some(kind), None) => open = Some((at + line.find("```").unwrap_or(0), matches!(kind, "```" | "```whorl"))),
            (Some(_), Some((start, ours))) => {
                let end = at + line.find("```").unwrap_or(0) + 3;
                if ours {
                    found.push((Code { start, end }, touches_item(&text[at + line.len()..])));
                }
                open = None;
            }
            (None, Some(_)) if fence.is_none() => open = None,
            (None, _) => {}
        }
        at += line.len();
    }
    found
}

/// Whether an item follows, after no more than doc comments.
fn touches_item(rest: &str) -> bool {
    rest.lines().map(str::trim).find(|l| !l.starts_with("//")).is_some_and(|l| !l.is_empty())
}

fn item_name(item: &Item) -> Option<&str> {
    match &item.kind {
        ItemKind::Fn(f) => Some(&f.name.text),
        ItemKind::Param(p) | ItemKind::Size(p) => Some(&p.name.text),
        ItemKind::Type(t) => Some(&t.name.text),
        ItemKind::Enum(e) => Some(&e.name.text),
        ItemKind::Let { pattern, .. } => match &pattern.kind {
            whorl_syntax::ast::PatternKind::Name(name) => Some(name),
            _ => None,
        },
        ItemKind::Data(d) => Some(&d.name.text),
        ItemKind::Test { name, .. } => Some(name),
        ItemKind::Prop(p) => Some(&p.name),
        ItemKind::Import(_) | ItemKind::Error => None,
    }
}

fn read(file: FileId, text: &str, name: String, code: &Code) -> Example {
    let blanked = blanked(text, code);
    let (block, mut errors) = whorl_syntax::parse_block(file, &blanked);
    let Block { mut statements, result, span } = block;
    if (span.end as usize) < code.end && errors.is_empty() {
        errors.push(closes_nothing(file, span.end as usize));
    }
    statements.extend(result.map(|e| Statement { span: e.span, kind: StatementKind::Expr(*e) }));
    let (mut claims, mut places) = (HashMap::new(), Vec::new());
    for statement in &statements {
        let end = statement.span.end as usize;
        let line = &blanked[end..end + blanked[end..].find('\n').unwrap_or(0)];
        // Parentheses around the whole expression are no part of it.
        let rest = line.trim_start_matches([' ', ')']);
        let expression = matches!(statement.kind, StatementKind::Expr(_));
        if expression && rest.starts_with(CLAIM) {
            let start = end + line.len() - rest.len();
            places.push(start);
            match claimed(file, &blanked, start, end + line.len()) {
                Ok(e) => drop(claims.insert(statement.span.end, e)),
                Err(wrong) => errors.extend(wrong),
            }
        }
    }
    for (start, _) in blanked.match_indices(CLAIM) {
        // What could not be read at all has been told.
        if !places.contains(&start) && errors.is_empty() {
            let e = Diagnostic::error("E0608", "`// =` says what the expression before it gives");
            let e = e.at(Span::new(file, start, start + CLAIM.len()), "no expression ends here");
            errors.push(e.help("behind a `let`, use the name on a line of its own: `x  // = 3.0`"));
        }
    }
    Example { name, span: Span::new(file, code.start, code.start + 3), statements, claims, errors }
}

/// The text with nothing in it but the code, in braces.
fn blanked(text: &str, code: &Code) -> String {
    let mut out: Vec<u8> = text[..code.end].bytes().map(|b| if b == b'\n' { b } else { b' ' }).collect();
    let mut at = code.start;
    for line in text[code.start..code.end].split_inclusive('\n') {
        let content = line.trim_start().strip_prefix("///").map_or(0, |rest| line.len() - rest.len());
        // The fences are no code.
        if at > code.start && at + line.len() < code.end {
            out[at + content..at + line.len()].copy_from_slice(&line.as_bytes()[content..]);
        }
        at += line.len();
    }
    out[code.start] = b'{';
    out[code.end - 1] = b'}';
    String::from_utf8(out).unwrap_or_default()
}

/// The expression of the claim that begins at `start`, in a line that ends at `end`.
fn claimed(file: FileId, blanked: &str, start: usize, end: usize) -> Result<Expr, Vec<Diagnostic>> {
    let mut out = vec![b' '; start];
    out.extend_from_slice(b"{   ");
    out.extend_from_slice(&blanked.as_bytes()[start + CLAIM.len()..end]);
    out.push(b'}');
    let text = String::from_utf8(out).unwrap_or_default();
    let (block, errors) = whorl_syntax::parse_block(file, &text);
    match block.result {
        Some(_) if errors.is_empty() && (block.span.end as usize) < text.len() => {
            Err(vec![closes_nothing(file, block.span.end as usize)])
        }
        Some(e) if errors.is_empty() && block.statements.is_empty() => Ok(*e),
        _ if !errors.is_empty() => Err(errors),
        _ => {
            let e = Diagnostic::error("E0608", "`// =` is followed by a value");
            Err(vec![e.at(Span::new(file, start, end), "")])
        }
    }
}

/// The code ends in a `}` of its own, before it should.
fn closes_nothing(file: FileId, end: usize) -> Diagnostic {
    Diagnostic::error(codes::STRAY_BRACKET, "`}` closes nothing").at(Span::new(file, end.saturating_sub(1), end), "")
}
