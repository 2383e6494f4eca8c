//! What the host needs of a compiled program.

pub use whorl_data::Element;

/// A stretch of the program between which the host may look in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Straight,
    /// A `train scan` of so many steps.
    Train(usize),
}

/// What a run logged under one name at one step: the sum of the elements, added in the order of the program, and how many.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LogValue {
    pub log: u32,
    /// Of the `train scan`; 0 in a straight phase.
    pub step: u64,
    pub value: f64,
    pub count: u64,
}

/// A named array of a run's state, as it is stored in a checkpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct StateArray {
    pub name: String,
    pub element: Element,
    pub shape: Vec<usize>,
    /// Row-major, native endian.
    pub bytes: Vec<u8>,
}

/// Why a run stopped before its end.
#[derive(Clone, PartialEq, Debug)]
pub struct RunFailure<E> {
    pub run: usize,
    /// Of the `train scan`; nothing in a straight phase.
    pub step: Option<u64>,
    pub error: E,
}

/// A compiled program of independent runs.
pub trait Engine: Sync {
    /// All that one run is between two calls.
    type State: Send;
    /// What stops a run.
    type Error: Send;

    /// How many runs; 1 for a program without an outermost `for` over runs.
    fn runs(&self) -> usize;
    fn phases(&self) -> Vec<Phase>;
    fn log_names(&self) -> Vec<String>;
    fn start(&self, run: usize) -> Result<Self::State, Self::Error>;
    /// The state of a run that had come to a step of a `Train` phase, from what [`Engine::state_arrays`] gave there. An error says what
    /// is wrong with the arrays.
    fn restore(&self, run: usize, phase: usize, arrays: &[StateArray]) -> Result<Self::State, String>;
    /// Executes a phase of all runs (`states[run]`); of a `Train` phase the steps `from..to`, by so many threads of the host. Of several
    /// failures it gives that of the earliest step and, there, of the first run: so it depends neither on threads nor on where chunks end.
    fn execute(
        &self,
        phase: usize,
        states: &mut [Self::State],
        from: usize,
        to: usize,
        threads: usize,
    ) -> Result<(), RunFailure<Self::Error>>;
    /// What was logged since the last call, in order.
    fn take_logs(&self, state: &mut Self::State) -> Vec<LogValue>;
    /// All that the rest of the run depends on, inside a `Train` phase.
    fn state_arrays(&self, phase: usize, state: &Self::State) -> Result<Vec<StateArray>, Self::Error>;
}
