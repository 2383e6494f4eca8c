//! What can go wrong with a device: which call, what happened, where, and what to do.

use crate::emulator::finding::Finding;
use std::fmt;

/// The sort of a failure, for callers that react to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// No driver or no card.
    NoDevice,
    /// The device has less memory than was asked for.
    OutOfMemory { wanted: u64, free: u64 },
    /// PTX text that cannot be loaded.
    Module,
    /// A launch that the device cannot do.
    Launch,
    /// An address or a handle that is not (or no longer) valid.
    Invalid,
    /// A kernel that did something wrong, as the emulator found.
    Finding(Box<Finding>),
    /// A kernel that failed on a card.
    Kernel,
    /// A call of the driver that failed for another reason.
    Driver,
}

/// A failure of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    pub kind: Kind,
    /// The call that failed: the driver's name of it on a card, the trait's on the emulator.
    pub call: String,
    /// What happened, in a sentence.
    pub what: String,
    /// Where: a line of PTX, a kernel, an address.
    pub place: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Error {
    pub fn new(kind: Kind, call: &str, what: impl Into<String>) -> Error {
        Error { kind, call: call.to_string(), what: what.into(), place: None, hint: None }
    }

    pub fn at(mut self, place: impl Into<String>) -> Error {
        self.place = Some(place.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// What the emulator found, if that is what failed.
    pub fn finding(&self) -> Option<&Finding> {
        match &self.kind {
            Kind::Finding(finding) => Some(finding),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.what)?;
        if let Some(place) = &self.place {
            write!(f, "\n  at {place}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
