//! Threads that do one run's large loops together.
//!
//! ```text
//! the run's thread ── fork: parts 0, 1, 2 ── part 0 ── what nobody has begun ── waits for the others ── goes on
//! worker 1 ─ waits ──────────────── part 1 ── what nobody has begun ── waits …
//! worker 2 ─ sleeps ……
//! ```
//!
//! Control flow is the run's thread's alone: a loop that is worth it is offered in parts, of which each worker takes its own, so that
//! loop after loop the same elements stay in the same cache. What a worker does not come to in time (it sleeps, or the machine has
//! other work), the others do; so that little is left to wait for, large loops have several parts for each. So nobody ever waits for a thread that has not begun, and how many threads there really are
//! changes nothing but the time.

use std::cell::{Cell, OnceCell, UnsafeCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many of `threads` run `run` of `runs` may have for itself. The last ones, fewer than threads, are begun when there
/// are no others, and so have some left over.
pub fn threads_of(run: usize, runs: usize, threads: usize) -> usize {
    let last = runs % threads.max(1);
    if run + last < runs { 1 } else { threads / last.max(1) }
}

/// A bit for each part in one word: no more threads than that.
pub const MOST: usize = 64;
/// A worker without work looks for it all the time for so long,
const LOOK: Duration = Duration::from_micros(5);
/// then between turns of others on its core for so long, and then sleeps.
const YIELD: Duration = Duration::from_micros(200);

/// Cache lines of its own; processors fetch them in pairs.
#[repr(align(128))]
#[derive(Default)]
struct Apart<T>(T);

/// What the threads of a team have in common.
#[derive(Default)]
struct Shared {
    /// A bit for each part that nobody has begun. Whoever takes a bit away does that part.
    open: Apart<AtomicU64>,
    /// How many parts there are of the loop last offered. Says only who should take which, and may be out of date.
    parts: AtomicUsize,
    /// Threads, the run's own among them.
    size: usize,
    /// Parts that are not done, but for the first, which is the run's thread's.
    left: Apart<AtomicUsize>,
    /// Whoever sleeps.
    asleep: Apart<AtomicU64>,
    work: Apart<Work>,
    stop: AtomicBool,
}

/// What is to be done. Written by the run's thread while no part is open or being done; read by whoever has taken a part.
#[derive(Default)]
struct Work(UnsafeCell<Option<Call>>);

/// A function of the number of the part, with its environment.
#[derive(Clone, Copy)]
struct Call {
    function: unsafe fn(*const (), usize),
    environment: *const (),
}

// SAFETY: the environment of a `Call` is a reference to what is `Sync`, borrowed by `fork` until all have done with it. The cell is
// written and read at different times, as said at `Work`, in an order that `open` and `left` make.
unsafe impl Send for Work {}
// SAFETY: as above.
unsafe impl Sync for Work {}

/// A run's thread and its helpers, which are started when first they are wanted.
pub struct Team {
    size: usize,
    shared: Arc<Shared>,
    workers: OnceCell<Vec<JoinHandle<()>>>,
    /// Sleepers are woken when so much work, in nanoseconds, was done without them.
    wake_after: u64,
    done_alone: Cell<u64>,
}

impl Team {
    /// So many threads, the caller's own among them. To wake one costs microseconds, which `wake_after` nanoseconds of work pay for.
    pub fn new(size: usize, wake_after: u64) -> Team {
        let size = size.clamp(1, MOST);
        let shared = Arc::new(Shared { size, ..Shared::default() });
        Team { size, shared, workers: OnceCell::new(), wake_after, done_alone: Cell::new(0) }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// Does parts `0..parts` of `part`, some on other threads, and returns when all are done. They take about so many nanoseconds
    /// together. What the parts write, the caller sees, and the other way round.
    pub fn fork<F: Fn(usize) + Sync>(&self, parts: usize, nanoseconds: u64, part: &F) {
        /// # Safety
        /// The environment is a `&F`.
        unsafe fn call<F: Fn(usize)>(environment: *const (), number: usize) {
            // SAFETY: the caller's promise.
            unsafe { (*environment.cast::<F>())(number) }
        }
        if self.size == 1 || !(2..=MOST).contains(&parts) {
            return (0..parts).for_each(part);
        }
        let shared = &*self.shared;
        let all = (u64::MAX >> (MOST - parts)) & !1;
        let work = Call { function: call::<F>, environment: (&raw const *part).cast() };
        // SAFETY: no part is open, and none is being done: this thread is the only one that opens parts (`Team` is not `Sync`), and has
        // waited for `left` to become zero. So nobody else reads or writes the cell.
        unsafe { *shared.work.0.0.get() = Some(work) };
        shared.left.0.store(parts - 1, Ordering::Relaxed);
        shared.parts.store(parts, Ordering::Relaxed);
        // Release: whoever takes a part sees the work, `left`, and all that the run has written.
        shared.open.0.store(all, Ordering::Release);
        self.wake(parts, nanoseconds);
        // Should the part panic, nobody must be left with a reference to it.
        let waits = Waits(shared);
        part(0);
        while let Some(number) = shared.take_as(0) {
            part(number);
            shared.left.0.fetch_sub(1, Ordering::Relaxed);
        }
        drop(waits);
    }

    /// Wakes those that have parts and sleep, if it is worth it. A worker that falls asleep just now is not woken: nobody depends on it.
    fn wake(&self, parts: usize, nanoseconds: u64) {
        let wanted = (u64::MAX >> (MOST - parts.min(self.size))) & !1;
        let asleep = match self.workers.get() {
            Some(_) => self.shared.asleep.0.load(Ordering::Relaxed) & wanted,
            None => wanted,
        };
        if asleep == 0 {
            return;
        }
        let alone = self.done_alone.get().saturating_add(nanoseconds);
        self.done_alone.set(if alone < self.wake_after { alone } else { 0 });
        if alone >= self.wake_after {
            let workers = self.workers.get_or_init(|| self.started());
            let number = |k: usize| 1u64 << (k + 1);
            let sleeping = workers.iter().enumerate().filter(|(k, _)| asleep & number(*k) != 0);
            sleeping.for_each(|(_, worker)| worker.thread().unpark());
        }
    }

    /// Where the system gives no more threads, there are fewer.
    fn started(&self) -> Vec<JoinHandle<()>> {
        let start = |number: usize| {
            let shared = self.shared.clone();
            let name = format!("whorl-team-{number}");
            std::thread::Builder::new().name(name).spawn(move || shared.work_as(number)).ok()
        };
        (1..self.size).map_while(start).collect()
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for worker in self.workers.take().into_iter().flatten() {
            worker.thread().unpark();
            // A worker that has panicked has told so already.
            let _ = worker.join();
        }
    }
}

/// Waits when it is dropped, until all parts that somebody has begun are done; the others are begun no more.
struct Waits<'s>(&'s Shared);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let shared = self.0;
        while shared.take_as(0).is_some() {
            shared.left.0.fetch_sub(1, Ordering::Relaxed);
        }
        let mut waiting = Waiting::default();
        // Acquire, of what the workers release: what they wrote is seen from here on.
        while shared.left.0.load(Ordering::Acquire) > 0 {
            waiting.turn();
        }
    }
}

