//! Programs made up by a grammar that knows types, and now and then forgets them.

use whorl_trace::BuiltinDoc;

use crate::mutate::NUMBERS;
use crate::random::Random;

/// What an expression is meant to be.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Whole,
    Truth,
    Vector,
    Matrix,
    Record,
    Key,
}

const KINDS: [Kind; 7] = [Kind::Number, Kind::Whole, Kind::Truth, Kind::Vector, Kind::Matrix, Kind::Record, Kind::Key];

/// A script with an enum, a few functions and a `main`.
pub fn program(r: &mut Random) -> String {
    let mut g = Grammar { builtins: whorl_trace::prelude().collect(), names: Vec::new(), fresh: 0, functions: 0 };
    let mut text =
        "enum Cell { Empty, Wall(f32), Box { side: f32, n: i32 } }\nsize n = 3\nparam rate: f32 = 0.5\n".to_string();
    for k in 0..r.below(3) {
        g.names = vec![("a".to_string(), Kind::Number), ("v".to_string(), Kind::Vector)];
        text += &format!("fn f{k}(a, v) = {}\n", g.expression(Kind::Number, 3, r));
        g.functions = k + 1;
    }
    g.names =
        vec![("rate".to_string(), Kind::Number), ("n".to_string(), Kind::Whole), ("stream".to_string(), Kind::Key)];
    text += "fn main(stream: Key) {\n";
    for _ in 0..1 + r.below(4) {
        let kind = *r.pick(&KINDS);
        let value = g.expression(kind, 4, r);
        let name = g.name();
        text += &format!("  let {name} = {value}\n");
        g.names.push((name, kind));
        match r.below(8) {
            0 => text += &format!("  log(\"value\", {})\n", g.expression(Kind::Number, 2, r)),
            1 => text += &format!("  assert {}\n", g.expression(Kind::Truth, 2, r)),
            _ => {}
        }
    }
    if r.once_in(5) {
        let (start, step) = (g.expression(Kind::Record, 2, r), g.with_name(Kind::Record, |g, s| g.training(s, r)));
        text += &format!(
            "  for k in split(key(9), 2) {{ train scan {} }}\n}}\n",
            step.replacen('=', &format!("= {start}"), 1)
        );
        return text;
    }
    let kind = *r.pick(&KINDS[..5]);
    text += &format!("  {}\n}}\n", g.expression(kind, 4, r));
    text
}

struct Grammar {
    builtins: Vec<BuiltinDoc>,
    names: Vec<(String, Kind)>,
    fresh: usize,
    functions: usize,
}

impl Grammar {
    fn name(&mut self) -> String {
        self.fresh += 1;
        format!("x{}", self.fresh)
    }

    fn expression(&mut self, kind: Kind, depth: usize, r: &mut Random) -> String {
        let kind = if r.once_in(80) { *r.pick(&KINDS) } else { kind };
        if depth == 0 || r.once_in(6) {
            return self.leaf(kind, r);
        }
        match r.below(14) {
            0 => self.choice(kind, depth - 1, r),
            1 => self.block(kind, depth - 1, r),
            2 if r.once_in(2) => self.call(depth - 1, r),
            3 => self.scan(kind, depth - 1, r),
            4 if kind == Kind::Number && self.functions > 0 => {
                let k = r.below(self.functions);
                let (a, v) = (self.expression(Kind::Number, depth - 1, r), self.expression(Kind::Vector, depth - 1, r));
                match r.below(3) {
                    0 => format!("grad(f{k})({a}, {v})"),
                    1 => format!("sum(grad(f{k}, wrt: 1)({a}, {v}))"),
                    _ => format!("f{k}({a}, {v})"),
                }
            }
            _ => self.plain(kind, depth - 1, r),
        }
    }

    fn leaf(&mut self, kind: Kind, r: &mut Random) -> String {
        let known: Vec<&String> = self.names.iter().filter(|n| n.1 == kind).map(|n| &n.0).collect();
        let seldom = kind == Kind::Key;
        if !known.is_empty() && r.once_in(4) == seldom {
            return r.pick(&known).to_string();
        }
        let literal = match kind {
            Kind::Number => *r.pick(&["0.0", "1.0", "0.5", "2.5", "-1.0", "1e30", "1e-30"]),
            Kind::Whole => *r.pick(&["0", "1", "2", "3", "-1", "7"]),
            Kind::Truth => *r.pick(&["true", "false"]),
            Kind::Vector => *r.pick(&["zeros(3)", "[1.0, 2.0, 3.0]", "ones(n)", "f32(arange(3))"]),
            Kind::Matrix => *r.pick(&["eye(3)", "ones(3, 3)", "zeros(n, n)"]),
            Kind::Record => *r.pick(&["{ a: 1.0, b: zeros(3) }", "{ a: 0.5, b: ones(n) }"]),
            Kind::Key => *r.pick(&["key(0)", "key(n)", "split(key(1))[0]", "fold_in(key(2), 3)"]),
        };
        if matches!(kind, Kind::Number | Kind::Whole) && r.once_in(40) {
            r.pick(NUMBERS).to_string()
        } else {
            literal.to_string()
        }
    }

