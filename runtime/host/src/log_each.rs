//! `log_each.jsonl`: every element that was logged, one a line, for `--log-each`.
//!
//! ```text
//! {"name":"loss","step":3,"run":0,"loop":[0,2],"lane":[],"value":0.25,"line":"ppo.whorl:31"}
//! ```
//!
//! Lines are in the order of steps, then of runs, then of the program. Runs are executed at once and hand over what they log as
//! it comes, so each has a spool, in memory and beyond a limit in a file; between chunks the spools are merged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::lines::Lines;
use crate::metrics::push_number;

/// What is fixed of a `log` in the program.
#[derive(Clone, PartialEq, Debug)]
pub struct LogPlace {
    pub name: String,
    /// The steps of the loops around, outermost first, without the `train scan`.
    pub loops: Vec<usize>,
    /// The sizes of the lanes around, and of the value.
    pub lanes: Vec<usize>,
    /// `file:line`
    pub line: String,
}

/// One element that was logged.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LogElement {
    /// Its `LogPlace`.
    pub place: u32,
    pub step: u64,
    /// The indices of the loops, as one row-major number, and those of the lanes.
    pub at_loops: u64,
    pub at_lanes: u64,
    pub value: f64,
}

/// Elements of all runs that are held in memory between two calls of [`LogEach::write`].
const MEMORY: usize = 1 << 20;
/// Bytes of lines that are written at once.
const TEXT: usize = 1 << 20;
/// Elements of a spool's file that are read at once.
const BLOCK: usize = 1 << 10;

pub const FILE: &str = "log_each.jsonl";

/// The file, and the spools of all runs.
pub struct LogEach {
    places: Vec<LogPlace>,
    spools: Vec<Mutex<Spool>>,
    out: Mutex<Lines>,
    /// The first step that is not told, because a run failed in it.
    end: AtomicU64,
}

impl LogEach {
    /// Opens `log_each.jsonl` in a run folder, behind what is there of the steps before `step`.
    pub fn open(folder: &Path, places: Vec<LogPlace>, runs: usize, step: u64) -> io::Result<LogEach> {
        LogEach::with_memory(folder, places, runs, step, MEMORY)
    }

    /// Holds about so many elements in memory.
    pub fn with_memory(
        folder: &Path,
        places: Vec<LogPlace>,
        runs: usize,
        step: u64,
        memory: usize,
    ) -> io::Result<LogEach> {
        let of = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?.get("step")?.as_u64();
        let out = Lines::reopen(&folder.join(FILE), |line| of(line).is_some_and(|s| s < step))?;
        let most = (memory / runs.max(1)).max(1);
        let spool = |run| Mutex::new(Spool::new(folder.join(format!("log_each.run{run}.part")), most));
        let spools = (0..runs).map(spool).collect();
        Ok(LogEach { places, spools, out: Mutex::new(out), end: AtomicU64::new(u64::MAX) })
    }

    /// Takes what a run logged, in order. What goes wrong with its file is told by [`LogEach::write`].
    pub fn add(&self, run: usize, elements: impl Iterator<Item = LogElement>) {
        let mut spool = lock(&self.spools[run]);
        elements.for_each(|e| spool.push(e));
    }

    /// A run failed in this step: nothing is told of it, nor of later ones.
    pub fn failed(&self, step: u64) {
        self.end.fetch_min(step, Ordering::Relaxed);
    }

    /// Writes what the runs have handed over, of one phase, before which there were so many steps of `train scan`s.
    pub fn write(&self, steps_before: u64) -> io::Result<()> {
        let mut out = lock(&self.out);
        let mut spools: Vec<MutexGuard<Spool>> = self.spools.iter().map(lock).collect();
        let mut readers = spools.iter_mut().map(|s| Reader::new(s)).collect::<io::Result<Vec<Reader>>>()?;
        let end = self.end.load(Ordering::Relaxed);
        while let Some(step) = readers.iter().filter_map(|r| Some(r.next?.step)).min().filter(|s| *s < end) {
            for (run, reader) in readers.iter_mut().enumerate() {
                while let Some(e) = reader.next.filter(|e| e.step == step) {
                    out.add(self.line(run, steps_before, &e));
                    reader.advance()?;
                }
            }
            if out.waiting() > TEXT {
                out.flush()?;
            }
        }
        drop(readers);
        spools.iter_mut().try_for_each(|s| s.clear())?;
        out.flush()
    }

