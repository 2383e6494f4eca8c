//! Names that stand for nothing, and what they were meant to be.

use whorl_core::DType;
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast::ItemKind;

use crate::script::{Def, Module, ModuleId, Script};

/// A name that is neither bound around `span`, nor in the module, nor there without an import.
pub fn unknown_name<'n>(
    script: &'n Script,
    id: ModuleId,
    name: &str,
    span: Span,
    locals: impl Iterator<Item = &'n str>,
) -> Diagnostic {
    let module = script.module(id);
    if let Some(ty) = module.types.get(name) {
        let e = Diagnostic::error("E0401", format!("`{name}` is a type, not a value")).at(span, "");
        return match &script.item(*ty).kind {
            ItemKind::Enum(of) => {
                let first = of.variants.first().map_or("…", |v| &v.name.text);
                e.help(format!("name the variant: `{name}.{first}`"))
            }
            _ => e.help(format!("a value of it: `{name} {{ … }}`")),
        };
    }
    let mut known: Vec<&str> = locals.chain(module.values.keys().map(String::as_str)).collect();
    crate::builtins::names().for_each(|n| known.push(n));
    let habit = || crate::habits::of_name(name).map(str::to_string);
    let elsewhere = || {
        let (of, _) = module.values.iter().find(|(_, def)| match def {
            Def::Module(other) => script.module(*other).values.contains_key(name),
            Def::Item(_) => false,
        })?;
        Some(format!("`{of}.{name}`, of the module `{of}`"))
    };
    let variant = || {
        let mut of: Vec<&str> = module
            .types
            .iter()
            .filter_map(|(ty, id)| match &script.item(*id).kind {
                ItemKind::Enum(def) if def.variants.iter().any(|v| v.name.text == name) => Some(ty.as_str()),
                _ => None,
            })
            .collect();
        of.sort_unstable();
        Some(format!("a variant is named with its enum: `{}.{name}`", of.first()?))
    };
    let mut e = Diagnostic::error("E0401", format!("unknown name `{name}`")).at(span, "");
    e.help = variant().or_else(habit).or_else(elsewhere).or_else(|| did_you_mean(name, known));
    e
}

/// A type that is not there.
pub fn unknown_type(script: &Script, id: ModuleId, path: &[(&str, Span)]) -> Diagnostic {
    let name = path.iter().map(|p| p.0).collect::<Vec<_>>().join(".");
    let own = script.module(id).types.keys().map(String::as_str);
    let mut known: Vec<&str> = own.collect();
    DType::ALL.into_iter().map(DType::name).chain(["Key", "size", "string"]).for_each(|n| known.push(n));
    let span = path.last().map_or(Span::NONE, |p| p.1);
    let mut e = Diagnostic::error("E0401", format!("unknown type `{name}`")).at(span, "");
    e.help = crate::habits::of_type(&name)
        .map(str::to_string)
        .or_else(|| did_you_mean(&name, known))
        .or(Some("a parameter without a type takes any value".to_string()));
    e
}

pub fn is_primitive_type(name: &str) -> bool {
    matches!(name, "Key" | "size" | "string") || DType::ALL.into_iter().any(|d| d.name() == name)
}

/// A module that lacks a name.
pub fn no_member(module: &Module, name: &str, span: Span) -> Diagnostic {
    let of = module.path.join(".");
    if module.types.contains_key(name) {
        let e = Diagnostic::error("E0401", format!("`{name}` of `{of}` is a type, not a value")).at(span, "");
        let small = module.values.keys().find(|v| v.eq_ignore_ascii_case(name));
        return match small {
            Some(small) => e.help(format!("did you mean the function `{small}`?")),
            None => e.help(format!("a value of it: `{name} {{ … }}`")),
        };
    }
    let mut e = Diagnostic::error("E0401", format!("`{of}` has no `{name}`")).at(span, "");
    let public = || module.public.iter().filter(|(_, (public, _))| *public).map(|(n, _)| n.as_str());
    e.help = did_you_mean(name, public());
    if e.help.is_none() && crate::builtins::find(name).is_some() {
        e.help = Some(format!("`{name}` is there without an import"));
    }
    let mut there: Vec<&str> = public().collect();
    there.sort_unstable();
    if e.help.is_none() && (1..=MANY).contains(&there.len()) {
        e.notes.push(format!("it has {}", listed(there)));
    }
    e
}

/// The error of reaching for what a module keeps to itself, if it does.
pub fn not_public(module: &Module, name: &str, span: Span) -> Option<Diagnostic> {
    let (public, declared) = module.public.get(name)?;
    if *public {
        return None;
    }
    let of = module.path.join(".");
    let e = Diagnostic::error("E0410", format!("`{name}` of `{of}` is not `pub`: only its own file can use it"));
    let e = e.at(span, "").at(*declared, "declared here");
    Some(e.help(format!("write `pub` in front of the declaration of `{name}`")))
}

/// More names than these are not read.
const MANY: usize = 12;

/// The candidate nearest to `name`, if it is near enough to be what was meant: one edit in short names, three in long ones.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let length = name.chars().count();
    let limit = match length {
        0..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.to_lowercase().chars().collect();
        letters.sort_unstable();
        letters
    };
    let own = letters(name);
    let scored = candidates.into_iter().map(|c| (if c.eq_ignore_ascii_case(name) { 1 } else { distance(name, c) }, c));
    let near = scored.filter(|(d, c)| *d <= limit && *d < length.max(c.chars().count()) && *d < length.max(2));
    // Of several, the one of the same letters, or of the same first letter.
    let rank = |d: usize, c: &str| (d, letters(c) != own, c.chars().next() != name.chars().next(), c.to_string());
    near.min_by_key(|(d, c)| rank(*d, c)).map(|(_, c)| c)
}

/// "did you mean `x`?", where something is near.
pub fn did_you_mean<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(name, candidates).map(|c| format!("did you mean `{c}`?"))
}

/// "`a`, `b` and `c`"
pub fn listed<'c>(names: impl IntoIterator<Item = &'c str>) -> String {
    let names: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
    listed_plain(&names)
}

/// "a, b and c"
pub fn listed_plain(names: &[String]) -> String {
    match names.split_last() {
        None => "none".to_string(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Edits between two words: insertion, deletion, substitution, and exchange of neighbours (Damerau, 1964).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut d =
                (rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1])).min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                d = d.min(rows[i - 2][j - 2] + 1);
            }
            row.push(d);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        assert_eq!(nearest("rewrad", ["state", "reward", "done"]), Some("reward"));
        assert_eq!(nearest("x", ["alpha", "beta"]), None);
        assert_eq!(nearest("w", ["x", "v"]), None);
        assert_eq!(nearest("maen", ["main", "mean"]), Some("mean"));
        assert_eq!(nearest("lrr", ["lr", "clip"]), Some("lr"));
        assert_eq!(nearest("Normal", ["normal"]), Some("normal"));
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
