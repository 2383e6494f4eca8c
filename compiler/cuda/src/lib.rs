//! Loop IR to PTX text: a thread block a run, or a group of them, and one kernel a phase. See docs/notes/036 and 039.
//!
//! ```text
//! LoopProgram ─ homes (registers, shared memory, slab), barriers ─▶ control ─ lanes, product, sort, log ─▶ Module
//! ```

mod address;
mod barriers;
mod choice;
mod control;
mod elements;
mod execute;
mod fast;
mod floats;
mod group;
mod homes;
mod kernel;
mod lanes;
mod log;
mod mma;
mod modes;
mod product;
mod ptx;
mod reduce;
mod remainder;
mod sort;
mod split;
mod staged;
mod tables;

use std::fmt;

use serde::{Deserialize, Serialize};
use whorl_core::ir::DType;
use whorl_schedule::bodies;
use whorl_schedule::loop_ir::*;
use whorl_source::Span;

use control::Control;
use group::{Group, Seat, Team};
use homes::Homes;
use kernel::Kernel;
use ptx::{Class, Operand, Text};
use tables::Tables;

pub use choice::{Card, Schedule};
pub use execute::{Executable, RunError, Runs};
pub use log::{CAPACITY, ELEMENT, HEADER, RING_BYTES};

/// How to compile.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sm_80`, `sm_90`, …: the oldest card that the text is for.
    pub architecture: u32,
    /// Of a block; a multiple of 32.
    pub threads: usize,
    /// Of a run. Several wait for each other, and keep their arrays in global memory.
    pub blocks: usize,
    /// Shared memory that a block may have, in bytes.
    pub shared: usize,
    /// Products of `f32` by tensor cores (tf32), and the card's approximations of functions: faster, and other bits.
    pub fast_math: bool,
    /// For tests: leaves out this barrier of each phase.
    pub without_barrier: Option<usize>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            architecture: 80,
            threads: 256,
            blocks: 1,
            shared: 160 * 1024,
            fast_math: false,
            without_barrier: None,
        }
    }
}

/// Why a program could not be compiled: a defect of the compiler, not of the user's program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CudaError {
    pub message: String,
}

impl CudaError {
    pub(crate) fn internal(what: impl Into<String>) -> CudaError {
        CudaError { message: what.into() }
    }

    pub(crate) fn ill_typed(op: impl fmt::Debug, dtype: DType) -> CudaError {
        CudaError { message: format!("ill-typed Loop IR: {op:?} of {}", dtype.name()) }
    }
}

impl fmt::Display for CudaError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CudaError {}

/// A program as kernels.
///
/// Each takes `(slabs, constants, statuses, rings, from, to)`: run r has the blocks from `r * blocks` on. Its slab is `r * slab_bytes` bytes into the slabs, its
/// status `r * status_bytes` into the statuses, its ring `r * RING_BYTES` into the rings. A slab has the layout of the arena. The status stays 0, or is one more
/// than the number of the check that failed. What is behind it is 0 before the first launch, and then the kernels' own. Where a run has several blocks, launches are
/// cooperative.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Module {
    pub ptx: String,
    pub kernels: Vec<Entry>,
    /// Threads of a block.
    pub threads: usize,
    /// Blocks of a run.
    pub blocks: usize,
    pub slab_bytes: usize,
    pub status_bytes: usize,
    pub constants: Vec<u8>,
    pub checks: Vec<CheckNode>,
}

/// The kernel of a phase.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct Entry {
    pub name: String,
    pub shared_bytes: usize,
    /// Instructions of the text.
    pub instructions: usize,
    /// Places of its text at which the block waits.
    pub barriers: usize,
}

/// Bytes before a multiple of which no run's slab begins.
const SLAB_ALIGN: usize = 256;

/// Compiles a program. `line` names the file (by number) and line of a span, and `files` are the files.
pub fn compile(
    p: &LoopProgram,
    options: &Options,
    files: &[String],
    line: &dyn Fn(Span) -> Option<(u32, u32)>,
) -> Result<Module, CudaError> {
    let team = Team { blocks: options.blocks.max(1), of_block: options.threads };
    let p = &split::split(p, team);
    let (constants, places) = constants(p);
    let (mut checks, mut kernels, mut entries) = (Vec::new(), Vec::new(), String::new());
    let mut tables = Tables::default();
    let scratch_at = p.arena_bytes.next_multiple_of(SLAB_ALIGN);
    let scratch = p.phases.iter().flat_map(|phase| phase.body()).map(|n| scratch(p, n, team.threads())).max();
    let slab_bytes = (scratch_at + scratch.unwrap_or(0)).next_multiple_of(SLAB_ALIGN).max(SLAB_ALIGN);
    for number in 0..p.phases.len() {
        let (text, entry, used) = kernel(
            p,
            number,
            (options, team),
            &places,
            (slab_bytes, scratch_at),
            &mut checks,
            std::mem::take(&mut tables),
            line,
        )?;
        tables = used;
        entries.push_str(&text);
        kernels.push(entry);
    }
    let mut ptx = format!(".version 8.0\n.target sm_{}\n.address_size 64\n", options.architecture);
    for (k, file) in files.iter().enumerate() {
        ptx.push_str(&format!(".file {} \"{}\"\n", k + 1, file.replace(['"', '\\', '\n'], "_")));
    }
    ptx.push_str(".extern .shared .align 16 .b8 shared[];\n");
    ptx.push_str(&tables.text());
    ptx.push_str(&entries);
    let (threads, blocks, status_bytes) = (team.of_block, team.blocks, team.words());
    Ok(Module { ptx, kernels, threads, blocks, slab_bytes, status_bytes, constants, checks })
}