    fn line(&self, run: usize, steps_before: u64, e: &LogElement) -> String {
        let place = &self.places[e.place as usize];
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let (name, step, line) = (quoted(&place.name), steps_before + e.step, quoted(&place.line));
        let (loops, lanes) = (position(e.at_loops, &place.loops), position(e.at_lanes, &place.lanes));
        let mut out =
            format!("{{\"name\":{name},\"step\":{step},\"run\":{run},\"loop\":[{loops}],\"lane\":[{lanes}],\"value\":");
        push_number(&mut out, e.value);
        out + ",\"line\":" + &line + "}"
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A row-major number as its indices, with commas between.
fn position(at: u64, sizes: &[usize]) -> String {
    let mut around: u64 = sizes.iter().fold(1, |n, s| n.wrapping_mul(*s as u64));
    let index = |&n: &usize| {
        around = around.checked_div(n as u64).unwrap_or(1).max(1);
        (at / around % (n as u64).max(1)).to_string()
    };
    sizes.iter().map(index).collect::<Vec<_>>().join(",")
}

/// What a run logged since the last merge: the earlier part in a file, the rest in memory.
struct Spool {
    path: PathBuf,
    most: usize,
    elements: Vec<LogElement>,
    /// How many are in the file.
    filed: usize,
    error: Option<io::Error>,
}

impl Spool {
    fn new(path: PathBuf, most: usize) -> Spool {
        Spool { path, most, elements: Vec::new(), filed: 0, error: None }
    }

    fn push(&mut self, e: LogElement) {
        if self.elements.len() >= self.most
            && self.error.is_none()
            && let Err(error) = self.file()
        {
            self.error = Some(error);
        }
        if self.error.is_none() {
            self.elements.push(e);
        }
    }

    /// Moves what is in memory behind what is in the file. The file is not kept open: there may be thousands.
    fn file(&mut self) -> io::Result<()> {
        let mut to = OpenOptions::new();
        let to = if self.filed == 0 { to.create(true).write(true).truncate(true) } else { to.append(true) };
        let bytes: Vec<u8> = self.elements.iter().flat_map(to_bytes).collect();
        to.open(&self.path)?.write_all(&bytes)?;
        self.filed += self.elements.len();
        self.elements.clear();
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.elements.clear();
        if std::mem::take(&mut self.filed) > 0 { fs::remove_file(&self.path) } else { Ok(()) }
    }
}

/// Goes through a spool in order.
struct Reader<'s> {
    spool: &'s Spool,
    next: Option<LogElement>,
    /// Of the file: what has been read, and what of that comes next.
    block: Vec<LogElement>,
    at: usize,
    read: usize,
    /// Of the memory.
    rest: std::slice::Iter<'s, LogElement>,
}

impl Reader<'_> {
    fn new<'s>(spool: &'s mut Spool) -> io::Result<Reader<'s>> {
        if let Some(error) = spool.error.take() {
            return Err(error);
        }
        let spool = &*spool;
        let rest = spool.elements.iter();
        let mut reader = Reader { spool, next: None, block: Vec::new(), at: 0, read: 0, rest };
        reader.advance()?;
        Ok(reader)
    }

    fn advance(&mut self) -> io::Result<()> {
        if self.at == self.block.len() && self.read < self.spool.filed {
            let count = BLOCK.min(self.spool.filed - self.read);
            let mut bytes = vec![0; count * BYTES];
            let mut file = File::open(&self.spool.path)?;
            file.seek(SeekFrom::Start((self.read * BYTES) as u64))?;
            file.read_exact(&mut bytes)?;
            self.block = bytes.chunks_exact(BYTES).map(of_bytes).collect();
            (self.at, self.read) = (0, self.read + count);
        }
        self.next = match self.block.get(self.at) {
            Some(e) => {
                self.at += 1;
                Some(*e)
            }
            None => self.rest.next().copied(),
        };
        Ok(())
    }
}

