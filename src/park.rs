//! Runs that take turns in a few arenas. Between its turns a run is *parked*: what the rest of it depends on lies packed outside
//! of any arena.
//!
//! ```text
//! take an arena ─ put the run's arrays in their places ─ execute ─ take the arrays out again ─ give the arena back
//! ```
//!
//! What is parked is what a checkpoint holds, so that a run can begin from one in the same way.

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
    /// Behind the last phase: how many of them are results; before them is the state of the last `train scan`.
    results: usize,
}

impl Parked {
    pub fn new(arrays: Vec<(BufferId, Vec<u8>)>) -> Parked {
        Parked { arrays, fresh: false, results: 0 }
    }

    /// An array, in the state of a train scan or among the results.
    pub fn get(&self, id: BufferId, of_results: bool) -> Option<&Vec<u8>> {
        let (state, results) = self.arrays.split_at(self.arrays.len() - self.results);
        // Without a phase behind the train scan, results are part of its state.
        let arrays = if of_results && !results.is_empty() { results } else { state };
        arrays.iter().find(|(at, _)| *at == id).map(|(_, bytes)| bytes)
    }

    /// Executes in an arena of the pool; the run is parked before and after.
    pub fn turn<T>(
        &mut self,
        run: &mut RunState,
        pool: &Pool,
        executable: &Executable,
        lives: &Lives,
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

    fn park(&mut self, run: &RunState, executable: &Executable, lives: &Lives) {
        let read = |id: &BufferId| (*id, executable.bytes(run, *id).to_vec());
        self.fresh = false;
        match lives {
            Lives::Into(ids) if self.results == 0 && self.arrays.iter().map(|(id, _)| id).eq(ids) => {
                for (id, bytes) in &mut self.arrays {
                    bytes.copy_from_slice(executable.bytes(run, *id));
                }
            }
            Lives::Into(ids) => *self = Parked::new(ids.iter().map(read).collect()),
            Lives::Results(ids) => {
                self.arrays.extend(ids.iter().map(read));
                self.results = ids.len();
            }
        }
    }
}

/// What of a run is needed when a stretch of it is done.
#[derive(Clone, PartialEq, Debug)]
pub enum Lives {
    /// By the stretches that follow.
    Into(Vec<BufferId>),
    /// All is done: the results, beside what is parked already, the state of the last train scan.
    Results(Vec<BufferId>),
}

impl Lives {
    /// Behind steps of a phase; `complete` is whether they were its last.
    pub fn behind(program: &LoopProgram, phase: usize, complete: bool) -> Lives {
        let next = program.phases.get(phase + 1);
        match (&program.phases[phase], next) {
            // What is written before it or in it, and read later, lives all through it.
            (Phase::Train { state, .. }, _) if !complete || next.is_some() => Lives::Into(state.clone()),
            (Phase::Train { state, .. }, _) => {
                let mut ids = state.clone();
                ids.extend(in_arena(program, &program.outputs).filter(|id| !state.contains(id)));
                Lives::Into(ids)
            }
            (Phase::Straight(_), Some(Phase::Train { state, .. })) => Lives::Into(state.clone()),
            // Straight phases do not follow each other; if they did, all there is would be needed.
            (Phase::Straight(_), Some(Phase::Straight(_))) => {
                let all: Vec<BufferId> = (0..program.buffers.len() as u32).map(BufferId).collect();
                Lives::Into(in_arena(program, &all).collect())
            }
            (Phase::Straight(_), None) => Lives::Results(in_arena(program, &program.outputs).collect()),
        }
    }

    /// The most bytes of a run that are parked at any time.
    pub fn most_bytes(program: &LoopProgram) -> usize {
        let bytes = |ids: &[BufferId]| ids.iter().map(|id| program.buffers[id.0 as usize].bytes()).sum::<usize>();
        let mut before = bytes(&program.inputs);
        let mut most = before;
        for phase in 0..program.phases.len() {
            let now = match Lives::behind(program, phase, true) {
                Lives::Into(ids) => bytes(&ids),
                Lives::Results(ids) => before + bytes(&ids),
            };
            most = most.max(now);
            before = now;
        }
        most
    }
}

fn in_arena<'a>(program: &'a LoopProgram, ids: &'a [BufferId]) -> impl Iterator<Item = BufferId> + 'a {
    let placed = |id: &&BufferId| match program.buffers[id.0 as usize].place {
        Place::Arena(_) => true,
        Place::Constant(_) => false,
    };
    let mut seen = std::collections::HashSet::new();
    ids.iter().filter(placed).copied().filter(move |id| seen.insert(*id))
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
