//! Why a file is not what it should be.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The file is not of its format, or damaged.
    Malformed,
    /// The elements are of a type, or have values, that the language has no type for.
    Element,
    /// There is no memory for what it holds.
    TooLarge,
}

/// A sentence on what is wrong and where in the file, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub kind: Kind,
    pub message: String,
    pub help: Option<String>,
}

impl Problem {
    pub fn malformed(message: impl Into<String>) -> Problem {
        Problem { kind: Kind::Malformed, message: message.into(), help: None }
    }

    pub fn element(message: impl Into<String>) -> Problem {
        Problem { kind: Kind::Element, message: message.into(), help: None }
    }

    pub fn help(self, text: impl Into<String>) -> Problem {
        Problem { help: Some(text.into()), ..self }
    }

    /// The same, of the array of this name.
    pub fn of(self, name: &str) -> Problem {
        Problem { message: format!("`{name}`: {}", self.message), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// The memory that arrays may still take, in bytes.
pub struct Room(pub u64);

impl Room {
    /// Takes room for an array of these sizes; gives its bytes.
    pub fn take(&mut self, shape: &[usize], width: usize) -> Result<usize, Problem> {
        // An array without elements takes none, but its other sizes are multiplied here and there.
        let bytes = shape.iter().try_fold(width as u64, |all, n| all.checked_mul((*n).max(1) as u64));
        match bytes {
            Some(bytes) if bytes <= self.0 && shape.contains(&0) => Ok(0),
            Some(bytes) if bytes <= self.0 => {
                self.0 -= bytes;
                Ok(bytes as usize)
            }
            Some(bytes) => Err(too_large(shape, &format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64), self.0)),
            None => Err(too_large(shape, "more than any machine has", self.0)),
        }
    }
}

fn too_large(shape: &[usize], bytes: &str, room: u64) -> Problem {
    let room = room as f64 / (1u64 << 30) as f64;
    Problem {
        kind: Kind::TooLarge,
        message: format!("an array of sizes {shape:?} takes {bytes}, and {room:.1} GiB are free"),
        help: Some("load a part of it".to_string()),
    }
}
