//! Programs as text; [`crate::read`] reads it back, but for the elements of large constants.
//!
//! ```text
//! { %0 "x" : f32[4], %1 : i32 ->
//!   %2 : f32[4], %3 : f32 = map %4 < 4 with %5 : f32 = 0.0f32 {
//!     %6 : f32 = index(%0, %4)
//!     %7 : f32 = add(%5, %6)
//!     %7, %6
//!   }
//!   log "mean" (%3, true)
//!   %8 : f32[2,4] = broadcast[shape=2,4 axes=1](%2)
//!   %8
//! }
//! ```
//!
//! A body's last line are its results; nothing, if it has none. A literal carries its type (`1.5f32`, `7u32`, `true`);
//! infinities are `f32(inf)`, NaNs `f32(0x7fc00000)`.

use std::fmt::Write;

use crate::ir::*;
use crate::names::Attribute;
use crate::prim::Prim;

/// Constants of more elements than this are told by their number alone, and cannot be read back.
const LONGEST_CONSTANT: usize = 4096;

pub fn print(program: &Program) -> String {
    print_with(program, &|_| None)
}

/// With what `comment` says of each statement's spans (`file:line`) behind its first line.
pub fn print_with(program: &Program, comment: &dyn Fn(&Spans) -> Option<String>) -> String {
    print_function(&program.vars, &program.main, comment)
}

pub fn print_function(vars: &Vars, function: &Function, comment: &dyn Fn(&Spans) -> Option<String>) -> String {
    let mut p = Printer { vars, comment, text: String::new(), depth: 0 };
    let params: Vec<String> = function.params.iter().map(|v| p.binder(*v)).collect();
    p.text.push_str("{ ");
    p.text.push_str(&params.join(", "));
    p.text.push_str(if params.is_empty() { "->\n" } else { " ->\n" });
    p.inside(&function.body);
    p.text.push_str("}\n");
    p.text
}

/// The first line of a statement, for messages.
pub fn statement_line(vars: &Vars, stmt: &Stmt) -> String {
    let mut p = Printer { vars, comment: &|_| None, text: String::new(), depth: 0 };
    p.head(stmt);
    p.text
}

struct Printer<'a> {
    vars: &'a Vars,
    comment: &'a dyn Fn(&Spans) -> Option<String>,
    text: String,
    depth: usize,
}

impl Printer<'_> {
    fn binder(&self, v: Var) -> String {
        if v.0 as usize >= self.vars.len() {
            return format!("%{} : ?", v.0);
        }
        let info = self.vars.info(v);
        match &info.name {
            Some(name) => format!("%{} {} : {}", v.0, quoted(name), type_text(&info.ty)),
            None => format!("%{} : {}", v.0, type_text(&info.ty)),
        }
    }

    fn binders(&self, vars: &[Var]) -> String {
        vars.iter().map(|v| self.binder(*v)).collect::<Vec<_>>().join(", ")
    }

    fn carries(&self, carries: &[Carry]) -> String {
        if carries.is_empty() {
            return String::new();
        }
        let each: Vec<String> =
            carries.iter().map(|c| format!("{} = {}", self.binder(c.var), atom_text(&c.init))).collect();
        format!(" with {}", each.join(", "))
    }

    /// `%3 "i"`: an index, whose type is known.
    fn index(&self, v: Var) -> String {
        let name = if (v.0 as usize) < self.vars.len() { self.vars.info(v).name.as_deref() } else { None };
        name.map_or_else(|| format!("%{}", v.0), |n| format!("%{} {}", v.0, quoted(n)))
    }

    fn indent(&mut self) {
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }

    /// The lines of a body, one level in.
    fn inside(&mut self, body: &Body) {
        self.depth += 1;
        for stmt in &body.stmts {
            self.indent();
            self.statement(stmt);
        }
        if !body.results.is_empty() {
            self.indent();
            self.text.push_str(&atoms_text(&body.results));
            self.text.push('\n');
        }
        self.depth -= 1;
        self.indent();
    }

    fn statement(&mut self, stmt: &Stmt) {
        self.head(stmt);
        let comment = (self.comment)(&stmt.spans).map(|c| format!(" // {c}")).unwrap_or_default();
        if let Op::Form(form) = &stmt.op {
            for (k, body) in form.bodies().iter().enumerate() {
                self.text.push_str(" {");
                if k == 0 {
                    self.text.push_str(&comment);
                }
                self.text.push('\n');
                self.inside(body);
                self.text.push('}');
            }
        } else {
            self.text.push_str(&comment);
        }
        self.text.push('\n');
    }

    /// All but the bodies.
    fn head(&mut self, stmt: &Stmt) {
        if !stmt.outs.is_empty() {
            let outs = self.binders(&stmt.outs);
            self.text.push_str(&outs);
            self.text.push_str(" = ");
        }
        let op = match &stmt.op {
            Op::Prim(prim, args) => format!("{}({})", prim_text(prim), atoms_text(args)),
            // Only in the verifier's messages.
            Op::Constant(data) if data.bytes.len() != data.ty.size() * data.ty.dtype.bytes() => "constant [?]".into(),
            // A data file: nobody reads a million numbers.
            Op::Constant(data) if data.ty.size() > LONGEST_CONSTANT => {
                format!("constant [… {} elements]", data.ty.size())
            }
            Op::Constant(data) => {
                let elements = (0..data.ty.size()).map(|k| element_text(&data.element(k)));
                format!("constant [{}]", elements.collect::<Vec<_>>().join(", "))
            }
            Op::Form(form) => match &**form {
                Form::Map(m) => format!("map {} < {}{}", self.index(m.index), m.n, self.carries(&m.accs)),
                Form::Scan(s) => {
                    let (reverse, train) =
                        (if s.reverse { "reverse " } else { "" }, if s.train { "train " } else { "" });
                    let (index, carries) = (self.index(s.index), self.carries(&s.carries));
                    format!("scan {reverse}{train}{index} < {}{}{carries}", s.n, checkpoint_text(s.checkpoint))
                }
                Form::While(w) => {
                    let max = w.max.map_or(String::new(), |m| format!(" max {m}"));
                    format!("while{max}{}{}", checkpoint_text(w.checkpoint), self.carries(&w.carries))
                }
                Form::Switch(s) => format!("switch {}", atom_text(&s.which)),
            },
            Op::Effect(Effect::Log { name, value, mask }) => {
                format!("log {} ({}, {})", quoted(name), atom_text(value), atom_text(mask))
            }
            Op::Effect(Effect::Assert { message, condition, mask }) => {
                format!("assert {} ({}, {})", quoted(message), atom_text(condition), atom_text(mask))
            }
        };
        self.text.push_str(&op);
    }
}

