//! Checkpoints: the whole training state of every run in one `safetensors` file, replaced atomically.
//!
//! Arrays are named `run{r}/{index}/{name}`; the metadata's entry `whorl` is JSON: the version that wrote it, the format, the phase
//! and the next step, the hash of what is run, and a checksum of all that the file says and holds.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use whorl_data::tensors::dtype;

use crate::engine::{Element, StateArray};
use crate::hash::Checksum;

/// Version of the layout above.
pub const FORMAT: u64 = 3;

pub const FILE: &str = "checkpoint.safetensors";

/// What a checkpoint says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub phase: usize,
    /// Steps of its `train scan` that are done.
    pub step: usize,
    /// The same with those of all `train scan`s before.
    pub steps_done: u64,
    /// Of what is run: sources, data, settings, seed.
    pub run_hash: String,
}

/// A checkpoint as it was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    pub header: Header,
    /// The version of Whorl that wrote it.
    pub version: String,
    /// `states[run]`
    pub states: Vec<Vec<StateArray>>,
}

/// Writes the states (`states[run]`) to `path`: to a file beside it first, which replaces it once it is on the disk. Equal states
/// are equal files.
pub fn write(path: &Path, header: &Header, states: &[Vec<StateArray>]) -> io::Result<()> {
    let mut tensors = Vec::new();
    for (run, arrays) in states.iter().enumerate() {
        for (k, a) in arrays.iter().enumerate() {
            let view = TensorView::new(dtype(a.element), a.shape.clone(), &a.bytes).map_err(io::Error::other)?;
            tensors.push((format!("run{run}/{k}/{}", a.name), view));
        }
    }
    let about = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "format": FORMAT,
        "phase": header.phase,
        "step": header.step,
        "steps_done": header.steps_done,
        "run_hash": header.run_hash,
        "runs": states.len(),
        "checksum": checksum(header, states),
    });
    // One entry, so that equal states are equal files: a map's entries would come in any order.
    let metadata = HashMap::from([("whorl".to_string(), about.to_string())]);
    replace_by(path, |beside| {
        safetensors::serialize_to_file(tensors, Some(metadata), beside).map_err(|e| match e {
            safetensors::SafeTensorError::IoError(e) => e,
            other => io::Error::other(other),
        })
    })
}

fn checksum(header: &Header, states: &[Vec<StateArray>]) -> String {
    let mut sum = Checksum::new();
    sum.add(format!("{header:?} {}", states.len()).as_bytes());
    for arrays in states {
        sum.add(arrays.len().to_string().as_bytes());
        for a in arrays {
            sum.add(format!("{} {:?} {:?}", a.name, a.element, a.shape).as_bytes());
            sum.add(&a.bytes);
        }
    }
    sum.text()
}

/// Why a checkpoint is not taken.
#[derive(Debug)]
pub enum Unreadable {
    /// There is no such file.
    Missing,
    Io(io::Error),
    /// It is another program's file, or none of this format.
    Foreign(String),
    /// It was one, and is no longer whole.
    Damaged(String),
    /// A later version's.
    Newer(u64),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Unreadable::Missing => f.write_str("there is no such file"),
            Unreadable::Io(e) => write!(f, "{e}"),
            Unreadable::Foreign(why) => write!(f, "this is no checkpoint of Whorl: {why}"),
            Unreadable::Damaged(why) => write!(f, "the checkpoint is damaged: {why}"),
            Unreadable::Newer(format) => write!(
                f,
                "the checkpoint has format {format}, and this version of Whorl ({}) knows formats up to {FORMAT}",
                env!("CARGO_PKG_VERSION")
            ),
        }
    }
}

/// Reads a checkpoint and proves that it is whole.
pub fn read(path: &Path) -> Result<Checkpoint, Unreadable> {
    let bytes = std::fs::read(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Unreadable::Missing,
        _ => Unreadable::Io(e),
    })?;
    let about = about(&bytes)?;
    let number =
        |name: &str| about[name].as_u64().ok_or_else(|| Unreadable::Damaged(format!("it does not say its {name}")));
    let text = |name: &str| {
        let text = about[name].as_str().map(str::to_string);
        text.ok_or_else(|| Unreadable::Damaged(format!("it does not say its {name}")))
    };
    let header = Header {
        phase: number("phase")? as usize,
        step: number("step")? as usize,
        steps_done: number("steps_done")?,
        run_hash: text("run_hash")?,
    };
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| Unreadable::Damaged(e.to_string()))?;
    let states = states(&tensors, number("runs")? as usize)?;
    if checksum(&header, &states) != text("checksum")? {
        return Err(Unreadable::Damaged("its checksum is not that of its contents".to_string()));
    }
    Ok(Checkpoint { header, version: text("version")?, states })
}

