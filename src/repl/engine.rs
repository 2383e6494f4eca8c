//! The program of an expression as the host's [`Engine`]: nothing of it is stored, and of what it logs the ends are kept.

use whorl_cpu::{Executable, LogElement, RunError, RunState, Sink};
use whorl_host::drive::spread;
use whorl_host::engine::{Engine, LogValue, Phase, RunFailure, StateArray};
use whorl_schedule::log_sites;
use whorl_schedule::loop_ir::LoopProgram;

pub struct SessionEngine {
    pub program: LoopProgram,
    pub executable: Executable,
}

/// Of one name: the first few values, the last one, and how many there were.
#[derive(Clone, Default)]
struct Logged {
    first: Vec<f64>,
    last: f64,
    count: usize,
}

/// What a run logs, by name.
struct Logs {
    /// The log of each site.
    names: Vec<u32>,
    values: Vec<Logged>,
}

impl Logged {
    /// So many values are shown.
    const MOST: usize = 8;

    fn add(&mut self, value: f64) {
        if self.count < Logged::MOST {
            self.first.push(value);
        }
        self.last = value;
        self.count += 1;
    }

    /// What another run logged, behind this.
    fn append(&mut self, other: &Logged) {
        let room = Logged::MOST.saturating_sub(self.first.len());
        self.first.extend(other.first.iter().take(room));
        self.count += other.count;
        self.last = if other.count > 0 { other.last } else { self.last };
    }

    /// All values of a name, or the first and the last of many.
    fn line(&self, name: &str) -> Option<String> {
        let text = |x: &f64| format!("{}", *x as f32);
        match self.first.as_slice() {
            [] => None,
            [first, ..] if self.count > Logged::MOST => {
                Some(format!("{name}: {} … {} ({} values)", text(first), text(&self.last), self.count))
            }
            few => Some(format!("{name}: {}", few.iter().map(text).collect::<Vec<_>>().join(", "))),
        }
    }
}

impl Sink for Logs {
    fn take(&mut self, elements: &[LogElement]) {
        for e in elements {
            let name = self.names.get(e.site as usize);
            if let Some(of) = name.and_then(|name| self.values.get_mut(*name as usize)) {
                of.add(e.value);
            }
        }
    }
}

impl SessionEngine {
    /// What all runs logged, a line a name.
    pub fn logged(&self, states: &mut [RunState]) -> Vec<String> {
        let mut all = vec![Logged::default(); self.program.logs.len()];
        for state in states {
            let sink: &mut dyn std::any::Any = state.sink();
            let Some(logs) = sink.downcast_ref::<Logs>() else { continue };
            all.iter_mut().zip(&logs.values).for_each(|(to, from)| to.append(from));
        }
        self.program.logs.iter().zip(&all).filter_map(|(name, of)| of.line(name)).collect()
    }
}

impl Engine for SessionEngine {
    type State = RunState;
    type Error = RunError;

    fn runs(&self) -> usize {
        self.program.runs.unwrap_or(1)
    }

    fn phases(&self) -> Vec<Phase> {
        crate::engine::phases(&self.program)
    }

    fn log_names(&self) -> Vec<String> {
        self.program.logs.iter().map(|n| n.to_string()).collect()
    }

    fn start(&self, run: usize) -> Result<RunState, RunError> {
        let mut state = self.executable.new_run(run, &[])?;
        let names = log_sites(&self.program).iter().map(|s| s.log).collect();
        state.set_sink(Box::new(Logs { names, values: vec![Logged::default(); self.program.logs.len()] }));
        Ok(state)
    }

    fn restore(&self, _: usize, _: usize, _: &[StateArray]) -> Result<RunState, String> {
        Err("a session keeps no checkpoints".to_string())
    }

    fn execute(
        &self,
        phase: usize,
        states: &mut [RunState],
        from: usize,
        to: usize,
        threads: usize,
    ) -> Result<(), RunFailure<RunError>> {
        spread(states, threads, (from, to), |_, state, from, to| {
            self.executable.set_threads(state, whorl_cpu::threads_of(state.run, self.runs(), threads));
            self.executable.run_phase(phase, state, from, to).map_err(|e| (crate::engine::train_step(&e), e))
        })
    }

    fn take_logs(&self, _: &mut RunState) -> Vec<LogValue> {
        Vec::new()
    }

    fn state_arrays(&self, _: usize, _: &RunState) -> Result<Vec<StateArray>, RunError> {
        Ok(Vec::new())
    }
}
