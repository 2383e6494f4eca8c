//! The command line, from outside: the built binary in a folder of its own.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// The card that tests run on, as `--device` takes it: emulated, unless `WHORL_CARD` names one.
pub fn card() -> String {
    std::env::var("WHORL_CARD").unwrap_or("emulated".to_string())
}

/// A folder that goes when the test ends.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("whorl-tool-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    pub fn with(name: &str, script: &str) -> Folder {
        let folder = Folder::new(name);
        folder.write("script.whorl", script);
        folder
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file for the test");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("text")
    }

    /// `whorl` with these arguments, in the folder.
    pub fn whorl(&self, line: &str) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_whorl"))
            .env("WHORL_CACHE", "off")
            .args(line.split_whitespace())
            .current_dir(&self.0)
            .output();
        Said::new(line, output.expect("the binary runs"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct Said {
    pub line: String,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn new(line: &str, output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Said { line: line.to_string(), code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn good(self) -> Said {
        assert_eq!(self.code, Some(0), "whorl {}\n{}\n{}", self.line, self.out, self.err);
        self
    }

    #[track_caller]
    pub fn bad(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "whorl {}\n{}\n{}", self.line, self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "whorl {} does not say `{part}`:\n{}", self.line, self.err);
        }
        assert!(!self.err.contains("panicked"), "whorl {}:\n{}", self.line, self.err);
    }
}

#[track_caller]
pub fn events(out: &str) -> Vec<Value> {
    out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect()
}

pub fn kind(event: &Value) -> &str {
    event["event"].as_str().unwrap_or("")
}

/// The header of a checkpoint and the bytes of its arrays.
pub fn parts(checkpoint: &[u8]) -> (Value, &[u8]) {
    let length = u64::from_le_bytes(checkpoint[..8].try_into().expect("eight bytes")) as usize;
    let (header, arrays) = checkpoint[8..].split_at(length);
    (serde_json::from_slice(header).expect("a header"), arrays)
}