/// Only what the file says of itself: which step it is of. Nothing is proven of its arrays.
pub fn read_header(path: &Path) -> Result<Header, Unreadable> {
    use std::io::Read;
    let mut file = File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Unreadable::Missing,
        _ => Unreadable::Io(e),
    })?;
    let (mut length, size) = ([0; 8], file.metadata().map_err(Unreadable::Io)?.len());
    file.read_exact(&mut length).map_err(|_| Unreadable::Foreign("it is too short".to_string()))?;
    let header = u64::from_le_bytes(length);
    if header > size {
        return Err(Unreadable::Foreign("it does not begin as a `safetensors` file does".to_string()));
    }
    let mut bytes = [length.as_slice(), &vec![0; header as usize]].concat();
    file.read_exact(&mut bytes[8..]).map_err(Unreadable::Io)?;
    let about = about(&bytes)?;
    let number = |name: &str| about[name].as_u64().unwrap_or(0) as usize;
    let run_hash = about["run_hash"].as_str().unwrap_or_default().to_string();
    let steps_done = about["steps_done"].as_u64().unwrap_or(0);
    Ok(Header { phase: number("phase"), step: number("step"), steps_done, run_hash })
}

/// The metadata's entry `whorl`, of a format that is known.
fn about(bytes: &[u8]) -> Result<Value, Unreadable> {
    let foreign = |why: &str| Unreadable::Foreign(why.to_string());
    let length = bytes.first_chunk().ok_or_else(|| foreign("it is too short"))?;
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().and_then(|n| bytes.get(8..8usize.checked_add(n)?));
    let Some(header) = header else {
        // A safetensors header opens with a brace, cut off or not.
        return Err(match bytes.get(8) {
            Some(b'{') => Unreadable::Damaged(format!("it is cut off after {} bytes", bytes.len())),
            _ => foreign("it does not begin as a `safetensors` file does"),
        });
    };
    let header: Value = serde_json::from_slice(header).map_err(|_| match header.first() {
        Some(b'{') => Unreadable::Damaged("its header is not readable".to_string()),
        _ => foreign("it does not begin as a `safetensors` file does"),
    })?;
    let about = header["__metadata__"]["whorl"]
        .as_str()
        .ok_or_else(|| foreign("it is a `safetensors` file of another program"))?;
    let about: Value =
        serde_json::from_str(about).map_err(|_| Unreadable::Damaged("its header is not readable".to_string()))?;
    match about["format"].as_u64() {
        Some(FORMAT) => Ok(about),
        Some(newer) if newer > FORMAT => Err(Unreadable::Newer(newer)),
        Some(older) => {
            Err(foreign(&format!("its format {older} is no longer read; this version writes format {FORMAT}")))
        }
        None => Err(Unreadable::Damaged("it does not say its format".to_string())),
    }
}

fn states(tensors: &SafeTensors, runs: usize) -> Result<Vec<Vec<StateArray>>, Unreadable> {
    let damaged = |name: &str| Unreadable::Damaged(format!("it holds an array `{name}` that it should not"));
    let mut arrays: Vec<(usize, usize, StateArray)> = Vec::new();
    for (name, view) in tensors.tensors() {
        let mut parts = name.splitn(3, '/');
        let run = parts.next().and_then(|p| p.strip_prefix("run")?.parse().ok());
        let index = parts.next().and_then(|p| p.parse().ok());
        let (Some(run), Some(index), Some(own)) = (run, index, parts.next()) else { return Err(damaged(&name)) };
        let element = element(view.dtype()).ok_or_else(|| damaged(&name))?;
        let array =
            StateArray { name: own.to_string(), element, shape: view.shape().to_vec(), bytes: view.data().to_vec() };
        arrays.push((run, index, array));
    }
    arrays.sort_by_key(|(run, index, _)| (*run, *index));
    let mut states: Vec<Vec<StateArray>> = Vec::new();
    states.resize_with(runs.min(arrays.len().max(1)), Vec::new);
    for (run, index, array) in arrays {
        let state = states.get_mut(run).filter(|s| s.len() == index);
        state.ok_or_else(|| Unreadable::Damaged("its arrays are not complete".to_string()))?.push(array);
    }
    if states.len() != runs {
        return Err(Unreadable::Damaged("its arrays are not complete".to_string()));
    }
    Ok(states)
}

fn element(d: Dtype) -> Option<Element> {
    [Element::F32, Element::F64, Element::F16, Element::BF16, Element::I32, Element::U32, Element::U8, Element::Bool]
        .into_iter()
        .find(|e| dtype(*e) == d)
}

/// Puts `bytes` in the place of the file, or leaves it as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(path, |beside| std::fs::write(beside, bytes))
}

