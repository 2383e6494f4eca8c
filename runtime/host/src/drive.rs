//! Runs a program to its end: spreads runs over threads, cuts the `train scan` into chunks by time, and reports between them.
//!
//! A chunk changes nothing but when the host looks in: every step is the same code with the same state.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Engine, LogValue, Phase, RunFailure};

/// How to pace a run.
#[derive(Clone, Debug)]
pub struct Pace {
    pub threads: usize,
    /// What a chunk should take.
    pub chunk: Duration,
    /// Steps in a chunk, whatever they take; for tests.
    pub fixed_chunk: Option<usize>,
}

impl Default for Pace {
    fn default() -> Pace {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        Pace { threads, chunk: Duration::from_millis(200), fixed_chunk: None }
    }
}

/// What happens between chunks.
pub trait Observer<E: Engine> {
    /// After steps up to `done` of `total`; `logs` holds what each run logged in the chunk.
    fn chunk(&mut self, progress: Progress, logs: &[Vec<LogValue>], states: &[E::State]);
}

#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub phase: usize,
    pub done: usize,
    /// Steps of this `train scan`; 0 in a straight phase.
    pub total: usize,
    pub elapsed: Duration,
}

/// How a drive ended, with the state of every run.
pub struct Driven<S> {
    pub states: Vec<S>,
    pub end: End,
    pub elapsed: Duration,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    Finished,
    /// `stop` was set: at this step of this phase.
    Stopped {
        phase: usize,
        step: usize,
    },
    Failed(RunFailure),
}

/// Runs every phase of every run. `stop` is looked at between chunks.
pub fn drive<E: Engine>(
    engine: &E,
    pace: &Pace,
    stop: &AtomicBool,
    observer: &mut impl Observer<E>,
) -> Driven<E::State> {
    let begin = Instant::now();
    let mut states = Vec::new();
    for run in 0..engine.runs() {
        match engine.start(run) {
            Ok(state) => states.push(state),
            Err(message) => {
                let end = End::Failed(RunFailure { run, step: 0, message });
                return Driven { states, end, elapsed: begin.elapsed() };
            }
        }
    }
    let end = phases(engine, pace, stop, observer, &mut states, begin);
    Driven { states, end, elapsed: begin.elapsed() }
}

fn phases<E: Engine>(
    engine: &E,
    pace: &Pace,
    stop: &AtomicBool,
    observer: &mut impl Observer<E>,
    states: &mut [E::State],
    begin: Instant,
) -> End {
    for (phase, kind) in engine.phases().into_iter().enumerate() {
        let total = match kind {
            Phase::Straight => 0,
            Phase::Train(n) => n,
        };
        let (mut done, mut size) = (0, 1);
        loop {
            let to = if total == 0 { 0 } else { (done + pace.fixed_chunk.unwrap_or(size)).min(total) };
            let start = Instant::now();
            if let Err(failure) = chunk(engine, pace.threads, phase, states, done, to) {
                return End::Failed(failure);
            }
            size = next_size(to - done, start.elapsed(), pace.chunk);
            done = to;
            let logs: Vec<Vec<LogValue>> = states.iter_mut().map(|s| engine.take_logs(s)).collect();
            observer.chunk(Progress { phase, done, total, elapsed: begin.elapsed() }, &logs, states);
            if done >= total {
                break;
            }
            if stop.load(Ordering::Relaxed) {
                return End::Stopped { phase, step: done };
            }
        }
    }
    End::Finished
}

/// Steps of the next chunk, from how long the last took; it grows at most fourfold at once.
fn next_size(steps: usize, took: Duration, target: Duration) -> usize {
    let by_time = steps as f64 * target.as_secs_f64() / took.as_secs_f64().max(1e-9);
    (by_time as usize).clamp(1, steps.max(1) * 4)
}

/// A run's state, and how its chunk went.
type Slot<'s, S> = (&'s mut S, Result<(), RunFailure>);

