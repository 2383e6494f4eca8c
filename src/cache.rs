//! Compiled programs on disk, so that the same one need not be compiled again.
//!
//! An entry's name is a hash of all that decides what it holds: the traced program with its spans, how it is compiled, this machine's
//! instructions, and the sources of this very compiler. Entries appear whole (by renaming) and carry a checksum; what is damaged, foreign, or not to be
//! read or written is as if it were not there. As machine code is executed from there, the folder is the user's alone.

use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use whorl_core::Program;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Where compiled programs are kept, if they are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cache(Option<PathBuf>);

/// What an entry begins with, before its key, the checksum of the rest, and the rest.
const MAGIC: &[u8; 16] = b"whorl program 1\n";
const HEADER: usize = MAGIC.len() + 32;
const ENDING: &str = "program";
/// All entries together; beyond it, those that were not used for the longest time go.
const MOST: u64 = 256 << 20;
/// An entry that is larger is not kept.
const LARGEST: usize = 32 << 20;
/// A file that was being written so long ago is not being written any more.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The name of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key([u8; 16]);

struct Hashing(Xxh3);

impl Hasher for Hashing {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.digest()
    }
}

impl Key {
    /// Of a program that has been traced, compiled by this compiler; `how` is all else that decides what is kept: for which machine, and in which
    /// way.
    pub fn of(program: &Program, how: impl Hash) -> Key {
        let mut hashing = Hashing(Xxh3::new());
        (env!("WHORL_SOURCES"), cfg!(debug_assertions)).hash(&mut hashing);
        how.hash(&mut hashing);
        program.hash(&mut hashing);
        Key(hashing.0.digest128().to_le_bytes())
    }

    fn name(self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// How much a cache holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    pub entries: usize,
    pub bytes: u64,
}

impl Cache {
    /// None: nothing is read or kept.
    pub fn none() -> Cache {
        Cache(None)
    }

    pub fn in_folder(folder: impl Into<PathBuf>) -> Cache {
        Cache(Some(folder.into()))
    }

