//! The run folder: all that a run leaves. One process at a time writes in it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checkpoint::replace;

/// The file whose lock says that a process is at work in the folder. Its contents mean nothing.
const LOCK: &str = "lock";
/// The end of the name of a folder that is being filled.
const PARTIAL: &str = ".partial";

/// A run folder that is this process's own until it is dropped.
pub struct Folder {
    pub path: PathBuf,
    _lock: File,
}

/// Why a folder is not opened.
#[derive(Debug)]
pub enum Closed {
    /// Another process is at work in it.
    Busy,
    Io(io::Error),
}

impl Folder {
    /// Makes the folder at `path` with these files in it, all at once: it is there with them or not at all. `path` must not exist
    /// or be an empty folder.
    pub fn create(path: &Path, files: &[(String, Vec<u8>)]) -> io::Result<Folder> {
        if fs::read_dir(path).is_ok_and(|mut d| d.next().is_some()) {
            let message = format!("the folder {} exists and is not empty", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        remove_stale(parent, &format!(".{name}."));
        let made = parent.join(format!(".{name}.{}{PARTIAL}", std::process::id()));
        let moved = fill(&made, files).and_then(|lock| {
            fs::rename(&made, path)?;
            Ok(lock)
        });
        match moved {
            Ok(lock) => Ok(Folder { path: path.to_path_buf(), _lock: lock }),
            Err(e) => {
                // What there is of it is of no use; the error that matters is the first one.
                let _ = fs::remove_dir_all(&made);
                Err(match e.kind() {
                    io::ErrorKind::DirectoryNotEmpty => io::Error::new(
                        io::ErrorKind::AlreadyExists,
                        format!("the folder {} exists and is not empty", path.display()),
                    ),
                    _ => e,
                })
            }
        }
    }

    /// Makes `parent/name`, or `parent/name-2`, … if that exists.
    pub fn create_new(parent: &Path, name: &str, files: &[(String, Vec<u8>)]) -> io::Result<Folder> {
        let mut k = 1;
        loop {
            let path = parent.join(if k == 1 { name.to_string() } else { format!("{name}-{k}") });
            match Folder::create(&path, files) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && k < 1000 => k += 1,
                other => return other,
            }
        }
    }

    /// Opens a folder that a run has left.
    pub fn open(path: &Path) -> Result<Folder, Closed> {
        let lock = File::options().create(true).append(true).open(path.join(LOCK)).map_err(Closed::Io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path: path.to_path_buf(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Closed::Busy),
            Err(TryLockError::Error(e)) => Err(Closed::Io(e)),
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file of the folder, whole or not at all.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        replace(&self.file(name), bytes)
    }
}

/// Whether a process is at work in the folder.
pub fn busy(path: &Path) -> bool {
    let Ok(lock) = File::open(path.join(LOCK)) else { return false };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Removes what processes left that were killed before their folder was whole.
fn remove_stale(parent: &Path, prefix: &str) {
    /// Nobody takes so long to fill one.
    const OLD: Duration = Duration::from_secs(60);
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name.starts_with(prefix) && name.ends_with(PARTIAL);
        let age = || entry.metadata().and_then(|m| m.modified()).ok()?.elapsed().ok();
        if ours && age().is_some_and(|a| a > OLD) && !busy(&entry.path()) {
            // If it stays, it is only in the way of tidiness.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Makes the folder with its files, on the disk, and locks it.
fn fill(path: &Path, files: &[(String, Vec<u8>)]) -> io::Result<File> {
    // Of a process of the same number that was killed here.
    let _ = fs::remove_dir_all(path);
    fs::create_dir(path)?;
    for (name, bytes) in files {
        let file = path.join(name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&file, bytes)?;
        File::open(&file)?.sync_all()?;
    }
    let lock = File::create(path.join(LOCK))?;
    lock.try_lock().map_err(|e| match e {
        TryLockError::Error(e) => e,
        TryLockError::WouldBlock => io::Error::other("the new folder is locked"),
    })?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_whole_and_do_not_overwrite_each_other() {
        let dir = std::env::temp_dir().join(format!("whorl-folder-{}", std::process::id()));
        let files = [("config.toml".to_string(), b"a = 1".to_vec()), ("source/a.whorl".to_string(), b"b".to_vec())];
        let a = Folder::create_new(&dir, "run", &files).expect("first");
        let b = Folder::create_new(&dir, "run", &files).expect("second");
        assert_ne!(a.path, b.path);
        assert_eq!(fs::read(b.file("source/a.whorl")).expect("read"), b"b");
        let names: Vec<_> = fs::read_dir(&dir).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(Folder::create(&a.path, &files).is_err_and(|e| e.to_string().contains("exists and is not empty")));
        let bad = [("config.toml/x".to_string(), Vec::new()), ("config.toml".to_string(), Vec::new())];
        assert!(Folder::create(&dir.join("bad"), &bad).is_err() && !dir.join("bad").exists());
        let (old, young) = (dir.join(".bad.1.partial"), dir.join(".bad.2.partial"));
        [&old, &young].into_iter().for_each(|d| fs::create_dir(d).expect("a folder"));
        let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        File::open(&old).and_then(|f| f.set_modified(hour_ago)).expect("a time");
        Folder::create(&dir.join("bad"), &files).expect("made");
        assert!(!old.exists() && young.exists());
        fs::create_dir(dir.join("empty")).expect("a folder");
        Folder::create(&dir.join("empty"), &files).expect("an empty folder is taken");
        fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = std::env::temp_dir().join(format!("whorl-locked-{}", std::process::id()));
        let first = Folder::create(&dir, &[]).expect("made");
        assert!(busy(&dir) && matches!(Folder::open(&dir), Err(Closed::Busy)));
        drop(first);
        assert!(!busy(&dir));
        let second = Folder::open(&dir).expect("opened");
        assert!(busy(&dir));
        drop(second);
        assert!(matches!(Folder::open(&dir.join("none")), Err(Closed::Io(_))));
        fs::remove_dir_all(&dir).expect("removed");
    }
}
