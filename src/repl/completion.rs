//! What the word under the cursor may become.

use std::path::Path;

use whorl_trace::{NameKind, prelude};

use super::commands::{COMMANDS, Command, cut};
use super::session::Session;
use crate::standard_library;

/// One way to go on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Candidate {
    /// What replaces the word.
    pub text: String,
    /// What it is, in a line.
    pub about: String,
}

const WORDS: &[&str] = &[
    "and",
    "assert",
    "checkpoint",
    "data",
    "else",
    "enum",
    "false",
    "fn",
    "for",
    "if",
    "import",
    "let",
    "match",
    "not",
    "or",
    "param",
    "prop",
    "reverse",
    "scan",
    "size",
    "test",
    "train",
    "true",
    "type",
    "until",
    "while",
    "with",
    "yield",
];

/// Where the word at `at` begins, and what it may become.
pub fn complete(session: &mut Session, line: &str, at: usize) -> (usize, Vec<Candidate>) {
    let before = &line[..at];
    if let Some(command) = before.trim_start().strip_prefix(':') {
        match command.split_once(char::is_whitespace) {
            None => return (before.len() - command.len(), commands(command)),
            Some(("load" | "l", file)) => {
                let file = file.trim_start();
                return (before.len() - file.len(), files(file));
            }
            Some(("set", name)) => {
                let name = name.trim_start();
                return (before.len() - name.len(), knobs(session, name));
            }
            Some(_) => {}
        }
    }
    let start = before.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |i| i + last_len(before, i));
    let word = &before[start..];
    let found = match before[..start].strip_suffix('.') {
        Some(front) if is_import(before) => modules(import_path(front)),
        Some(front) => members(session, front),
        None if is_import(before) => modules(""),
        None => names(session),
    };
    let mut found: Vec<Candidate> = found.into_iter().filter(|c| c.text.starts_with(word)).collect();
    found.sort();
    found.dedup_by(|a, b| a.text == b.text);
    (start, found)
}

/// What the function before the cursor takes and does: of the name that the line ends in, or whose call is open there.
pub fn hint(line: &str) -> Option<String> {
    let front = line.strip_suffix('(').unwrap_or(line);
    let start = front.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |i| i + last_len(front, i));
    if front[..start].ends_with('.') || front[..start].trim_start().starts_with(':') {
        return None;
    }
    let b = prelude().find(|b| b.name == &front[start..])?;
    let params = format!("{})", b.params.join(", ").replace('*', "…"));
    let open = if line.len() == front.len() { "(" } else { "" };
    Some(format!("{open}{params}  {}", first_line(b.doc)))
}

fn last_len(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(1, char::len_utf8)
}

fn commands(word: &str) -> Vec<Candidate> {
    let matching = COMMANDS.iter().filter(|c| c.name.starts_with(word));
    let candidate = |c: &Command| Candidate {
        // What it takes is typed behind a space.
        text: if c.takes.is_empty() { c.name.to_string() } else { format!("{} ", c.name) },
        about: format!("{} {}", c.takes, c.about).trim().to_string(),
    };
    matching.map(candidate).collect()
}

fn knobs(session: &Session, word: &str) -> Vec<Candidate> {
    let all = session.script().knobs().into_iter().filter(|k| k.name.starts_with(word));
    all.map(|k| Candidate { text: k.name, about: format!("{} {}  {}", k.ty, k.value, first_line(&k.about)) }).collect()
}

/// All that may begin an expression or an item.
fn names(session: &Session) -> Vec<Candidate> {
    let own = session.names().into_iter().map(|n| Candidate { about: about(&n), text: n.name });
    let builtins = prelude().map(|b| Candidate {
        text: b.name.to_string(),
        about: format!("({})  {}", b.params.join(", ").replace('*', "…"), first_line(b.doc)),
    });
    let words = WORDS.iter().map(|w| Candidate { text: w.to_string(), about: String::new() });
    own.chain(builtins).chain(words).collect()
}

fn about(n: &whorl_trace::Named) -> String {
    match n.kind {
        NameKind::Module => format!("the module {}", n.text),
        NameKind::Function => n.text.trim_start_matches("fn ").trim_start_matches(n.name.as_str()).to_string(),
        NameKind::Type | NameKind::Knob | NameKind::Value => n.text.clone(),
    }
}

