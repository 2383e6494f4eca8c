//! The compiled program as the host's [`Engine`], on the CPU or on a card.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use whorl_core::ir::{ArrayData, DType, Type};
use whorl_cpu::{Executable, RunError, RunState};
use whorl_host::Sums;
use whorl_host::drive::spread;
use whorl_host::engine::{Element, Engine, LogValue, Phase, RunFailure, StateArray};
use whorl_host::log_each::{self, LogEach, LogPlace};
use whorl_schedule::loop_ir::{self, BufferId, LoopProgram};
use whorl_schedule::{LogSite, log_sites};
use whorl_source::SourceMap;

use crate::card::Card;
use crate::memory::Arenas;
use crate::park::{self, Parked, Pool};

/// A compiled program, with the arguments of its runs. Its runs are those of all points of a sweep, point by point.
pub struct ProgramEngine {
    pub program: LoopProgram,
    machine: Machine,
    /// The arguments that all runs get.
    pub inputs: Vec<ArrayData>,
    /// What the runs of each point get besides, as further arguments; one without any where nothing is swept.
    points: Vec<Point>,
    /// Where every element goes that is logged, once anybody wants to see each.
    pub each: Arc<OnceLock<LogEach>>,
    /// The log of each site.
    logs: Arc<[u32]>,
    /// So many elements a run's ring holds, where that is not left to it.
    ring: Option<usize>,
}

/// What executes the runs.
enum Machine {
    Cpu {
        executable: Box<Executable>,
        /// Where runs take turns in a few arenas.
        pool: Option<Pool>,
    },
    Card(Box<Card>),
}

/// A point of a sweep: `ppo.lr=3e-4`, and the values as the program takes them.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Point {
    pub label: String,
    pub inputs: Vec<ArrayData>,
}

impl ProgramEngine {
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
    place: InMemory,
}

/// Where a run's arrays are.
enum InMemory {
    /// In an arena; or what the run has computed, where it has none of its own.
    Host { run: RunState, parked: Option<Parked> },
    /// On the card, which has them by the run's number.
    Card(RunSink),
}

impl ProgramEngine {
    /// A program whose runs all get these arguments, each in an arena of its own.
    pub fn new(program: LoopProgram, executable: Executable, inputs: Vec<ArrayData>) -> ProgramEngine {
        ProgramEngine::on(Machine::Cpu { executable: Box::new(executable), pool: None }, program, inputs)
    }

    /// The same on a card.
    pub fn on_card(executable: whorl_cuda::Executable, inputs: Vec<ArrayData>) -> ProgramEngine {
        let program = executable.program().clone();
        ProgramEngine::on(Machine::Card(Box::new(Card::new(executable))), program, inputs)
    }

    fn on(machine: Machine, program: LoopProgram, inputs: Vec<ArrayData>) -> ProgramEngine {
        let points = vec![Point::default()];
        let logs = log_sites(&program).iter().map(|s| s.log).collect();
        ProgramEngine { program, machine, inputs, points, each: Arc::default(), logs, ring: None }
    }

    /// The same with the runs of these points.
    pub fn over(self, points: Vec<Point>) -> ProgramEngine {
        ProgramEngine { points, ..self }
    }

    /// The same with this memory; a card has all runs at once.
    pub fn in_arenas(mut self, arenas: Arenas) -> ProgramEngine {
        if let Machine::Cpu { pool, .. } = &mut self.machine {
            *pool = match arenas {
                Arenas::EachItsOwn => None,
                Arenas::Shared(most) => Some(Pool::new(most)),
            };
        }
        self
    }

    /// For tests: what arenas hold before a run's turn is this.
    pub fn poisoned(mut self, byte: u8) -> ProgramEngine {
        if let Machine::Cpu { pool: Some(pool), .. } = &mut self.machine {
            pool.poison = Some(byte);
        }
        self
    }

    /// The card that executes the runs, if one does.
    pub fn card(&self) -> Option<&Card> {
        match &self.machine {
            Machine::Cpu { .. } => None,
            Machine::Card(card) => Some(card),
        }
    }