    /// What makes a value of this kind out of others.
    fn plain(&mut self, kind: Kind, d: usize, r: &mut Random) -> String {
        let (way, exact) = (r.below(84), r.once_in(9));
        let mut e = |g: &mut Grammar, k: Kind| g.expression(k, d, r);
        let arithmetic = ["+", "-", "*"][way % 3];
        match kind {
            Kind::Number => match way % 7 {
                0 => format!("sum({})", e(self, Kind::Vector)),
                1 => format!("mean({})", e(self, Kind::Matrix)),
                2 if exact => format!("({})[{}]", e(self, Kind::Vector), e(self, Kind::Whole)),
                2 => format!("({})[mod({}, 3)]", e(self, Kind::Vector), e(self, Kind::Whole)),
                3 => format!("({}).a", e(self, Kind::Record)),
                4 => format!("uniform({})", e(self, Kind::Key)),
                5 => format!("f32({})", e(self, Kind::Whole)),
                _ => format!("({} {arithmetic} {})", e(self, Kind::Number), e(self, Kind::Number)),
            },
            Kind::Whole => match way % 4 {
                0 => format!("argmax({})", e(self, Kind::Vector)),
                1 => format!("len({})", e(self, Kind::Vector)),
                2 => format!("randint({}, low: 0, high: 5)", e(self, Kind::Key)),
                _ => format!("({} {arithmetic} {})", e(self, Kind::Whole), e(self, Kind::Whole)),
            },
            Kind::Truth => match way % 3 {
                0 => format!("({} < {})", e(self, Kind::Number), e(self, Kind::Number)),
                1 => format!("any({} > 0.5)", e(self, Kind::Vector)),
                _ => format!("(not {} or {})", e(self, Kind::Truth), e(self, Kind::Truth)),
            },
            Kind::Vector => match way % 6 {
                0 => format!("({} @ {})", e(self, Kind::Matrix), e(self, Kind::Vector)),
                1 => self.map(Kind::Number, d, r),
                2 => format!("sort({})", e(self, Kind::Vector)),
                3 => format!(
                    "({} with [mod({}, 3)] = {})",
                    e(self, Kind::Vector),
                    e(self, Kind::Whole),
                    e(self, Kind::Number)
                ),
                4 => format!("normal({}, 3)", e(self, Kind::Key)),
                _ => format!("({} {arithmetic} {})", e(self, Kind::Vector), e(self, Kind::Vector)),
            },
            Kind::Matrix => match way % 4 {
                0 => self.map(Kind::Vector, d, r),
                1 => format!("outer({}, {})", e(self, Kind::Vector), e(self, Kind::Vector)),
                2 => format!("transpose({})", e(self, Kind::Matrix)),
                _ => format!("({} @ {})", e(self, Kind::Matrix), e(self, Kind::Matrix)),
            },
            Kind::Record => match way % 3 {
                0 => format!("({} with {{ a: {} }})", e(self, Kind::Record), e(self, Kind::Number)),
                1 => format!("({} + {})", e(self, Kind::Record), e(self, Kind::Record)),
                _ => format!("{{ a: {}, b: {} }}", e(self, Kind::Number), e(self, Kind::Vector)),
            },
            Kind::Key => match way % 2 {
                0 => format!("split({})[{}]", e(self, Kind::Key), way / 2 % 2),
                _ => format!("fold_in({}, {})", e(self, Kind::Key), e(self, Kind::Whole)),
            },
        }
    }

    fn choice(&mut self, kind: Kind, d: usize, r: &mut Random) -> String {
        if r.once_in(3) {
            let variants = ["Cell.Empty", "Cell.Wall(0.5)", "Cell.Box { side: 1.0, n: 2 }"];
            let of = if r.once_in(2) {
                format!(
                    "if ({}) {{ {} }} else {{ {} }}",
                    self.expression(Kind::Truth, d, r),
                    r.pick(&variants),
                    r.pick(&variants)
                )
            } else {
                r.pick(&variants).to_string()
            };
            let arms = [self.expression(kind, d, r), self.expression(kind, d, r)];
            return format!("match ({of}) {{ Empty => {}, Wall(_) or Box {{ side: _ }} => {} }}", arms[0], arms[1]);
        }
        let (c, a, b) = (self.expression(Kind::Truth, d, r), self.expression(kind, d, r), self.expression(kind, d, r));
        format!("(if ({c}) {{ {a} }} else {{ {b} }})")
    }

