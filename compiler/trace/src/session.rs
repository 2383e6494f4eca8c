//! What a session asks of its script: the program of what was typed, and the names that there are.

use whorl_source::Diagnostic;
use whorl_syntax::ast::{Block, ExprKind, FnDef, ItemKind, StatementKind};

use crate::entry::Traced;
use crate::outline::Outline;
use crate::parts::INPUT;
use crate::script::{Def, ItemId, Module, ModuleId, Script, item_names, pattern_names};
use crate::tracer::{Tracer, fail};
use crate::value::{Env, R, Value};

/// What was typed, as a program, and what its results are.
#[derive(Clone, Debug)]
pub struct Input {
    pub traced: Traced,
    pub outline: Outline,
}

/// A name at the top of a module.
#[derive(Clone, PartialEq, Debug)]
pub struct Named {
    pub name: String,
    pub kind: NameKind,
    /// As it is declared, in a line: `fn loss(net, batch) -> f32`, `param lr: f32 = 0.1`.
    pub text: String,
    pub doc: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameKind {
    Module,
    Function,
    Type,
    /// A `param` or a `size`.
    Knob,
    Value,
}

impl Script {
    /// The statements that are the script's last part, as a program without parameters. Of a `let` it gives a record of what it
    /// binds; else the value of the last expression.
    pub fn trace_input(&self) -> Result<Input, Vec<Diagnostic>> {
        let mut outline = Outline::Unit;
        let traced = self.traced(|t| {
            let Some(block) = self.input() else {
                return fail(Diagnostic::error("E0401", "nothing was typed"));
            };
            t.yields.push(None);
            let value = t.input(block)?;
            t.yields.pop();
            outline = t.outline(&value);
            Ok((Vec::new(), value))
        })?;
        Ok(Input { traced, outline })
    }

    fn input(&self) -> Option<&Block> {
        self.module(ModuleId::MAIN).tree.items.iter().rev().find_map(|item| match &item.kind {
            ItemKind::Fn(FnDef { name, body, .. }) if name.text == INPUT => match &body.kind {
                ExprKind::Block(block) => Some(block),
                _ => None,
            },
            _ => None,
        })
    }

    /// The names at the top of the script, in the order of the text.
    pub fn names(&self) -> Vec<Named> {
        let module = self.module(ModuleId::MAIN);
        self.named(module, |_| true).into_iter().filter(|n| n.name != INPUT).collect()
    }

    /// What other modules may use of the module that is called so in the script (`rl`, `rl.ppo`), or the variants of its enum.
    pub fn members(&self, path: &[&str]) -> Option<Vec<Named>> {
        let mut module = self.module(ModuleId::MAIN);
        for (k, name) in path.iter().enumerate() {
            if let Some(Def::Module(id)) = module.values.get(*name) {
                module = self.module(*id);
                continue;
            }
            let item = self.item(*module.types.get(*name)?);
            return match &item.kind {
                ItemKind::Enum(def) if k + 1 == path.len() => {
                    let variant = |v: &whorl_syntax::ast::Variant| Named {
                        name: v.name.text.clone(),
                        kind: NameKind::Value,
                        text: format!("{name}.{}", v.name.text),
                        doc: String::new(),
                    };
                    Some(def.variants.iter().map(variant).collect())
                }
                _ => None,
            };
        }
        Some(self.named(module, |name| module.public.get(name).is_some_and(|(public, _)| *public)))
    }

    fn named(&self, module: &Module, wanted: impl Fn(&str) -> bool) -> Vec<Named> {
        let mut out: Vec<Named> = Vec::new();
        for item in &module.tree.items {
            for name in item_names(&item.kind) {
                let kind = match (&item.kind, module.values.get(&name.text)) {
                    (ItemKind::Fn(_), _) => NameKind::Function,
                    (ItemKind::Type(_) | ItemKind::Enum(_), _) => NameKind::Type,
                    (ItemKind::Param(_) | ItemKind::Size(_), _) => NameKind::Knob,
                    (ItemKind::Let { .. } | ItemKind::Data(_), _) => NameKind::Value,
                    (ItemKind::Import(_), Some(Def::Module(_))) => NameKind::Module,
                    (ItemKind::Import(_), Some(Def::Item(id))) => {
                        let of = self.imported(*id, &name.text);
                        out.extend(of.filter(|_| wanted(&name.text)));
                        continue;
                    }
                    (ItemKind::Import(_), None) => NameKind::Type,
                    (ItemKind::Test { .. } | ItemKind::Prop(_) | ItemKind::Error, _) => continue,
                };
                if wanted(&name.text) {
                    let text = match (&item.kind, kind) {
                        (ItemKind::Fn(def), _) => self.signature(def),
                        (ItemKind::Import(import), NameKind::Module) => {
                            import.path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".")
                        }
                        _ => self.declaration(item.span),
                    };
                    out.push(Named { name: name.text, kind, text, doc: item.doc.clone() });
                }
            }
        }
        out
    }

    /// An item of another module, by its name here.
    fn imported(&self, id: ItemId, name: &str) -> Option<Named> {
        self.named(self.module(id.module), |n| n == name).pop()
    }

    /// The head of a function, in a line.
    pub(crate) fn signature(&self, def: &FnDef) -> String {
        let end = def.body.span.start;
        let text =
            self.map.file(def.name.span.file).and_then(|f| f.text.get(def.name.span.start as usize..end as usize));
        let line = text.unwrap_or(&def.name.text).split_whitespace().collect::<Vec<_>>().join(" ");
        format!("fn {}", line.trim_end_matches(['=', '{', ' ']))
    }

    /// An item's text in a line, without its comments.
    fn declaration(&self, span: whorl_source::Span) -> String {
        let text = self.map.file(span.file).and_then(|f| f.text.get(span.start as usize..span.end as usize));
        let lines = text.unwrap_or("").lines().map(|l| l.split("//").next().unwrap_or(""));
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        words.join(" ").trim_start_matches("pub ").to_string()
    }
}

impl<'a> Tracer<'a> {
    fn input(&mut self, block: &'a Block) -> R<Value<'a>> {
        let mut env = Env::default();
        let mut names = Vec::new();
        for statement in &block.statements {
            self.statement(statement, &mut env)?;
            if let StatementKind::Let { pattern, .. } = &statement.kind {
                names.clear();
                pattern_names(pattern, &mut names);
            }
        }
        if let Some(result) = &block.result {
            return self.unused_expr(result, &env);
        }
        let bound = names.iter().filter_map(|n| env.get(&n.text)).map(|b| (b.name, b.value.clone()));
        Ok(if names.is_empty() { Value::Unit } else { Value::record(None, bound.collect()) })
    }
}