const BYTES: usize = 40;

fn to_bytes(e: &LogElement) -> [u8; BYTES] {
    let words = [e.place as u64, e.step, e.at_loops, e.at_lanes, e.value.to_bits()];
    let mut bytes = [0; BYTES];
    bytes.chunks_exact_mut(8).zip(words).for_each(|(to, word)| to.copy_from_slice(&word.to_ne_bytes()));
    bytes
}

fn of_bytes(bytes: &[u8]) -> LogElement {
    let mut words = bytes.chunks_exact(8).map(|b| b.try_into().map_or(0, u64::from_ne_bytes));
    let mut next = || words.next().unwrap_or(0);
    LogElement { place: next() as u32, step: next(), at_loops: next(), at_lanes: next(), value: f64::from_bits(next()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three runs of ten steps, in chunks of so many; each logs another number of elements a step.
    fn written(name: &str, memory: usize, chunk: u64, fails_at: Option<u64>) -> String {
        let folder = std::env::temp_dir().join(format!("whorl-each-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let place = LogPlace { name: "x".into(), loops: vec![2, 3], lanes: vec![4], line: "a.whorl:3".into() };
        let each = LogEach::with_memory(&folder, vec![place], 3, 0, memory).expect("opened");
        for from in (0..10).step_by(chunk as usize) {
            for run in [2, 0, 1] {
                let of = |step: u64| {
                    let element = move |k: u64| LogElement {
                        place: 0,
                        step,
                        at_loops: k % 6,
                        at_lanes: step % 4,
                        value: (step * 100 + run as u64 * 10 + k) as f64,
                    };
                    (0..run as u64 * 2 + step % 3).map(element)
                };
                each.add(run, (from..(from + chunk).min(10)).flat_map(of));
            }
            if let Some(step) = fails_at.filter(|s| (from..from + chunk).contains(s)) {
                each.failed(step);
            }
            each.write(100).expect("written");
            assert_eq!(fs::read_dir(&folder).expect("listed").count(), 1, "spools are removed");
        }
        let text = fs::read_to_string(folder.join(FILE)).expect("read");
        fs::remove_dir_all(&folder).expect("removed");
        text
    }

    #[test]
    fn order_depends_on_nothing() {
        let whole = written("whole", 1 << 20, 10, None);
        assert_eq!(whole.lines().count(), (0..10).map(|s| 6 + 3 * (s % 3)).sum::<usize>());
        assert!(whole.starts_with(
            "{\"name\":\"x\",\"step\":100,\"run\":1,\"loop\":[0,0],\"lane\":[0],\"value\":10.0,\"line\":\"a.whorl:3\"}\n"
        ));
        assert!(whole.contains("\"step\":105,\"run\":2,\"loop\":[1,1],\"lane\":[1],\"value\":524.0"), "{whole}");
        for (memory, chunk) in [(3, 10), (6, 4), (1, 1), (30, 7), (1 << 20, 3)] {
            assert_eq!(written(&format!("{memory}-{chunk}"), memory, chunk, None), whole, "{memory} {chunk}");
        }
    }

    #[test]
    fn a_step_that_fails_is_not_told() {
        let whole = written("good", 1 << 20, 10, None);
        let failed = written("failed", 5, 10, Some(6));
        let before = |l: &&str| (100..106).any(|s| l.contains(&format!("\"step\":{s},")));
        assert_eq!(failed.lines().collect::<Vec<_>>(), whole.lines().filter(before).collect::<Vec<_>>());
    }

    #[test]
    fn positions() {
        let said = position;
        assert_eq!([said(23, &[2, 3, 4]), said(7, &[2, 3, 4]), said(0, &[])], ["1,2,3", "0,1,3", ""]);
        assert_eq!(said(0, &[0, 3]), "0,0");
    }
}
