//! Checks that a program obeys the rules of [`crate::ir`]; run between passes in tests and debug builds.

mod accumulators;
mod sizes;

use crate::check::CheckKind;
use crate::halves;
use crate::ir::*;
use crate::prim::{Binary, Prim};
use crate::print::{atom_text, statement_line, type_text};

/// A broken rule, for the compiler's own developers.
#[derive(Clone, PartialEq, Debug)]
pub struct VerifyError {
    /// Names the variable.
    pub message: String,
    /// The first line of the innermost statement that holds the defect; empty if it is in the outermost body's frame.
    pub statement: String,
    pub spans: Spans,
}

impl std::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.message)?;
        if self.statement.is_empty() { Ok(()) } else { write!(f, "\n  in `{}`", self.statement) }
    }
}

impl std::error::Error for VerifyError {}

pub fn verify(program: &Program) -> Result<(), VerifyError> {
    verify_function(&program.vars, &program.main)
}

/// Every use is defined before and in scope; variables are bound once; types, carries, arms and accumulators fit.
pub fn verify_function(vars: &Vars, function: &Function) -> Result<(), VerifyError> {
    let mut v = Verifier { vars, scope: vec![Scope::Unbound; vars.len()] };
    let checked = sizes::variables(vars)
        .and_then(|()| function.params.iter().try_for_each(|p| v.bind(*p)).map_err(Flaw::from))
        .and_then(|()| v.body(&function.body).map(|_| ()));
    checked.map_err(|flaw| {
        flaw.at.unwrap_or(VerifyError { message: flaw.message, statement: String::new(), spans: Spans::new() })
    })
}

/// What is wrong, and, once a statement was found around it, where.
struct Flaw {
    message: String,
    at: Option<VerifyError>,
}

impl From<String> for Flaw {
    fn from(message: String) -> Flaw {
        Flaw { message, at: None }
    }
}

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition { return Err(format!($($message)*).into()); }
    };
}
use ensure;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Scope {
    Unbound,
    Live,
    /// The body that bound it has ended.
    Left,
}

struct Verifier<'a> {
    vars: &'a Vars,
    /// By variable.
    scope: Vec<Scope>,
}

