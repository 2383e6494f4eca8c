//! The compiled program as the host's [`Engine`].

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use whorl_core::ir::{ArrayData, DType, Type};
use whorl_cpu::{Executable, RunError, RunState};
use whorl_host::Sums;
use whorl_host::engine::{Element, Engine, LogValue, Phase, StateArray};
use whorl_host::log_each::{self, LogEach, LogPlace};
use whorl_schedule::loop_ir::{self, BufferId, LoopProgram};
use whorl_schedule::{LogSite, log_sites};
use whorl_source::SourceMap;

use crate::memory::Arenas;
use crate::park::{self, Parked, Pool};

/// A program compiled for the CPU, with the arguments of its runs. Its runs are those of all points of a sweep, point by point.
pub struct CpuEngine {
    pub program: LoopProgram,
    pub executable: Executable,
    /// The arguments that all runs get.
    pub inputs: Vec<ArrayData>,
    /// What the runs of each point get besides, as further arguments; one without any where nothing is swept.
    points: Vec<Point>,
    /// Where runs take turns in a few arenas.
    pool: Option<Pool>,
    /// Where every element goes that is logged, once anybody wants to see each.
    pub each: Arc<OnceLock<LogEach>>,
    /// The log of each site.
    logs: Arc<[u32]>,
    /// So many elements a run's ring holds, where that is not left to it.
    ring: Option<usize>,
}

/// A point of a sweep: `ppo.lr=3e-4`, and the values as the program takes them.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Point {
    pub label: String,
    pub inputs: Vec<ArrayData>,
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
    logs: Arc<[u32]>,
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

/// A run between calls.
pub struct State {
    /// Which of all.
    number: usize,
    run: RunState,
    /// What the run has computed, where it has no arena of its own.
    parked: Option<Parked>,
}

impl CpuEngine {
    /// A program whose runs all get these arguments, each in an arena of its own.
    pub fn new(program: LoopProgram, executable: Executable, inputs: Vec<ArrayData>) -> CpuEngine {
        let points = vec![Point::default()];
        let logs = log_sites(&program).iter().map(|s| s.log).collect();
        CpuEngine { program, executable, inputs, points, pool: None, each: Arc::default(), logs, ring: None }
    }

    /// The same with the runs of these points.
    pub fn over(self, points: Vec<Point>) -> CpuEngine {
        CpuEngine { points, ..self }
    }

    /// The same with this memory.
    pub fn in_arenas(self, arenas: Arenas) -> CpuEngine {
        let pool = match arenas {
            Arenas::EachItsOwn => None,
            Arenas::Shared(most) => Some(Pool::new(most)),
        };
        CpuEngine { pool, ..self }
    }

    /// For tests: what arenas hold before a run's turn is this.
    pub fn poisoned(mut self, byte: u8) -> CpuEngine {
        if let Some(pool) = &mut self.pool {
            pool.poison = Some(byte);
        }
        self
    }

    /// For tests: rings of so many elements.
    pub fn with_rings(self, elements: usize) -> CpuEngine {
        CpuEngine { ring: Some(elements), ..self }
    }

    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// What a point of a sweep is called.
    pub fn point_label(&self, point: usize) -> Option<String> {
        self.points.get(point).map(|p| p.label.clone()).filter(|l| !l.is_empty())
    }

    /// In how many arenas runs take turns, if they do.
    pub fn arenas(&self) -> Option<usize> {
        self.pool.as_ref().map(Pool::most)
    }

    /// How many runs a point has: those that the program itself has.
    pub fn runs_of_a_point(&self) -> usize {
        self.program.runs.unwrap_or(1)
    }

    /// Of a run among those of all points: which point's it is, and which of the point's.
    pub fn place_of(&self, run: usize) -> (usize, usize) {
        (run / self.runs_of_a_point(), run % self.runs_of_a_point())
    }

    /// The points with their runs, where there are several.
    pub fn groups(&self) -> Vec<(String, Range<usize>)> {
        let runs = self.runs_of_a_point();
        let group = |(k, p): (usize, &Point)| (p.label.clone(), k * runs..(k + 1) * runs);
        if self.points.len() > 1 { self.points.iter().enumerate().map(group).collect() } else { Vec::new() }
    }

    /// The arguments of a point's runs.
    pub fn arguments(&self, point: usize) -> Vec<ArrayData> {
        self.inputs.iter().chain(&self.points[point].inputs).cloned().collect()
    }

    /// The results of a point: of its runs a row each (`states` are those of all points).
    pub fn results(&self, point: usize, states: &[State]) -> Vec<ArrayData> {
        let runs = self.runs_of_a_point();
        let own = states.get(point * runs..(point + 1) * runs).unwrap_or_default();
        let rows: Vec<Vec<ArrayData>> = own.iter().map(|s| self.outputs(s)).collect();
        self.executable.gathered(&rows)
    }

    fn outputs(&self, state: &State) -> Vec<ArrayData> {
        self.program.outputs.iter().map(|id| self.array(state, *id)).collect()
    }

