//! Compiled programs, and how they are run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use whorl_core::ir::{ArrayData, Type};
use whorl_schedule::loop_ir::{Buffer, BufferId, LoopProgram, Phase, Place};
use whorl_schedule::{cost, verify};

use crate::build::{self, Code, FunctionText, disassemble, load};
use crate::image::Image;
use crate::ring::{Dropped, RING, Ring};
use crate::runtime::{Context, Lap, ticks};
use crate::state::{Arena, Bytes, RunState};
use crate::team::threads_of;
use crate::{CpuError, Options, RunError, long_reductions};

/// Machine code of a program, and the constants that it reads. Any number of runs may execute it at once.
pub struct Executable {
    program: LoopProgram,
    options: Options,
    /// Copies of the program's constants, kept for the code that holds their addresses.
    _constants: Vec<Option<Bytes>>,
    phases: Vec<usize>,
    /// There until the executable is dropped.
    code: Mutex<Option<Code>>,
}

/// `fn(arena, context, from, to) -> status`
type PhaseFunction = unsafe extern "C" fn(*mut u8, *mut Context, i64, i64) -> i64;

/// What one run leaves.
type RunResult = Result<Vec<ArrayData>, RunError>;

/// Compiles a program for this machine, to be loaded now or later.
pub(crate) fn image(program: &LoopProgram, options: &Options) -> Result<Image, CpuError> {
    check(program)?;
    let mut program = program.clone();
    long_reductions::divide(&mut program, options);
    build::compile(program, options)
}

impl Executable {
    pub(crate) fn new(program: &LoopProgram, options: &Options) -> Result<Executable, CpuError> {
        Executable::load(image(program, options)?)
    }

    pub(crate) fn load(image: Image) -> Result<Executable, CpuError> {
        let Image { program, options, pieces, phases } = image;
        let constants: Vec<Option<Bytes>> = program.buffers.iter().map(constant).collect::<Result<_, _>>()?;
        let code = load(pieces, &phases, &addresses(&constants))?;
        let phases = code.phases.clone();
        Ok(Executable { program, options, _constants: constants, phases, code: Mutex::new(Some(code)) })
    }

    /// The program as it is executed: with long reductions divided, where there are teams.
    pub fn program(&self) -> &LoopProgram {
        &self.program
    }

    /// The state of run `run` before its first phase. The inputs are the program's parameters, in order.
    pub fn new_run(&self, run: usize, inputs: &[ArrayData]) -> Result<RunState, RunError> {
        let mut state = self.run_without_arena(run);
        state.exchange(&mut self.arena()?);
        if inputs.len() != self.program.inputs.len() {
            return Err(RunError::misuse(format!("{} inputs, not {}", inputs.len(), self.program.inputs.len())));
        }
        for (id, input) in self.program.inputs.iter().zip(inputs) {
            self.write(&mut state, *id, input)?;
        }
        if let Some(index) = self.program.run_index {
            self.write(&mut state, index, &ArrayData::scalar(run as i32))?;
        }
        Ok(state)
    }

    /// Memory for one run at a time, all zeros.
    pub fn arena(&self) -> Result<Arena, RunError> {
        let bytes = self.program.arena_bytes;
        Bytes::new(bytes).map(Arena).ok_or_else(|| RunError::misuse(format!("there is no memory for {bytes} bytes")))
    }

    /// Run `run` before anything was done, its inputs included; it needs an arena for all that there is to do.
    pub fn run_without_arena(&self, run: usize) -> RunState {
        let ring = Ring::new(if self.program.logs.is_empty() { 0 } else { RING });
        let number = self.program.runs.map(|_| run);
        let nodes = || self.program.phases.iter().map(|p| cost::leaves(&self.program, p.body()).len()).sum();
        let laps = if self.options.profile { vec![Lap::default(); nodes()] } else { Vec::new() };
        let context = Box::new(Context { step: 0, ring, run: number, failure: None, team: None, laps, last: 0 });
        RunState { run, arena: Bytes::none(), context }
    }

    /// From now on, so many threads do the large loops of the run together: those that [`Options::team`] has code for.
    pub fn set_threads(&self, state: &mut RunState, threads: usize) {
        let team = self.options.team;
        // What a sleeping thread is woken for is worth more than what one does that waits for it.
        state.set_team(threads.min(team.threads), team.worth.saturating_mul(5));
    }