impl Verifier<'_> {
    fn bind(&mut self, v: Var) -> Result<(), String> {
        ensure!((v.0 as usize) < self.scope.len(), "%{} is not among the program's variables", v.0);
        let scope = &mut self.scope[v.0 as usize];
        ensure!(*scope == Scope::Unbound, "%{} is bound twice", v.0);
        *scope = Scope::Live;
        Ok(())
    }

    /// The type of an operand that may be read here.
    fn read(&self, a: Atom) -> Result<Type, String> {
        match a {
            Atom::Lit(l) => {
                sizes::literal(l)?;
                Ok(Type::scalar(l.dtype))
            }
            Atom::Var(v) => {
                ensure!((v.0 as usize) < self.scope.len(), "%{} is not among the program's variables", v.0);
                match self.scope[v.0 as usize] {
                    Scope::Unbound => Err(format!("%{} is used before it is bound", v.0)),
                    Scope::Left => Err(format!("%{} is used outside of the body that binds it", v.0)),
                    Scope::Live => Ok(self.vars.ty(v).clone()),
                }
            }
        }
    }

    /// The types of the body's results. What it binds is out of scope after it.
    fn body(&mut self, body: &Body) -> Result<Vec<Type>, Flaw> {
        for stmt in &body.stmts {
            self.stmt(stmt).map_err(|flaw| self.place(flaw, stmt))?;
        }
        let results = body.results.iter().map(|a| self.read(*a)).collect::<Result<_, _>>()?;
        for v in body.stmts.iter().flat_map(|s| &s.outs) {
            self.scope[v.0 as usize] = Scope::Left;
        }
        Ok(results)
    }

    fn place(&self, flaw: Flaw, stmt: &Stmt) -> Flaw {
        let at = flaw.at.unwrap_or_else(|| VerifyError {
            message: flaw.message.clone(),
            statement: statement_line(self.vars, stmt),
            spans: stmt.spans.clone(),
        });
        Flaw { message: flaw.message, at: Some(at) }
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), Flaw> {
        let types = match &stmt.op {
            Op::Prim(prim, args) => self.prim(prim, args)?,
            Op::Constant(data) => {
                sizes::constant(data)?;
                vec![data.ty.clone()]
            }
            Op::Form(form) => self.form(form)?,
            Op::Effect(effect) => {
                self.effect(effect)?;
                Vec::new()
            }
        };
        ensure!(stmt.outs.len() == types.len(), "{} variables for {} results", stmt.outs.len(), types.len());
        for (v, ty) in stmt.outs.iter().zip(&types) {
            self.bind(*v)?;
            let bound = self.vars.ty(*v);
            ensure!(bound == ty, "%{} is {}, its value {}", v.0, type_text(bound), type_text(ty));
        }
        Ok(())
    }

    fn prim(&self, prim: &Prim, args: &[Atom]) -> Result<Vec<Type>, Flaw> {
        sizes::attributes(prim)?;
        let types = args.iter().map(|a| self.read(*a)).collect::<Result<Vec<Type>, _>>()?;
        let results = prim.result_types(&types).map_err(|e| e.0)?;
        let arithmetic = matches!(prim, Prim::Dot(_) | Prim::IndexAdd(_));
        let bools = types.first().is_some_and(|t| t.dtype == DType::Bool);
        ensure!(!(arithmetic && bools), "{} of bools", prim.name());
        ensure!(halves::direct(prim, &types), "{} of halves, which is a primitive of f32", prim.name());
        Ok(results.into_vec())
    }

    fn effect(&self, effect: &Effect) -> Result<(), Flaw> {
        let fits = |ty: &Type, mask: Atom| {
            let mask_type = self.read(mask)?;
            ensure!(mask_type.dtype == DType::Bool, "the mask {} is no bool", atom_text(&mask));
            let shapes_fit = mask_type.is_scalar() || mask_type.shape == ty.shape;
            ensure!(
                shapes_fit,
                "the mask {} is {}, the value {}",
                atom_text(&mask),
                type_text(&mask_type),
                type_text(ty)
            );
            Ok::<(), String>(())
        };
        match effect {
            Effect::Log { value, mask, .. } => fits(&self.read(*value)?, *mask)?,
            Effect::Check { check, values, mask } => {
                let types = values.iter().map(|v| self.read(*v)).collect::<Result<Vec<Type>, _>>()?;
                let Some(ty) = types.first() else { return Err("a check of nothing".to_string().into()) };
                let fine = match check.kind {
                    CheckKind::Assert(None) => ty.dtype == DType::Bool,
                    CheckKind::Assert(Some(_)) => ty.dtype == DType::Bool && types.len() == 3,
                    CheckKind::Index { .. } => ty.dtype == DType::I32 && types.len() == 1,
                    CheckKind::Finite => types.iter().all(|t| t.dtype.is_float()),
                };
                ensure!(fine, "the {:?} of {}", check.kind, atom_text(&values[0]));
                for (v, other) in values.iter().zip(&types) {
                    let fits = other.is_scalar() || other.shape == ty.shape;
                    ensure!(fits, "{} is {} beside {}", atom_text(v), type_text(other), type_text(ty));
                }
                fits(ty, *mask)?;
            }
        }
        Ok(())
    }

    fn form(&mut self, form: &Form) -> Result<Vec<Type>, Flaw> {
        match form {
            Form::Map(m) => {
                let types = self.steps(m.n, m.index, &m.accs, &m.body)?;
                accumulators::check(m)?;
                Ok(types)
            }
            Form::Scan(s) => self.steps(s.n, s.index, &s.carries, &s.body),
            Form::While(w) => self.while_loop(w),
            Form::Switch(s) => self.switch(s),
        }
    }

    /// Binds carries, and gives their types; whoever calls ends their scope.
    fn carries(&mut self, carries: &[Carry]) -> Result<Vec<Type>, Flaw> {
        let inits = carries.iter().map(|c| self.read(c.init)).collect::<Result<Vec<Type>, _>>()?;
        for (c, init) in carries.iter().zip(&inits) {
            self.bind(c.var)?;
            let ty = self.vars.ty(c.var);
            ensure!(ty == init, "%{} is {}, it starts from {}", c.var.0, type_text(ty), type_text(init));
        }
        Ok(inits)
    }

    fn leave(&mut self, carries: &[Carry]) {
        carries.iter().for_each(|c| self.scope[c.var.0 as usize] = Scope::Left);
    }

    /// The body of a map or a scan, and the types of the form's results.
    fn steps(&mut self, n: usize, index: Var, carries: &[Carry], body: &Body) -> Result<Vec<Type>, Flaw> {
        ensure!(n <= i32::MAX as usize, "{n} steps do not fit an i32");
        let carried = self.carries(carries)?;
        self.bind(index)?;
        let ty = self.vars.ty(index);
        ensure!(*ty == Type::scalar(DType::I32), "the index %{} is {}", index.0, type_text(ty));
        let results = self.body(body)?;
        next_fit(carries, &carried, &results)?;
        self.scope[index.0 as usize] = Scope::Left;
        self.leave(carries);
        let stacked = results[carries.len()..].iter().map(|t| t.stacked(n));
        let types: Vec<Type> = carried.iter().cloned().chain(stacked).collect();
        types.iter().try_for_each(sizes::fits)?;
        Ok(types)
    }

    fn while_loop(&mut self, w: &While) -> Result<Vec<Type>, Flaw> {
        let carried = self.carries(&w.carries)?;
        let condition = self.body(&w.condition)?;
        ensure!(condition == [Type::scalar(DType::Bool)], "the condition is not one bool");
        let results = self.body(&w.body)?;
        next_fit(&w.carries, &carried, &results)?;
        ensure!(results.len() == carried.len(), "a while yields {} values", results.len() - carried.len());
        self.leave(&w.carries);
        Ok(carried)
    }

    fn switch(&mut self, s: &Switch) -> Result<Vec<Type>, Flaw> {
        let which = self.read(s.which)?;
        ensure!(which.is_scalar(), "the choice {} is {}", atom_text(&s.which), type_text(&which));
        match which.dtype {
            DType::Bool => ensure!(s.arms.len() == 2, "{} arms for a bool", s.arms.len()),
            DType::I32 => ensure!(!s.arms.is_empty(), "a switch without arms"),
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 | DType::U32 | DType::U8 => {
                return Err(format!("the choice {} is {}", atom_text(&s.which), type_text(&which)).into());
            }
        }
        let arms = s.arms.iter().map(|arm| self.body(arm)).collect::<Result<Vec<_>, _>>()?;
        for (k, arm) in arms.iter().enumerate() {
            ensure!(*arm == arms[0], "arm {k} gives ({}), arm 0 ({})", types_text(arm), types_text(&arms[0]));
        }
        Ok(arms.into_iter().next().unwrap_or_default())
    }
}

/// A loop's body gives each carry's next value.
fn next_fit(carries: &[Carry], carried: &[Type], results: &[Type]) -> Result<(), Flaw> {
    ensure!(results.len() >= carried.len(), "{} results for {} carries", results.len(), carried.len());
    for ((c, ty), next) in carries.iter().zip(carried).zip(results) {
        ensure!(ty == next, "%{} is {}, its next value {}", c.var.0, type_text(ty), type_text(next));
    }
    Ok(())
}

fn types_text(types: &[Type]) -> String {
    types.iter().map(type_text).collect::<Vec<_>>().join(", ")
}

/// Whether a primitive hands its first or second operand on with something added to it.
fn additive_operands(prim: &Prim) -> &'static [usize] {
    if *prim == Prim::Binary(Binary::Add) {
        &[0, 1]
    } else if matches!(prim, Prim::IndexAdd(_)) {
        &[0]
    } else {
        &[]
    }
}
