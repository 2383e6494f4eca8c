//! TensorBoard event files: `tensorboard/run0/…` for each of the first runs, and `tensorboard/mean/…` over all.
//!
//! A file is a list of records, each framed as TFRecord does it: length, its checksum, the data, their checksum. The data are `Event`
//! messages of protocol buffers (`tensorflow/core/util/event.proto`), of which we write three fields.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crc::{CRC_32_ISCSI, Crc};

use crate::metrics::{ENV_STEPS, Record, spread};

/// Runs that have a folder of their own.
pub const MOST_RUNS: usize = 32;

/// The files of a run folder, open to be appended to.
pub struct Events {
    /// One a run, and the mean.
    files: Vec<BufWriter<File>>,
    runs: usize,
}

impl Events {
    /// Makes `tensorboard` in a run folder. `names` are the logs that there will be.
    pub fn create(folder: &Path, runs: usize, names: &[String]) -> io::Result<Events> {
        let mut files = Vec::new();
        if names.iter().any(|n| n != ENV_STEPS) {
            for parent in folders(folder, runs) {
                fs::create_dir_all(&parent)?;
                let name = format!("events.out.tfevents.{:010}.whorl", now() as u64);
                let mut file = BufWriter::new(File::create(parent.join(name))?);
                file.write_all(&framed(&version(now())))?;
                file.flush()?;
                files.push(file);
            }
        }
        Ok(Events { files, runs: runs.min(MOST_RUNS) })
    }

    /// Opens what an earlier part of the run wrote, to go on from a step: later events are dropped, as is one that was not written to
    /// its end. Where there is nothing, as [`Events::create`].
    pub fn reopen(folder: &Path, runs: usize, names: &[String], before_step: u64) -> io::Result<Events> {
        let mut paths = Vec::new();
        for parent in folders(folder, runs) {
            let Some(path) = event_file(&parent)? else { return Events::create(folder, runs, names) };
            paths.push(path);
        }
        let mut files = Vec::new();
        for path in &paths {
            keep_before(path, before_step)?;
            files.push(BufWriter::new(OpenOptions::new().append(true).open(path)?));
        }
        Ok(Events { files, runs: runs.min(MOST_RUNS) })
    }

    /// Appends records, which come by step: an event a step in each file.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let time = now();
        for of_step in records.chunk_by(|a, b| a.step == b.step) {
            let shown = || of_step.iter().filter(|r| r.name != ENV_STEPS);
            for (k, file) in self.files.iter_mut().enumerate() {
                let value = |r: &Record| match r.values.get(k).filter(|_| k < self.runs) {
                    Some(of_run) => *of_run,
                    None => spread(&r.values).map(|s| s.0),
                };
                let scalars: Vec<(&str, f64)> = shown().filter_map(|r| Some((r.name.as_str(), value(r)?))).collect();
                if !scalars.is_empty() {
                    file.write_all(&framed(&event(time, of_step[0].step, &scalars)))?;
                }
            }
        }
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.files.iter_mut().try_for_each(|f| f.flush())
    }
}

/// Of each run that has one, and of the mean.
fn folders(folder: &Path, runs: usize) -> Vec<PathBuf> {
    let names = (0..runs.min(MOST_RUNS)).map(|k| format!("run{k}")).chain(["mean".to_string()]);
    names.map(|n| folder.join("tensorboard").join(n)).collect()
}

fn event_file(parent: &Path) -> io::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let paths = entries.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    let named = |p: &&PathBuf| p.extension().is_some_and(|e| e == "whorl") && p.to_string_lossy().contains("tfevents");
    Ok(paths.iter().filter(named).min().cloned())
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// Rewrites a file with its events of the steps before; the version, which has none, stays.
fn keep_before(path: &Path, step: u64) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let mut kept = Vec::new();
    let mut rest = &bytes[..];
    while let Some((data, after)) = unframed(rest) {
        if step_of(data).is_none_or(|s| s < step) {
            kept.extend_from_slice(&rest[..rest.len() - after.len()]);
        }
        rest = after;
    }
    if kept.is_empty() {
        kept = framed(&version(now()));
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&kept)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

static CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// TFRecord's checksum: turned and shifted, so that the sum of data that hold sums is no special case.
fn checksum(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length).to_le_bytes(), data, &checksum(data).to_le_bytes()].concat()
}

/// The data of the first record, and what comes behind it; nothing if it is not whole.
fn unframed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let of = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    if checksum(length) != u32::from_le_bytes(*sum) || of > rest.len() {
        return None;
    }
    let (data, rest) = rest.split_at(of);
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    (checksum(data) == u32::from_le_bytes(*sum)).then_some((data, rest))
}

// Fields of messages: a number times 8, plus how it is stored (0 as varint, 1 in eight bytes, 2 with its length, 5 in four bytes).
const WALL_TIME: u8 = 1 << 3 | 1;
const STEP: u8 = 2 << 3;
const FILE_VERSION: u8 = 3 << 3 | 2;
const SUMMARY: u8 = 5 << 3 | 2;
const SUMMARY_VALUE: u8 = 1 << 3 | 2;
const TAG: u8 = 1 << 3 | 2;
const SIMPLE_VALUE: u8 = 2 << 3 | 5;

/// The first event of a file.
fn version(time: f64) -> Vec<u8> {
    let mut out = vec![WALL_TIME];
    out.extend(time.to_le_bytes());
    bytes_field(&mut out, FILE_VERSION, b"brain.Event:2");
    out
}

fn event(time: f64, step: u64, scalars: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in scalars {
        let mut of_value = Vec::new();
        bytes_field(&mut of_value, TAG, tag.as_bytes());
        of_value.push(SIMPLE_VALUE);
        of_value.extend((*value as f32).to_le_bytes());
        bytes_field(&mut summary, SUMMARY_VALUE, &of_value);
    }
    let mut out = vec![WALL_TIME];
    out.extend(time.to_le_bytes());
    out.push(STEP);
    varint(&mut out, step);
    bytes_field(&mut out, SUMMARY, &summary);
    out
}

fn bytes_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// The step of an event that we wrote, behind its time.
fn step_of(event: &[u8]) -> Option<u64> {
    if *event.first()? != WALL_TIME || *event.get(9)? != STEP {
        return None;
    }
    let mut step = 0;
    for (k, byte) in event[10..].iter().take(10).enumerate() {
        step |= ((byte & 0x7f) as u64) << (7 * k).min(63);
        if byte & 0x80 == 0 {
            return Some(step);
        }
    }
    None
}