    /// Runs `body` with a new name known, and takes it away again.
    fn with_name(&mut self, kind: Kind, body: impl FnOnce(&mut Grammar, &str) -> String) -> String {
        let (name, known) = (self.name(), self.names.len());
        self.names.push((name.clone(), kind));
        let text = body(self, &name);
        self.names.truncate(known);
        text
    }

    fn block(&mut self, kind: Kind, d: usize, r: &mut Random) -> String {
        let of = *r.pick(&KINDS);
        let value = self.expression(of, d, r);
        self.with_name(of, |g, name| format!("({{ let {name} = {value}; {} }})", g.expression(kind, d, r)))
    }

    fn map(&mut self, of: Kind, d: usize, r: &mut Random) -> String {
        let (over, kind) = match r.below(3) {
            0 => ("0..3".to_string(), Kind::Whole),
            1 => (format!("split({}, 3)", self.expression(Kind::Key, d, r)), Kind::Key),
            _ => (format!("({})", self.expression(Kind::Vector, d, r)), Kind::Number),
        };
        self.with_name(kind, |g, name| format!("(for {name} in {over} {{ {} }})", g.expression(of, d, r)))
    }

    /// `s = for t in 0..5 { … }` of a loop that the host paces, still without its start.
    fn training(&mut self, state: &str, r: &mut Random) -> String {
        let known = self.names.len();
        self.names.push(("t".to_string(), Kind::Whole));
        let (logged, next) = (self.expression(Kind::Number, 2, r), self.expression(Kind::Record, 3, r));
        self.names.truncate(known);
        format!("{state} = for t in 0..5 {{ log(\"in it\", {logged}); {next} }}")
    }

    fn scan(&mut self, kind: Kind, d: usize, r: &mut Random) -> String {
        let start = self.expression(kind, d, r);
        let over = format!("({})", self.expression(Kind::Vector, d, r));
        self.with_name(kind, |g, state| match r.below(4) {
            0 => {
                let step = g.expression(kind, d, r);
                format!(
                    "(while {state} = {start}; {} max {} {{ {step} }})",
                    g.expression(Kind::Truth, d, r),
                    r.below(4)
                )
            }
            1 => {
                let step = g.expression(kind, d, r);
                format!(
                    "(scan {state} = {start} for y in {over} until {} {{ yield y; {step} }}).0",
                    g.expression(Kind::Truth, d, r)
                )
            }
            _ => {
                let step =
                    g.with_name(Kind::Number, |g, x| format!("{x} in {over} {{ {} }}", g.expression(kind, d, r)));
                format!("(scan {state} = {start} for {step})")
            }
        })
    }

    /// Any function of the prelude, on about as many arguments as it takes.
    fn call(&mut self, d: usize, r: &mut Random) -> String {
        let k = r.below(self.builtins.len());
        let (name, params) = (self.builtins[k].name, self.builtins[k].params);
        let mut args = Vec::new();
        for param in params {
            if (param.ends_with('?') && r.once_in(2)) || r.once_in(30) {
                continue;
            }
            let kind = match *param {
                "f" | "forward" | "backward" => {
                    args.push(self.function(d, r));
                    continue;
                }
                "key" => Kind::Key,
                "n" | "k" | "axis?" | "axes?" | "axes*" | "axes…" | "sizes*" | "sizes…" | "shift" | "i" => {
                    Kind::Whole
                }
                _ => *r.pick(&KINDS),
            };
            let value = self.expression(kind, d, r);
            let named = param.ends_with('?');
            args.push(if named { format!("{}: {value}", param.trim_end_matches('?')) } else { value });
        }
        format!("{name}({})", args.join(", "))
    }

    fn function(&mut self, d: usize, r: &mut Random) -> String {
        let kind = *r.pick(&[Kind::Number, Kind::Vector]);
        if r.once_in(3) {
            let body = self.with_name(kind, |g, x| format!("{x}, y) = {}", g.expression(kind, d, r)));
            return format!("(fn({body})");
        }
        let body = self.with_name(kind, |g, x| format!("{x}) = {}", g.expression(Kind::Number, d, r)));
        format!("(fn({body})")
    }
}
