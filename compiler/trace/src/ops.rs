//! Arithmetic, comparison and `@` on values.

use smallvec::SmallVec;
use whorl_core::prim::{Binary, Compare, Dot, Unary};
use whorl_core::{Atom, DType, Prim, Type};
use whorl_source::{Diagnostic, Label, Span};
use whorl_syntax::ast::BinaryOp;

use crate::tracer::{Tracer, fail, own_dtype, wider};
use crate::tree::{shape_text, type_text};
use crate::value::{Arg, R, Value};

impl<'a> Tracer<'a> {
    /// The text of the user's program at a span, if it is short.
    pub fn text(&self, span: Span) -> String {
        let text = self.script.map.file(span.file).and_then(|f| f.text.get(span.start as usize..span.end as usize));
        match text {
            Some(t) if !t.contains('\n') && t.len() <= 60 => format!("`{t}`"),
            _ => "this expression".to_string(),
        }
    }

    /// The same without quotes and outer parentheses, to be put into a help; `other` where it is long.
    pub fn plain_text(&self, span: Span, other: &str) -> String {
        let text = self.text(span);
        if !text.starts_with('`') {
            return other.to_string();
        }
        let text = text.trim_matches('`');
        let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).filter(|t| !t.contains(['(', ')']));
        inner.unwrap_or(text).to_string()
    }

    /// Every operator but `and` and `or`, which look at their right side only if need be.
    pub fn binary_op(&mut self, op: BinaryOp, span: Span, l: Arg<'a>, r: Arg<'a>) -> R<Value<'a>> {
        let arith = |t: &mut Tracer<'a>, binary: Binary| {
            t.no_enum(&format!("`{}`", symbol(op)), &l)?;
            t.no_enum(&format!("`{}`", symbol(op)), &r)?;
            let args = [l.clone(), r.clone()];
            t.leafwise(&format!("`{}`", symbol(op)), &args, &mut |t, x| t.arithmetic(op, binary, span, &x[0], &x[1]))
        };
        match op {
            BinaryOp::Add => arith(self, Binary::Add),
            BinaryOp::Sub => arith(self, Binary::Sub),
            BinaryOp::Mul => arith(self, Binary::Mul),
            BinaryOp::Div => arith(self, Binary::Div),
            BinaryOp::Rem => arith(self, Binary::Rem),
            BinaryOp::MatMul => self.matmul(span, &l, &r),
            BinaryOp::Eq => self.compare(Compare::Eq, span, &l, &r),
            BinaryOp::Ne => self.compare(Compare::Ne, span, &l, &r),
            BinaryOp::Lt => self.compare(Compare::Lt, span, &l, &r),
            BinaryOp::Le => self.compare(Compare::Le, span, &l, &r),
            BinaryOp::Gt => self.compare(Compare::Gt, span, &l, &r),
            BinaryOp::Ge => self.compare(Compare::Ge, span, &l, &r),
            BinaryOp::And => self.logic(Binary::And, span, &l, &r),
            BinaryOp::Or => self.logic(Binary::Or, span, &l, &r),
        }
    }

    fn arithmetic(&mut self, op: BinaryOp, binary: Binary, span: Span, l: &Arg<'a>, r: &Arg<'a>) -> R<Value<'a>> {
        if let Some(v) = self.fold(op, span, l, r)? {
            return Ok(v);
        }
        let atoms = self.numbers(&format!("`{}`", symbol(op)), span, &[l.clone(), r.clone()])?;
        let dtype = self.b.ty(atoms[0]).dtype;
        if dtype == DType::Bool {
            let e =
                Diagnostic::error("E0201", format!("`{}` of bools", symbol(op))).at(l.span, "bool").at(r.span, "bool");
            return fail(e.help("convert them first: `f32(b)` or `i32(b)`"));
        }
        if binary == Binary::Div && dtype.is_int() {
            let e = Diagnostic::error("E0201", format!("`/` of {} has no exact result", dtype.name())).at(span, "");
            return fail(e.help("`div(a, b)` drops the remainder; `f32(a) / f32(b)` divides as numbers with a point"));
        }
        Ok(Value::Leaf(self.prim(Prim::Binary(binary), &atoms, span)?))
    }

    /// Arithmetic of numbers known while tracing, so that sizes can be computed.
    fn fold(&mut self, op: BinaryOp, span: Span, l: &Arg<'a>, r: &Arg<'a>) -> R<Option<Value<'a>>> {
        let folded = match (&l.value, &r.value) {
            (Value::Int(a), Value::Int(b)) => {
                if op == BinaryOp::Div && a.checked_rem(*b) != Some(0) {
                    let e = Diagnostic::error("E0201", format!("{a} / {b} is not a whole number")).at(span, "");
                    return fail(e.help(format!(
                        "`{a}.0 / {b}.0` for numbers with a point; `div({a}, {b})` drops the remainder"
                    )));
                }
                let result = match op {
                    BinaryOp::Add => a.checked_add(*b),
                    BinaryOp::Sub => a.checked_sub(*b),
                    BinaryOp::Mul => a.checked_mul(*b),
                    BinaryOp::Div => a.checked_div(*b),
                    BinaryOp::Rem => a.checked_rem(*b),
                    _ => return Ok(None),
                };
                match result {
                    Some(i) => Value::Int(i),
                    None => {
                        return fail(
                            Diagnostic::error("E0207", "this number is too large, or divided by 0").at(span, ""),
                        );
                    }
                }
            }
            (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
                let (a, b) = (plain(&l.value), plain(&r.value));
                Value::Float(match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div => a / b,
                    BinaryOp::Rem => a % b,
                    _ => return Ok(None),
                })
            }
            _ => return Ok(None),
        };
        Ok(Some(folded))
    }

    /// Operands of one element type and one shape, scalars aside; numbers known while tracing take the type of the others.
    pub fn numbers(&mut self, what: &str, span: Span, args: &[Arg<'a>]) -> R<Vec<Atom>> {
        let mut typed: Option<(DType, Span)> = None;
        for arg in args {
            let Value::Leaf(a) = arg.value else { continue };
            let dtype = self.b.ty(a).dtype;
            match typed {
                Some((first, place)) if first != dtype => {
                    let differ: R<()> = self.dtypes_differ(what, (first, place), (dtype, arg.span));
                    return differ.map(|()| Vec::new()).map_err(|e| self.begin_with_a_point(e, args));
                }
                Some(_) => {}
                None => typed = Some((dtype, arg.span)),
            }
        }
        let dtype = typed.map(|t| t.0).or_else(|| args.iter().map(|a| static_dtype(&a.value)).reduce(wider));
        if let Some((dtype, place)) = typed
            && dtype.is_int()
            && let Some(point) = args.iter().find(|a| matches!(a.value, Value::Float(_)))
        {
            let e = Diagnostic::error("E0207", format!("a number with a point next to {}", dtype.name()));
            let e = e.at(point.span, "").at(place, dtype.name());
            let e = e.help(format!("nothing converts by itself: `f32({})`", self.text(place).trim_matches('`')));
            return Err(self.begin_with_a_point(Box::new(e), args));
        }
        let atoms = args.iter().map(|a| self.atom(&a.value, dtype, a.span)).collect::<R<Vec<_>>>()?;
        self.same_shape(what, span, args, &atoms)?;
        Ok(atoms)
    }

    /// A number that a loop carries is whole because it began so.
    fn begin_with_a_point(&self, mut e: Box<Diagnostic>, args: &[Arg<'a>]) -> Box<Diagnostic> {
        let began = args.iter().find_map(|a| Some((self.began_whole(&a.value)?, a.span)));
        let float = args.iter().any(|a| match a.value {
            Value::Float(_) => true,
            Value::Leaf(x) => self.b.ty(x).dtype.is_float(),
            _ => false,
        });
        if let (Some((start, place)), true) = (began, float) {
            let begin = self.text(start).trim_matches('`').to_string();
            let point = if begin.parse::<i64>().is_ok() { format!(": `{begin}.0`") } else { String::new() };
            e.labels.push(Label { span: start, text: "it begins as i32 here".to_string() });
            e.help = Some(format!("begin {} with a number with a point{point}", self.text(place)));
        }
        e
    }

    fn dtypes_differ<T>(&self, what: &str, l: (DType, Span), r: (DType, Span)) -> R<T> {
        let message = format!("{what} of {} and {}", l.0.name(), r.0.name());
        let e = Diagnostic::error("E0201", message).at(l.1, l.0.name()).at(r.1, r.0.name());
        let (to, other) = if r.0.is_float() { (r.0, l.1) } else { (l.0, r.1) };
        let text = self.plain_text(other, "x");
        fail(e.help(format!("nothing converts by itself: `{}({text})`", to.name())))
    }

    fn same_shape(&self, what: &str, span: Span, args: &[Arg<'a>], atoms: &[Atom]) -> R<()> {
        let types: Vec<Type> = atoms.iter().map(|a| self.b.ty(*a)).collect();
        let Some(first) = types.iter().position(|t| !t.is_scalar()) else { return Ok(()) };
        let Some(other) = types.iter().position(|t| !t.is_scalar() && t.shape != types[first].shape) else {
            return Ok(());
        };
        let text = if what.starts_with('`') && what.len() <= 4 { self.text(span) } else { what.to_string() };
        let e = Diagnostic::error("E0102", format!("sizes do not agree in {text}"));
        let ([left, right], note) = self.named_pair((atoms[first], args[first].span), (atoms[other], args[other].span));
        let mut e = e.at(args[first].span, left).at(args[other].span, right);
        e.notes.extend(note);
        let texts = [self.text(args[first].span), self.text(args[other].span)];
        fail(e.help(shape_help(what, &types[first], &types[other], &texts)))
    }

    fn compare(&mut self, op: Compare, span: Span, l: &Arg<'a>, r: &Arg<'a>) -> R<Value<'a>> {
        match (&l.value, &r.value) {
            (Value::Int(a), Value::Int(b)) => return Ok(Value::Bool(compared(op, a.cmp(b) as i32 as f64, 0.0))),
            (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
                return Ok(Value::Bool(compared(op, plain(&l.value), plain(&r.value))));
            }
            (Value::Str(a), Value::Str(b)) if matches!(op, Compare::Eq | Compare::Ne) => {
                return Ok(Value::Bool((a == b) == (op == Compare::Eq)));
            }
            (Value::Bool(a), Value::Bool(b)) if matches!(op, Compare::Eq | Compare::Ne) => {
                return Ok(Value::Bool((a == b) == (op == Compare::Eq)));
            }
            _ => {}
        }
        if self.enum_in(&l.value).is_some() || self.enum_in(&r.value).is_some() {
            return self.compare_enums(op, span, l, r);
        }
        for side in [l, r] {
            if side.value.is_tree() {
                let e = Diagnostic::error("E0206", "a comparison is between numbers");
                let e = e.at(side.span, format!("this is {}", side.value.describe(&self.b)));
                return fail(match side.value {
                    Value::Tuple(_) => e.help("a tuple is taken apart: `let (a, b) = …`, or `.0`, `.1`"),
                    _ => e.help("compare the fields"),
                });
            }
        }
        let atoms = self.numbers("a comparison", span, &[l.clone(), r.clone()])?;
        Ok(Value::Leaf(self.prim(Prim::Compare(op), &atoms, span)?))
    }

    fn logic(&mut self, op: Binary, span: Span, l: &Arg<'a>, r: &Arg<'a>) -> R<Value<'a>> {
        let word = if op == Binary::And { "`and`" } else { "`or`" };
        for side in [l, r] {
            let atom = self.atom(&side.value, None, side.span)?;
            if self.b.ty(atom).dtype != DType::Bool {
                let e = Diagnostic::error("E0201", format!("{word} is between bools"));
                let e = e.at(side.span, format!("this is {}", side.value.describe(&self.b)));
                return fail(e.help(format!("compare it with something: `{} != 0`", self.plain_text(side.span, "x"))));
            }
        }
        // A side known while tracing decides, or is the neutral one.
        let decides = op == Binary::Or;
        for (known, other) in [(l, r), (r, l)] {
            if let Value::Bool(x) = known.value {
                return Ok(if x == decides { Value::Bool(x) } else { other.value.clone() });
            }
        }
        let atoms = self.numbers(word, span, &[l.clone(), r.clone()])?;
        Ok(Value::Leaf(self.prim(Prim::Binary(op), &atoms, span)?))
    }

    pub fn negate(&mut self, v: &Value<'a>, span: Span) -> R<Value<'a>> {
        self.no_enum("`-`", &Arg::new(v.clone(), span))?;
        self.leafwise1("`-`", v, span, &mut |t, x| match &x.value {
            Value::Int(i) => Ok(Value::Int(i.saturating_neg())),
            Value::Float(f) => Ok(Value::Float(-f)),
            other => {
                let a = t.atom(other, None, span)?;
                if t.b.ty(a).dtype == DType::Bool {
                    return fail(Diagnostic::error("E0201", "`-` of a bool").at(span, "").help("`not b`"));
                }
                Ok(Value::Leaf(t.prim(Prim::Unary(Unary::Neg), &[a], span)?))
            }
        })
    }

    pub fn invert(&mut self, v: &Value<'a>, span: Span) -> R<Value<'a>> {
        if let Value::Bool(x) = v {
            return Ok(Value::Bool(!x));
        }
        let a = self.atom(v, None, span)?;
        if self.b.ty(a).dtype != DType::Bool {
            let e = Diagnostic::error("E0201", "`not` of something that is not a bool");
            let e = e.at(span, format!("this is {}", v.describe(&self.b)));
            return fail(e.help("compare it with something: `x == 0`"));
        }
        Ok(Value::Leaf(self.prim(Prim::Unary(Unary::Not), &[a], span)?))
    }

    /// Products of matrices and vectors; the inner sizes are equal.
    pub fn matmul(&mut self, span: Span, l: &Arg<'a>, r: &Arg<'a>) -> R<Value<'a>> {
        let dtype = [l, r].iter().find_map(|x| match x.value {
            Value::Leaf(a) => Some(self.b.ty(a).dtype),
            _ => None,
        });
        let (x, y) = (self.atom(&l.value, dtype, l.span)?, self.atom(&r.value, dtype, r.span)?);
        let (tx, ty) = (self.b.ty(x), self.b.ty(y));
        let fits = |t: &Type| (1..=2).contains(&t.rank());
        if !fits(&tx) || !fits(&ty) {
            let e = Diagnostic::error("E0101", format!("{} is a product of vectors and matrices", self.text(span)));
            let e = e.at(l.span, type_text(&tx)).at(r.span, type_text(&ty));
            return fail(e.help("`*` multiplies element by element; go over further axes with `for`"));
        }
        if tx.dtype != ty.dtype {
            return self.dtypes_differ("`@`", (tx.dtype, l.span), (ty.dtype, r.span));
        }
        if tx.dtype == DType::Bool {
            return fail(Diagnostic::error("E0201", "`@` of bools").at(span, "").help("convert them first: `f32(b)`"));
        }
        if tx.shape[tx.rank() - 1] != ty.shape[0] {
            let e = Diagnostic::error("E0101", format!("sizes do not agree in {}", self.text(span)));
            let ([left, right], _) = self.named_pair((x, l.span), (y, r.span));
            let (p, q) = (tx.shape[tx.rank() - 1], ty.shape[0]);
            let (inner_x, inner_y) = (self.named(x, l.span), self.named(y, r.span));
            let named = |name: Option<&Option<String>>, n: usize| match name {
                Some(Some(name)) => format!("{name} = {n}"),
                Some(None) | None => n.to_string(),
            };
            let (p, q) = (named(inner_x.axes.last(), p), named(inner_y.axes.first(), q));
            let e = e.at(l.span, left).at(r.span, right).note(format!("the inner sizes are {p} and {q}"));
            let inner = tx.shape[tx.rank() - 1];
            return fail(e.help(if ty.rank() == 2 && ty.shape[1] == inner {
                let (a, b) = (self.plain_text(l.span, "x"), self.plain_text(r.span, "y"));
                format!("the inner sizes must be equal: `{a} @ transpose({b})`")
            } else if tx.rank() == 2 && tx.shape[0] == ty.shape[0] {
                let (a, b) = (self.plain_text(l.span, "x"), self.plain_text(r.span, "y"));
                format!("the inner sizes must be equal: `transpose({a}) @ {b}`")
            } else {
                "the inner sizes must be equal".to_string()
            }));
        }
        let dot = Dot {
            lhs_contract: SmallVec::from_iter([tx.rank() - 1]),
            rhs_contract: SmallVec::from_iter([0]),
            ..Dot::default()
        };
        Ok(Value::Leaf(self.prim(Prim::Dot(dot), &[x, y], span)?))
    }
}

/// What to write where the sizes of two operands disagree.
fn shape_help(what: &str, a: &Type, b: &Type, texts: &[String; 2]) -> String {
    let only_scalars = "scalars broadcast, nothing else does";
    let plain = |k: usize, other: &str| {
        let text = &texts[k];
        if text.starts_with('`') { text.trim_matches('`').to_string() } else { other.to_string() }
    };
    let (x, y) = (plain(0, "x"), plain(1, "y"));
    let op = what.trim_matches('`');
    if op.chars().any(char::is_alphabetic) {
        return "the arrays have one shape here; scalars go along with any".to_string();
    }
    let both = |l: &str, r: &str| format!("{l} {op} {r}");
    let ones = |s: &[usize]| s.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
    if ones(&a.shape) == ones(&b.shape) {
        let (text, shape) = if a.rank() > b.rank() { (x, &b.shape) } else { (y, &a.shape) };
        let sizes = shape_text(shape);
        format!("{only_scalars}: `reshape({text}, {})` makes them equal", sizes.trim_matches(['[', ']']))
    } else if a.rank() == b.rank() + 1 && a.shape[1..] == b.shape[..] {
        format!("{only_scalars}: `for row in {x} {{ {} }}`", both("row", &y))
    } else if b.rank() == a.rank() + 1 && b.shape[1..] == a.shape[..] {
        format!("{only_scalars}: `for row in {y} {{ {} }}`", both(&x, "row"))
    } else if a.rank() != b.rank() && a.shape[0] == b.shape[0] {
        format!("{only_scalars}: `for (a, b) in zip({x}, {y}) {{ {} }}`", both("a", "b"))
    } else if a.rank() == 1 && b.rank() == 1 {
        format!("{only_scalars}; if every pair is meant: `for a in {x} {{ {} }}`", both("a", &y))
    } else {
        only_scalars.to_string()
    }
}

/// The element type that numbers known while tracing would have by themselves.
fn static_dtype(v: &Value) -> DType {
    match v {
        Value::List(items) => items.iter().map(own_dtype).reduce(wider).unwrap_or(DType::F32),
        other => own_dtype(other),
    }
}

fn plain(v: &Value) -> f64 {
    match v {
        Value::Int(i) => *i as f64,
        Value::Float(x) => *x,
        _ => f64::NAN,
    }
}

fn compared(op: Compare, a: f64, b: f64) -> bool {
    match op {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }
}

/// The comparison that an operator is.
pub fn comparison(op: BinaryOp) -> Option<Compare> {
    match op {
        BinaryOp::Eq => Some(Compare::Eq),
        BinaryOp::Ne => Some(Compare::Ne),
        BinaryOp::Lt => Some(Compare::Lt),
        BinaryOp::Le => Some(Compare::Le),
        BinaryOp::Gt => Some(Compare::Gt),
        BinaryOp::Ge => Some(Compare::Ge),
        BinaryOp::Add
        | BinaryOp::Sub
        | BinaryOp::Mul
        | BinaryOp::Div
        | BinaryOp::Rem
        | BinaryOp::MatMul
        | BinaryOp::And
        | BinaryOp::Or => None,
    }
}

pub fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Rem => "%",
        BinaryOp::MatMul => "@",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
    }
}
