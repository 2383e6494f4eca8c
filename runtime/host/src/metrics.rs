//! What programs log, gathered by step.
//!
//! A record is the value of one log at one step in every run: the mean of what the run logged there, or nothing where it logged
//! nothing. The log named [`ENV_STEPS`] counts instead: its records are sums, and all together are the environment steps done.
//! Steps count through all `train scan`s of the program.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::engine::LogValue;
use crate::jsonl;

pub use crate::jsonl::keep_before;

/// The name of the log that counts environment steps.
pub const ENV_STEPS: &str = "env_steps";

/// One log at one step; `values[run]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    pub step: u64,
    pub name: String,
    pub values: Vec<Option<f64>>,
}

/// All records of a run so far.
pub struct Metrics {
    names: Vec<String>,
    runs: usize,
    pub records: Vec<Record>,
    /// Environment steps over all runs.
    pub env_steps: f64,
}

impl Metrics {
    pub fn new(names: Vec<String>, runs: usize) -> Metrics {
        Metrics { names, runs, records: Vec::new(), env_steps: 0.0 }
    }

    /// What a run that is resumed has recorded so far, read from its `metrics.jsonl`: the same as if it had not been away. A line
    /// that was not written to its end is passed over; see [`keep_before`].
    pub fn load(path: &Path, names: Vec<String>, runs: usize) -> io::Result<Metrics> {
        let mut metrics = Metrics::new(names, runs);
        for record in jsonl::records(path)? {
            if record.values.len() != runs {
                let message = format!("{}: records of {} runs, not of {runs}", path.display(), record.values.len());
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            metrics.count(&record);
            metrics.records.push(record);
        }
        Ok(metrics)
    }

    /// Takes in what a chunk logged (`logs[run]`, in order); returns the new records, by step and then by log.
    pub fn add(&mut self, logs: &[Vec<LogValue>]) -> &[Record] {
        let mut sums: BTreeMap<(u64, u32), Vec<(f64, u64)>> = BTreeMap::new();
        for (run, values) in logs.iter().enumerate() {
            for v in values {
                let cell = &mut sums.entry((v.step, v.log)).or_insert_with(|| vec![(0.0, 0); self.runs])[run];
                *cell = (cell.0 + v.value, cell.1 + v.count);
            }
        }
        let before = self.records.len();
        for ((step, log), cells) in sums {
            let name = self.names[log as usize].clone();
            let counts = name == ENV_STEPS;
            let value = |&(sum, n): &(f64, u64)| (n > 0).then(|| if counts { sum } else { sum / n as f64 });
            let record = Record { step, name, values: cells.iter().map(value).collect() };
            self.count(&record);
            self.records.push(record);
        }
        &self.records[before..]
    }

    fn count(&mut self, record: &Record) {
        if record.name == ENV_STEPS {
            self.env_steps += record.values.iter().flatten().sum::<f64>();
        }
    }

    /// Each log's last word: for each run, the mean of its records in the last twentieth of `steps` (or its last record, if
    /// there is none), in the program's order.
    pub fn last(&self, steps: usize) -> Vec<(String, Vec<Option<f64>>)> {
        let since = steps as f64 * 0.95;
        let mean = |name: &str, run: usize| {
            let of_run =
                || self.records.iter().filter(|r| r.name == name).filter_map(|r| Some((r.step, r.values[run]?)));
            let late: Vec<f64> = of_run().filter(|(s, _)| *s as f64 >= since).map(|(_, v)| v).collect();
            match late.len() {
                0 => of_run().next_back().map(|(_, v)| v),
                n => Some(late.iter().sum::<f64>() / n as f64),
            }
        };
        self.logged().map(|n| (n.clone(), (0..self.runs).map(|r| mean(n, r)).collect())).collect()
    }

    /// The logs that have records, in the program's order, without [`ENV_STEPS`].
    pub fn logged(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|name| **name != ENV_STEPS && self.records.iter().any(|r| r.name == **name))
    }
}

/// Mean and standard deviation over the runs that have a value.
pub fn spread(values: &[Option<f64>]) -> Option<(f64, f64)> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    if known.is_empty() {
        return None;
    }
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let variance = known.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / known.len() as f64;
    Some((mean, variance.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_step_are_averaged_and_counts_added() {
        let mut m = Metrics::new(vec!["loss".into(), ENV_STEPS.into()], 2);
        let v = |log, step, value, count| LogValue { log, step, value, count };
        let new = m.add(&[vec![v(0, 0, 4.0, 2), v(1, 0, 512.0, 1)], vec![v(1, 0, 1024.0, 2), v(0, 1, 5.0, 1)]]);
        let record =
            |step, name: &str, values: [Option<f64>; 2]| Record { step, name: name.into(), values: values.into() };
        assert_eq!(
            new,
            [
                record(0, "loss", [Some(2.0), None]),
                record(0, ENV_STEPS, [Some(512.0), Some(1024.0)]),
                record(1, "loss", [None, Some(5.0)]),
            ]
        );
        assert_eq!(m.env_steps, 1536.0);
        assert_eq!(m.last(2), [("loss".to_string(), vec![Some(2.0), Some(5.0)])]);
    }
}
