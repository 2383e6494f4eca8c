//! The tree that tracing reads: what a file says, with a span on everything and no layout.
//!
//! The parser always returns a whole [`Module`]; where the text made no sense there is an `Error` node and a diagnostic.

use whorl_source::Span;

/// A name as written, and where.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// A file.
#[derive(Clone, PartialEq, Debug)]
pub struct Module {
    /// `///` lines at the top of the file, before the first item and separated from it by a blank line.
    pub doc: String,
    pub items: Vec<Item>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// `///` lines above it.
    pub doc: String,
    pub public: bool,
    pub span: Span,
    pub kind: ItemKind,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ItemKind {
    Import(Import),
    Param(Param),
    Size(Param),
    Type(TypeDef),
    Enum(EnumDef),
    Fn(FnDef),
    Data(DataDef),
    /// `let env = …` at the top of a file: a constant of the module.
    Let {
        pattern: Pattern,
        ty: Option<Type>,
        value: Expr,
    },
    /// `test "name" { … }`, or with `fails E0101` a test that must not pass.
    Test {
        name: String,
        fails: Option<Fails>,
        body: Block,
    },
    Prop(PropDef),
    Error,
}

/// `fails`, `fails E0101`, `fails "part of the message"`, or both: how a test must fail.
#[derive(Clone, PartialEq, Debug)]
pub struct Fails {
    pub code: Option<Name>,
    pub message: Option<String>,
    pub span: Span,
}

/// `prop "name" (size n in [1, 8], x: f32[n] in (-10, 10)) { … }`: a body that holds whatever its parameters are.
#[derive(Clone, PartialEq, Debug)]
pub struct PropDef {
    pub name: String,
    pub params: Vec<PropParam>,
    pub body: Block,
}

/// What a property draws at random.
#[derive(Clone, PartialEq, Debug)]
pub struct PropParam {
    pub name: Name,
    /// `None` for a `size`.
    pub ty: Option<Type>,
    pub bounds: Option<Bounds>,
}

/// `import std.rl { gae, shuffle }`: binds the listed names; without a list, binds the last segment (`rl`) as a module.
/// `import std.rl as r` binds `r`. A path that does not begin with `std` is a file beside this one (`a.b` is `a/b.whorl`).
#[derive(Clone, PartialEq, Debug)]
pub struct Import {
    pub path: Vec<Name>,
    pub alias: Option<Name>,
    pub names: Option<Vec<Name>>,
}

/// `param lr: f32 = 2.5e-4 in (0, 1) "text"` or `size n = 4 "text"` (type absent, an integer).
/// Bounds are inclusive with `[`/`]`, exclusive with `(`/`)`.
#[derive(Clone, PartialEq, Debug)]
pub struct Param {
    pub name: Name,
    pub ty: Option<Type>,
    pub value: Expr,
    pub bounds: Option<Bounds>,
    /// The string after it: unit or description.
    pub about: String,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Bounds {
    pub low: Expr,
    pub low_inclusive: bool,
    pub high: Expr,
    pub high_inclusive: bool,
}

/// `type Step[S] = { state: S, … }`
#[derive(Clone, PartialEq, Debug)]
pub struct TypeDef {
    pub name: Name,
    pub params: Vec<Name>,
    pub ty: Type,
}

/// `enum Shape { Empty, Square(f32), Circle { centre: f32[2], radius: f32 } }`, `enum Option[T] { None, Some(T) }`
#[derive(Clone, PartialEq, Debug)]
pub struct EnumDef {
    pub name: Name,
    pub params: Vec<Name>,
    pub variants: Vec<Variant>,
}

/// One of the cases of an enum.
#[derive(Clone, PartialEq, Debug)]
pub struct Variant {
    pub name: Name,
    /// The fields stand in braces and have names of their own; else they are called `0`, `1`, ….
    pub named: bool,
    pub fields: Vec<VariantField>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct VariantField {
    pub name: Name,
    /// What tells it from the fields of other variants: `Circle.radius`, `Square.0`.
    pub path: String,
    pub ty: Type,
}

/// `data digits: { images: u8[n, 28, 28], labels: i32[n] } = load("digits.npz")`
#[derive(Clone, PartialEq, Debug)]
pub struct DataDef {
    pub name: Name,
    pub ty: Option<Type>,
    /// A call of `load`, if it makes sense.
    pub value: Expr,
}

/// `fn f(x: f32[n], y = default) -> T { … }` or `… = expr`.
#[derive(Clone, PartialEq, Debug)]
pub struct FnDef {
    pub name: Name,
    pub params: Vec<FnParam>,
    pub result: Option<Type>,
    pub body: Expr,
}

#[derive(Clone, PartialEq, Debug)]
pub struct FnParam {
    pub pattern: Pattern,
    pub ty: Option<Type>,
    pub default: Option<Expr>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Type {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum TypeKind {
    /// `f32`, `Key`, `State`, `std.env.Env`: a path of names.
    Path(Vec<Name>),
    /// `T[a, b]`: sizes of an array of `T`, or, where `T` is a generic type, its arguments.
    Apply(Box<Type>, Vec<TypeArg>),
    Tuple(Vec<Type>),
    Record(Vec<(Name, Type)>),
    Fn(Vec<Type>, Box<Type>),
    Error,
}

/// Between the brackets of a type: an expression of sizes or a type; a bare name may be either, and is a `Size`.
#[derive(Clone, PartialEq, Debug)]
pub enum TypeArg {
    Size(Expr),
    Type(Type),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Pattern {
    pub kind: PatternKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum PatternKind {
    Name(String),
    /// `_`
    Ignore,
    /// `(a, b)`
    Tuple(Vec<Pattern>),
    /// `[a, b, c]`
    Array(Vec<Pattern>),
    /// `{ x, y: pattern }`: the named fields, others ignored.
    Record(Vec<(Name, Option<Pattern>)>),
    Error,
}

/// `{ let … ; … ; result }`. `result` is `None` where the block ends in a `let` or is empty: its value is `()`.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    pub statements: Vec<Statement>,
    pub result: Option<Box<Expr>>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    pub kind: StatementKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum StatementKind {
    Let {
        pattern: Pattern,
        ty: Option<Type>,
        value: Expr,
    },
    /// `yield e`: in the body of a `scan` only.
    Yield(Expr),
    /// `assert e` or `assert e, "message"`
    Assert {
        condition: Expr,
        message: Option<String>,
    },
    /// An expression whose value is not used (`log(…)`).
    Expr(Expr),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// A whole number, decimal, `0x…` or `0b…`, `_` allowed between digits.
    Int(u64),
    /// The text of a number with a point or an exponent.
    Float(f64),
    Bool(bool),
    String(String),
    Name(String),
    Tuple(Vec<Expr>),
    Array(Vec<Expr>),
    /// `{ x, y: e }` (`ty` is `None`) or `Env { reset, step }`. A field without a value is the variable of its name.
    Record {
        ty: Option<Vec<Name>>,
        fields: Vec<(Name, Option<Expr>)>,
    },
    Block(Block),
    Field(Box<Expr>, Name),
    /// `t.0`
    TupleField(Box<Expr>, u32, Span),
    Call {
        callee: Box<Expr>,
        args: Vec<Arg>,
    },
    Index(Box<Expr>, Vec<IndexArg>),
    Unary(UnaryOp, Box<Expr>),
    /// The span is the operator's.
    Binary(BinaryOp, Span, Box<Expr>, Box<Expr>),
    /// `a..b`, the integers from a up to but without b.
    Range(Box<Expr>, Box<Expr>),
    /// `fn(x, y) = e` or `fn(x) { … }`
    Lambda {
        params: Vec<FnParam>,
        result: Option<Type>,
        body: Box<Expr>,
    },
    /// Without `else` its value is `()`.
    If {
        condition: Box<Expr>,
        then: Block,
        otherwise: Option<Box<Expr>>,
    },
    /// `match e { Empty => 0.0, Square(side) => side * side, _ => 1.0 }`
    Match {
        of: Box<Expr>,
        arms: Vec<Arm>,
    },
    For {
        pattern: Pattern,
        iter: Box<Expr>,
        body: Block,
    },
    Scan(Box<Scan>),
    /// `while s = s0; cond max n { … }`
    While {
        pattern: Pattern,
        init: Box<Expr>,
        condition: Box<Expr>,
        max: Option<Box<Expr>>,
        checkpoint: Option<Box<Checkpoint>>,
        body: Block,
    },
    /// `s with { x: 1.0, y }`
    WithFields(Box<Expr>, Vec<(Name, Option<Expr>)>),
    /// `xs with [i, j] = v`
    WithIndex(Box<Expr>, Vec<IndexArg>, Box<Expr>),
    Error,
}

/// `scan s = s0 for x in xs { … }`; `scan s for …` is short for `scan s = s for …`; `scan reverse s = …` runs from the
/// last element to the first (yields keep the place of their element); `train scan` is the loop the host may pause.
/// The value is the last carry, or with `yield`, `(last carry, yielded values)`.
#[derive(Clone, PartialEq, Debug)]
pub struct Scan {
    pub train: bool,
    pub reverse: bool,
    pub pattern: Pattern,
    pub init: Option<Expr>,
    pub element: Pattern,
    pub iter: Expr,
    /// `until c`, asked before each step: from where it holds on, the carry stays as it is, and what is yielded is zero.
    pub until: Option<Expr>,
    pub checkpoint: Option<Checkpoint>,
    pub body: Block,
}

/// `checkpoint every k`, `checkpoint sqrt`, `checkpoint carries`: which states of a loop a reverse derivative keeps.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    pub policy: Policy,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Policy {
    /// Those of all steps, as without a word.
    Carries,
    /// Those of every so many steps.
    Every(Expr),
    /// As many as the square root of the number of steps.
    Sqrt,
    Error,
}

/// `A or B if c => e`
#[derive(Clone, PartialEq, Debug)]
pub struct Arm {
    pub cases: Vec<Case>,
    /// `if c`: the arm is taken only where this holds.
    pub guard: Option<Expr>,
    pub body: Expr,
}

/// What a value, or a part of it, may be for an arm to be taken.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    pub kind: CaseKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum CaseKind {
    /// `Empty`, `Shape.Empty`, `Square(side)`, `Circle { radius }`: a variant of the value's enum, and cases for its fields.
    Variant {
        path: Vec<Name>,
        payload: Option<Box<Case>>,
    },
    /// A name that begins with a small letter is bound to the whole value.
    Name(String),
    /// `(a, b)`
    Tuple(Vec<Case>),
    /// `[a, b]`
    Array(Vec<Case>),
    /// `{ x, y: case }`: the named fields, others ignored.
    Record(Vec<(Name, Option<Case>)>),
    Int(i64),
    /// `0..10`: the whole numbers from the first up to but without the second.
    Range(i64, i64),
    Bool(bool),
    String(String),
    /// `_`
    Rest,
    Error,
}

/// `e` or `name: e`
#[derive(Clone, PartialEq, Debug)]
pub struct Arg {
    pub name: Option<Name>,
    pub value: Expr,
}

/// Inside `[…]`.
#[derive(Clone, PartialEq, Debug)]
pub enum IndexArg {
    At(Expr),
    /// `a..b`, `a..`, `..b`, `..`
    Slice {
        start: Option<Expr>,
        end: Option<Expr>,
        span: Span,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnaryOp {
    Neg,
    Not,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    /// `@`
    MatMul,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}
