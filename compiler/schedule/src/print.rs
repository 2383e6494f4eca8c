//! Loop IR as text, for people: `whorl show --stage loops` and the memory table.

use std::fmt::Write;

use whorl_core::ir::{DType, Lit, Spans};

use crate::accesses::bodies;
use crate::loop_ir::*;

/// The program with buffer names; `line` says where spans come from (an empty text for nothing).
///
/// ```text
/// lanes [4, 64]  # net.whorl:12
///     v0 = load z:3 [64, 1]
///     v1 = tanh v0
///     store h:4 [64, 1] v1
/// ```
pub fn print(p: &LoopProgram, line: &dyn Fn(&Spans) -> String) -> String {
    let mut printer = Printer { p, line, out: String::new(), depth: 0 };
    printer.program();
    printer.out
}

/// The biggest arrays of one run's arena, largest first: bytes, element type and shape, name, and lines.
pub fn memory_table(p: &LoopProgram, rows: usize, line: &dyn Fn(&Spans) -> String) -> String {
    let mut all: Vec<(usize, &Buffer)> = p.buffers.iter().enumerate().collect();
    all.retain(|(_, b)| matches!(b.place, Place::Arena(_)));
    all.sort_by_key(|(k, b)| (std::cmp::Reverse(b.bytes()), *k));
    let mut out = format!("{} bytes a run", p.arena_bytes);
    if let Some(n) = p.runs {
        let _ = write!(out, ", {n} runs");
    }
    out.push('\n');
    for (k, b) in all.iter().take(rows) {
        let (bytes, place) = (b.bytes(), line(&b.spans));
        let _ = writeln!(out, "{bytes:>12}  {:<16}  {:<24} {place}", type_text(b), name(p, BufferId(*k as u32)));
    }
    if all.len() > rows {
        let rest: usize = all[rows..].iter().map(|(_, b)| b.bytes()).sum();
        let _ = writeln!(out, "{rest:>12}  in {} smaller arrays", all.len() - rows);
    }
    out
}

fn type_text(b: &Buffer) -> String {
    if b.shape.is_empty() { b.dtype.name().to_string() } else { format!("{}{:?}", b.dtype.name(), b.shape.as_slice()) }
}

fn name(p: &LoopProgram, b: BufferId) -> String {
    format!("{}:{}", p.buffer(b).name.as_deref().unwrap_or(""), b.0)
}

struct Printer<'a> {
    p: &'a LoopProgram,
    line: &'a dyn Fn(&Spans) -> String,
    out: String,
    depth: usize,
}

