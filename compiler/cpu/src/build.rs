//! Compiles the functions of a program in parallel, and places them in executable memory.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{ExternalName, Function, InstBuilder, UserFuncName};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, FinalizedMachReloc, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, ModuleReloc, ModuleRelocTarget, default_libcall_names};
use whorl_core::ir::Spans;
use whorl_schedule::cost;
use whorl_schedule::loop_ir::{LoopProgram, Node};

use crate::control::Control;
use crate::emit::calls::signature;
use crate::emit::machine::Target;
use crate::frame::Frame;
use crate::image::{Image, Piece, Place, SiteSpec, Symbol};
use crate::jobs::{Callee, Job, Jobs, list_key, node_key};
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

/// What of this machine decides which code is made for it.
pub fn features() -> Result<String, CpuError> {
    let isa = isa()?;
    let flags: Vec<String> = isa.isa_flags().iter().map(|flag| flag.to_string()).collect();
    Ok(format!("{} {} {}", isa.triple(), flags.join(" "), wide::features()))
}

fn target(isa: &OwnedTargetIsa) -> Target {
    let on = |name: &str| isa.isa_flags().iter().any(|flag| flag.name == name && flag.as_bool() == Some(true));
    Target { sse41: on("has_sse41") }
}

/// Compiles all functions.
pub fn compile(program: LoopProgram, options: &Options) -> Result<Image, CpuError> {
    let isa = isa()?;
    let jobs = Jobs::of(&program, options);
    let pieces = compile_all(&program, &jobs, &isa, options.threads, false)?;
    let pieces = pieces.into_iter().map(|(piece, _)| piece).collect();
    let phases = jobs.phases.iter().map(|job| job.0).collect();
    Ok(Image { program, options: options.clone(), pieces, phases })
}

