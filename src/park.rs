//! Runs that take turns in a few arenas. Between its turns a run is *parked*: what the rest of it depends on lies packed outside
//! of any arena.
//!
//! ```text
//! take an arena ─ put the run's arrays in their places ─ execute ─ take the arrays out again ─ give the arena back
//! ```
//!
//! What is parked is what a checkpoint holds, so that a run can begin from one in the same way.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

use whorl_core::ir::{ArrayData, Type};
use whorl_cpu::{Arena, Executable, RunError, RunState};
use whorl_schedule::loop_ir::{BufferId, LoopProgram, Phase, Place};

/// Arenas that runs take turns in.
pub struct Pool {
    most: usize,
    free: Mutex<Free>,
    back: Condvar,
    /// What an arena is filled with before each turn: for tests, in which nothing may depend on it.
    pub poison: Option<u8>,
}

#[derive(Default)]
struct Free {
    arenas: Vec<Arena>,
    made: usize,
}

impl Pool {
    /// At most so many arenas, made when they are needed.
    pub fn new(most: usize) -> Pool {
        Pool { most: most.max(1), free: Mutex::default(), back: Condvar::new(), poison: None }
    }

    pub fn most(&self) -> usize {
        self.most
    }

    /// A free arena, as soon as there is one.
    fn take(&self, executable: &Executable) -> Result<Arena, RunError> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(mut arena) = free.arenas.pop() {
                drop(free);
                self.poison.into_iter().for_each(|byte| arena.fill(byte));
                return Ok(arena);
            }
            if free.made < self.most {
                let mut arena = executable.arena()?;
                self.poison.into_iter().for_each(|byte| arena.fill(byte));
                free.made += 1;
                return Ok(arena);
            }
            free = self.back.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give(&self, arena: Arena) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).arenas.push(arena);
        self.back.notify_one();
    }
}

/// The arrays of a run that is parked, by their buffers.
#[derive(Default)]
pub struct Parked {
    arrays: Vec<(BufferId, Vec<u8>)>,
    /// Nothing was executed yet.
    fresh: bool,
}

impl Parked {
    pub fn new(arrays: Vec<(BufferId, Vec<u8>)>) -> Parked {
        Parked { arrays, fresh: false }
    }

    pub fn get(&self, id: BufferId) -> Option<&Vec<u8>> {
        self.arrays.iter().find(|(at, _)| *at == id).map(|(_, bytes)| bytes)
    }

    /// Executes in an arena of the pool; the run is parked before and after.
    pub fn turn<T>(
        &mut self,
        run: &mut RunState,
        pool: &Pool,
        executable: &Executable,
        lives: &[BufferId],
        execute: impl FnOnce(&mut RunState) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let mut arena = pool.take(executable)?;
        if self.fresh {
            // As arenas of their own begin: rows of a state that are to be written later are the same in every checkpoint.
            arena.fill(0);
        }
        run.exchange(&mut arena);
        let done = self.load(run, executable).and_then(|()| execute(run));
        if done.is_ok() {
            self.park(run, executable, lives);
        }
        run.exchange(&mut arena);
        pool.give(arena);
        done
    }

    fn load(&self, run: &mut RunState, executable: &Executable) -> Result<(), RunError> {
        self.arrays.iter().try_for_each(|(id, bytes)| executable.write_bytes(run, *id, bytes))
    }

    fn park(&mut self, run: &RunState, executable: &Executable, lives: &[BufferId]) {
        self.fresh = false;
        if self.arrays.iter().map(|(id, _)| id).eq(lives) {
            for (id, bytes) in &mut self.arrays {
                bytes.copy_from_slice(executable.bytes(run, *id));
            }
        } else {
            self.arrays = lives.iter().map(|id| (*id, executable.bytes(run, *id).to_vec())).collect();
        }
    }
}

/// What of a run is needed when some steps of a phase are done, or all of them if it is `complete`: by the phases that follow, and of
/// the results.
pub fn lives(program: &LoopProgram, phase: usize, complete: bool) -> Vec<BufferId> {
    let results = || in_arena(program, &program.outputs);
    match (&program.phases[phase], program.phases.get(phase + 1)) {
        // What is written before it or in it, and read later, lives all through it.
        (Phase::Train { state, .. }, Some(_)) => state.clone(),
        (Phase::Train { state, .. }, None) => {
            let more = results().into_iter().filter(|id| complete && !state.contains(id));
            state.iter().copied().chain(more).collect()
        }
        (Phase::Straight(_), Some(Phase::Train { state, .. })) => state.clone(),
        // Straight phases do not follow each other; if they did, all there is would be needed.
        (Phase::Straight(_), Some(Phase::Straight(_))) => {
            in_arena(program, &(0..program.buffers.len() as u32).map(BufferId).collect::<Vec<_>>())
        }
        (Phase::Straight(_), None) => results(),
    }
}

/// The most bytes of a run that are parked at any time.
pub fn most_bytes(program: &LoopProgram) -> usize {
    let bytes = |ids: &[BufferId]| ids.iter().map(|id| program.buffers[id.0 as usize].bytes()).sum::<usize>();
    let behind = (0..program.phases.len()).map(|phase| bytes(&lives(program, phase, true)));
    behind.fold(bytes(&program.inputs), usize::max)
}

fn in_arena(program: &LoopProgram, ids: &[BufferId]) -> Vec<BufferId> {
    let placed = |id: &&BufferId| match program.buffers[id.0 as usize].place {
        Place::Arena(_) => true,
        Place::Constant(_) => false,
    };
    let mut seen = HashSet::new();
    ids.iter().filter(placed).copied().filter(|id| seen.insert(*id)).collect()
}

/// What a run begins with: its inputs and its number.
pub fn beginning(program: &LoopProgram, run: usize, inputs: &[ArrayData]) -> Result<Parked, RunError> {
    if inputs.len() != program.inputs.len() {
        return Err(RunError::Misuse(format!("{} inputs, not {}", inputs.len(), program.inputs.len())));
    }
    let mut arrays = Vec::new();
    for (id, input) in program.inputs.iter().zip(inputs) {
        let buffer = &program.buffers[id.0 as usize];
        let want = Type { dtype: buffer.dtype, shape: buffer.shape.clone() };
        if input.ty != want {
            return Err(RunError::Misuse(format!("{:?} for an input of {want:?}", input.ty)));
        }
        arrays.push((*id, input.bytes.clone()));
    }
    arrays.extend(program.run_index.map(|id| (id, ArrayData::scalar(run as i32).bytes)));
    Ok(Parked { fresh: true, ..Parked::new(arrays) })
}
