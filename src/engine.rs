//! The compiled program as the host's [`Engine`].

use std::sync::{Arc, OnceLock};

use whorl_core::ir::{ArrayData, DType, Type};
use whorl_cpu::{Executable, RunError, RunState};
use whorl_host::Sums;
use whorl_host::engine::{Element, Engine, LogValue, Phase, StateArray};
use whorl_host::log_each::{self, LogEach, LogPlace};
use whorl_schedule::loop_ir::{self, LoopProgram};
use whorl_schedule::{LogSite, log_sites};
use whorl_source::SourceMap;

/// A program compiled for the CPU, and the arguments that all runs get.
pub struct CpuEngine {
    pub program: LoopProgram,
    pub executable: Executable,
    pub inputs: Vec<ArrayData>,
    /// Where every element goes that is logged, once anybody wants to see each.
    pub each: Arc<OnceLock<LogEach>>,
}

impl CpuEngine {
    /// What is fixed of each log, for `log_each.jsonl`.
    pub fn log_places(program: &LoopProgram, map: &SourceMap) -> Vec<LogPlace> {
        let place = |site: &LogSite| LogPlace {
            name: program.logs.get(site.log as usize).map_or(String::new(), |n| n.to_string()),
            loops: site.loops.clone(),
            lanes: site.dims.to_vec(),
            line: site.spans.first().map_or(String::new(), |span| map.line_name(*span)),
        };
        log_sites(program).iter().map(place).collect()
    }
}

/// Takes what a run logs: adds it up by step, and hands each element on where that is asked for.
struct RunSink {
    /// The log of each site.
    logs: Vec<u32>,
    sums: Sums,
    run: usize,
    each: Arc<OnceLock<LogEach>>,
}

impl whorl_cpu::Sink for RunSink {
    fn take(&mut self, elements: &[whorl_cpu::LogElement]) {
        for e in elements {
            self.sums.add(self.logs[e.site as usize], e.step, e.value);
        }
        if let Some(each) = self.each.get() {
            let element = |e: &whorl_cpu::LogElement| log_each::LogElement {
                place: e.site,
                step: e.step,
                at_loops: e.loops,
                at_lanes: e.place,
                value: e.value,
            };
            each.add(self.run, elements.iter().map(element));
        }
    }
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
        let mut state = self.executable.new_run(run, &self.inputs)?;
        let logs = log_sites(&self.program).iter().map(|s| s.log).collect();
        state.set_sink(Box::new(RunSink { logs, sums: Sums::default(), run, each: self.each.clone() }));
        Ok(state)
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
        let failed = |error| {
            let step = train_step(&error);
            if let (Some(step), Some(each)) = (step, self.each.get()) {
                each.failed(step);
            }
            (step, error)
        };
        self.executable.run_phase(phase, state, from, to).map_err(failed)
    }

    fn take_logs(&self, state: &mut RunState) -> Vec<LogValue> {
        let sink: &mut dyn std::any::Any = state.sink();
        sink.downcast_mut::<RunSink>().map_or(Vec::new(), |sink| sink.sums.take())
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
