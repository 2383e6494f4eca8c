//! Runs on a card: one launch executes a chunk of all of them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use whorl_core::ir::ArrayData;
use whorl_cpu::RunError;
use whorl_cuda::{Executable, Runs};
use whorl_host::engine::RunFailure;
use whorl_schedule::LogElement;
use whorl_schedule::loop_ir::BufferId;

use crate::engine::train_step;
use crate::memory::Room;

pub struct Card {
    executable: Executable,
    /// The memory of all runs, from when the first is begun.
    runs: Mutex<Option<Runs>>,
}

impl Card {
    pub fn new(executable: Executable) -> Card {
        Card { executable, runs: Mutex::default() }
    }

    pub fn executable(&self) -> &Executable {
        &self.executable
    }

    /// As its driver calls it.
    pub fn name(&self) -> String {
        self.executable.device().properties().name
    }

    /// What so many runs take of its memory.
    pub fn bytes(&self, runs: usize) -> usize {
        self.executable.bytes(runs)
    }

    /// What is free of it, but no more than `most`.
    pub fn room(&self, most: Option<usize>) -> Result<Room, String> {
        let free = self.executable.device().memory_free().map_err(|e| format!("error: {e}"))?;
        Ok(Room::of(usize::try_from(free).unwrap_or(usize::MAX), most))
    }

    fn runs(&self) -> MutexGuard<'_, Option<Runs>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Run `run` of `count` begins: number `own` of its program's.
    pub fn begin(&self, run: usize, count: usize, own: usize, inputs: &[ArrayData]) -> Result<(), RunError> {
        let mut runs = self.runs();
        let runs = match &mut *runs {
            Some(runs) => runs,
            none => {
                let new = self.executable.runs(count).map_err(told)?;
                // As arenas begin: rows of a state that are to be written later are the same in every checkpoint.
                self.executable.clear(&new).map_err(told)?;
                none.insert(new)
            }
        };
        self.executable.begin(runs, run, own, inputs).map_err(told)
    }

    /// A phase of all runs; `log` gets what each logs, in its order.
    pub fn execute(
        &self,
        phase: usize,
        from: usize,
        to: usize,
        log: &mut dyn FnMut(usize, LogElement),
    ) -> Result<(), RunFailure<RunError>> {
        let mut runs = self.runs();
        let Some(runs) = &mut *runs else { return Ok(()) };
        self.executable.run_phase(phase, runs, from, to, log).map_err(|e| {
            let run = match &e {
                whorl_cuda::RunError::Fault(run, _) => *run,
                whorl_cuda::RunError::Device(_) | whorl_cuda::RunError::Misuse(_) => 0,
            };
            let error = told(e);
            RunFailure { run, step: train_step(&error), error }
        })
    }

    pub fn read(&self, run: usize, id: BufferId) -> Result<ArrayData, RunError> {
        match &*self.runs() {
            Some(runs) => self.executable.read(runs, run, id).map_err(told),
            None => Err(RunError::Misuse("no run was begun on the card".into())),
        }
    }

    pub fn write(&self, run: usize, id: BufferId, array: &ArrayData) -> Result<(), RunError> {
        match &*self.runs() {
            Some(runs) => self.executable.write(runs, run, id, array).map_err(told),
            None => Err(RunError::Misuse("no run was begun on the card".into())),
        }
    }
}

/// As runs on the CPU stop; what a card's driver says is told as it is.
fn told(e: whorl_cuda::RunError) -> RunError {
    match e {
        whorl_cuda::RunError::Fault(_, fault) => RunError::Fault(fault),
        whorl_cuda::RunError::Device(e) => RunError::Misuse(e.to_string()),
        whorl_cuda::RunError::Misuse(what) => RunError::Misuse(what),
    }
}
