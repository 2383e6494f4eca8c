//! What programs log, gathered by step.
//!
//! A record is the value of one log at one step of the `train scan` in every run: the mean of what the run logged there, or
//! nothing where it logged nothing. The log named [`ENV_STEPS`] counts instead: a record is the sum of its values, and all of them
//! add up to the environment steps done.

use std::collections::BTreeMap;

use crate::engine::LogValue;

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

    /// Takes in what a chunk logged (`logs[run]`, in order); returns the new records, by step and then by log.
    pub fn add(&mut self, logs: &[Vec<LogValue>]) -> &[Record] {
        let mut sums: BTreeMap<(u64, u32), Vec<(f64, u64)>> = BTreeMap::new();
        for (run, values) in logs.iter().enumerate() {
            for v in values {
                let cell = &mut sums.entry((v.step, v.log)).or_insert_with(|| vec![(0.0, 0); self.runs])[run];
                *cell = (cell.0 + v.value, cell.1 + 1);
            }
        }
        let before = self.records.len();
        for ((step, log), cells) in sums {
            let name = self.names[log as usize].clone();
            let counts = name == ENV_STEPS;
            let of_run = |&(sum, n): &(f64, u64)| (n > 0).then(|| if counts { sum } else { sum / n as f64 });
            self.take(Record { step, name, values: cells.iter().map(of_run).collect() });
        }
        &self.records[before..]
    }

    /// Takes in a record that was written before.
    pub fn take(&mut self, record: Record) {
        if record.name == ENV_STEPS {
            self.env_steps += record.values.iter().flatten().sum::<f64>();
        }
        self.records.push(record);
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

    /// The logs that have records, in the program's order; not the count of environment steps.
    pub fn logged(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|name| *name != ENV_STEPS && self.records.iter().any(|r| r.name == **name))
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

/// `{"step":…,"name":…,"values":[…]}`, `null` where a run has no value; infinities and NaN as strings.
pub fn record_json(r: &Record) -> serde_json::Value {
    serde_json::json!({ "step": r.step, "name": r.name, "values": values_json(&r.values) })
}

/// What [`record_json`] wrote.
pub fn read_record(line: &str) -> Option<Record> {
    let json: serde_json::Value = serde_json::from_str(line).ok()?;
    let value = |v: &serde_json::Value| match v {
        serde_json::Value::Null => Some(None),
        serde_json::Value::Number(x) => x.as_f64().map(Some),
        serde_json::Value::String(x) => x.parse().ok().map(Some),
        _ => None,
    };
    let values = json["values"].as_array()?.iter().map(value).collect::<Option<_>>()?;
    Some(Record { step: json["step"].as_u64()?, name: json["name"].as_str()?.to_string(), values })
}

pub fn values_json(values: &[Option<f64>]) -> Vec<serde_json::Value> {
    let number = |v: &Option<f64>| match v {
        Some(x) if x.is_finite() => serde_json::json!(x),
        Some(x) => serde_json::Value::String(x.to_string()),
        None => serde_json::Value::Null,
    };
    values.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_step_are_averaged_and_counts_added() {
        let mut m = Metrics::new(vec!["loss".into(), ENV_STEPS.into()], 2);
        let v = |log, step, value| LogValue { log, step, value };
        let new = m.add(&[vec![v(0, 0, 1.0), v(0, 0, 3.0), v(1, 0, 512.0)], vec![v(0, 1, 5.0), v(1, 0, 512.0)]]);
        assert_eq!(new.len(), 3);
        assert_eq!(new[0], Record { step: 0, name: "loss".into(), values: vec![Some(2.0), None] });
        assert_eq!(new[1], Record { step: 0, name: ENV_STEPS.into(), values: vec![Some(512.0), Some(512.0)] });
        assert_eq!(m.env_steps, 1024.0);
        assert_eq!(m.last(2), [("loss".to_string(), vec![Some(2.0), Some(5.0)])]);
    }

    #[test]
    fn what_is_written_is_read() {
        let values = vec![Some(0.1), None, Some(f64::NAN), Some(f64::NEG_INFINITY), Some(1.0 / 3.0), Some(5e-324)];
        let r = Record { step: 7, name: "a \"b\"".into(), values };
        let read = read_record(&record_json(&r).to_string()).expect("a record");
        assert_eq!(format!("{read:?}"), format!("{r:?}"));
        for bad in ["", "{}", "{\"step\":1}", "{\"step\":1,\"name\":\"a\",\"values\":[[]]}"] {
            assert!(read_record(bad).is_none(), "{bad}");
        }
    }
}