    /// `WHORL_CACHE`, which may be `off`; else `whorl` in the user's folder for caches.
    pub fn of_user() -> Cache {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(folder) = var("WHORL_CACHE") {
            return if folder == Path::new("off") { Cache::none() } else { Cache(Some(folder)) };
        }
        let caches = if cfg!(target_os = "macos") {
            var("HOME").map(|home| home.join("Library/Caches"))
        } else if cfg!(windows) {
            var("LOCALAPPDATA")
        } else {
            let home = || var("HOME").map(|home| home.join(".cache"));
            var("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(home)
        };
        Cache(caches.map(|folder| folder.join("whorl")))
    }

    pub fn folder(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    fn path(&self, key: Key) -> Option<PathBuf> {
        Some(self.folder()?.join(key.name()).with_extension(ENDING))
    }

    /// What is kept under this key, which says of what type it is.
    pub fn get<T: DeserializeOwned>(&self, key: Key) -> Option<T> {
        let path = self.path(key)?;
        if !private(self.folder()?) {
            return None;
        }
        let mut file = File::open(&path).ok()?;
        let found = read(&mut file, key);
        if found.is_none() {
            // It will not become better.
            let _ = fs::remove_file(&path);
        } else {
            // For those that must go some day; a file system that keeps no times loses nothing else.
            let _ = file.set_modified(SystemTime::now());
        }
        found
    }

    /// Keeps what was compiled, if that is possible.
    pub fn put<T: Serialize>(&self, key: Key, compiled: &T) {
        let (Some(folder), Some(path)) = (self.folder(), self.path(key)) else { return };
        let Ok(payload) = postcard::to_stdvec(compiled) else { return };
        if payload.len() > LARGEST || make(folder).is_err() || !private(folder) {
            return;
        }
        let part = folder.join(format!("{}.{}.part", key.name(), std::process::id()));
        let written = File::create(&part).and_then(|mut file| {
            file.write_all(MAGIC)?;
            file.write_all(&key.0)?;
            file.write_all(&xxh3_128(&payload).to_le_bytes())?;
            file.write_all(&payload)
        });
        if written.and_then(|()| fs::rename(&part, &path)).is_err() {
            let _ = fs::remove_file(&part);
        }
        self.tidy(MOST);
    }

    fn files(&self) -> Vec<(PathBuf, u64, SystemTime)> {
        let entries = self.folder().and_then(|f| fs::read_dir(f).ok()).into_iter().flatten().flatten();
        let file = |e: fs::DirEntry| {
            let about = e.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((e.path(), about.len(), about.modified().ok()?))
        };
        entries.filter_map(file).collect()
    }

    /// Removes what was not used for the longest time, until so many bytes are left, and what was never finished.
    fn tidy(&self, most: u64) {
        let (mut entries, others): (Vec<_>, Vec<_>) =
            self.files().into_iter().partition(|(path, _, _)| path.extension().is_some_and(|e| e == ENDING));
        for (path, _, modified) in others {
            if path.extension().is_some_and(|e| e == "part") && modified.elapsed().is_ok_and(|t| t > ABANDONED) {
                let _ = fs::remove_file(path);
            }
        }
        let mut total: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        entries.sort_by_key(|(_, _, modified)| *modified);
        for (path, bytes, _) in entries {
            if total <= most {
                return;
            }
            if fs::remove_file(path).is_ok() {
                total -= bytes;
            }
        }
    }

    pub fn size(&self) -> Size {
        let entries = self.files().into_iter().filter(|(path, _, _)| path.extension().is_some_and(|e| e == ENDING));
        entries.fold(Size::default(), |s, (_, bytes, _)| Size { entries: s.entries + 1, bytes: s.bytes + bytes })
    }

    /// Removes all entries, and what was never finished.
    pub fn clear(&self) -> std::io::Result<Size> {
        let size = self.size();
        for (path, _, _) in self.files() {
            if path.extension().is_some_and(|e| e == ENDING || e == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(size)
    }
}

/// `whorl cache`: where compiled programs are and how many; with `clear`, none any more.
pub fn tell(cache: &Cache, clear: bool) -> Result<ExitCode, String> {
    let Some(folder) = cache.folder() else {
        say!("compiled programs are not kept: WHORL_CACHE is off, or there is no folder for caches");
        return Ok(ExitCode::SUCCESS);
    };
    let told = |s: Size| format!("{} compiled programs, {}", s.entries, crate::words::bytes(s.bytes as usize));
    if clear {
        let size = cache.clear().map_err(|e| format!("error: {}: {e}", folder.display()))?;
        say!("{}: removed {}", folder.display(), told(size));
    } else {
        say!("{}: {} (of {} at most)", folder.display(), told(cache.size()), crate::words::bytes(MOST as usize));
    }
    Ok(ExitCode::SUCCESS)
}

fn read<T: DeserializeOwned>(file: &mut File, key: Key) -> Option<T> {
    let mut bytes = Vec::new();
    file.take((HEADER + LARGEST) as u64 + 1).read_to_end(&mut bytes).ok()?;
    let payload = bytes.get(HEADER..)?;
    let sum = xxh3_128(payload).to_le_bytes();
    let head = [&MAGIC[..], &key.0, &sum].concat();
    if bytes[..HEADER] != head {
        return None;
    }
    let (image, rest) = postcard::take_from_bytes(payload).ok()?;
    rest.is_empty().then_some(image)
}

#[cfg(unix)]
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}

/// Whether nobody else can put machine code there.
#[cfg(unix)]
fn private(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = nix::unistd::geteuid().as_raw();
    fs::metadata(folder).is_ok_and(|m| m.is_dir() && m.uid() == own && m.mode() & 0o022 == 0)
}

#[cfg(not(unix))]
fn private(folder: &Path) -> bool {
    folder.is_dir()
}

#[cfg(test)]
mod tests {
    use whorl_cpu::{Image, Options};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("whorl-cache-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    fn compiled(text: &str) -> (Key, Image) {
        let source = crate::pipeline::load_text("test.whorl", text.to_string(), &[]).expect("a script");
        let program = source.script.trace_main().expect("a program").program;
        let options = Options { threads: 1, ..Options::default() };
        let key = Key::of(&program, ("cpu", 1, &options));
        let flat = crate::pipeline::flatten(program);
        let loops = crate::pipeline::schedule(&flat, &source.map).expect("a schedule");
        (key, whorl_cpu::image(&loops, &options).expect("code"))
    }

    const ONE: &str = "fn main() = tanh(sum([0.5, 1.0, 2.0]) + [1.0, 2.0])\n";
    const OTHER: &str = "fn main() = tanh(sum([0.5, 1.0, 2.5]) + [1.0, 2.0])\n";

    fn results(image: Image) -> Vec<whorl_core::ir::ArrayData> {
        whorl_cpu::load(image).expect("it loads").run_to_end(&[], 1).expect("it runs")
    }

    #[test]
    fn what_was_put_is_found() {
        let cache = Cache::in_folder(folder("found"));
        let (key, image) = compiled(ONE);
        assert!(cache.get::<Image>(key).is_none());
        cache.put(key, &image);
        let found = cache.get::<Image>(key).expect("an entry");
        assert_eq!(results(found), results(image));
        assert_eq!(cache.size().entries, 1);
        assert_eq!(compiled(ONE).0, key);
        assert_ne!(compiled(OTHER).0, key);
        assert!(cache.get::<Image>(compiled(OTHER).0).is_none());
        assert_eq!(cache.clear().expect("cleared").entries, 1);
        assert!(cache.get::<Image>(key).is_none());
        let _ = fs::remove_dir_all(cache.folder().expect("a folder"));
    }

    #[test]
    fn damage_is_as_if_it_were_not_there() {
        let cache = Cache::in_folder(folder("damage"));
        let (key, image) = compiled(ONE);
        cache.put(key, &image);
        let path = cache.path(key).expect("a path");
        let whole = fs::read(&path).expect("an entry");
        for at in (0..whole.len()).step_by(whole.len() / 200 + 1) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).expect("written");
            assert!(cache.get::<Image>(key).is_none(), "a flipped bit in byte {at}");
            assert!(!path.exists(), "a damaged entry stays");
            fs::write(&path, &whole[..at]).expect("written");
            assert!(cache.get::<Image>(key).is_none(), "cut at {at}");
        }
        fs::write(&path, [&whole[..], b"x"].concat()).expect("written");
        assert!(cache.get::<Image>(key).is_none(), "something behind the end");
        fs::write(&path, &whole).expect("written");
        assert!(cache.get::<Image>(key).is_some());
        // Another program's entry under this name.
        let (other, image) = compiled(OTHER);
        cache.put(other, &image);
        fs::copy(cache.path(other).expect("a path"), &path).expect("copied");
        assert!(cache.get::<Image>(key).is_none());
        let _ = fs::remove_dir_all(cache.folder().expect("a folder"));
    }

    #[test]
    fn the_oldest_go_first() {
        let cache = Cache::in_folder(folder("oldest"));
        let (first, image) = compiled(ONE);
        cache.put(first, &image);
        let (second, image) = compiled(OTHER);
        cache.put(second, &image);
        let long_ago = SystemTime::now() - Duration::from_secs(100_000);
        let touched = |key: Key| File::open(cache.path(key).expect("a path")).expect("an entry").set_modified(long_ago);
        touched(first).expect("touched");
        touched(second).expect("touched");
        // Using it makes it young again.
        assert!(cache.get::<Image>(first).is_some());
        let part = cache.folder().expect("a folder").join("x.1.part");
        fs::write(&part, b"x").expect("written");
        File::open(&part).expect("a file").set_modified(long_ago).expect("touched");
        cache.tidy(cache.size().bytes - 1);
        assert!(cache.get::<Image>(first).is_some());
        assert!(cache.get::<Image>(second).is_none());
        assert!(!part.exists());
        let _ = fs::remove_dir_all(cache.folder().expect("a folder"));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_write_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let cache = Cache::in_folder(folder("others"));
        let (key, image) = compiled(ONE);
        cache.put(key, &image);
        let folder = cache.folder().expect("a folder");
        assert_eq!(fs::metadata(folder).expect("a folder").permissions().mode() & 0o777, 0o700);
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("opened");
        assert!(cache.get::<Image>(key).is_none());
        let (other, image) = compiled(OTHER);
        cache.put(other, &image);
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("closed");
        assert!(cache.get::<Image>(other).is_none());
        assert!(cache.get::<Image>(key).is_some());
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn a_folder_that_cannot_be_is_no_error() {
        let file = folder("file");
        fs::write(&file, b"x").expect("written");
        let (key, image) = compiled(ONE);
        for cache in [Cache::in_folder(&file), Cache::in_folder(file.join("below")), Cache::none()] {
            cache.put(key, &image);
            assert!(cache.get::<Image>(key).is_none());
        }
        let _ = fs::remove_file(file);
    }
}
