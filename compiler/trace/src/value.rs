//! The values of a traced program: arrays of Core in the leaves, everything else known while tracing.

use std::rc::Rc;

use whorl_core::Atom;
use whorl_source::{Diagnostic, Span};
use whorl_syntax::ast;

use crate::builtins::Builtin;
use crate::keys::Key;
use crate::script::ModuleId;

/// An error ends the statement that it happens in ([`crate::report`]).
pub type R<T> = Result<T, Box<Diagnostic>>;

#[derive(Clone)]
pub enum Value<'a> {
    /// A number or an array of numbers of the program.
    Leaf(Atom),
    /// A number known while tracing: a literal, a size, or what follows from them. It takes the type of what it meets.
    Int(i64),
    Float(f64),
    Bool(bool),
    Str(Rc<str>),
    /// Numbers known while tracing, in brackets: `[64, 64]`.
    List(Rc<[Value<'a>]>),
    Unit,
    Tuple(Rc<[Value<'a>]>),
    Record(Rc<Record<'a>>),
    /// `n` tuples, records or keys, held as one of arrays: every leaf of `elem` has `n` in front of its own sizes.
    /// An array of numbers is a `Leaf`.
    Array {
        n: usize,
        elem: Rc<Value<'a>>,
    },
    Key(Key),
    Function(Rc<Function<'a>>),
    Module(ModuleId),
    /// `a..b`
    Range(i64, i64),
}

/// What a record is one of.
#[derive(Clone, Copy)]
pub enum Of<'a> {
    Type(&'a str),
    /// A tagged union: the fields are `tag`, the number of its variant, and the fields of all variants, zero in those that it
    /// is not one of.
    Enum(EnumRef<'a>),
}

/// An enum, and the module that its text belongs to.
#[derive(Clone, Copy)]
pub struct EnumRef<'a> {
    pub module: ModuleId,
    pub def: &'a ast::EnumDef,
}

impl<'a> Of<'a> {
    pub fn name(self) -> &'a str {
        match self {
            Of::Type(name) => name,
            Of::Enum(e) => &e.def.name.text,
        }
    }

    /// Whether values of both can stand for one another: an enum is not a record that happens to have its fields.
    pub fn fits(a: Option<Of>, b: Option<Of>) -> bool {
        match (a, b) {
            (Some(Of::Enum(a)), Some(Of::Enum(b))) => std::ptr::eq(a.def, b.def),
            (Some(Of::Enum(_)), Some(Of::Type(_)) | None) | (Some(Of::Type(_)) | None, Some(Of::Enum(_))) => false,
            (Some(Of::Type(_)) | None, Some(Of::Type(_)) | None) => true,
        }
    }
}

#[derive(Clone)]
pub struct Record<'a> {
    /// The type it was declared as.
    pub name: Option<Of<'a>>,
    pub fields: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Record<'a> {
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.fields.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

/// What stands for the parameters of a generic enum: a zero of each type, by name.
pub type TypeArgs<'a> = Vec<(&'a str, Value<'a>)>;

pub enum Function<'a> {
    /// A function of a module.
    Item {
        module: ModuleId,
        def: &'a ast::FnDef,
    },
    /// `fn(x) = …`, with the names around it. `serial` tells which closures are older than a loop.
    Closure {
        module: ModuleId,
        env: Env<'a>,
        lambda: Lambda<'a>,
        serial: usize,
    },
    Builtin(&'static Builtin),
    /// `Shape.Square`, which takes the fields of the variant.
    Variant {
        of: EnumRef<'a>,
        variant: usize,
        types: TypeArgs<'a>,
    },
    /// `Cell.of`, the variant of a number.
    VariantOf(EnumRef<'a>),
    Derivative(Derivative<'a>),
    Custom(CustomVjp<'a>),
}

#[derive(Clone, Copy)]
pub struct Lambda<'a> {
    pub params: &'a [ast::FnParam],
    pub result: Option<&'a ast::Type>,
    pub body: &'a ast::Expr,
}

/// `grad(f)` and its relatives.
pub struct Derivative<'a> {
    pub of: Rc<Function<'a>>,
    pub kind: DerivativeKind,
    pub wrt: Wrt,
    /// `f` gives `(loss, anything)`.
    pub aux: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub enum DerivativeKind {
    Grad,
    ValueAndGrad,
    Jacobian,
}

/// By what is differentiated.
#[derive(Clone, PartialEq)]
pub enum Wrt {
    One(Part),
    /// The gradient is a tuple.
    Several(Rc<[Part]>),
}

/// An argument, or a part of one: `wrt: 1`, `wrt: "net"`, `wrt: "net.first.weight"`.
#[derive(Clone, PartialEq)]
pub struct Part {
    pub argument: Argument,
    pub fields: Rc<[Rc<str>]>,
}

#[derive(Clone, PartialEq)]
pub enum Argument {
    Place(usize),
    Name(Rc<str>),
}

/// `custom_vjp(forward, backward)`
pub struct CustomVjp<'a> {
    pub forward: Rc<Function<'a>>,
    pub backward: Rc<Function<'a>>,
}

impl Function<'_> {
    /// Whether both are the same function, so that one can stand for the other in loops and branches.
    pub fn same(self: &Rc<Self>, other: &Rc<Self>) -> bool {
        if Rc::ptr_eq(self, other) {
            return true;
        }
        match (&**self, &**other) {
            (Function::Item { def: a, .. }, Function::Item { def: b, .. }) => std::ptr::eq(*a, *b),
            (Function::Builtin(a), Function::Builtin(b)) => a.name == b.name,
            (Function::Derivative(a), Function::Derivative(b)) => {
                a.of.same(&b.of) && a.kind == b.kind && a.wrt == b.wrt && a.aux == b.aux
            }
            (Function::Custom(a), Function::Custom(b)) => a.forward.same(&b.forward) && a.backward.same(&b.backward),
            (Function::Closure { serial: a, .. }, Function::Closure { serial: b, .. }) => a == b,
            (Function::Variant { of: a, variant: i, types: s }, Function::Variant { of: b, variant: j, types: t }) => {
                std::ptr::eq(a.def, b.def) && i == j && s.is_empty() && t.is_empty()
            }
            (Function::VariantOf(a), Function::VariantOf(b)) => std::ptr::eq(a.def, b.def),
            (
                Function::Item { .. }
                | Function::Builtin(_)
                | Function::Derivative(_)
                | Function::Custom(_)
                | Function::Variant { .. }
                | Function::VariantOf(_)
                | Function::Closure { .. },
                _,
            ) => false,
        }
    }

    pub fn name(&self) -> String {
        match self {
            Function::Item { def, .. } => def.name.text.clone(),
            Function::Closure { .. } => "a function".to_string(),
            Function::Builtin(b) => b.name.to_string(),
            Function::Variant { of, variant, .. } => {
                format!("{}.{}", of.def.name.text, of.def.variants[*variant].name.text)
            }
            Function::VariantOf(of) => format!("{}.of", of.def.name.text),
            Function::Derivative(d) => match d.kind {
                DerivativeKind::Grad => format!("grad({})", d.of.name()),
                DerivativeKind::ValueAndGrad => format!("value_and_grad({})", d.of.name()),
                DerivativeKind::Jacobian => format!("jacobian({})", d.of.name()),
            },
            Function::Custom(c) => format!("custom_vjp({})", c.forward.name()),
        }
    }
}

/// An argument, or an operand, and where it is written.
#[derive(Clone)]
pub struct Arg<'a> {
    pub name: Option<&'a str>,
    pub value: Value<'a>,
    pub span: Span,
}

impl<'a> Arg<'a> {
    pub fn new(value: Value<'a>, span: Span) -> Arg<'a> {
        Arg { name: None, value, span }
    }
}

/// The names in scope, newest first; sharing makes a closure's copy free.
#[derive(Clone, Default)]
pub struct Env<'a>(Option<Rc<Binding<'a>>>);

pub struct Binding<'a> {
    pub name: &'a str,
    pub value: Value<'a>,
    /// Where the name was bound.
    pub span: Span,
    /// It could not be traced, which is reported: there is no value.
    pub broken: bool,
    next: Env<'a>,
}

impl<'a> Env<'a> {
    pub fn bind(&mut self, name: &'a str, value: Value<'a>, span: Span) {
        let next = std::mem::take(self);
        self.0 = Some(Rc::new(Binding { name, value, span, broken: false, next }));
    }

    /// A name whose value could not be traced.
    pub fn bind_broken(&mut self, name: &'a str, span: Span) {
        let next = std::mem::take(self);
        self.0 = Some(Rc::new(Binding { name, value: Value::Unit, span, broken: true, next }));
    }

    pub fn get(&self, name: &str) -> Option<&Binding<'a>> {
        self.iter().find(|b| b.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Binding<'a>> {
        std::iter::successors(self.0.as_deref(), |b| b.next.0.as_deref())
    }
}

impl<'a> Value<'a> {
    pub fn record(name: Option<Of<'a>>, fields: Vec<(&'a str, Value<'a>)>) -> Value<'a> {
        Value::Record(Rc::new(Record { name, fields }))
    }

    pub fn tuple(items: Vec<Value<'a>>) -> Value<'a> {
        Value::Tuple(items.into())
    }

    /// `n` of what `elem`'s leaves hold with `n` in front: an array of numbers stays a leaf.
    pub fn array(n: usize, elem: Value<'a>) -> Value<'a> {
        match elem {
            Value::Leaf(_) | Value::Unit | Value::Function(_) | Value::Str(_) | Value::Module(_) => elem,
            Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::List(_) | Value::Range(..) => elem,
            Value::Tuple(_) | Value::Record(_) | Value::Array { .. } | Value::Key(_) => {
                Value::Array { n, elem: Rc::new(elem) }
            }
        }
    }

    /// Whether it has parts, on which arithmetic works one by one.
    pub fn is_tree(&self) -> bool {
        matches!(self, Value::Tuple(_) | Value::Record(_) | Value::Array { .. })
    }

    /// Whether it is a number known while tracing.
    pub fn is_static_number(&self) -> bool {
        matches!(self, Value::Int(_) | Value::Float(_) | Value::Bool(_))
    }
}
