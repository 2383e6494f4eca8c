//! Control flow, and the calls of lane loops and kernels.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{
    Block, BlockArg, ExtFuncData, ExternalName, FuncRef, InstBuilder, StackSlotData, StackSlotKind, UserExternalName,
    Value,
};
use cranelift_frontend::FunctionBuilder;
use whorl_core::check::Step;
use whorl_core::ir::{DType, Shape};
use whorl_schedule::loop_ir::{BufferId, CheckNode, CheckStep, MatMul, Node, Phase, Scalar, Sort, View};

use crate::CpuError;
use crate::emit::calls::{address, call, signature};
use crate::emit::value::memory;
use crate::frame::Frame;
use crate::image::{Runtime, SiteSpec, Symbol};
use crate::jobs::{Callee, Job, JobId, Jobs, list_key, node_key};
use crate::lanes;
use crate::runtime::{CheckSite, LogSite};
use crate::share::{self, LoopSite, Share};

pub struct Control<'x, 'b, 'p> {
    pub builder: &'x mut FunctionBuilder<'b>,
    pub frame: &'x Frame<'p>,
    pub jobs: &'x Jobs<'p>,
    /// What the code refers to.
    pub sites: &'x mut Vec<SiteSpec>,
}

impl Control<'_, '_, '_> {
    /// The whole of a phase. `from` and `to` are its steps.
    pub fn phase(&mut self, phase: &Phase, from: Value, to: Value) -> Result<(), CpuError> {
        match phase {
            Phase::Straight(nodes) => self.nodes(nodes),
            Phase::Train { index, body, .. } => {
                let (header, turn, done) = (self.block(), self.block(), self.block());
                let at = self.builder.append_block_param(header, I64);
                self.jump(header, &[from]);
                self.builder.switch_to_block(header);
                let more = self.builder.ins().icmp(IntCC::SignedLessThan, at, to);
                self.builder.ins().brif(more, turn, &[], done, &[]);
                self.enter(turn);
                self.builder.ins().store(memory(), at, self.frame.context, 0);
                self.store_index(*index, at)?;
                self.nodes(body)?;
                let next = self.builder.ins().iadd_imm_s(at, 1);
                self.jump(header, &[next]);
                self.builder.seal_block(header);
                self.enter(done);
                Ok(())
            }
        }
    }

    /// A list of nodes, some of them perhaps in functions of their own.
    pub fn nodes(&mut self, nodes: &[Node]) -> Result<(), CpuError> {
        let Some(cuts) = self.jobs.cuts.get(&list_key(nodes)) else {
            return self.here(nodes);
        };
        for job in cuts {
            let status = self.call_job(*job);
            self.stop_unless_zero(status);
        }
        Ok(())
    }

    /// A list of nodes in this function.
    pub fn here(&mut self, nodes: &[Node]) -> Result<(), CpuError> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &Node) -> Result<(), CpuError> {
        self.untimed(node)?;
        if let Some(lap) = self.jobs.laps.get(&node_key(node)) {
            let lap = self.builder.ins().iconst(I64, i64::from(*lap));
            call(self.builder, Runtime::Lap, &[self.frame.context, lap], None);
        }
        Ok(())
    }

    fn untimed(&mut self, node: &Node) -> Result<(), CpuError> {
        match node {
            Node::Loop { n, reverse, index, body } => self.counted(*n, *reverse, *index, body),
            Node::While { condition, test, max, body } => self.while_loop(condition, *test, *max, body),
            Node::Switch { which, arms } => self.switch(*which, arms),
            Node::Lanes(_) | Node::Cumulative(_) => match self.jobs.loops.get(&node_key(node)) {
                Some(Callee::Inline(plan)) => {
                    let mut machine = lanes::Narrow { builder: self.builder, frame: self.frame };
                    lanes::emit(&mut machine, self.frame.program, plan)
                }
                Some(Callee::Function(job)) => {
                    self.lane_loop(node, *job);
                    Ok(())
                }
                None => Err(CpuError::internal("a lane loop without a function")),
            },
            Node::MatMul(m) => self.matmul(node, m),
            Node::Sort(s) => self.sort(node, s),
            Node::Log { site, log: _, dims, value, mask, steps, spans: _ } => {
                self.log(*site, dims, value, mask.as_ref(), steps)
            }
            Node::Check(check) => self.check(check),
        }
    }

    fn block(&mut self) -> Block {
        self.builder.create_block()
    }

    fn jump(&mut self, to: Block, args: &[Value]) {
        let args: Vec<BlockArg> = args.iter().map(|v| BlockArg::Value(*v)).collect();
        self.builder.ins().jump(to, &args);
    }

    /// Goes on in a block that nothing else will jump to.
    fn enter(&mut self, block: Block) {
        self.builder.seal_block(block);
        self.builder.switch_to_block(block);
    }

    fn store_index(&mut self, index: BufferId, at: Value) -> Result<(), CpuError> {
        let place = self.frame.start(self.builder, index)?;
        let at = self.builder.ins().ireduce(I32, at);
        self.builder.ins().store(memory(), at, place.pointer, place.bytes);
        Ok(())
    }

    fn counted(&mut self, n: usize, reverse: bool, index: BufferId, body: &[Node]) -> Result<(), CpuError> {
        if n == 0 {
            return Ok(());
        }
        let (turn, done) = (self.block(), self.block());
        let at = self.builder.append_block_param(turn, I64);
        let (first, last, step) = if reverse { (n as i64 - 1, 0, -1) } else { (0, n as i64 - 1, 1) };
        let start = self.builder.ins().iconst(I64, first);
        self.jump(turn, &[start]);
        self.builder.switch_to_block(turn);
        self.store_index(index, at)?;
        self.nodes(body)?;
        let next = self.builder.ins().iadd_imm_s(at, step);
        let over = self.builder.ins().icmp_imm_s(IntCC::Equal, at, last);
        self.builder.ins().brif(over, done, &[], turn, &[BlockArg::Value(next)]);
        self.builder.seal_block(turn);
        self.enter(done);
        Ok(())
    }

    /// The condition stands once, at the head of every turn.
    fn while_loop(
        &mut self,
        condition: &[Node],
        test: BufferId,
        max: Option<usize>,
        body: &[Node],
    ) -> Result<(), CpuError> {
        let (header, turn, done) = (self.block(), self.block(), self.block());
        let count = self.builder.append_block_param(header, I64);
        let zero = self.builder.ins().iconst(I64, 0);
        self.jump(header, &[zero]);
        self.builder.switch_to_block(header);
        // Where it may go on no longer, the condition is not asked: what it looks at may not be there.
        if let Some(max) = max {
            let ask = self.block();
            let below = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, count, max as i64);
            self.builder.ins().brif(below, ask, &[], done, &[]);
            self.enter(ask);
        }
        self.nodes(condition)?;
        let place = self.frame.start(self.builder, test)?;
        let go = self.builder.ins().uload8(I32, memory(), place.pointer, place.bytes);
        self.builder.ins().brif(go, turn, &[], done, &[]);
        self.enter(turn);
        self.nodes(body)?;
        let next = self.builder.ins().iadd_imm_s(count, 1);
        self.jump(header, &[next]);
        self.builder.seal_block(header);
        self.enter(done);
        Ok(())
    }

    fn switch(&mut self, which: Scalar, arms: &[Vec<Node>]) -> Result<(), CpuError> {
        let Some((last, others)) = arms.split_last() else { return Ok(()) };
        let which = match which {
            Scalar::Lit(lit) => {
                let k = if lit.dtype == DType::I32 { lit.bits as u32 as i32 as i64 } else { lit.bits as i64 };
                return self.nodes(&arms[k.clamp(0, others.len() as i64) as usize]);
            }
            Scalar::Buffer(id) if self.frame.buffer(id)?.dtype.bytes() == 1 => {
                let place = self.frame.start(self.builder, id)?;
                self.builder.ins().uload8(I32, memory(), place.pointer, place.bytes)
            }
            Scalar::Buffer(id) => self.frame.load_index(self.builder, id)?,
        };
        let done = self.block();
        for (k, arm) in others.iter().enumerate() {
            let (here, next) = (self.block(), self.block());
            let is = self.builder.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, which, k as i64);
            self.builder.ins().brif(is, here, &[], next, &[]);
            self.enter(here);
            if arm.iter().any(|n| matches!(n, Node::Check(_))) {
                self.builder.set_cold_block(here);
            }
            self.nodes(arm)?;
            self.jump(done, &[]);
            self.enter(next);
        }
        self.nodes(last)?;
        self.jump(done, &[]);
        self.enter(done);
        Ok(())
    }

    /// By the run's thread, or with its team.
    fn lane_loop(&mut self, node: &Node, job: JobId) {
        let range = match &self.jobs.jobs[job.0 as usize] {
            Job::Lanes(plan) => plan.range,
            Job::Block(_) | Job::Phase(_) => None,
        };
        let (Some(range), Some(share)) = (range, self.share(node)) else {
            self.call_job(job);
            return;
        };
        let site = self.site(SiteSpec::Loop(LoopSite { range, share }));
        let function = self.import(job);
        let function = self.builder.ins().func_addr(I64, function);
        let args = [self.frame.arena, self.frame.context, site, function];
        call(self.builder, Runtime::LaneLoop, &args, None);
    }

    fn share(&self, node: &Node) -> Option<Share> {
        self.jobs.shares.get(&node_key(node)).copied()
    }

    fn call_job(&mut self, job: JobId) -> Value {
        let callee = self.import(job);
        let call = self.builder.ins().call(callee, &[self.frame.arena, self.frame.context]);
        self.builder.inst_results(call)[0]
    }

    fn import(&mut self, job: JobId) -> FuncRef {
        let name = UserExternalName::new(0, job.0);
        let name = self.builder.func.declare_imported_user_function(name);
        let known = self.builder.func.dfg.ext_funcs.iter().find(|(_, f)| f.name == ExternalName::user(name));
        if let Some((callee, _)) = known {
            return callee;
        }
        let ranged = self.jobs.jobs[job.0 as usize].has_range();
        let signature = signature(self.builder.func.signature.call_conv, ranged);
        let signature = self.builder.import_signature(signature);
        let name = ExternalName::user(name);
        self.builder.import_function(ExtFuncData { name, signature, colocated: false, patchable: false })
    }

    /// Returns from the function with a status that is not zero.
    fn stop_unless_zero(&mut self, status: Value) {
        let (stop, go) = (self.block(), self.block());
        self.builder.set_cold_block(stop);
        self.builder.ins().brif(status, stop, &[], go, &[]);
        self.enter(stop);
        self.builder.ins().return_(&[status]);
        self.enter(go);
    }

    fn site(&mut self, site: SiteSpec) -> Value {
        self.sites.push(site);
        address(self.builder, Symbol::Site(self.sites.len() as u32 - 1))
    }

    /// The address of a view, or zero for none.
    fn maybe_pointer(&mut self, view: Option<&View>) -> Result<Value, CpuError> {
        match view {
            Some(view) => self.frame.pointer(self.builder, view),
            None => Ok(self.builder.ins().iconst(I64, 0)),
        }
    }

    fn log(
        &mut self,
        site: u32,
        dims: &Shape,
        value: &View,
        mask: Option<&View>,
        steps: &[CheckStep],
    ) -> Result<(), CpuError> {
        let dtype = self.frame.buffer(value.buffer)?.dtype;
        let strides = |v: &View| v.strides.to_vec();
        let loops = steps.iter().map(|s| s.n).collect();
        let site = LogSite { site, dtype, dims: dims.clone(), value: strides(value), mask: mask.map(strides), loops };
        let site = self.site(SiteSpec::Log(site));
        let views: Vec<&View> = [value].into_iter().chain(mask).chain(steps.iter().map(|s| &s.index)).collect();
        let pointers = self.pointers(&views)?;
        call(self.builder, Runtime::Log, &[self.frame.context, site, pointers], None);
        Ok(())
    }

    /// Asks for each element; whoever comes here knows that it fails.
    fn check(&mut self, c: &CheckNode) -> Result<(), CpuError> {
        let mut values = Vec::new();
        for v in &c.values {
            values.push((self.frame.buffer(v.buffer)?.dtype, v.strides.to_vec()));
        }
        let (check, spans, dims) = (c.check.clone(), c.spans.clone(), c.dims.clone());
        let mask = c.mask.as_ref().map(|m| m.strides.to_vec());
        let steps = c.steps.iter().map(|s| Step { at: 0, n: s.n, train: s.train, span: s.span }).collect();
        let site = CheckSite { check, spans, dims, values, mask, steps, in_run: c.in_run };
        let site = self.site(SiteSpec::Check(site));
        let views: Vec<&View> = c.values.iter().chain(&c.mask).chain(c.steps.iter().map(|s| &s.index)).collect();
        let pointers = self.pointers(&views)?;
        let args = [self.frame.context, site, pointers];
        let status = call(self.builder, Runtime::Check, &args, Some(I64));
        let status = status.ok_or_else(|| CpuError::internal("a call without a result"))?;
        self.stop_unless_zero(status);
        Ok(())
    }

    /// The addresses of views, one after the other in memory.
    fn pointers(&mut self, views: &[&View]) -> Result<Value, CpuError> {
        let bytes = 8 * views.len() as u32;
        let slot = self.builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 3));
        for (k, view) in views.iter().enumerate() {
            let pointer = self.frame.pointer(self.builder, view)?;
            let place = self.builder.ins().stack_addr(I64, slot, 8 * k as i32);
            self.builder.ins().store(memory(), pointer, place, 0);
        }
        Ok(self.builder.ins().stack_addr(I64, slot, 0))
    }

    fn matmul(&mut self, node: &Node, m: &MatMul) -> Result<(), CpuError> {
        let share = self.share(node).filter(|share| share::divides_product(m, *share));
        let a = self.frame.pointer(self.builder, &m.a)?;
        let b = self.frame.pointer(self.builder, &m.b)?;
        let c = self.frame.pointer(self.builder, &m.c)?;
        let bias = self.maybe_pointer(m.epilogue.as_ref().map(|e| &e.bias))?;
        let site = self.site(SiteSpec::Product(Box::new(m.clone()), share));
        if share.is_some() {
            let args = [self.frame.context, site, a, b, c, bias];
            call(self.builder, Runtime::DividedMatMul, &args, None);
        } else {
            call(self.builder, Runtime::MatMul, &[site, a, b, c, bias], None);
        }
        Ok(())
    }

    fn sort(&mut self, node: &Node, s: &Sort) -> Result<(), CpuError> {
        let mut dtypes = Vec::new();
        for view in &s.from {
            dtypes.push(self.frame.buffer(view.buffer)?.dtype);
        }
        let views: Vec<&View> = s.from.iter().chain(&s.to).collect();
        let pointers = self.pointers(&views)?;
        let share = self.share(node).filter(|share| share::divides_sort(s, *share));
        let site = self.site(SiteSpec::Sort(Box::new(s.clone()), dtypes, share));
        if share.is_some() {
            call(self.builder, Runtime::DividedSort, &[self.frame.context, site, pointers], None);
        } else {
            call(self.builder, Runtime::Sort, &[site, pointers], None);
        }
        Ok(())
    }
}