    /// For tests: rings of so many elements.
    pub fn with_rings(self, elements: usize) -> ProgramEngine {
        ProgramEngine { ring: Some(elements), ..self }
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
        match &self.machine {
            Machine::Cpu { pool, .. } => pool.as_ref().map(Pool::most),
            Machine::Card(_) => None,
        }
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
    pub fn results(&self, point: usize, states: &[State]) -> Result<Vec<ArrayData>, RunError> {
        let runs = self.runs_of_a_point();
        let own = states.get(point * runs..(point + 1) * runs).unwrap_or_default();
        let stacked = |id: &BufferId| {
            let ty = self.type_of(*id);
            let ty = self.program.runs.map_or(ty.clone(), |n| ty.stacked(n));
            let mut bytes = Vec::new();
            for state in own {
                bytes.extend(self.array(state, *id)?.bytes);
            }
            Ok(ArrayData { ty, bytes })
        };
        self.program.outputs.iter().map(stacked).collect()
    }

    fn type_of(&self, id: BufferId) -> Type {
        let buffer = &self.program.buffers[id.0 as usize];
        Type { dtype: buffer.dtype, shape: buffer.shape.clone() }
    }

    /// An array of the state of a `train scan`, or a result.
    fn array(&self, state: &State, id: BufferId) -> Result<ArrayData, RunError> {
        match (&self.machine, &state.place) {
            (Machine::Cpu { executable, .. }, InMemory::Host { run, parked }) => {
                Ok(match parked.as_ref().and_then(|p| p.get(id)) {
                    Some(bytes) => ArrayData { ty: self.type_of(id), bytes: bytes.clone() },
                    // In the arena, or a constant.
                    None => executable.read(run, id),
                })
            }
            (Machine::Card(card), InMemory::Card(_)) => card.read(state.number, id),
            (Machine::Cpu { .. }, InMemory::Card(_)) | (Machine::Card(_), InMemory::Host { .. }) => Err(elsewhere()),
        }
    }
}

/// A state is given back to the engine that made it, and to no other.
fn elsewhere() -> RunError {
    RunError::Misuse("the state of another machine's run".into())
}

impl Engine for ProgramEngine {
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
        let logs = self.logs.clone();
        let sink = RunSink { logs, sums: Sums::default(), run, each: self.each.clone() };
        let place = match &self.machine {
            Machine::Cpu { executable, pool } => {
                let (mut state, parked) = match pool {
                    None => (executable.new_run(own, &arguments)?, None),
                    Some(_) => {
                        let parked = park::beginning(&self.program, own, &arguments)?;
                        (executable.run_without_arena(own), Some(parked))
                    }
                };
                state.set_sink(Box::new(sink));
                if let Some(elements) = self.ring {
                    state.set_ring(elements);
                }
                InMemory::Host { run: state, parked }
            }
            Machine::Card(card) => {
                card.begin(run, self.runs(), own, &arguments)?;
                InMemory::Card(sink)
            }
        };
        Ok(State { number: run, place })
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
        match (&self.machine, &mut state.place) {
            (Machine::Cpu { .. }, InMemory::Host { parked: Some(parked), .. }) => {
                *parked = Parked::new(arrays.map(|(id, a)| (*id, a.bytes.clone())).collect());
            }
            (Machine::Cpu { executable, .. }, InMemory::Host { run, parked: None }) => {
                for (id, a) in arrays {
                    executable.write_bytes(run, *id, &a.bytes).map_err(|e| e.to_string())?;
                }
            }
            (Machine::Card(card), InMemory::Card(_)) => {
                for (id, a) in arrays {
                    let array = ArrayData { ty: self.type_of(*id), bytes: a.bytes.clone() };
                    card.write(state.number, *id, &array).map_err(|e| e.to_string())?;
                }
            }
            (Machine::Cpu { .. }, InMemory::Card(_)) | (Machine::Card(_), InMemory::Host { .. }) => {
                return Err(elsewhere().to_string());
            }
        }
        Ok(state)
    }

    fn execute(
        &self,
        phase: usize,
        states: &mut [State],
        from: usize,
        to: usize,
        threads: usize,
    ) -> Result<(), RunFailure<RunError>> {
        let done = match &self.machine {
            Machine::Cpu { executable, pool } => {
                let (runs, pool) = (self.runs(), pool.as_ref());
                spread(states, threads, (from, to), |_, state, from, to| {
                    let InMemory::Host { run, parked } = &mut state.place else { return Err((None, elsewhere())) };
                    executable.set_threads(run, whorl_cpu::threads_of(state.number, runs, threads));
                    let execute = |run: &mut RunState| executable.run_phase(phase, run, from, to);
                    let done = match (parked, pool) {
                        (Some(parked), Some(pool)) => {
                            let complete = match &self.program.phases[phase] {
                                loop_ir::Phase::Straight(_) => true,
                                loop_ir::Phase::Train { n, .. } => to >= *n,
                            };
                            let lives = park::lives(&self.program, phase, complete);
                            parked.turn(run, pool, executable, &lives, execute)
                        }
                        (_, _) => execute(run),
                    };
                    done.map_err(|error| (train_step(&error), error))
                })
            }
            Machine::Card(card) => card.execute(phase, from, to, &mut |run, element| {
                if let Some(InMemory::Card(sink)) = states.get_mut(run).map(|s| &mut s.place) {
                    whorl_cpu::Sink::take(sink, &[element]);
                }
            }),
        };
        done.inspect_err(|failure| {
            if let (Some(step), Some(each)) = (failure.step, self.each.get()) {
                each.failed(step);
            }
        })
    }

    fn take_logs(&self, state: &mut State) -> Vec<LogValue> {
        match &mut state.place {
            InMemory::Host { run, .. } => {
                let sink: &mut dyn std::any::Any = run.sink();
                sink.downcast_mut::<RunSink>().map_or(Vec::new(), |sink| sink.sums.take())
            }
            InMemory::Card(sink) => sink.sums.take(),
        }
    }

    fn state_arrays(&self, phase: usize, state: &State) -> Result<Vec<StateArray>, RunError> {
        let Some(loop_ir::Phase::Train { state: buffers, .. }) = self.program.phases.get(phase) else {
            return Ok(Vec::new());
        };
        let array = |id: &BufferId| {
            let buffer = &self.program.buffers[id.0 as usize];
            Ok(StateArray {
                name: buffer.name.as_deref().unwrap_or("_").to_string(),
                element: element(buffer.dtype),
                shape: buffer.shape.to_vec(),
                bytes: self.array(state, *id)?.bytes,
            })
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
