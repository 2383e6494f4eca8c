//! A file of lines that grows while the program runs: only whole lines count, and none is lost.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An open file of lines. What could not be written, because the disk is full, waits in memory and is tried again.
pub struct Lines {
    pub path: PathBuf,
    file: File,
    /// Bytes of whole lines in the file.
    good: u64,
    waiting: Vec<u8>,
}

impl Lines {
    /// An empty file.
    pub fn create(path: &Path) -> io::Result<Lines> {
        Ok(Lines { path: path.to_path_buf(), file: File::create(path)?, good: 0, waiting: Vec::new() })
    }

    /// The file as it was left, without its lines from the first that `keep` refuses on, or from one that was not written whole.
    pub fn reopen(path: &Path, mut keep: impl FnMut(&str) -> bool) -> io::Result<Lines> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Lines::create(path),
            Err(e) => return Err(e),
        };
        let mut good = 0;
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let whole = line.strip_suffix(b"\n").and_then(|l| std::str::from_utf8(l).ok());
            if !whole.is_some_and(&mut keep) {
                break;
            }
            good += line.len() as u64;
        }
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(good)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Lines { path: path.to_path_buf(), file, good, waiting: Vec::new() })
    }

    /// Adds a line, to be written with the next [`Lines::flush`].
    pub fn add(&mut self, line: impl std::fmt::Display) {
        // Writing to a vector does not fail.
        let _ = writeln!(self.waiting, "{line}");
    }

    /// Writes what waits. After an error the file has whole lines only, and everything still waits.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        match self.file.write_all(&self.waiting) {
            Ok(()) => {
                self.good += self.waiting.len() as u64;
                self.waiting.clear();
                Ok(())
            }
            Err(e) => {
                self.file.set_len(self.good)?;
                self.file.seek(SeekFrom::Start(self.good))?;
                Err(e)
            }
        }
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Waits until what was written is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_kept_and_others_dropped() {
        let path = std::env::temp_dir().join(format!("whorl-lines-{}", std::process::id()));
        let text = || std::fs::read_to_string(&path).expect("text");
        let mut lines = Lines::create(&path).expect("a file");
        (0..4).for_each(|i| lines.add(i));
        lines.flush().expect("written");
        assert_eq!(text(), "0\n1\n2\n3\n");
        std::fs::write(&path, "0\n1\n2\n3\n4").expect("torn");
        let mut lines = Lines::reopen(&path, |l| l != "9").expect("a file");
        lines.add("five");
        lines.flush().expect("written");
        assert_eq!(text(), "0\n1\n2\n3\nfive\n");
        let mut lines = Lines::reopen(&path, |l| l.parse::<u32>().is_ok_and(|n| n < 2)).expect("a file");
        assert_eq!(text(), "0\n1\n");
        lines.add(2);
        lines.flush().expect("written");
        assert_eq!(text(), "0\n1\n2\n");
        std::fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn what_cannot_be_written_waits() {
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
            eprintln!("skipped: there is no /dev/full here");
            return;
        };
        let mut lines = Lines { path: PathBuf::from("/dev/full"), file: full, good: 0, waiting: Vec::new() };
        lines.add("a");
        assert!(lines.flush().is_err());
        lines.add("b");
        assert!(lines.flush().is_err());
        assert_eq!(lines.waiting, b"a\nb\n");
    }
}
