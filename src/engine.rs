//! The compiled program as the host's [`Engine`].

use whorl_core::ir::{ArrayData, DType, Type};
use whorl_cpu::{Executable, RunError, RunState};
use whorl_host::engine::{Element, Engine, LogValue, Phase, StateArray};
use whorl_schedule::loop_ir::{self, LoopProgram};

/// A program compiled for the CPU, and the arguments that all runs get.
pub struct CpuEngine {
    pub program: LoopProgram,
    pub executable: Executable,
    pub inputs: Vec<ArrayData>,
}

impl Engine for CpuEngine {
    type State = RunState;
    type Error = RunError;

    fn runs(&self) -> usize {
        self.program.runs.unwrap_or(1)
    }

    fn phases(&self) -> Vec<Phase> {
        let kind = |p: &loop_ir::Phase| match p {
            loop_ir::Phase::Straight(_) => Phase::Straight,
            loop_ir::Phase::Train { n, .. } => Phase::Train(*n),
        };
        self.program.phases.iter().map(kind).collect()
    }

    fn log_names(&self) -> Vec<String> {
        self.program.logs.iter().map(|n| n.to_string()).collect()
    }

    fn start(&self, run: usize) -> Result<RunState, RunError> {
        self.executable.new_run(run, &self.inputs)
    }

    fn restore(&self, run: usize, phase: usize, arrays: &[StateArray]) -> Result<RunState, String> {
        let Some(loop_ir::Phase::Train { state: buffers, .. }) = self.program.phases.get(phase) else {
            return Err(format!("phase {phase} has no state"));
        };
        if arrays.len() != buffers.len() {
            return Err(format!("a run has {} arrays, and {} in the program", arrays.len(), buffers.len()));
        }
        let mut state = self.start(run).map_err(|e| e.to_string())?;
        for (id, a) in buffers.iter().zip(arrays) {
            let buffer = &self.program.buffers[id.0 as usize];
            if a.element != element(buffer.dtype) || a.shape != buffer.shape.as_slice() {
                let here = format!("{}{:?}", buffer.dtype.name(), buffer.shape.as_slice());
                return Err(format!(
                    "the array `{}` is {:?}{:?}, and {here} in the program",
                    a.name, a.element, a.shape
                ));
            }
            let data = ArrayData { ty: Type::new(buffer.dtype, &buffer.shape), bytes: a.bytes.clone() };
            self.executable.write(&mut state, *id, &data).map_err(|e| e.to_string())?;
        }
        Ok(state)
    }

    fn execute(
        &self,
        phase: usize,
        state: &mut RunState,
        from: usize,
        to: usize,
    ) -> Result<(), (Option<u64>, RunError)> {
        self.executable.run_phase(phase, state, from, to).map_err(|e| (train_step(&e), e))
    }

    fn take_logs(&self, state: &mut RunState) -> Vec<LogValue> {
        let events = state.take_logs();
        let values = |e: whorl_cpu::LogEvent| {
            e.values.into_iter().map(move |value| LogValue { log: e.log, step: e.step, value })
        };
        events.into_iter().flat_map(values).collect()
    }

    fn state_arrays(&self, phase: usize, state: &RunState) -> Vec<StateArray> {
        let Some(loop_ir::Phase::Train { state: buffers, .. }) = self.program.phases.get(phase) else {
            return Vec::new();
        };
        let array = |id: &loop_ir::BufferId| {
            let buffer = &self.program.buffers[id.0 as usize];
            StateArray {
                name: buffer.name.as_deref().unwrap_or("_").to_string(),
                element: element(buffer.dtype),
                shape: buffer.shape.to_vec(),
                bytes: self.executable.read(state, *id).bytes,
            }
        };
        buffers.iter().map(array).collect()
    }
}

/// The step of the `train scan` that it happened in.
fn train_step(e: &RunError) -> Option<u64> {
    match e {
        RunError::Fault(fault) => fault.steps.iter().find(|s| s.train).map(|s| s.at as u64),
        RunError::Misuse(_) => None,
    }
}

pub fn element(d: DType) -> Element {
    match d {
        DType::F32 => Element::F32,
        DType::F64 => Element::F64,
        DType::F16 => Element::F16,
        DType::BF16 => Element::BF16,
        DType::I32 => Element::I32,
        DType::U32 => Element::U32,
        DType::U8 => Element::U8,
        DType::Bool => Element::Bool,
    }
}
