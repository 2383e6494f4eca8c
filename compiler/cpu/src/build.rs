//! Compiles the functions of a program in parallel, and places them in executable memory.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{Function, InstBuilder, UserFuncName};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, FinalizedMachReloc};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, ModuleReloc, default_libcall_names};
use whorl_core::ir::Spans;
use whorl_schedule::cost;
use whorl_schedule::loop_ir::{LoopProgram, Node};

use crate::control::Control;
use crate::emit::calls::signature;
use crate::emit::machine::Target;
use crate::frame::Frame;
use crate::jobs::{Callee, Job, JobId, Jobs, list_key, node_key};
use crate::runtime::Site;
use crate::{CpuError, Options, lanes, wide};

/// Code in memory.
pub struct Code {
    module: JITModule,
    /// The addresses of the phases' functions.
    pub phases: Vec<usize>,
    /// Kept for the code that holds their addresses.
    _sites: Vec<Site>,
}

impl Code {
    /// # Safety
    /// None of the code may run any more.
    pub unsafe fn free(self) {
        // SAFETY: the caller's promise.
        unsafe { self.module.free_memory() }
    }
}

/// One function's machine code as text.
#[derive(Clone, Debug)]
pub struct FunctionText {
    /// What it is.
    pub head: String,
    pub spans: Spans,
    pub code: String,
}

/// One function's machine code.
struct Piece {
    bytes: Vec<u8>,
    alignment: u64,
    relocations: Vec<FinalizedMachReloc>,
    function: Function,
    sites: Vec<Site>,
    text: Option<String>,
}

fn failed(error: impl std::fmt::Display) -> CpuError {
    CpuError::internal(format!("the code generator failed: {error}"))
}

fn isa() -> Result<OwnedTargetIsa, CpuError> {
    let mut flags = settings::builder();
    let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
    for (name, value) in [
        ("opt_level", "speed"),
        ("enable_verifier", verifier),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        ("unwind_info", "false"),
        ("enable_probestack", "false"),
    ] {
        flags.set(name, value).map_err(failed)?;
    }
    let builder = cranelift_native::builder().map_err(|e| CpuError::internal(format!("this machine: {e}")))?;
    builder.finish(settings::Flags::new(flags)).map_err(failed)
}

fn target(isa: &OwnedTargetIsa) -> Target {
    let on = |name: &str| isa.isa_flags().iter().any(|flag| flag.name == name && flag.as_bool() == Some(true));
    Target { sse41: on("has_sse41") }
}

/// Compiles all functions, and links them.
pub fn build(program: &LoopProgram, constants: &[usize], options: &Options) -> Result<Code, CpuError> {
    let isa = isa()?;
    let jobs = Jobs::of(program, options);
    let pieces = compile_all(program, &jobs, constants, &isa, options.threads, false)?;
    link(isa, &jobs, pieces)
}

/// The text of all functions' machine code, with what each is.
pub fn disassemble(
    program: &LoopProgram,
    constants: &[usize],
    options: &Options,
) -> Result<Vec<FunctionText>, CpuError> {
    let isa = isa()?;
    let jobs = Jobs::of(program, options);
    let pieces = compile_all(program, &jobs, constants, &isa, options.threads, true)?;
    let mut texts = Vec::new();
    for (k, (piece, job)) in pieces.iter().zip(&jobs.jobs).enumerate() {
        let what = match job {
            Job::Lanes(plan) => {
                let (dims, reduced, ops) = (&plan.lanes.dims, &plan.lanes.reduced, plan.lanes.ops.len());
                format!(
                    "lanes {dims:?} reduced {reduced:?}, {ops} ops, vector {:?} of {}, {} groups",
                    plan.vector, plan.width, plan.unroll
                )
            }
            Job::Block(nodes) => format!("block of {} nodes", nodes.len()),
            Job::Phase(_) => "phase".to_string(),
        };
        let head = format!("function {k}: {what}; {} bytes", piece.bytes.len());
        let code = piece.text.clone().unwrap_or_default();
        texts.push(FunctionText { head, spans: spans_of(job, &jobs), code });
    }
    Ok(texts)
}

/// Where the code comes from: of control flow, the nodes that have no function of their own.
fn spans_of(job: &Job, jobs: &Jobs) -> Spans {
    fn walk(nodes: &[Node], jobs: &Jobs, all: &mut Spans) {
        if jobs.cuts.contains_key(&list_key(nodes)) {
            return;
        }
        for node in nodes {
            let elsewhere = matches!(jobs.loops.get(&node_key(node)), Some(Callee::Function(_)));
            let spans = cost::spans_of(node).filter(|_| !elsewhere);
            spans.into_iter().flatten().for_each(|s| {
                if !all.contains(s) {
                    all.push(*s)
                }
            });
            whorl_schedule::bodies(node).into_iter().for_each(|b| walk(b, jobs, all));
        }
    }
    let mut all = Spans::new();
    match job {
        Job::Lanes(plan) => return plan.lanes.spans.clone(),
        // The list of a block is the part of a list that was cut: it is not cut itself.
        Job::Block(nodes) => walk(nodes, jobs, &mut all),
        Job::Phase(phase) => walk(phase.body(), jobs, &mut all),
    }
    all
}