/// Which parts are for the thread of that number: neighbours, for the same place in arrays whatever the number of parts is.
fn owned(number: usize, size: usize, parts: usize) -> u64 {
    if parts <= size {
        return 1 << number;
    }
    let below =
        |number: usize| u64::MAX.checked_shr((MOST - (number * parts).div_ceil(size).min(MOST)) as u32).unwrap_or(0);
    below(number + 1) & !below(number)
}

impl Shared {
    /// Takes a part that nobody has begun. What follows may read the work: it stays until the part is done.
    fn take(&self, bit: u64) -> bool {
        self.open.0.load(Ordering::Relaxed) & bit != 0 && self.open.0.fetch_and(!bit, Ordering::Acquire) & bit != 0
    }

    /// Takes a part that nobody has begun: the first of one's own, else the last of all, which its owner would come to last.
    fn take_as(&self, number: usize) -> Option<usize> {
        loop {
            let open = self.open.0.load(Ordering::Relaxed);
            if open == 0 {
                return None;
            }
            let own = open & owned(number, self.size, self.parts.load(Ordering::Relaxed));
            let part = if own != 0 { own.trailing_zeros() } else { u64::BITS - 1 - open.leading_zeros() };
            if self.take(1 << part) {
                return Some(part as usize);
            }
        }
    }

    fn work_as(&self, number: usize) {
        while self.wait_as(number) {
            while let Some(part) = self.take_as(number) {
                // A panic must not leave the run waiting for ever.
                let done = Done(self);
                // SAFETY: a part was taken, so the work is there, and stays until `left` has become less by `done`.
                unsafe {
                    if let Some(call) = *self.work.0.0.get() {
                        (call.function)(call.environment, part);
                    }
                }
                drop(done);
            }
        }
    }

    /// Waits for one's own parts to be open. Not, if the team is no more.
    fn wait_as(&self, number: usize) -> bool {
        let (bit, mut waiting) = (1 << number, Waiting::default());
        loop {
            // Acquire: the number of parts is of that loop or a later one.
            let open = self.open.0.load(Ordering::Acquire);
            if open != 0 && open & owned(number, self.size, self.parts.load(Ordering::Relaxed)) != 0 {
                return true;
            }
            if self.stop.load(Ordering::Acquire) {
                return false;
            }
            if waiting.turn() > YIELD {
                self.asleep.0.fetch_or(bit, Ordering::Relaxed);
                std::thread::park();
                self.asleep.0.fetch_and(!bit, Ordering::Relaxed);
                waiting = Waiting::default();
            }
        }
    }
}