/// All constants in one piece, and where each begins.
fn constants(p: &LoopProgram) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for b in &p.buffers {
        places.push(bytes.len());
        if let Place::Constant(data) = &b.place {
            bytes.extend_from_slice(&data.bytes);
            bytes.resize(bytes.len().next_multiple_of(64), 0);
        }
    }
    (bytes, places)
}

fn scratch(p: &LoopProgram, node: &Node, threads: usize) -> usize {
    match node {
        Node::Sort(s) => sort::scratch(p, s, threads),
        _ => bodies(node).into_iter().flatten().map(|n| scratch(p, n, threads)).max().unwrap_or(0),
    }
}

const PARAMETERS: [&str; 6] = ["slabs", "constants", "statuses", "rings", "from", "to"];

#[allow(clippy::too_many_arguments)]
fn kernel(
    p: &LoopProgram,
    number: usize,
    (options, team): (&Options, Team),
    places: &[usize],
    (slab_bytes, scratch): (usize, usize),
    checks: &mut Vec<CheckNode>,
    tables: Tables,
    line: &dyn Fn(Span) -> Option<(u32, u32)>,
) -> Result<(String, Entry, Tables), CudaError> {
    let phase = &p.phases[number];
    let mut text = Text::default();
    // What one block has in its shared memory, another cannot see.
    let of_buffers = if team.blocks == 1 { options.shared } else { 0 };
    let homes = Homes::of(p, number, places, of_buffers, &mut text);
    let mut barriers = barriers::place(p, phase, &homes, team);
    let count = barriers.count();
    if let Some(left_out) = options.without_barrier {
        barriers = barriers.without(left_out);
    }
    let [slabs, constants, statuses, rings, from, to] = PARAMETERS.map(|name| {
        let r = text.reg(Class::Long);
        emit!(text, "ld.param.u64 {r}, [{name}]");
        r
    });
    let seat = team.seat(&mut text);
    let Seat { run, thread, .. } = seat;
    let shared = text.one_special("mov.u32", Class::Word, "shared");
    let own = |text: &mut Text, start: ptx::Reg, bytes: usize| {
        let bytes = match u32::try_from(bytes) {
            Ok(bytes) => text.two("mul.wide.u32", Class::Long, run, Operand::Int(bytes.into())),
            Err(_) => {
                let run = text.one("cvt.u64.u32", Class::Long, run);
                text.two("mul.lo.s64", Class::Long, run, Operand::Int(bytes as i64))
            }
        };
        text.two("add.s64", Class::Long, start, bytes)
    };
    let slab = own(&mut text, slabs, slab_bytes);
    let status = own(&mut text, statuses, team.words());
    let ring = own(&mut text, rings, RING_BYTES);
    let group = Group::of(team, &mut text, seat, status);
    let written = text.reg(Class::Word);
    let (taken_in, put_back, shared_bytes) = (homes.taken_in.clone(), homes.put_back.clone(), homes.shared_bytes);
    let exit = text.label();
    let k = Kernel {
        p,
        homes,
        text,
        tables,
        threads: team.threads(),
        thread,
        group,
        room: options.shared - of_buffers,
        staged: 0,
        slab,
        constants,
        shared,
        step: Operand::Int(0),
        status,
        ring,
        written,
        barriers,
        exit,
        fast: options.fast_math,
    };
    let mut control = Control { k, checks, scratch, line };
    emit!(control.k.text, "ld.global.u32 {written}, [{ring}]");
    taken_in.iter().try_for_each(|b| log::take_in(&mut control.k, *b))?;
    control.k.barrier();
    match phase {
        Phase::Straight(nodes) => control.nodes(nodes)?,
        Phase::Train { index, body, .. } => control.train(*index, body, from, to)?,
    }
    let mut k = control.k;
    k.barrier();
    put_back.iter().try_for_each(|b| log::put_back(&mut k, *b))?;
    k.text.place(exit);
    let first = k.first();
    emit!(k.text, "@{first} st.global.u32 [{ring}], {written}");
    emit!(k.text, "ret");
    let name = format!("phase_{number}");
    let parameters = PARAMETERS.map(|p| format!("    .param .u64 {p}")).join(",\n");
    let head = format!(".visible .entry {name}(\n{parameters}\n)\n.maxntid {}, 1, 1", team.of_block);
    let shared_bytes = shared_bytes.max(k.staged);
    let entry = Entry { name, shared_bytes, instructions: k.text.instructions, barriers: count };
    Ok((k.text.entry(&head), entry, k.tables))
}