/// One chunk of every run; free threads take the next run.
fn chunk<E: Engine>(
    engine: &E,
    threads: usize,
    phase: usize,
    states: &mut [E::State],
    from: usize,
    to: usize,
) -> Result<(), RunFailure> {
    let execute = |run: usize, state: &mut E::State| {
        let failed = |message| RunFailure { run, step: from as u64, message };
        engine.execute(phase, state, from, to).map_err(failed)
    };
    if threads <= 1 || states.len() <= 1 {
        return states.iter_mut().enumerate().try_for_each(|(run, s)| execute(run, s));
    }
    let next = AtomicUsize::new(0);
    let count = states.len();
    let slots: Vec<Mutex<Slot<E::State>>> = states.iter_mut().map(|s| Mutex::new((s, Ok(())))).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    let Some(slot) = slots.get(run) else { break };
                    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                    let result = execute(run, slot.0);
                    slot.1 = result;
                }
            });
        }
    });
    slots.into_iter().try_for_each(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::StateArray;

    /// Counts its steps; fails at one of them if told to.
    struct Counter {
        fail_at: Option<u64>,
    }

    impl Engine for Counter {
        type State = (u64, Vec<LogValue>);
        fn runs(&self) -> usize {
            3
        }
        fn phases(&self) -> Vec<Phase> {
            vec![Phase::Straight, Phase::Train(100), Phase::Straight]
        }
        fn log_names(&self) -> Vec<String> {
            vec!["n".into()]
        }
        fn start(&self, run: usize) -> Result<Self::State, String> {
            Ok((run as u64 * 1000, Vec::new()))
        }
        fn execute(&self, phase: usize, s: &mut Self::State, from: usize, to: usize) -> Result<(), String> {
            for step in from as u64..to as u64 {
                assert_eq!(phase, 1);
                if self.fail_at == Some(step) {
                    return Err("no".into());
                }
                s.0 += step;
                s.1.push(LogValue { log: 0, step, value: s.0 as f64 });
            }
            Ok(())
        }
        fn take_logs(&self, s: &mut Self::State) -> Vec<LogValue> {
            std::mem::take(&mut s.1)
        }
        fn state_arrays(&self, _: usize, _: &Self::State) -> Vec<StateArray> {
            Vec::new()
        }
    }

    #[derive(Default)]
    struct Seen(Vec<f64>, usize);

    impl Observer<Counter> for Seen {
        fn chunk(&mut self, p: Progress, logs: &[Vec<LogValue>], _: &[(u64, Vec<LogValue>)]) {
            self.0.extend(logs[2].iter().map(|l| l.value));
            self.1 = self.1.max(p.done);
        }
    }

    #[test]
    fn chunks_and_threads_change_nothing() {
        let mut expected = None;
        for (threads, fixed_chunk) in [(1, Some(1)), (1, Some(7)), (2, Some(100)), (4, Some(33)), (2, None)] {
            let pace = Pace { threads, fixed_chunk, ..Pace::default() };
            let mut seen = Seen::default();
            let driven = drive(&Counter { fail_at: None }, &pace, &AtomicBool::new(false), &mut seen);
            assert_eq!(driven.end, End::Finished);
            assert_eq!(driven.states.iter().map(|s| s.0).collect::<Vec<_>>(), [4950, 5950, 6950]);
            assert_eq!(*expected.get_or_insert(seen.0.clone()), seen.0);
        }
    }

    #[test]
    fn a_failure_and_a_stop_are_told() {
        let pace = Pace { threads: 2, fixed_chunk: Some(10), ..Pace::default() };
        let driven = drive(&Counter { fail_at: Some(42) }, &pace, &AtomicBool::new(false), &mut Seen::default());
        assert_eq!(driven.end, End::Failed(RunFailure { run: 0, step: 40, message: "no".into() }));
        let driven = drive(&Counter { fail_at: None }, &pace, &AtomicBool::new(true), &mut Seen::default());
        assert_eq!(driven.end, End::Stopped { phase: 1, step: 10 });
    }
}