    /// An array of the state of a `train scan`, or a result.
    fn array(&self, state: &State, id: BufferId) -> ArrayData {
        let buffer = &self.program.buffers[id.0 as usize];
        match state.parked.as_ref().and_then(|p| p.get(id)) {
            Some(bytes) => {
                ArrayData { ty: Type { dtype: buffer.dtype, shape: buffer.shape.clone() }, bytes: bytes.clone() }
            }
            // In the arena, or a constant.
            None => self.executable.read(&state.run, id),
        }
    }
}

impl Engine for CpuEngine {
    type State = State;
    type Error = RunError;

    fn runs(&self) -> usize {
        self.points.len() * self.runs_of_a_point()
    }

    fn phases(&self) -> Vec<Phase> {
        phases(&self.program)
    }

    fn log_names(&self) -> Vec<String> {
        self.program.logs.iter().map(|n| n.to_string()).collect()
    }

    fn start(&self, run: usize) -> Result<State, RunError> {
        let (point, own) = self.place_of(run);
        let arguments = self.arguments(point);
        let (mut state, parked) = match &self.pool {
            None => (self.executable.new_run(own, &arguments)?, None),
            Some(_) => {
                let parked = park::beginning(&self.program, own, &arguments)?;
                (self.executable.run_without_arena(own), Some(parked))
            }
        };
        let logs = self.logs.clone();
        state.set_sink(Box::new(RunSink { logs, sums: Sums::default(), run, each: self.each.clone() }));
        if let Some(elements) = self.ring {
            state.set_ring(elements);
        }
        Ok(State { number: run, run: state, parked })
    }

    fn restore(&self, run: usize, phase: usize, arrays: &[StateArray]) -> Result<State, String> {
        let Some(loop_ir::Phase::Train { state: ids, .. }) = self.program.phases.get(phase) else {
            return Err(format!("phase {phase} has no state"));
        };
        if arrays.len() != ids.len() {
            return Err(format!("a run has {} arrays, and {} in the program", arrays.len(), ids.len()));
        }
        for (id, a) in ids.iter().zip(arrays) {
            let buffer = &self.program.buffers[id.0 as usize];
            if a.element != element(buffer.dtype)
                || a.shape != buffer.shape.as_slice()
                || a.bytes.len() != buffer.bytes()
            {
                let here = format!("{}{:?}", buffer.dtype.name(), buffer.shape.as_slice());
                return Err(format!(
                    "the array `{}` is {:?}{:?}, and {here} in the program",
                    a.name, a.element, a.shape
                ));
            }
        }
        let mut state = self.start(run).map_err(|e| e.to_string())?;
        let arrays = ids.iter().zip(arrays);
        match &mut state.parked {
            Some(parked) => *parked = Parked::new(arrays.map(|(id, a)| (*id, a.bytes.clone())).collect()),
            None => {
                for (id, a) in arrays {
                    self.executable.write_bytes(&mut state.run, *id, &a.bytes).map_err(|e| e.to_string())?;
                }
            }
        }
        Ok(state)
    }

    fn execute(
        &self,
        phase: usize,
        state: &mut State,
        from: usize,
        to: usize,
        threads: usize,
    ) -> Result<(), (Option<u64>, RunError)> {
        self.executable.set_threads(&mut state.run, whorl_cpu::threads_of(state.number, self.runs(), threads));
        let execute = |run: &mut RunState| self.executable.run_phase(phase, run, from, to);
        let done = match (&mut state.parked, &self.pool) {
            (Some(parked), Some(pool)) => {
                let complete = match &self.program.phases[phase] {
                    loop_ir::Phase::Straight(_) => true,
                    loop_ir::Phase::Train { n, .. } => to >= *n,
                };
                let lives = park::lives(&self.program, phase, complete);
                parked.turn(&mut state.run, pool, &self.executable, &lives, execute)
            }
            (_, _) => execute(&mut state.run),
        };
        let failed = |error| {
            let step = train_step(&error);
            if let (Some(step), Some(each)) = (step, self.each.get()) {
                each.failed(step);
            }
            (step, error)
        };
        done.map_err(failed)
    }

    fn take_logs(&self, state: &mut State) -> Vec<LogValue> {
        let sink: &mut dyn std::any::Any = state.run.sink();
        sink.downcast_mut::<RunSink>().map_or(Vec::new(), |sink| sink.sums.take())
    }

    fn state_arrays(&self, phase: usize, state: &State) -> Vec<StateArray> {
        let Some(loop_ir::Phase::Train { state: buffers, .. }) = self.program.phases.get(phase) else {
            return Vec::new();
        };
        let array = |id: &BufferId| {
            let buffer = &self.program.buffers[id.0 as usize];
            StateArray {
                name: buffer.name.as_deref().unwrap_or("_").to_string(),
                element: element(buffer.dtype),
                shape: buffer.shape.to_vec(),
                bytes: self.array(state, *id).bytes,
            }
        };
        buffers.iter().map(array).collect()
    }
}

/// The phases of a program, as the host paces them.
pub fn phases(program: &LoopProgram) -> Vec<Phase> {
    let kind = |p: &loop_ir::Phase| match p {
        loop_ir::Phase::Straight(_) => Phase::Straight,
        loop_ir::Phase::Train { n, .. } => Phase::Train(*n),
    };
    program.phases.iter().map(kind).collect()
}

/// The step of the `train scan` that it happened in.
pub fn train_step(e: &RunError) -> Option<u64> {
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