/// Fields, members of a module, or variants of what stands before a dot.
fn members(session: &mut Session, front: &str) -> Vec<Candidate> {
    let object = operand(front);
    let path: Vec<&str> = object.split('.').collect();
    if let Some(found) = session.script().members(&path).filter(|_| !object.is_empty()) {
        return found.into_iter().map(|n| Candidate { about: about(&n), text: n.name }).collect();
    }
    let Some(outline) = session.outline(object) else { return Vec::new() };
    let field =
        |(name, part): &(String, whorl_trace::Outline)| Candidate { text: name.clone(), about: part.type_text() };
    outline.fields().iter().map(field).collect()
}

/// The last operand of a text: a path, with calls and indices.
fn operand(text: &str) -> &str {
    let (mut depth, mut start) = (0usize, text.len());
    for (i, c) in text.char_indices().rev() {
        match c {
            ')' | ']' => depth += 1,
            '(' | '[' if depth > 0 => depth -= 1,
            c if depth > 0 || c.is_alphanumeric() || matches!(c, '_' | '.') => {}
            _ => break,
        }
        start = i;
    }
    &text[start..]
}

fn is_import(before: &str) -> bool {
    before.trim_start().starts_with("import ") && !before.contains('{')
}

fn import_path(front: &str) -> &str {
    front.trim_start().strip_prefix("import").unwrap_or(front).trim()
}

/// Modules of the library below a path, or files here.
fn modules(path: &str) -> Vec<Candidate> {
    let mut out = Vec::new();
    let inside = if path.is_empty() { String::new() } else { format!("{path}.") };
    for (file, _) in standard_library::modules() {
        let name = file.trim_end_matches(".whorl").replace('/', ".");
        if let Some(rest) = name.strip_prefix(&inside) {
            let next = rest.split('.').next().unwrap_or(rest);
            out.push(Candidate { text: next.to_string(), about: String::new() });
        }
    }
    if path.is_empty() {
        let here = files("").into_iter().filter_map(|c| c.text.strip_suffix(".whorl").map(str::to_string));
        out.extend(here.map(|text| Candidate { text, about: "a file".to_string() }));
    }
    out
}

/// Scripts and folders that a path may go on with.
fn files(path: &str) -> Vec<Candidate> {
    let (folder, word) = path.rsplit_once('/').map_or(("", path), |(f, w)| (&path[..f.len() + 1], w));
    let read = std::fs::read_dir(if folder.is_empty() { Path::new(".") } else { Path::new(folder) });
    let candidate = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.path().is_dir();
        let wanted = name.starts_with(word) && (!name.starts_with('.') || word.starts_with('.'));
        let text = format!("{folder}{name}{}", if is_folder { "/" } else { "" });
        (wanted && (is_folder || name.ends_with(".whorl"))).then(|| Candidate { text, about: String::new() })
    };
    let mut found: Vec<Candidate> = read.into_iter().flatten().flatten().filter_map(candidate).collect();
    found.sort();
    found
}

/// The first line of a comment, not too long.
fn first_line(doc: &str) -> String {
    cut(doc.lines().next().unwrap_or(""), 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(session: &mut Session, line: &str) -> Vec<String> {
        complete(session, line, line.len()).1.into_iter().map(|c| c.text).collect()
    }

    #[test]
    fn words_go_on() {
        let mut s = Session::new(None, &[]).expect("a session");
        let typed = "import std.rl.ppo\nlet net = { weight: [1.0], bias: { deep: 2.0 } }\nenum Cell { Empty, Wall(f32) }\nfn netted(x) = x";
        s.enter(typed, &mut |_| {}).expect("good items");
        assert_eq!(found(&mut s, "1 + net"), ["net", "netted"]);
        assert_eq!(found(&mut s, "net.w"), ["weight"]);
        assert_eq!(found(&mut s, "f(net.bias."), ["deep"]);
        assert_eq!(found(&mut s, "Cell."), ["Empty", "Wall"]);
        assert!(found(&mut s, "ppo.").contains(&"train".to_string()));
        assert_eq!(found(&mut s, ":ty"), ["type "]);
        assert!(found(&mut s, "import std.r").contains(&"rl".to_string()));
        assert_eq!(found(&mut s, ":set ppo.clip"), ["ppo.clip"]);
        assert_eq!(complete(&mut s, "arg", 3).0, 0);
        assert_eq!(found(&mut s, "argm"), ["argmax", "argmin"]);
    }

    #[test]
    fn functions_are_hinted_at() {
        assert_eq!(hint("1 + cumsu"), None);
        assert!(hint("1 + cumsum").is_some_and(|h| h.starts_with("(x, axis?")));
        assert!(hint("len(").is_some_and(|h| h.starts_with("x)  ")));
        assert_eq!(hint("m.len("), None);
    }
}
