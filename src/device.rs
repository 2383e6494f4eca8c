//! Where programs run: `--device`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use whorl_device::{Checks, Cuda, Device, Emulator, Error, Limits};

/// What the user asked for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Choice {
    #[default]
    Cpu,
    /// An NVIDIA card, by its number.
    Cuda(usize),
    /// The emulator of such a card: slow, and it tells of what a card would do wrong in silence.
    Emulated,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        match (text, text.strip_prefix("cuda:").map(str::parse)) {
            ("cpu", _) => Ok(Choice::Cpu),
            ("cuda", _) => Ok(Choice::Cuda(0)),
            ("emulated", _) => Ok(Choice::Emulated),
            (_, Some(Ok(number))) => Ok(Choice::Cuda(number)),
            (_, Some(Err(_)) | None) => Err(format!(
                "--device {text}: write cpu, cuda, or cuda:1 for the second card; `whorl devices` lists them"
            )),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Choice::Cpu => f.write_str("cpu"),
            Choice::Cuda(number) => write!(f, "cuda:{number}"),
            Choice::Emulated => f.write_str("emulated"),
        }
    }
}

impl Choice {
    /// The card; none of the CPU. An error says what is not there and what to do.
    pub fn open(self) -> Result<Option<Arc<dyn Device>>, String> {
        match self {
            Choice::Cpu => Ok(None),
            Choice::Cuda(number) => {
                let card = Cuda::open(number).map_err(|e| self.refused(&e))?;
                Ok(Some(Arc::new(card)))
            }
            Choice::Emulated => Ok(Some(Arc::new(Emulator::new(Emulator::hopper(), Checks::ALL, Limits::default())))),
        }
    }

    /// What [`Choice::open`] would say, without opening it.
    pub fn check(self) -> Result<(), String> {
        match self {
            Choice::Cpu | Choice::Emulated => Ok(()),
            Choice::Cuda(number) => Cuda::there(number).map_err(|e| self.refused(&e)),
        }
    }

    fn refused(self, e: &Error) -> String {
        let help = e.hint.as_ref().map_or(String::new(), |hint| format!("\nhelp: {hint}"));
        format!("error: --device {self}: {}{help}", e.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_written() {
        for (text, choice) in [
            ("cpu", Choice::Cpu),
            ("cuda:0", Choice::Cuda(0)),
            ("cuda:3", Choice::Cuda(3)),
            ("emulated", Choice::Emulated),
        ] {
            assert_eq!(text.parse(), Ok(choice));
            assert_eq!(choice.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Choice::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1:2"] {
            assert!(text.parse::<Choice>().is_err_and(|e| e.contains("whorl devices")), "{text}");
        }
    }
}
