//! The main module of a script as the sum of several texts, as a session types them: what comes later replaces what has its name.

use std::collections::HashMap;
use std::sync::Arc;

use whorl_source::{Diagnostic, SourceMap, Span};
use whorl_syntax::ast::{
    self, Block, DataDef, Expr, ExprKind, FnDef, Item, ItemKind, Name, Pattern, PatternKind, StatementKind,
};

use crate::checks::examples::{self, Example};
use crate::data::Data;
use crate::outline::Kept;
use crate::script::{item_names, pattern_names};

/// The function that [`PartKind::Statements`] are the body of; no name of the user's.
pub(crate) const INPUT: &str = "(input)";

/// One of the texts.
#[derive(Clone, Debug)]
pub struct Part {
    /// What a diagnostic calls it.
    pub name: String,
    pub text: String,
    pub kind: PartKind,
}

#[derive(Clone, Debug)]
pub enum PartKind {
    /// Items, as in a file.
    Items,
    /// The text gave these values, by name: it is run no more.
    Values(Vec<(String, Arc<Kept>)>),
    /// To be traced by [`crate::Script::trace_input`].
    Statements,
}

impl Part {
    pub fn items(name: impl Into<String>, text: impl Into<String>) -> Part {
        Part { name: name.into(), text: text.into(), kind: PartKind::Items }
    }
}

/// All parts as one module.
#[derive(Default)]
pub(crate) struct Joined {
    pub doc: String,
    pub items: Vec<Item>,
    pub data: HashMap<usize, Data>,
    pub examples: Vec<Example>,
    pub errors: Vec<Diagnostic>,
}

/// Reads the parts, each as a file of its own.
pub(crate) fn join(map: &mut SourceMap, parts: &[Part], with_examples: bool) -> Joined {
    let mut joined = Joined::default();
    let mut read = Vec::new();
    for part in parts {
        let file = map.add(part.name.clone(), part.text.clone());
        let text = &part.text;
        read.push(match &part.kind {
            PartKind::Items => {
                let parse = whorl_syntax::parse(file, text);
                joined.errors.extend(parse.diagnostics);
                joined.doc = if joined.doc.is_empty() { parse.module.doc } else { joined.doc };
                if with_examples {
                    joined.examples.extend(examples::examples(file, text, &parse.module.items));
                }
                parse.module.items.into_iter().map(|item| (item, None)).collect()
            }
            PartKind::Statements => {
                let (block, errors) = whorl_syntax::parse_statements(file, text);
                joined.errors.extend(errors);
                vec![(input(block), None)]
            }
            PartKind::Values(values) => {
                let (block, _) = whorl_syntax::parse_statements(file, text);
                let value = |(name, kept): &(String, Arc<Kept>)| {
                    let span = bound_at(&block, name);
                    (value_item(name, span, block.span), Some(Data::Kept(kept.clone())))
                };
                values.iter().map(value).collect::<Vec<_>>()
            }
        });
    }
    // Which part defines a name last. Types and values have names of their own.
    let mut last: HashMap<(bool, String), usize> = HashMap::new();
    for (k, items) in read.iter().enumerate() {
        for (item, _) in items {
            last.extend(defined(&item.kind).into_iter().map(|name| (name, k)));
        }
    }
    for (k, items) in read.into_iter().enumerate() {
        for (mut item, data) in items {
            let hidden = |name: &(bool, String)| last.get(name).is_some_and(|of| *of != k);
            let names = defined(&item.kind);
            if !names.is_empty() && names.iter().all(hidden) {
                continue;
            }
            match &mut item.kind {
                ItemKind::Let { pattern, .. } => forget(pattern, &|name| hidden(&(false, name.to_string()))),
                ItemKind::Import(import) => {
                    if let Some(names) = &mut import.names {
                        names.retain(|n| !hidden(&(false, n.text.clone())));
                    }
                }
                ItemKind::Param(_)
                | ItemKind::Size(_)
                | ItemKind::Type(_)
                | ItemKind::Enum(_)
                | ItemKind::Fn(_)
                | ItemKind::Data(_)
                | ItemKind::Test { .. }
                | ItemKind::Prop(_)
                | ItemKind::Error => {}
            }
            if let Some(data) = data {
                joined.data.insert(joined.items.len(), data);
            }
            joined.items.push(item);
        }
    }
    joined
}

/// The names that an item defines, and whether they are of types. What an import brings may be either; tests replace those of
/// their name.
fn defined(kind: &ItemKind) -> Vec<(bool, String)> {
    match kind {
        ItemKind::Type(_) | ItemKind::Enum(_) => item_names(kind).into_iter().map(|n| (true, n.text)).collect(),
        ItemKind::Import(_)
        | ItemKind::Param(_)
        | ItemKind::Size(_)
        | ItemKind::Fn(_)
        | ItemKind::Let { .. }
        | ItemKind::Data(_) => item_names(kind).into_iter().map(|n| (false, n.text)).collect(),
        ItemKind::Test { name, .. } => vec![(false, format!("test {name:?}"))],
        ItemKind::Prop(def) => vec![(false, format!("test {:?}", def.name))],
        ItemKind::Error => Vec::new(),
    }
}

/// Binds hidden names no longer.
fn forget(pattern: &mut Pattern, hidden: &dyn Fn(&str) -> bool) {
    match &mut pattern.kind {
        PatternKind::Name(name) if hidden(name) => pattern.kind = PatternKind::Ignore,
        PatternKind::Name(_) | PatternKind::Ignore | PatternKind::Error => {}
        PatternKind::Tuple(parts) | PatternKind::Array(parts) => parts.iter_mut().for_each(|p| forget(p, hidden)),
        PatternKind::Record(fields) => {
            for (name, part) in fields {
                match part {
                    Some(part) => forget(part, hidden),
                    None if hidden(&name.text) => {
                        *part = Some(Pattern { kind: PatternKind::Ignore, span: name.span });
                    }
                    None => {}
                }
            }
        }
    }
}

fn input(block: Block) -> Item {
    let span = block.span;
    let body = Expr { kind: ExprKind::Block(block), span };
    let def = FnDef { name: Name { text: INPUT.to_string(), span }, params: Vec::new(), result: None, body };
    Item { doc: String::new(), public: false, span, kind: ItemKind::Fn(def) }
}

fn value_item(name: &str, at: Span, span: Span) -> Item {
    let value = Expr { kind: ExprKind::Error, span };
    let def = DataDef { name: Name { text: name.to_string(), span: at }, ty: None, value };
    Item { doc: String::new(), public: false, span, kind: ItemKind::Data(def) }
}

/// Where a `let` of the block binds a name; the whole block, if none does.
fn bound_at(block: &Block, name: &str) -> Span {
    let mut names: Vec<ast::Name> = Vec::new();
    for statement in &block.statements {
        if let StatementKind::Let { pattern, .. } = &statement.kind {
            pattern_names(pattern, &mut names);
        }
    }
    names.iter().find(|n| n.text == name).map_or(block.span, |n| n.span)
}
