//! Runs a program to its end: spreads runs over threads, cuts the `train scan` into chunks by time, and reports between them.
//!
//! A chunk changes nothing but when the host looks in: every step is the same code with the same state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Engine, LogValue, Phase, RunFailure, StateArray};

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

    /// After a chunk in which a run failed: what the runs logged in the steps before, and a state that is still good, of a
    /// `train scan`.
    fn failed(&mut self, progress: Progress, logs: &[Vec<LogValue>], saved: Option<&Saved>);
}

/// The state of all runs (`states[run]`) between two chunks.
#[derive(Clone, PartialEq, Debug)]
pub struct Saved {
    /// Of this `train scan`.
    pub phase: usize,
    /// The next step; all steps behind the last one.
    pub step: usize,
    pub states: Vec<Vec<StateArray>>,
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
pub struct Driven<E: Engine> {
    pub states: Vec<E::State>,
    pub end: End<E::Error>,
    pub elapsed: Duration,
}

#[derive(Clone, PartialEq, Debug)]
pub enum End<E> {
    Finished,
    /// `stop` was set: at this step of this phase.
    Stopped {
        phase: usize,
        step: usize,
    },
    Failed(RunFailure<E>),
}

/// Where a run goes on: behind so many steps of a `Train` phase.
pub struct Place<E: Engine> {
    pub phase: usize,
    pub step: usize,
    pub states: Vec<E::State>,
}

impl<E: Engine> Place<E> {
    /// Where a checkpoint was made. An error says what of it does not fit the program.
    pub fn restored(engine: &E, saved: &Saved) -> Result<Place<E>, String> {
        let (phase, step) = (saved.phase, saved.step);
        match engine.phases().get(phase) {
            Some(Phase::Train(n)) if step <= *n => {}
            Some(Phase::Train(n)) => return Err(format!("it is of step {step}, and the program has {n}")),
            Some(Phase::Straight) | None => return Err(format!("it is of phase {phase}, which is no `train scan`")),
        }
        if saved.states.len() != engine.runs() {
            return Err(format!("it holds {} runs, and the program has {}", saved.states.len(), engine.runs()));
        }
        let restore = |(run, arrays): (usize, &Vec<StateArray>)| engine.restore(run, phase, arrays);
        let states = saved.states.iter().enumerate().map(restore).collect::<Result<_, _>>()?;
        Ok(Place { phase, step, states })
    }
}

/// Runs every phase of every run, from the beginning or from a place. `stop` is looked at between chunks.
pub fn drive<E: Engine>(
    engine: &E,
    pace: &Pace,
    stop: &AtomicBool,
    from: Option<Place<E>>,
    observer: &mut impl Observer<E>,
) -> Driven<E> {
    let begin = Instant::now();
    let (from, mut states) = match from {
        Some(Place { phase, step, states }) => ((phase, step), states),
        None => {
            let mut states = Vec::new();
            for run in 0..engine.runs() {
                match engine.start(run) {
                    Ok(state) => states.push(state),
                    Err(error) => {
                        let end = End::Failed(RunFailure { run, step: None, error });
                        return Driven { states, end, elapsed: begin.elapsed() };
                    }
                }
            }
            ((0, 0), states)
        }
    };
    let end = phases(engine, pace, stop, from, observer, &mut states, begin);
    Driven { states, end, elapsed: begin.elapsed() }
}

fn phases<E: Engine>(
    engine: &E,
    pace: &Pace,
    stop: &AtomicBool,
    from: (usize, usize),
    observer: &mut impl Observer<E>,
    states: &mut [E::State],
    begin: Instant,
) -> End<E::Error> {
    let kinds = engine.phases();
    let mut keeper = Keeper::default();
    // What a straight phase has logged has the step that the next scan begins at, so that a run that goes on there would log it no
    // more: it is to go on before.
    let mut logged_before = false;
    for (phase, &kind) in kinds.iter().enumerate().skip(from.0) {
        let total = match kind {
            Phase::Straight => 0,
            Phase::Train(n) => n,
        };
        let (mut done, mut size) = (if phase == from.0 { from.1 } else { 0 }, 1);
        loop {
            let to = if total == 0 { 0 } else { (done + pace.fixed_chunk.unwrap_or(size)).min(total) };
            let start = Instant::now();
            let before = steps_before(&kinds, phase);
            let take = |s: &mut E::State| -> Vec<LogValue> {
                let mut logs = engine.take_logs(s);
                for l in &mut logs {
                    l.step = if total == 0 { before } else { before + l.step };
                }
                logs
            };
            let all = |of: usize| states.iter().map(|s| engine.state_arrays(of, s).ok()).collect();
            match (kind, phase.checked_sub(1).map(|before| (before, kinds[before]))) {
                (Phase::Train(_), _) if done == 0 && logged_before => {}
                (Phase::Train(_), _) => keeper.keep(phase, done, all),
                (Phase::Straight, Some((before, Phase::Train(n)))) => keeper.keep(before, n, all),
                (Phase::Straight, Some((_, Phase::Straight)) | None) => {}
            }
            if let Err(failure) = engine.execute(phase, states, done, to, pace.threads) {
                let earlier = |l: &LogValue| failure.step.is_none_or(|step| l.step < before + step);
                let logs = states.iter_mut().map(|s| take(s).into_iter().filter(earlier).collect());
                let progress = Progress { phase, done, total, elapsed: begin.elapsed() };
                observer.failed(progress, &logs.collect::<Vec<_>>(), keeper.saved.as_ref());
                return End::Failed(failure);
            }
            size = next_size(to - done, start.elapsed(), pace.chunk);
            done = to;
            let logs: Vec<Vec<LogValue>> = states.iter_mut().map(take).collect();
            logged_before = kind == Phase::Straight && logs.iter().any(|l| !l.is_empty());
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

/// Steps of the `train scan`s before a phase. What is logged counts its steps from the first of all.
pub fn steps_before(phases: &[Phase], phase: usize) -> u64 {
    let steps = |p: &Phase| match p {
        Phase::Straight => 0,
        Phase::Train(n) => *n as u64,
    };
    phases.iter().take(phase).map(steps).sum()
}

/// Keeps the last state that is known to be good, for a checkpoint if the next chunk fails.
#[derive(Default)]
struct Keeper {
    saved: Option<Saved>,
    /// When that was, and how long it took.
    last: Option<(Instant, Duration)>,
}

impl Keeper {
    /// Saves the state before a step, unless that is done too often: copying a large state may take 3 % of the time.
    /// What cannot be read does not take the place of what could.
    fn keep(&mut self, phase: usize, step: usize, states: impl FnOnce(usize) -> Option<Vec<Vec<StateArray>>>) {
        if self.last.is_some_and(|(when, took)| took > when.elapsed().mul_f64(0.03)) {
            return;
        }
        let begin = Instant::now();
        if let Some(states) = states(phase) {
            self.saved = Some(Saved { phase, step, states });
        }
        self.last = Some((Instant::now(), begin.elapsed()));
    }
}

/// Steps of the next chunk, from how long the last took; it grows at most fourfold at once.
fn next_size(steps: usize, took: Duration, target: Duration) -> usize {
    let by_time = steps as f64 * target.as_secs_f64() / took.as_secs_f64().max(1e-9);
    (by_time as usize).clamp(1, steps.max(1) * 4)
}

/// What is left to do of a chunk. Threads take a piece of a run, the run that has most before it first; pieces become smaller towards the
/// end, so that all threads end at about the same time, whatever else the machine does. A run's own pieces follow each other.
struct Chunk<'s, S, E> {
    waiting: Vec<Turn<'s, S>>,
    failures: Vec<RunFailure<E>>,
    /// Steps of all runs that go in pieces, and are not begun; and what a piece has at least.
    left: usize,
    least: usize,
    /// Those from here on, fewer than threads, are begun last, each as a whole: they have several threads.
    last: usize,
    threads: usize,
    to: usize,
}

/// A run that waits for a thread, with the next of its steps.
struct Turn<'s, S> {
    run: usize,
    next: usize,
    state: &'s mut S,
}

impl<'s, S, E> Chunk<'s, S, E> {
    fn new(states: &'s mut [S], from: usize, to: usize, threads: usize) -> Chunk<'s, S, E> {
        let last = states.len() - states.len() % threads;
        let waiting = states.iter_mut().enumerate().map(|(run, state)| Turn { run, next: from, state }).collect();
        let left = (to - from) * last;
        let least = (left / (64 * threads)).max(1);
        Chunk { waiting, failures: Vec::new(), left, least, last, threads, to }
    }

    /// A run, and up to where it goes now.
    fn take(&mut self) -> Option<(Turn<'s, S>, usize)> {
        let (last, to) = (self.last, self.to);
        let rank = |t: &Turn<S>| (t.run < last, to - t.next, std::cmp::Reverse(t.run));
        let (at, _) = self.waiting.iter().enumerate().max_by_key(|(_, t)| rank(t))?;
        let turn = self.waiting.swap_remove(at);
        if turn.run >= last {
            return Some((turn, to));
        }
        let piece = self.left.div_ceil(2 * self.threads).max(self.least).min(to - turn.next);
        self.left -= piece;
        let until = turn.next + piece;
        Some((turn, until))
    }

    /// The run has come so far, or has failed.
    fn put(&mut self, turn: Turn<'s, S>, until: usize, result: Result<(), RunFailure<E>>) {
        match result {
            Ok(()) if until < self.to => self.waiting.push(Turn { next: until, ..turn }),
            Ok(()) => {}
            Err(failure) => {
                self.left -= if turn.run < self.last { self.to - until } else { 0 };
                self.failures.push(failure);
            }
        }
    }
}

/// Executes the steps `from..to` of every run, by threads; `execute` gets a run's number and state, and some of its steps. Of several
/// failures it gives that which [`Engine::execute`] has to.
pub fn spread<S: Send, E: Send>(
    states: &mut [S],
    threads: usize,
    (from, to): (usize, usize),
    execute: impl Fn(usize, &mut S, usize, usize) -> Result<(), (Option<u64>, E)> + Sync,
) -> Result<(), RunFailure<E>> {
    let workers = threads.clamp(1, states.len().max(1));
    let chunk = Mutex::new(Chunk::new(states, from, to, threads.max(1)));
    let lock = || chunk.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        let mut taken = lock().take();
        while let Some((turn, until)) = taken {
            let result = execute(turn.run, turn.state, turn.next, until);
            let result = result.map_err(|(step, error)| RunFailure { run: turn.run, step, error });
            let mut chunk = lock();
            chunk.put(turn, until, result);
            taken = chunk.take();
        }
    };
    if workers == 1 {
        work();
    } else {
        std::thread::scope(|scope| (0..workers).for_each(|_| _ = scope.spawn(work)));
    }
    let failures = chunk.into_inner().unwrap_or_else(PoisonError::into_inner).failures;
    failures.into_iter().min_by_key(|f| (f.step, f.run)).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts its steps; a run fails at the step that is told for it.
    struct Counter {
        fail_at: [Option<u64>; 3],
    }

    impl Engine for Counter {
        type State = (u64, Vec<LogValue>);
        type Error = &'static str;
        fn runs(&self) -> usize {
            3
        }
        fn phases(&self) -> Vec<Phase> {
            vec![Phase::Straight, Phase::Train(100), Phase::Straight]
        }
        fn log_names(&self) -> Vec<String> {
            vec!["n".into()]
        }
        fn start(&self, run: usize) -> Result<Self::State, Self::Error> {
            Ok((run as u64 * 10_000, Vec::new()))
        }
        fn restore(&self, _: usize, _: usize, arrays: &[StateArray]) -> Result<Self::State, String> {
            let bytes = arrays.first().and_then(|a| a.bytes.as_slice().try_into().ok());
            Ok((u64::from_ne_bytes(bytes.ok_or("no number")?), Vec::new()))
        }
        fn execute(
            &self,
            phase: usize,
            states: &mut [Self::State],
            from: usize,
            to: usize,
            threads: usize,
        ) -> Result<(), RunFailure<Self::Error>> {
            spread(states, threads, (from, to), |run, s, from, to| {
                for step in from as u64..to as u64 {
                    assert_eq!(phase, 1);
                    if self.fail_at[run] == Some(step) {
                        return Err((Some(step), "no"));
                    }
                    s.0 += step;
                    s.1.push(LogValue { log: 0, step, value: s.0 as f64, count: 1 });
                }
                Ok(())
            })
        }
        fn take_logs(&self, s: &mut Self::State) -> Vec<LogValue> {
            std::mem::take(&mut s.1)
        }
        fn state_arrays(&self, _: usize, s: &Self::State) -> Result<Vec<StateArray>, &'static str> {
            let (name, bytes) = ("n".to_string(), s.0.to_ne_bytes().to_vec());
            Ok(vec![StateArray { name, element: crate::engine::Element::U8, shape: vec![8], bytes }])
        }
    }

    /// The logs of the last run; how far it came; whether it failed.
    #[derive(Default)]
    struct Seen(Vec<f64>, usize, bool);

    impl Observer<Counter> for Seen {
        fn chunk(&mut self, p: Progress, logs: &[Vec<LogValue>], _: &[(u64, Vec<LogValue>)]) {
            self.0.extend(logs[2].iter().map(|l| l.value));
            self.1 = self.1.max(p.done);
        }
        fn failed(&mut self, p: Progress, logs: &[Vec<LogValue>], saved: Option<&Saved>) {
            assert_eq!(self.1, p.done);
            self.0.extend(logs[2].iter().map(|l| l.value));
            let state = |run: &Vec<StateArray>| u64::from_ne_bytes(run[0].bytes.as_slice().try_into().expect("eight"));
            let saved = saved.expect("a state of the train scan");
            assert!(saved.step <= p.done);
            let step = saved.step as u64;
            let counted = |run: u64| run * 10_000 + step * step.saturating_sub(1) / 2;
            assert_eq!(saved.states.iter().map(state).collect::<Vec<_>>(), [counted(0), counted(1), counted(2)]);
            self.2 = true;
        }
    }

    #[test]
    fn chunks_and_threads_change_nothing() {
        let mut expected = None;
        for (threads, fixed_chunk) in [(1, Some(1)), (1, Some(7)), (2, Some(100)), (4, Some(33)), (2, None)] {
            let pace = Pace { threads, fixed_chunk, ..Pace::default() };
            let mut seen = Seen::default();
            let driven = drive(&Counter { fail_at: [None; 3] }, &pace, &AtomicBool::new(false), None, &mut seen);
            assert_eq!(driven.end, End::Finished);
            assert_eq!(driven.states.iter().map(|s| s.0).collect::<Vec<_>>(), [4950, 14950, 24950]);
            assert_eq!(*expected.get_or_insert(seen.0.clone()), seen.0);
        }
    }

    /// All steps of every run once and in order, the last pieces small; runs that are left over are done last, as a whole.
    #[test]
    fn runs_are_done_in_pieces() {
        for (runs, threads, steps) in
            [(8, 2, 1000), (8, 2, 1), (8, 2, 0), (9, 2, 640), (3, 4, 50), (2, 2, 7), (5, 1, 10)]
        {
            let mut at = vec![Some(10); runs];
            let mut states = vec![(); runs];
            let mut chunk = Chunk::<(), ()>::new(&mut states, 10, 10 + steps, threads);
            let (last, mut pieces) = (chunk.last, Vec::new());
            // Two at a time, the earlier one given back first.
            let mut held = std::collections::VecDeque::new();
            loop {
                let taken = chunk.take();
                if let Some((turn, until)) = taken {
                    assert_eq!(at[turn.run].take(), Some(turn.next), "another has it, or it was somewhere else");
                    assert!(turn.run < last || (turn.next, until) == (10, 10 + steps));
                    pieces.push(until - turn.next);
                    held.push_back((turn, until));
                }
                if held.len() < 2 && !chunk.waiting.is_empty() {
                    continue;
                }
                let Some((turn, until)) = held.pop_front() else { break };
                at[turn.run] = Some(until);
                chunk.put(turn, until, Ok(()));
            }
            assert_eq!(at, vec![Some(10 + steps); runs]);
            assert!(pieces.len() >= runs);
            if (runs, threads, steps) == (8, 2, 1000) {
                assert!(pieces.len() < 100 && pieces.iter().rev().take(2).all(|p| *p <= 63), "{pieces:?}");
            }
        }
    }

    #[test]
    fn what_was_stopped_goes_on_as_if_it_had_not_been() {
        let engine = Counter { fail_at: [None; 3] };
        for step in [0, 1, 42, 100] {
            let pace = Pace { threads: 2, fixed_chunk: Some(step.max(1)), ..Pace::default() };
            let states = || {
                let mut states: Vec<_> = (0..3).map(|run| engine.start(run).expect("a state")).collect();
                engine.execute(1, &mut states, 0, step, 1).expect("steps");
                states.iter().map(|s| engine.state_arrays(1, s).expect("arrays")).collect()
            };
            let saved = Saved { phase: 1, step, states: states() };
            let Ok(place) = Place::restored(&engine, &saved) else { panic!("not restored") };
            let mut seen = Seen::default();
            let driven = drive(&engine, &pace, &AtomicBool::new(false), Some(place), &mut seen);
            assert_eq!(driven.states.iter().map(|s| s.0).collect::<Vec<_>>(), [4950, 14950, 24950]);
            assert_eq!(seen.0.len(), 100 - step);
        }
        for (phase, step, runs, part) in
            [(0, 0, 3, "phase 0"), (1, 101, 3, "step 101"), (1, 5, 2, "2 runs"), (1, 5, 3, "no number")]
        {
            let saved = Saved { phase, step, states: vec![Vec::new(); runs] };
            let Err(why) = Place::restored(&engine, &saved) else { panic!("{part}: restored") };
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn a_failure_and_a_stop_are_told() {
        // The earliest step, whatever the threads and chunks; of equal steps the first run.
        for (threads, chunk) in [(1, 1), (1, 10), (2, 10), (2, 100), (3, 33)] {
            for (fail_at, run) in [([Some(60), Some(42), None], 1), ([None, Some(42), Some(42)], 1)] {
                let pace = Pace { threads, fixed_chunk: Some(chunk), ..Pace::default() };
                let mut seen = Seen::default();
                let driven = drive(&Counter { fail_at }, &pace, &AtomicBool::new(false), None, &mut seen);
                assert_eq!(driven.end, End::Failed(RunFailure { run, step: Some(42), error: "no" }));
                assert!(seen.2);
                assert_eq!(seen.0.len(), 42);
            }
        }
        let pace = Pace { threads: 2, fixed_chunk: Some(10), ..Pace::default() };
        let driven = drive(&Counter { fail_at: [None; 3] }, &pace, &AtomicBool::new(true), None, &mut Seen::default());
        assert_eq!(driven.end, End::Stopped { phase: 1, step: 10 });
    }
}