    /// Runs one phase; of a train phase, the steps `from..to`, which a straight one ignores. A run that has failed stays failed.
    pub fn run_phase(&self, phase: usize, state: &mut RunState, from: usize, to: usize) -> Result<(), RunError> {
        if let Some(error) = state.error() {
            return Err(error);
        }
        let (Some(kind), Some(&address)) = (self.program.phases.get(phase), self.phases.get(phase)) else {
            return Err(RunError::misuse(format!("there is no phase {phase}")));
        };
        let to = match kind {
            Phase::Straight(_) => 0,
            Phase::Train { n, .. } => to.min(*n),
        };
        if state.arena.get().len() < self.program.arena_bytes {
            return Err(RunError::misuse("a run without an arena"));
        }
        state.context.step = 0;
        state.context.last = ticks();
        // SAFETY: `address` is that of a function of this type, in memory that lives as long as `self`; it stays within the arena,
        // which is as large as the program asks for, and the executable's constants.
        let status = unsafe {
            let function = std::mem::transmute::<usize, PhaseFunction>(address);
            function(state.arena.as_mut_ptr(), &raw mut *state.context, from as i64, to as i64)
        };
        match state.error() {
            Some(error) => Err(error),
            None if status != 0 => Err(RunError::misuse(format!("status {status}"))),
            None => Ok(()),
        }
    }

    /// The program's results as they are now.
    pub fn outputs(&self, state: &RunState) -> Vec<ArrayData> {
        self.program.outputs.iter().map(|id| self.read(state, *id)).collect()
    }

    /// The contents of a buffer.
    pub fn read(&self, state: &RunState, id: BufferId) -> ArrayData {
        let buffer = &self.program.buffers[id.0 as usize];
        let ty = Type { dtype: buffer.dtype, shape: buffer.shape.clone() };
        ArrayData { ty, bytes: self.bytes(state, id).to_vec() }
    }

    /// The bytes of a buffer.
    pub fn bytes<'s>(&'s self, state: &'s RunState, id: BufferId) -> &'s [u8] {
        let buffer = &self.program.buffers[id.0 as usize];
        match &buffer.place {
            Place::Arena(at) => &state.arena.get()[*at..*at + buffer.bytes()],
            Place::Constant(data) => &data.bytes,
        }
    }

    /// Sets a buffer of the arena: an input, or what a checkpoint kept.
    pub fn write(&self, state: &mut RunState, id: BufferId, data: &ArrayData) -> Result<(), RunError> {
        let buffer = &self.program.buffers[id.0 as usize];
        if data.ty.dtype != buffer.dtype || data.bytes.len() != buffer.bytes() {
            let want = Type { dtype: buffer.dtype, shape: buffer.shape.clone() };
            return Err(RunError::misuse(format!("{:?} for a buffer of {want:?}", data.ty)));
        }
        self.write_bytes(state, id, &data.bytes)
    }

    /// The same of bytes, of which there must be as many as the buffer has.
    pub fn write_bytes(&self, state: &mut RunState, id: BufferId, bytes: &[u8]) -> Result<(), RunError> {
        let buffer = &self.program.buffers[id.0 as usize];
        if bytes.len() != buffer.bytes() {
            return Err(RunError::misuse(format!("{} bytes for a buffer of {}", bytes.len(), buffer.bytes())));
        }
        match &buffer.place {
            Place::Arena(at) => {
                state.arena.get_mut()[*at..*at + bytes.len()].copy_from_slice(bytes);
                Ok(())
            }
            Place::Constant(_) => Err(RunError::misuse("a constant is written")),
        }
    }

