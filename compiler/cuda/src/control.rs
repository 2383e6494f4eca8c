//! Control flow, which all threads go through together, and the nodes in it.

use whorl_schedule::loop_ir::*;
use whorl_source::Span;

use crate::CudaError;
use crate::barriers::Barrier;
use crate::emit;
use crate::homes::Home;
use crate::kernel::Kernel;
use crate::ptx::{Class, Operand, Reg};
use crate::{lanes, log, product, sort};

/// What the nodes of a phase need besides the kernel.
pub struct Control<'x, 'p> {
    pub k: Kernel<'p>,
    /// The checks of the module so far.
    pub checks: &'x mut Vec<CheckNode>,
    /// Where memory for sorts begins in the slab.
    pub scratch: usize,
    /// Names the file and line of a span.
    pub line: &'x dyn Fn(Span) -> Option<(u32, u32)>,
}

impl Control<'_, '_> {
    /// The body of a `train scan`, for steps `from..to`.
    pub fn train(&mut self, index: BufferId, body: &[Node], from: Reg, to: Reg) -> Result<(), CudaError> {
        let (head, done) = (self.k.text.label(), self.k.text.label());
        let step = self.k.text.reg(Class::Long);
        self.k.text.assign(step, from);
        self.k.step = step.into();
        self.k.text.place_loop(head);
        let over = self.k.text.two("setp.ge.s64", Class::Predicate, step, to);
        self.k.text.jump_if(over, done);
        let at = self.k.text.one("cvt.u32.u64", Class::Word, step);
        self.set_index(index, at)?;
        self.nodes(body)?;
        emit!(self.k.text, "add.s64 {step}, {step}, 1");
        self.k.text.jump_together(head);
        self.k.text.place(done);
        Ok(())
    }

    pub fn nodes(&mut self, nodes: &[Node]) -> Result<(), CudaError> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &Node) -> Result<(), CudaError> {
        if let Some(spans) = whorl_schedule::cost::spans_of(node)
            && let Some((file, line)) = spans.iter().find_map(|s| (self.line)(*s))
        {
            self.k.text.raw(format_args!(".loc {file} {line} 0"));
        }
        match self.k.barriers.before(node) {
            Some(Barrier::Team) => self.k.barrier(),
            Some(Barrier::Block) => self.k.block_barrier(),
            Some(Barrier::Warp) => emit!(self.k.text, "bar.warp.sync -1"),
            None => {}
        }
        match node {
            Node::Loop { n, reverse, index, body } => self.counted(*n, *reverse, *index, body),
            Node::While { condition, test, max, body } => self.while_loop(condition, *test, *max, body),
            Node::Switch { which, arms } => self.switch(*which, arms),
            Node::Lanes(l) => lanes::emit(&mut self.k, l),
            Node::Cumulative(c) => lanes::cumulative(&mut self.k, c),
            Node::MatMul(m) => product::emit(&mut self.k, m),
            Node::Sort(s) => sort::emit(&mut self.k, s, self.scratch),
            Node::Log { site, log: _, dims, value, mask, steps, spans: _ } => {
                log::log(&mut self.k, *site, dims, value, mask.as_ref(), steps)
            }
            Node::Check(c) => {
                self.checks.push(c.clone());
                log::check(&mut self.k, c, self.checks.len() - 1)
            }
        }
    }

    /// Sets a loop's index, wherever it is.
    fn set_index(&mut self, index: BufferId, at: Reg) -> Result<(), CudaError> {
        if let Home::Register(r) = self.k.homes.get(index) {
            self.k.text.assign(r, at);
            return Ok(());
        }
        let (space, bytes) = self.k.start(index)?;
        let place = crate::address::Address { space, reg: self.k.base(space), bytes };
        // Nobody reads the last one any more, and all see the new one.
        self.k.barrier();
        let first = self.k.first();
        self.k.store(self.k.p.buffer(index).dtype, at.into(), place, Some(first));
        self.k.barrier();
        Ok(())
    }

    fn counted(&mut self, n: usize, reverse: bool, index: BufferId, body: &[Node]) -> Result<(), CudaError> {
        if n == 0 {
            return Ok(());
        }
        let (at, head) = (self.k.text.reg(Class::Word), self.k.text.label());
        let (first, last, step) = if reverse { (n as i64 - 1, 0, -1) } else { (0, n as i64 - 1, 1) };
        self.k.text.assign(at, Operand::Int(first));
        self.k.text.place_loop(head);
        self.set_index(index, at)?;
        self.nodes(body)?;
        let over = self.k.text.two("setp.eq.s32", Class::Predicate, at, Operand::Int(last));
        emit!(self.k.text, "add.s32 {at}, {at}, {step}");
        self.k.text.jump_unless(over, head);
        Ok(())
    }

    /// The condition stands once, at the head of every turn. Where it may go on no longer, the condition is not asked.
    fn while_loop(
        &mut self,
        condition: &[Node],
        test: BufferId,
        max: Option<usize>,
        body: &[Node],
    ) -> Result<(), CudaError> {
        let (head, done) = (self.k.text.label(), self.k.text.label());
        let count = self.k.text.reg(Class::Long);
        self.k.text.assign(count, Operand::Int(0));
        self.k.text.place_loop(head);
        if let Some(max) = max {
            let over = self.k.text.two("setp.ge.s64", Class::Predicate, count, Operand::Int(max as i64));
            self.k.text.jump_if(over, done);
        }
        self.nodes(condition)?;
        if !matches!(self.k.homes.get(test), Home::Register(_)) {
            // One thread may have written it.
            self.k.barrier();
        }
        let go = self.k.scalar(test)?;
        let go = self.k.elements().predicate(go);
        self.k.text.jump_unless(go, done);
        self.nodes(body)?;
        emit!(self.k.text, "add.s64 {count}, {count}, 1");
        self.k.text.jump_together(head);
        self.k.text.place(done);
        Ok(())
    }

    fn switch(&mut self, which: Scalar, arms: &[Vec<Node>]) -> Result<(), CudaError> {
        use whorl_core::ir::DType;
        let Some((last, others)) = arms.split_last() else { return Ok(()) };
        let which: Operand = match which {
            Scalar::Lit(lit) => {
                let k = if lit.dtype == DType::I32 { lit.bits as u32 as i32 as i64 } else { lit.bits as i64 };
                return self.nodes(&arms[k.clamp(0, others.len() as i64) as usize]);
            }
            Scalar::Buffer(b) => {
                let dtype = self.k.p.buffer(b).dtype;
                let x = self.k.scalar(b)?;
                self.k.elements().convert(dtype, DType::I32, x)
            }
        };
        let done = self.k.text.label();
        for (number, arm) in others.iter().enumerate() {
            let next = self.k.text.label();
            let is = self.k.text.two("setp.le.s32", Class::Predicate, which, Operand::Int(number as i64));
            self.k.text.jump_unless(is, next);
            self.nodes(arm)?;
            self.k.text.jump_together(done);
            self.k.text.place(next);
        }
        self.nodes(last)?;
        self.k.text.place(done);
        Ok(())
    }
}