impl Printer<'_> {
    fn write(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(self.out, "{}{}", "    ".repeat(self.depth), text.as_ref());
    }

    fn program(&mut self) {
        if let (Some(n), Some(index)) = (self.p.runs, self.p.run_index) {
            self.write(format!("runs {} < {n}", name(self.p, index)));
        }
        self.write(format!("arena {} bytes", self.p.arena_bytes));
        for (k, b) in self.p.buffers.iter().enumerate() {
            let place = match b.place {
                Place::Arena(at) => format!("at {at}"),
                Place::Constant(_) => "constant".to_string(),
            };
            let spans = self.lines(&b.spans);
            self.write(format!("buffer {} : {} {place}{spans}", name(self.p, BufferId(k as u32)), type_text(b)));
        }
        let names = |ids: &[BufferId]| ids.iter().map(|b| name(self.p, *b)).collect::<Vec<_>>().join(", ");
        let (inputs, outputs) = (names(&self.p.inputs), names(&self.p.outputs));
        self.write(format!("inputs {inputs}"));
        self.write(format!("outputs {outputs}"));
        for phase in &self.p.phases {
            match phase {
                Phase::Straight(body) => self.block("phase", &[body]),
                Phase::Train { n, index, state, body } => {
                    let state = state.iter().map(|b| name(self.p, *b)).collect::<Vec<_>>().join(", ");
                    self.block(&format!("train {} < {n}, state {state}", name(self.p, *index)), &[body]);
                }
            }
        }
    }

    fn lines(&self, spans: &Spans) -> String {
        match (self.line)(spans) {
            s if s.is_empty() => s,
            s => format!("  # {s}"),
        }
    }

    fn block(&mut self, head: &str, blocks: &[&Vec<Node>]) {
        for (k, block) in blocks.iter().enumerate() {
            if k == 0 {
                self.write(format!("{head} {{"));
            } else {
                self.write("} {");
            }
            self.depth += 1;
            block.iter().for_each(|n| self.node(n));
            self.depth -= 1;
        }
        self.write("}");
    }

    fn node(&mut self, n: &Node) {
        let p = self.p;
        match n {
            Node::Loop { n: steps, reverse, index, .. } => {
                let down = if *reverse { "down " } else { "" };
                self.block(&format!("loop {} < {steps} {down}", name(p, *index)), &bodies(n));
            }
            Node::While { test, max, .. } => {
                let max = max.map_or(String::new(), |m| format!(" at most {m}"));
                self.block(&format!("while {}{max}", name(p, *test)), &bodies(n));
            }
            Node::Switch { which, .. } => {
                let which = match which {
                    Scalar::Lit(lit) => lit_text(*lit),
                    Scalar::Buffer(b) => name(p, *b),
                };
                self.block(&format!("switch {which}"), &bodies(n));
            }
            Node::Lanes(l) => self.lanes(l),
            Node::MatMul(m) => {
                let op = if m.accumulate { "+=" } else { "=" };
                let (c, a, b) = (self.view(&m.c), self.view(&m.a), self.view(&m.b));
                let sizes = format!("batch {:?} m {} n {} k {}", m.batch.as_slice(), m.m, m.n, m.k);
                let spans = self.lines(&m.spans);
                let epilogue = m.epilogue.as_ref().map_or(String::new(), |e| {
                    let activation = match e.activation {
                        Activation::None => "",
                        Activation::Tanh => ", tanh",
                        Activation::Relu => ", relu",
                    };
                    format!(" + {}{activation}", self.view(&e.bias))
                });
                self.write(format!("matmul {sizes}: {c} {op} {a} @ {b}{epilogue}{spans}"));
            }
            Node::Sort(s) => {
                let views = |v: &[View]| v.iter().map(|v| self.view(v)).collect::<Vec<_>>().join(", ");
                let (to, from, spans) = (views(&s.to), views(&s.from), self.lines(&s.spans));
                self.write(format!("sort {:?} x {} by {}: {to} = {from}{spans}", s.rows.as_slice(), s.n, s.keys));
            }
            Node::Cumulative(c) => {
                let (to, from, spans) = (self.view(&c.to), self.view(&c.from), self.lines(&c.spans));
                let down = if c.reverse { " down" } else { "" };
                self.write(format!(
                    "cumulative {:?}{down} {:?} x {}: {to} = {from}{spans}",
                    c.op,
                    c.rows.as_slice(),
                    c.n
                ));
            }
            Node::Log { site: _, log, dims, value, mask, steps, spans } => {
                let mask = mask.as_ref().map_or(String::new(), |m| format!(" where {}", self.view(m)));
                let (value, name) = (self.view(value), &p.logs[*log as usize]);
                let steps: Vec<String> = steps.iter().map(|s| self.view(&s.index)).collect();
                let steps = if steps.is_empty() { String::new() } else { format!(" at {}", steps.join(", ")) };
                let spans = self.lines(spans);
                self.write(format!("log {name} {:?} {value}{mask}{steps}{spans}", dims.as_slice()));
            }
            Node::Check(c) => {
                let mask = c.mask.as_ref().map_or(String::new(), |m| format!(" where {}", self.view(m)));
                let values: Vec<String> = c.values.iter().map(|v| self.view(v)).collect();
                let (values, spans) = (values.join(", "), self.lines(&c.spans));
                self.write(format!("check {:?} {:?} {values}{mask}{spans}", c.check.kind, c.dims.as_slice()));
            }
        }
    }

    fn lanes(&mut self, l: &Lanes) {
        let reduced = if l.reduced.is_empty() { String::new() } else { format!(" over {:?}", l.reduced.as_slice()) };
        let spans = self.lines(&l.spans);
        self.write(format!("lanes {:?}{reduced}{spans}", l.dims.as_slice()));
        self.depth += 1;
        for (k, op) in l.ops.iter().enumerate() {
            let text = self.op(op);
            match op.kind {
                LaneKind::Store(..) | LaneKind::Scatter { .. } => self.write(text),
                _ => self.write(format!("v{k} = {text}")),
            }
        }
        for r in &l.reductions {
            let into = self.view(&r.into);
            self.write(format!("{into} = {:?} v{} {:?}", r.kind, r.value.0, r.order));
        }
        self.depth -= 1;
    }

    fn op(&self, op: &LaneOp) -> String {
        let lower = |x: &dyn std::fmt::Debug| format!("{x:?}").to_lowercase();
        match &op.kind {
            LaneKind::Lit(lit) => lit_text(*lit),
            LaneKind::Position(d) => format!("position {d}"),
            LaneKind::Load(v) => format!("load {}", self.view(v)),
            LaneKind::Gather(v, at) => format!("gather {}{}", self.view(v), offsets(at)),
            LaneKind::Unary(u, a) => format!("{} v{}", lower(u), a.0),
            LaneKind::Binary(b, x, y) => format!("{} v{} v{}", lower(b), x.0, y.0),
            LaneKind::Compare(c, x, y) => format!("{} v{} v{}", lower(c), x.0, y.0),
            LaneKind::Select(c, x, y) => format!("select v{} v{} v{}", c.0, x.0, y.0),
            LaneKind::MulAdd(x, y, z) => format!("muladd v{} v{} v{}", x.0, y.0, z.0),
            LaneKind::Convert(x) => format!("{} v{}", op.dtype.name(), x.0),
            LaneKind::Bitcast(x) => format!("bitcast {} v{}", op.dtype.name(), x.0),
            LaneKind::Threefry(w, x) => format!("threefry.{w} v{} v{} v{} v{}", x[0].0, x[1].0, x[2].0, x[3].0),
            LaneKind::Store(v, x) => format!("store {} v{}", self.view(v), x.0),
            LaneKind::Scatter { view, at, value, add } => {
                let how = if *add { "scatter-add" } else { "scatter" };
                format!("{how} {}{} v{}", self.view(view), offsets(at), value.0)
            }
        }
    }

    fn view(&self, v: &View) -> String {
        let mut text = name(self.p, v.buffer);
        if v.offset != 0 {
            let _ = write!(text, "+{}", v.offset);
        }
        for d in &v.dynamic {
            let _ = write!(text, "+{}*{}", name(self.p, d.index), d.stride);
        }
        let _ = write!(text, " {:?}", v.strides.as_slice());
        text
    }
}

fn offsets(at: &[LaneIndex]) -> String {
    at.iter().map(|i| format!(" v{}(max {})*{}", i.index.0, i.max, i.stride)).collect()
}

fn lit_text(lit: Lit) -> String {
    match lit.dtype {
        DType::F32 => format!("{:?}f32", f32::from_bits(lit.bits as u32)),
        DType::F64 => format!("{:?}f64", f64::from_bits(lit.bits)),
        DType::Bool => format!("{}", lit.bits != 0),
        DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 => {
            format!("{}{}", lit.to_f64(), lit.dtype.name())
        }
    }
}