    /// Runs everything, several runs at a time; results of programs with runs have a row for each. What is logged is dropped.
    pub fn run_to_end(&self, inputs: &[ArrayData], threads: usize) -> Result<Vec<ArrayData>, RunError> {
        let runs = self.program.runs.unwrap_or(1);
        let next = AtomicUsize::new(0);
        let rows: Mutex<Vec<(usize, RunResult)>> = Mutex::new(Vec::new());
        let work = || {
            loop {
                let run = next.fetch_add(1, Ordering::Relaxed);
                if run >= runs {
                    return;
                }
                let row = self.run_one(run, inputs, threads_of(run, runs, threads));
                rows.lock().unwrap_or_else(|e| e.into_inner()).push((run, row));
            }
        };
        std::thread::scope(|scope| {
            (1..threads.clamp(1, runs.max(1))).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        let mut rows = rows.into_inner().unwrap_or_else(|e| e.into_inner());
        rows.sort_by_key(|(run, _)| *run);
        let rows: Vec<Vec<ArrayData>> = rows.into_iter().map(|(_, row)| row).collect::<Result<_, _>>()?;
        Ok((0..self.program.outputs.len()).map(|k| self.stacked(k, &rows)).collect())
    }

    fn run_one(&self, run: usize, inputs: &[ArrayData], threads: usize) -> Result<Vec<ArrayData>, RunError> {
        let mut state = self.new_run(run, inputs)?;
        self.set_threads(&mut state, threads);
        state.set_sink(Box::new(Dropped));
        for (k, phase) in self.program.phases.iter().enumerate() {
            let to = match phase {
                Phase::Straight(_) => 0,
                Phase::Train { n, .. } => *n,
            };
            self.run_phase(k, &mut state, 0, to)?;
        }
        Ok(self.outputs(&state))
    }

    /// The results of all runs (`rows[run]`), a row of each where there are any.
    pub fn gathered(&self, rows: &[Vec<ArrayData>]) -> Vec<ArrayData> {
        (0..self.program.outputs.len()).map(|k| self.stacked(k, rows)).collect()
    }

    /// Output `k` of all runs.
    fn stacked(&self, k: usize, rows: &[Vec<ArrayData>]) -> ArrayData {
        let buffer = &self.program.buffers[self.program.outputs[k].0 as usize];
        let ty = Type { dtype: buffer.dtype, shape: buffer.shape.clone() };
        let ty = self.program.runs.map_or(ty.clone(), |n| ty.stacked(n));
        ArrayData { ty, bytes: rows.iter().flat_map(|row| row[k].bytes.iter().copied()).collect() }
    }

    /// The machine code of each function, as text.
    pub fn assembly(&self) -> Result<Vec<FunctionText>, CpuError> {
        disassemble(&self.program, &self.options)
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        let code = self.code.get_mut().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(code) = code {
            // SAFETY: code runs only in calls that borrow `self`.
            unsafe { code.free() }
        }
    }
}

impl std::fmt::Debug for Executable {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Executable").field("phases", &self.phases).finish_non_exhaustive()
    }
}

fn constant(buffer: &Buffer) -> Result<Option<Bytes>, CpuError> {
    let Place::Constant(data) = &buffer.place else { return Ok(None) };
    let len = data.bytes.len();
    let none = || CpuError::internal(format!("there is no memory for a constant of {len} bytes"));
    let mut bytes = Bytes::new(len).ok_or_else(none)?;
    bytes.get_mut()[..len].copy_from_slice(&data.bytes);
    Ok(Some(bytes))
}

fn addresses(constants: &[Option<Bytes>]) -> Vec<usize> {
    constants.iter().map(|c| c.as_ref().map_or(0, Bytes::address)).collect()
}

/// What the rest takes for granted: inputs and outputs lie within the arena and, which only debug builds look into since the
/// scheduler's tests do, the program is well-formed and its accesses stay within their buffers.
fn check(program: &LoopProgram) -> Result<(), CpuError> {
    if cfg!(debug_assertions) {
        verify(program).map_err(|e| CpuError::internal(format!("malformed Loop IR: {e}")))?;
    }
    let mut named = program.inputs.iter().chain(&program.outputs).chain(&program.run_index);
    let good = |id: &BufferId| {
        program.buffers.get(id.0 as usize).is_some_and(|buffer| match &buffer.place {
            Place::Arena(at) => at + buffer.bytes() <= program.arena_bytes,
            Place::Constant(data) => data.bytes.len() == buffer.bytes(),
        })
    };
    if named.all(good) { Ok(()) } else { Err(CpuError::internal("an input or output has no place")) }
}