/// Puts what `write` writes in the place of the file once it is on the disk, or leaves it as it was.
fn replace_by(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let beside = beside(path);
    let written = write(&beside).and_then(|()| File::open(&beside)?.sync_all());
    match written.and_then(|()| std::fs::rename(&beside, path)) {
        Ok(()) => {
            sync_folder(path);
            Ok(())
        }
        Err(e) => {
            // Whatever there is of the new file is of no use; the error that matters is the first one.
            let _ = std::fs::remove_file(&beside);
            Err(e)
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{name}.partial"))
}

/// Makes the renaming last. Where folders cannot be synced, the file itself is safe all the same.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|f| f.sync_all());
}

/// Keeps the present checkpoint beside the next one, as `checkpoint-<step>.safetensors`, and of such the latest `keep - 1`.
pub fn keep_earlier(folder: &Path, keep: usize) -> io::Result<()> {
    let present = folder.join(FILE);
    if keep > 1
        && let Ok(header) = read_header(&present)
    {
        let name = folder.join(format!("checkpoint-{}-{:08}.safetensors", header.phase, header.step));
        if !name.exists() {
            // Two names of one file; the next checkpoint takes the present name.
            std::fs::hard_link(&present, &name).or_else(|_| std::fs::copy(&present, &name).map(|_| ()))?;
        }
    }
    let kept = earlier(folder);
    for old in kept.iter().take(kept.len().saturating_sub(keep.max(1) - 1)) {
        std::fs::remove_file(old)?;
    }
    Ok(())
}

/// The checkpoints that are kept beside the present one, the earliest first.
pub fn earlier(folder: &Path) -> Vec<PathBuf> {
    let is_one = |p: &PathBuf| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("checkpoint-") && name.ends_with(".safetensors")
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|e| e.path()).filter(is_one).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let dir = std::env::temp_dir().join(format!("whorl-checkpoint-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).expect("a folder");
            Folder(dir)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // What is left behind in the temporary folder does no harm.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn example() -> (Header, Vec<Vec<StateArray>>) {
        let array = |name: &str, values: &[f32]| StateArray {
            name: name.into(),
            element: Element::F32,
            shape: vec![values.len()],
            bytes: values.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        };
        let header = Header { phase: 1, step: 3, steps_done: 3, run_hash: "abc".into() };
        let run = |x: f32| vec![array("w/b", &[x, 2.0]), array("_", &[]), array("_", &[3.0])];
        (header, vec![run(1.0), run(5.0)])
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = Folder::new("written");
        let path = dir.0.join(FILE);
        let (header, states) = example();
        write(&path, &header, &states).expect("written");
        let read = read(&path).expect("read");
        assert_eq!((&read.header, &read.states), (&header, &states));
        assert_eq!(read_header(&path).expect("a header"), header);
        assert_eq!(std::fs::read_dir(&dir.0).expect("a folder").count(), 1, "nothing is left beside it");
        assert!(replace(&dir.0.join("no/such/folder"), b"x").is_err());
    }

    #[test]
    fn no_damage_goes_unseen() {
        let dir = Folder::new("damaged");
        let path = dir.0.join(FILE);
        let (header, states) = example();
        write(&path, &header, &states).expect("written");
        let good = std::fs::read(&path).expect("bytes");
        let try_it = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            read(&path)
        };
        for length in 0..good.len() {
            assert!(try_it(&good[..length]).is_err(), "cut off after {length} bytes");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            // White space of the header is nothing; all else is.
            match try_it(&bytes) {
                Err(_) => {}
                Ok(read) => assert_eq!((read.header, read.states), (header.clone(), states.clone()), "byte {at}"),
            }
        }
        let longer = [good.as_slice(), b"x"].concat();
        assert!(matches!(try_it(&longer), Err(Unreadable::Damaged(_))));
    }

    #[test]
    fn other_files_are_told_from_damaged_ones() {
        let dir = Folder::new("foreign");
        let path = dir.0.join(FILE);
        let said = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            read(&path).expect_err("an error").to_string()
        };
        assert!(said(b"").contains("no checkpoint of Whorl: it is too short"));
        assert!(said(b"hello, this is a text file").contains("does not begin"));
        let view = TensorView::new(Dtype::U8, vec![1], b"x").expect("a view");
        let other = safetensors::serialize([("a", view)], None).expect("bytes");
        assert!(said(&other).contains("another program"));
        let (header, states) = example();
        write(&path, &header, &states).expect("written");
        let text = std::fs::read(&path).expect("bytes");
        assert!(said(&text[..20]).contains("cut off after 20 bytes"));
        let newer: Vec<u8> = String::from_utf8_lossy(&text).replace("format\\\":3", "format\\\":9").into_bytes();
        assert!(said(&newer).contains("format 9"), "{}", said(&newer));
        assert!(matches!(read(&dir.0.join("none")), Err(Unreadable::Missing)));
    }

    #[test]
    fn earlier_ones_are_kept() {
        let dir = Folder::new("kept");
        let (header, states) = example();
        for step in 0..5 {
            keep_earlier(&dir.0, 3).expect("kept");
            write(&dir.0.join(FILE), &Header { step, ..header.clone() }, &states).expect("written");
        }
        let steps: Vec<usize> = earlier(&dir.0).iter().map(|p| read(p).expect("whole").header.step).collect();
        assert_eq!(steps, [2, 3]);
        keep_earlier(&dir.0, 1).expect("kept");
        assert!(earlier(&dir.0).is_empty());
    }
}