fn compile_all(
    program: &LoopProgram,
    jobs: &Jobs,
    constants: &[usize],
    isa: &OwnedTargetIsa,
    threads: usize,
    text: bool,
) -> Result<Vec<Piece>, CpuError> {
    // The longest first, so that no thread is left alone with one.
    let mut order: Vec<usize> = (0..jobs.jobs.len()).collect();
    order.sort_by_key(|&k| std::cmp::Reverse(jobs.weights[k]));
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<Piece, CpuError>)>> = Mutex::new(Vec::with_capacity(order.len()));
    let work = || {
        let mut tools = (Context::new(), FunctionBuilderContext::new());
        loop {
            let Some(&k) = order.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let piece = compile_one(program, jobs, k, constants, isa, &mut tools, text);
            done.lock().unwrap_or_else(|e| e.into_inner()).push((k, piece));
        }
    };
    let threads = threads.clamp(1, order.len().max(1));
    if threads == 1 {
        work();
    } else {
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    }
    let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    done.sort_by_key(|(k, _)| *k);
    done.into_iter().map(|(_, piece)| piece).collect()
}

fn compile_one(
    program: &LoopProgram,
    jobs: &Jobs,
    k: usize,
    constants: &[usize],
    isa: &OwnedTargetIsa,
    tools: &mut (Context, FunctionBuilderContext),
    text: bool,
) -> Result<Piece, CpuError> {
    if let Job::Lanes(plan) = &jobs.jobs[k]
        && plan.is_wide()
    {
        let (bytes, text) = wide::compile(program, constants, plan, text)?;
        let (relocations, sites) = (Vec::new(), Vec::new());
        return Ok(Piece { bytes, alignment: 64, relocations, function: Function::new(), sites, text });
    }
    let (context, functions) = tools;
    context.clear();
    context.set_disasm(text);
    context.func.signature = signature(isa.default_call_conv(), jobs.jobs[k].has_range());
    context.func.name = UserFuncName::user(0, k as u32);
    let mut sites = Vec::new();
    let mut builder = FunctionBuilder::new(&mut context.func, functions);
    let emitted = emit(&mut builder, program, jobs, k, constants, target(isa), &mut sites);
    if emitted.is_err() {
        // An unfinished function cannot be closed; its pieces are dropped.
        *tools = (Context::new(), FunctionBuilderContext::new());
        return Err(emitted.err().unwrap_or_else(|| CpuError::internal("emission")));
    }
    builder.finalize(isa.frontend_config());
    let compiled = context.compile(&**isa, &mut Default::default()).map_err(|e| failed(format!("{:?}", e.inner)))?;
    let bytes = compiled.code_buffer().to_vec();
    let alignment = compiled.buffer.alignment as u64;
    let relocations = compiled.buffer.relocs().to_vec();
    let text = compiled.vcode.clone();
    let function = std::mem::replace(&mut context.func, Function::new());
    Ok(Piece { bytes, alignment, relocations, function, sites, text })
}

fn emit(
    builder: &mut FunctionBuilder,
    program: &LoopProgram,
    jobs: &Jobs,
    k: usize,
    constants: &[usize],
    target: Target,
    sites: &mut Vec<Site>,
) -> Result<(), CpuError> {
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    let params = builder.block_params(entry).to_vec();
    let range = params.get(2).copied().zip(params.get(3).copied());
    let frame = Frame { program, constants, target, arena: params[0], context: params[1], range };
    match &jobs.jobs[k] {
        Job::Lanes(plan) => lanes::emit(&mut lanes::Narrow { builder, frame: &frame }, program, plan)?,
        Job::Block(nodes) => Control { builder, frame: &frame, jobs, sites }.here(nodes)?,
        Job::Phase(phase) => {
            Control { builder, frame: &frame, jobs, sites }.phase(phase, params[2], params[3])?;
        }
    }
    let status = builder.ins().iconst(I64, 0);
    builder.ins().return_(&[status]);
    Ok(())
}

fn link(isa: OwnedTargetIsa, jobs: &Jobs, pieces: Vec<Piece>) -> Result<Code, CpuError> {
    let convention = isa.default_call_conv();
    let mut module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
    let mut ids = Vec::new();
    for (k, job) in jobs.jobs.iter().enumerate() {
        let signature = signature(convention, job.has_range());
        ids.push(module.declare_function(&format!("whorl_{k}"), Linkage::Local, &signature).map_err(failed)?);
    }
    let mut sites = Vec::new();
    for (piece, id) in pieces.into_iter().zip(&ids) {
        // Names of functions are the numbers of jobs, and those are the module's own numbers, given in order.
        debug_assert_eq!(ids.iter().position(|other| other == id), Some(id.as_u32() as usize));
        let relocations: Vec<ModuleReloc> =
            piece.relocations.iter().map(|r| ModuleReloc::from_mach_reloc(r, &piece.function, *id)).collect();
        module.define_function_bytes(*id, piece.alignment, &piece.bytes, &relocations).map_err(failed)?;
        sites.extend(piece.sites);
    }
    module.finalize_definitions().map_err(failed)?;
    let address = |job: &JobId| module.get_finalized_function(ids[job.0 as usize]) as usize;
    let phases = jobs.phases.iter().map(address).collect();
    Ok(Code { module, phases, _sites: sites })
}