/// The text of all functions' machine code, with what each is.
pub fn disassemble(program: &LoopProgram, options: &Options) -> Result<Vec<FunctionText>, CpuError> {
    let isa = isa()?;
    let jobs = Jobs::of(program, options);
    let pieces = compile_all(program, &jobs, &isa, options.threads, true)?;
    let mut texts = Vec::new();
    for (k, ((piece, text), job)) in pieces.into_iter().zip(&jobs.jobs).enumerate() {
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
        let code = text.unwrap_or_default();
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

/// A function, and its code as text where that was wanted.
type Made = (Piece, Option<String>);

fn compile_all(
    program: &LoopProgram,
    jobs: &Jobs,
    isa: &OwnedTargetIsa,
    threads: usize,
    text: bool,
) -> Result<Vec<Made>, CpuError> {
    // The longest first, so that no thread is left alone with one.
    let mut order: Vec<usize> = (0..jobs.jobs.len()).collect();
    order.sort_by_key(|&k| std::cmp::Reverse(jobs.weights[k]));
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<Made, CpuError>)>> = Mutex::new(Vec::with_capacity(order.len()));
    let work = || {
        let mut tools = (Context::new(), FunctionBuilderContext::new());
        loop {
            let Some(&k) = order.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let piece = compile_one(program, jobs, k, isa, &mut tools, text);
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
    isa: &OwnedTargetIsa,
    tools: &mut (Context, FunctionBuilderContext),
    text: bool,
) -> Result<Made, CpuError> {
    let range = jobs.jobs[k].has_range();
    if let Job::Lanes(plan) = &jobs.jobs[k]
        && plan.is_wide()
    {
        let wide::Encoded { bytes, constants, text } = wide::compile(program, plan, text)?;
        let places = constants.into_iter().map(|(at, id)| Place { at, of: Symbol::Constant(id), add: 0 }).collect();
        return Ok((Piece { bytes, alignment: 64, range, places, sites: Vec::new() }, text));
    }
    let (context, functions) = tools;
    context.clear();
    context.set_disasm(text);
    context.func.signature = signature(isa.default_call_conv(), range);
    context.func.name = UserFuncName::user(0, k as u32);
    let mut sites = Vec::new();
    let mut builder = FunctionBuilder::new(&mut context.func, functions);
    let emitted = emit(&mut builder, program, jobs, k, target(isa), &mut sites);
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
    let places = relocations.iter().map(|r| place(r, &context.func)).collect::<Result<_, _>>()?;
    Ok((Piece { bytes, alignment, range, places, sites }, text))
}

fn emit(
    builder: &mut FunctionBuilder,
    program: &LoopProgram,
    jobs: &Jobs,
    k: usize,
    target: Target,
    sites: &mut Vec<SiteSpec>,
) -> Result<(), CpuError> {
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    let params = builder.block_params(entry).to_vec();
    let range = params.get(2).copied().zip(params.get(3).copied());
    let frame = Frame { program, target, arena: params[0], context: params[1], range };
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

/// What Cranelift leaves open: nothing is said to be near, so that all of it are whole addresses.
fn place(r: &FinalizedMachReloc, function: &Function) -> Result<Place, CpuError> {
    let symbol = match &r.target {
        FinalizedRelocTarget::ExternalName(ExternalName::User(name)) => {
            let name = &function.params.user_named_funcs()[*name];
            Symbol::of_name(name.namespace, name.index)
        }
        FinalizedRelocTarget::ExternalName(_) | FinalizedRelocTarget::Func(_) => None,
    };
    match (symbol, r.kind) {
        (Some(of), Reloc::Abs8) => Ok(Place { at: r.offset, of, add: r.addend }),
        (_, _) => Err(CpuError::internal(format!("a place of an unknown kind: {:?}", r.kind))),
    }
}

/// Places an image in executable memory. `constants` are the addresses of the program's constants.
pub fn load(pieces: Vec<Piece>, phases: &[u32], constants: &[usize]) -> Result<Code, CpuError> {
    let isa = isa()?;
    let convention = isa.default_call_conv();
    let mut module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
    let mut ids = Vec::new();
    for (k, piece) in pieces.iter().enumerate() {
        let signature = signature(convention, piece.range);
        ids.push(module.declare_function(&format!("whorl_{k}"), Linkage::Local, &signature).map_err(failed)?);
    }
    let mut all_sites = Vec::new();
    for (mut piece, id) in pieces.into_iter().zip(&ids) {
        let sites: Vec<Site> = piece.sites.into_iter().map(SiteSpec::build).collect::<Result<_, _>>()?;
        let mut calls = Vec::new();
        let missing = || CpuError::internal("an address of nothing");
        for Place { at, of, add } in piece.places {
            let address = match of {
                Symbol::Function(k) => {
                    let name =
                        ids.get(k as usize).map(|id| ModuleRelocTarget::user(0, id.as_u32())).ok_or_else(missing)?;
                    calls.push(ModuleReloc { offset: at, kind: Reloc::Abs8, name, addend: add });
                    continue;
                }
                Symbol::Site(k) => sites.get(k as usize).map(|site| &raw const **site as *const u8 as usize),
                Symbol::Constant(k) => constants.get(k as usize).copied(),
                Symbol::Runtime(function) => Some(function.address()),
                Symbol::Table(k) => whorl_kernels::math::tables().get(k as usize).map(|t| t.rows.as_ptr() as usize),
            };
            let bytes = piece.bytes.get_mut(at as usize..at as usize + 8).ok_or_else(missing)?;
            let address = address.ok_or_else(missing)?.wrapping_add_signed(add as isize);
            bytes.copy_from_slice(&address.to_ne_bytes());
        }
        module.define_function_bytes(*id, piece.alignment, &piece.bytes, &calls).map_err(failed)?;
        all_sites.extend(sites);
    }
    module.finalize_definitions().map_err(failed)?;
    let address = |k: &u32| {
        let id = ids.get(*k as usize).ok_or_else(|| CpuError::internal("a phase of nothing"))?;
        Ok(module.get_finalized_function(*id) as usize)
    };
    let phases = phases.iter().map(address).collect::<Result<_, CpuError>>()?;
    Ok(Code { module, phases, _sites: all_sites })
}
