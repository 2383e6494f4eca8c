//! Warnings of what is bound, imported or declared, and never used. `_` in front of a name says that this is meant.

use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::{Item, ItemKind, Name};

use crate::evaluate::EVAL;
use crate::resolve::{Bound, Uses};
use crate::script::{Module, pattern_names};

/// A name in a body.
pub fn local(name: &str, span: Span, bound: Bound) -> Diagnostic {
    let (what, help) = match bound {
        Bound::Key => (
            format!("the key `{name}` is never used"),
            format!("split into as many keys as are used, or write `_{name}`"),
        ),
        Bound::Element => {
            (format!("`{name}` is never used"), "write `_` for an element that is not looked at".to_string())
        }
        Bound::Field => (format!("`{name}` is never used"), "leave the field out of the pattern".to_string()),
        Bound::Let | Bound::Parameter | Bound::Quiet => {
            (format!("`{name}` is never used"), format!("leave it out, or write `_{name}` if that is meant"))
        }
    };
    Diagnostic::warning("W0002", what).at(span, "").help(help)
}

/// What a module declares or imports, and nothing in it uses.
pub fn in_module(module: &Module, uses: &Uses) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for item in &module.tree.items {
        declared(item, uses, &mut out);
        if !item.public {
            hides(item, &mut out);
        }
    }
    for (function, parameter, span) in &uses.parameters {
        let def = module.tree.items.iter().find(|i| matches!(&i.kind, ItemKind::Fn(f) if f.name.text == *function));
        // Who passes a function on, or imports it, decides what it gets.
        if def.is_none_or(|i| i.public) || uses.passed_on.contains(function) || is_entry(function) {
            continue;
        }
        let w = Diagnostic::warning("W0007", format!("the parameter `{parameter}` of `{function}` is never used"));
        out.push(w.at(*span, "").help(format!("leave it out, or write `_{parameter}` if that is meant")));
    }
    out
}

fn declared(item: &Item, uses: &Uses, out: &mut Vec<Diagnostic>) {
    let unused = |name: &&Name| !uses.names.contains(name.text.as_str()) && !name.text.starts_with('_');
    let mut warn = |code: &'static str, name: &Name, what: String, help: &str| {
        out.push(Diagnostic::warning(code, what).at(name.span, "").help(help));
    };
    match &item.kind {
        _ if item.public => {}
        ItemKind::Import(import) => {
            let whole: Vec<&Name> = import.alias.iter().chain(import.path.last()).take(1).collect();
            let names: Vec<&Name> = import.names.as_ref().map_or(whole, |names| names.iter().collect());
            for name in names.into_iter().filter(unused) {
                warn("W0003", name, format!("the import `{}` is never used", name.text), "leave it out");
            }
        }
        ItemKind::Fn(f) => {
            if !is_entry(&f.name.text) && unused(&&f.name) {
                let help = "leave it out, or write `pub` in front if other files use it";
                warn("W0004", &f.name, format!("the function `{}` is never used", f.name.text), help);
            }
        }
        ItemKind::Let { pattern, .. } => {
            let mut names = Vec::new();
            pattern_names(pattern, &mut names);
            for name in names.iter().filter(unused) {
                let help = "leave it out, or write `pub` in front if other files use it";
                warn("W0004", name, format!("`{}` is never used", name.text), help);
            }
        }
        ItemKind::Data(d) => {
            if unused(&&d.name) {
                let help = "leave it out, or write `pub` in front if other files use it";
                warn("W0004", &d.name, format!("the data `{}` is never used", d.name.text), help);
            }
        }
        ItemKind::Param(p) => {
            if unused(&&p.name) {
                let what = format!("the param `{}` is never used: setting it changes nothing", p.name.text);
                warn("W0005", &p.name, what, "leave it out");
            }
        }
        ItemKind::Size(p) => {
            if unused(&&p.name) {
                let what = format!("the size `{}` is never used: setting it changes nothing", p.name.text);
                warn("W0005", &p.name, what, "leave it out");
            }
        }
        ItemKind::Type(_) | ItemKind::Enum(_) | ItemKind::Test { .. } | ItemKind::Prop(_) | ItemKind::Error => {}
    }
}

/// Functions that the tool calls.
fn is_entry(name: &str) -> bool {
    name == "main" || name == EVAL
}

/// A function of the script's own in place of one that is there without an import.
fn hides(item: &Item, out: &mut Vec<Diagnostic>) {
    let ItemKind::Fn(f) = &item.kind else { return };
    if let Some(b) = crate::builtins::find(&f.name.text) {
        let w = Diagnostic::warning(
            "W0006",
            format!("this hides the function `{}` that is there without an import", b.name),
        );
        let w = w.at(f.name.span, "").note(format!("`{}`: {}", b.name, b.doc));
        out.push(w.help("another name leaves both in reach"));
    }
}
