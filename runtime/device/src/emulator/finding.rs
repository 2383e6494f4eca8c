//! What the emulator finds wrong with a kernel.

use super::code::Code;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// Two threads touch a byte, one writes, and nothing orders them.
    Race,
    /// Memory is read that nobody has written.
    UninitialisedMemory,
    /// A register is read that the thread has not written.
    UninitialisedRegister,
    /// A barrier that not all threads reach, or an exchange between lanes of which some are not there.
    Divergence,
    /// Threads wait for what never comes.
    Deadlock,
    /// More instructions than the launch was given.
    Runaway,
    OutOfBounds,
    Misaligned,
    /// A write to memory that is only read.
    ReadOnly,
    /// The kernel executed `trap`.
    Trap,
    /// Something that the emulator does not do.
    Limit,
}

/// One finding: where, who, and what.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub kind: FindingKind,
    pub kernel: String,
    /// The line of the PTX text, and what stands there.
    pub line: u32,
    pub text: String,
    /// File, line and column of the last `.loc`.
    pub source: Option<(String, u32, u32)>,
    pub block: u32,
    /// Threads of the block.
    pub threads: Vec<u32>,
    pub address: Option<u64>,
    /// What happened, in a sentence.
    pub what: String,
}

/// A finding before it has a place: what the executing functions say.
#[derive(Debug)]
pub struct Fault {
    pub kind: FindingKind,
    pub lanes: u32,
    pub address: Option<u64>,
    pub what: String,
}

impl Fault {
    pub fn new(kind: FindingKind, lanes: u32, what: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { kind, lanes, address: None, what: what.into() })
    }

    pub fn at(kind: FindingKind, lane: u32, address: u64, what: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { kind, lanes: 1 << lane, address: Some(address), what: what.into() })
    }
}

impl Finding {
    pub fn new(fault: Fault, code: &Code, pc: u32, block: u32, warp: u32) -> Finding {
        let threads = (0..32).filter(|lane| fault.lanes >> lane & 1 == 1).map(|lane| warp * 32 + lane).collect();
        Finding {
            kind: fault.kind,
            kernel: code.name.clone(),
            line: code.lines[pc as usize],
            text: code.text(pc),
            source: code.source(pc),
            block,
            threads,
            address: fault.address,
            what: fault.what,
        }
    }
}

impl Code {
    /// The PTX of an instruction.
    pub fn text(&self, pc: u32) -> String {
        self.text.get(self.lines[pc as usize] as usize - 1).map_or(String::new(), |line| line.trim().to_string())
    }

    pub fn source(&self, pc: u32) -> Option<(String, u32, u32)> {
        let loc = self.locs[pc as usize]?;
        let file = self.files.iter().find(|(number, _)| *number == loc.file);
        Some((file.map_or_else(|| format!("file {}", loc.file), |(_, name)| name.clone()), loc.line, loc.column))
    }

    /// An instruction in a sentence: its PTX, its line and its line of the source.
    pub fn describe(&self, pc: u32) -> String {
        let source = self.source(pc).map_or(String::new(), |(file, line, _)| format!(", {file}:{line}"));
        format!("`{}` (PTX line {}{source})", self.text(pc), self.lines[pc as usize])
    }
}

/// `0-31, 64`
pub fn ranges(threads: &[u32]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut at = 0;
    while at < threads.len() {
        let mut end = at;
        while end + 1 < threads.len() && threads[end + 1] == threads[end] + 1 {
            end += 1;
        }
        parts.push(if end == at { threads[at].to_string() } else { format!("{}-{}", threads[at], threads[end]) });
        at = end + 1;
    }
    parts.join(", ")
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}, PTX line {}: `{}`", self.kernel, self.line, self.text)?;
        if let Some((file, line, column)) = &self.source {
            write!(f, "\n  source {file}:{line}")?;
            if *column > 0 {
                write!(f, ":{column}")?;
            }
        }
        write!(f, "\n  block {}", self.block)?;
        match self.threads.len() {
            0 => {}
            1 => write!(f, ", thread {}", self.threads[0])?,
            _ => write!(f, ", threads {}", ranges(&self.threads))?,
        }
        if let Some(address) = self.address {
            write!(f, ", address {address:#x}")?;
        }
        write!(f, "\n  {}", self.what)
    }
}