/// A part is done when this is dropped.
struct Done<'s>(&'s Shared);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        // Release: the run's thread sees what the part has written. The work is not touched any more.
        self.0.left.0.fetch_sub(1, Ordering::Release);
    }
}

/// Somebody who waits: at first all the time, then between turns of others.
struct Waiting {
    begin: Option<Instant>,
    waited: Duration,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting { begin: None, waited: Duration::ZERO }
    }
}

impl Waiting {
    /// Lets a moment pass, and says how long it has been.
    fn turn(&mut self) -> Duration {
        if self.waited < LOOK {
            (0..8).for_each(|_| std::hint::spin_loop());
        } else {
            std::thread::yield_now();
        }
        self.waited = self.begin.get_or_insert_with(Instant::now).elapsed();
        self.waited
    }
}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Team").field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every part once, and all that was written is seen, whoever did it.
    #[test]
    fn every_part_is_done_once() {
        for size in [1, 2, 3, 5, 8, 64] {
            let team = Team::new(size, 0);
            for turn in 0..2000usize {
                let parts = turn % (3 * size + 3);
                let cells: Vec<UnsafeCell<usize>> = (0..parts).map(|_| UnsafeCell::new(turn)).collect();
                struct Cells<'c>(&'c [UnsafeCell<usize>]);
                // SAFETY: each part has a cell of its own.
                unsafe impl Sync for Cells<'_> {}
                let cells_of_parts = Cells(&cells);
                team.fork(parts, 0, &|k| {
                    let cells = &cells_of_parts;
                    // SAFETY: as above.
                    unsafe { *cells.0[k].get() += k + 1 };
                });
                let sums: Vec<usize> = cells.into_iter().map(UnsafeCell::into_inner).collect();
                assert_eq!(sums, (0..parts).map(|k| turn + k + 1).collect::<Vec<_>>());
            }
        }
    }

    /// Each part has one owner, who has about as many as others, and the first part is of the run's thread.
    #[test]
    fn parts_have_owners() {
        for size in 1..=MOST {
            for parts in size..=MOST {
                let all: Vec<u64> = (0..size).map(|k| owned(k, size, parts)).collect();
                assert_eq!(all.iter().fold(0, |x, y| x | y), u64::MAX >> (MOST - parts));
                assert_eq!(all.iter().map(|x| x.count_ones() as usize).sum::<usize>(), parts);
                assert!(all.iter().all(|x| x.count_ones() as usize - parts / size <= 1), "{parts} of {size}");
                assert_eq!(all[0] & 1, 1);
            }
        }
        assert_eq!([owned(0, 2, 8), owned(1, 2, 8)], [0x0f, 0xf0]);
    }

    /// Runs are begun in order; what threads are left over, the last ones have.
    #[test]
    fn threads_are_shared_out() {
        let of = |runs: usize, threads: usize| (0..runs).map(|k| threads_of(k, runs, threads)).collect::<Vec<_>>();
        assert_eq!(of(1, 1), [1]);
        assert_eq!(of(1, 8), [8]);
        assert_eq!(of(3, 8), [2, 2, 2]);
        assert_eq!(of(4, 2), [1, 1, 1, 1]);
        assert_eq!(of(3, 2), [1, 1, 2]);
        assert_eq!(of(6, 4), [1, 1, 1, 1, 2, 2]);
        assert_eq!(of(8, 8), [1; 8]);
    }

    /// Many more threads than cores, and so many forks that falling asleep in each would take minutes.
    #[test]
    fn too_many_threads_do_no_harm() {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let alone = Team::new(1, 0);
        let many = Team::new((4 * cores).min(MOST), 0);
        let work = |team: &Team| {
            let total = AtomicU64::new(0);
            let begin = Instant::now();
            for turn in 0..20_000u64 {
                team.fork(8, 100, &|k| {
                    let sum = (0..500u64).fold(turn, |sum, x| std::hint::black_box(sum ^ x));
                    total.fetch_add(sum & 1 | k as u64, Ordering::Relaxed);
                });
            }
            (total.into_inner(), begin.elapsed())
        };
        let (expected, took) = work(&alone);
        let (total, together) = work(&many);
        assert_eq!(total, expected);
        // Not to be worse by much; on an idle machine it is better. The machine may do other work.
        assert!(together < 20 * took + Duration::from_secs(2), "{together:?}, and {took:?} alone");
    }

    /// A part that panics stops the run, and no thread waits for ever.
    #[test]
    fn a_panic_in_a_part_hangs_nobody() {
        let team = Team::new(3, 0);
        for _ in 0..50 {
            let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                team.fork(3, 0, &|k| {
                    if k == 0 {
                        std::panic::resume_unwind(Box::new(()))
                    }
                });
            }));
            assert!(panics.is_err());
            let done = AtomicUsize::new(0);
            team.fork(3, 0, &|_| _ = done.fetch_add(1, Ordering::Relaxed));
            assert_eq!(done.into_inner(), 3);
        }
    }
}