/// ` checkpoint every 10`; nothing where all carries are kept.
fn checkpoint_text(c: Checkpoint) -> String {
    match c {
        Checkpoint::Carries => String::new(),
        Checkpoint::Every(k) => format!(" checkpoint every {k}"),
        Checkpoint::Sqrt => " checkpoint sqrt".into(),
        Checkpoint::Kept { steps, every } => format!(" kept {steps} every {every}"),
    }
}

/// `f32[4,2]`
pub fn type_text(ty: &Type) -> String {
    match ty.is_scalar() {
        true => ty.dtype.name().into(),
        false => format!("{}[{}]", ty.dtype.name(), list(&ty.shape)),
    }
}

/// `dot[lhs_contract=1 rhs_contract=0]`
pub fn prim_text(prim: &Prim) -> String {
    let attributes: Vec<String> = (prim.attributes().into_iter())
        .map(|(name, a)| match a {
            Attribute::Sizes(s) => format!("{name}={}", list(&s)),
            Attribute::DType(d) => format!("{name}={}", d.name()),
            Attribute::Monoid(op) => format!("{name}={}", op.name()),
            Attribute::Flag => name.into(),
        })
        .collect();
    match attributes.is_empty() {
        true => prim.name().into(),
        false => format!("{}[{}]", prim.name(), attributes.join(" ")),
    }
}

fn list(sizes: &[usize]) -> String {
    sizes.iter().map(|n| n.to_string()).collect::<Vec<_>>().join(",")
}

pub fn atom_text(a: &Atom) -> String {
    match a {
        Atom::Var(v) => format!("%{}", v.0),
        Atom::Lit(l) => lit_text(l),
    }
}

fn atoms_text(atoms: &[Atom]) -> String {
    atoms.iter().map(atom_text).collect::<Vec<_>>().join(", ")
}

/// `1.5f32`, `f32(inf)`, `true`
pub fn lit_text(lit: &Lit) -> String {
    match lit.dtype {
        d if d.is_float() && !lit.to_f64().is_finite() => format!("{}({})", lit.dtype.name(), element_text(lit)),
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 => {
            format!("{}{}", element_text(lit), lit.dtype.name())
        }
        DType::Bool => element_text(lit),
    }
}

/// A value whose type is known: the shortest text that reads back as the same bits.
fn element_text(lit: &Lit) -> String {
    match lit.dtype {
        d if d.is_float() && lit.to_f64().is_nan() => format!("{:#x}", lit.bits),
        DType::F32 => format!("{:?}", f32::from_bits(lit.bits as u32)),
        DType::F64 => format!("{:?}", f64::from_bits(lit.bits)),
        DType::F16 | DType::BF16 => format!("{:?}", lit.to_f64() as f32),
        DType::I32 => (lit.bits as u32 as i32).to_string(),
        DType::U32 | DType::U8 => lit.bits.to_string(),
        DType::Bool => (lit.bits != 0).to_string(),
    }
}

fn quoted(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => write!(out, "{other}").expect("a string takes all"),
        }
    }
    out.push('"');
    out
}
