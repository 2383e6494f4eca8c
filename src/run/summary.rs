//! `summary.json`: how a run ended. A run without one has not come to an end, or is under way.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use whorl_host::metrics::{Final, spread, values_json};

use crate::words;

pub const FILE: &str = "summary.json";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Finished,
    /// By Ctrl-C or a signal.
    Stopped,
    /// By an error in the program.
    Failed,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Finished => "finished",
            Status::Stopped => "stopped",
            Status::Failed => "failed",
        }
    }

    pub fn read(folder: &Path) -> Option<(Status, Value)> {
        let summary: Value = serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()?;
        let name = summary["status"].as_str()?;
        let status = [Status::Finished, Status::Stopped, Status::Failed].into_iter().find(|s| s.name() == name)?;
        Some((status, summary))
    }
}

/// How far the run came, of how many steps; the seconds are this process's.
pub struct Ending<'a> {
    pub status: Status,
    pub step: u64,
    pub steps: u64,
    pub runs: usize,
    pub elapsed: Duration,
    pub env_steps_before: f64,
    pub error: Option<Value>,
    pub saved: Vec<String>,
    /// Final values by point.
    pub sweep: Option<Value>,
    pub env_steps: f64,
    pub last: &'a [Final],
}

impl Ending<'_> {
    pub fn json(&self) -> Value {
        let seconds = self.elapsed.as_secs_f64();
        let value = |(name, values): &Final| {
            let (mean, deviation) = spread(values).unwrap_or((f64::NAN, f64::NAN));
            let numbers = values_json(&[Some(mean), Some(deviation)]);
            (name.clone(), json!({ "mean": numbers[0], "deviation": numbers[1], "values": values_json(values) }))
        };
        let mut json = json!({
            "status": self.status.name(),
            "step": self.step,
            "steps": self.steps,
            "runs": self.runs,
            "env_steps": self.env_steps,
            "env_steps_per_s": (self.env_steps - self.env_steps_before) / seconds.max(1e-9),
            "run_s": seconds,
            "ended": words::now(),
            "final": self.last.iter().map(value).collect::<Map<_, _>>(),
            "saved": self.saved,
        });
        if let (Some(sweep), Some(fields)) = (&self.sweep, json.as_object_mut()) {
            fields.insert("sweep".into(), sweep.clone());
        }
        if let (Some(error), Some(fields)) = (&self.error, json.as_object_mut()) {
            fields.insert("error".into(), error.clone());
        }
        json
    }
}
