//! What programs log, gathered by step.
//!
//! A record is the value of one log at one step of the `train scan` in every run: the mean of what the run logged there, or
//! nothing where it logged nothing. The log named [`ENV_STEPS`] counts instead: a record is the sum of its values, and all of them
//! add up to the environment steps done.

use std::collections::{BTreeMap, HashMap};

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

/// A log's name, and what it came to in each run.
pub type Final = (String, Vec<Option<f64>>);

/// What a run logged under a name.
#[derive(Clone, Default)]
struct Seen {
    late: Vec<f64>,
    last: Option<f64>,
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
                *cell = (cell.0 + v.value, cell.1 + v.count);
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
    pub fn last(&self, steps: usize) -> Vec<Final> {
        let since = steps as f64 * 0.95;
        let mut seen: HashMap<&str, Vec<Seen>> = HashMap::new();
        for r in &self.records {
            let runs = seen.entry(&r.name).or_insert_with(|| vec![Seen::default(); self.runs]);
            for (of_run, value) in runs.iter_mut().zip(&r.values) {
                let Some(value) = *value else { continue };
                if r.step as f64 >= since {
                    of_run.late.push(value);
                }
                of_run.last = Some(value);
            }
        }
        let mean = |s: &Seen| match s.late.len() {
            0 => s.last,
            n => Some(s.late.iter().sum::<f64>() / n as f64),
        };
        self.logged().map(|name| (name.clone(), seen[name.as_str()].iter().map(mean).collect())).collect()
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

/// A line of `metrics.jsonl`: `{"step":…,"name":…,"values":[…]}`, `null` where a run has no value; infinities and NaN as strings.
pub fn record_line(r: &Record) -> String {
    let mut out = format!("{{\"step\":{},\"name\":{}{VALUES}", r.step, serde_json::Value::from(r.name.as_str()));
    for (k, v) in r.values.iter().enumerate() {
        if k > 0 {
            out.push(',');
        }
        match v {
            Some(x) => push_number(&mut out, *x),
            None => out += "null",
        }
    }
    out += "]}";
    out
}

/// The shortest digits that read back as this number.
pub fn push_number(out: &mut String, x: f64) {
    match serde_json::Number::from_f64(x) {
        Some(number) => *out += &number.to_string(),
        None => *out += &format!("\"{x}\""),
    }
}

const VALUES: &str = ",\"values\":[";

/// What [`record_line`] wrote. Numbers are read by the standard library, which gives back every bit; the JSON library may be off by
/// the last.
pub fn read_record(line: &str) -> Option<Record> {
    let (head, values) = line.rsplit_once(VALUES)?;
    let head: serde_json::Value = serde_json::from_str(&format!("{head}}}")).ok()?;
    let value = |text: &str| match text {
        "null" => Some(None),
        text => text.trim_matches('"').parse().ok().map(Some),
    };
    let values = values.strip_suffix("]}")?.split(',').map(value).collect::<Option<_>>()?;
    Some(Record { step: head["step"].as_u64()?, name: head["name"].as_str()?.to_string(), values })
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

    /// What [`record_line`] writes, by the library.
    fn record_json(r: &Record) -> serde_json::Value {
        serde_json::json!({ "step": r.step, "name": r.name, "values": values_json(&r.values) })
    }

    #[test]
    fn values_of_a_step_are_averaged_and_counts_added() {
        let mut m = Metrics::new(vec!["loss".into(), ENV_STEPS.into()], 2);
        let v = |log, step, value, count| LogValue { log, step, value, count };
        let new = m.add(&[vec![v(0, 0, 4.0, 2), v(1, 0, 512.0, 1)], vec![v(1, 0, 1024.0, 2), v(0, 1, 5.0, 1)]]);
        let record =
            |step, name: &str, values: [Option<f64>; 2]| Record { step, name: name.into(), values: values.into() };
        let expected = [
            record(0, "loss", [Some(2.0), None]),
            record(0, ENV_STEPS, [Some(512.0), Some(1024.0)]),
            record(1, "loss", [None, Some(5.0)]),
        ];
        assert_eq!(new, expected);
        assert_eq!(m.env_steps, 1536.0);
        assert_eq!(m.last(2), [("loss".to_string(), vec![Some(2.0), Some(5.0)])]);
    }

    #[test]
    fn what_is_written_is_read_to_the_bit() {
        let mut bits = 0x9E37_79B9_7F4A_7C15u64;
        let mut any = || {
            bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            Some(f64::from_bits(bits)).filter(|x| !x.is_nan())
        };
        let special = [0.1 + 0.2, f64::NEG_INFINITY, f64::INFINITY, -0.0, 1e300, 1.0 / 3.0, 5e-324, 1.0].map(Some);
        for name in ["a \"b\"", "x,\"values\":[1]}", "größer"] {
            let values = special.into_iter().chain([None]).chain((0..1000).map(|_| any())).collect();
            let r = Record { step: 7, name: name.into(), values };
            let line = record_line(&r);
            assert_eq!(line, record_json(&r).to_string());
            let read = read_record(&line).expect("a record");
            let bits = |r: &Record| r.values.iter().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>();
            assert_eq!((read.step, &read.name, bits(&read)), (7, &r.name, bits(&r)));
        }
        let nan = Record { step: 0, name: "n".into(), values: vec![Some(f64::NAN)] };
        assert!(matches!(read_record(&record_line(&nan)).expect("a record").values[..], [Some(x)] if x.is_nan()));
        for bad in ["", "{}", "{\"step\":1}", "{\"step\":1,\"name\":\"a\",\"values\":[[]]}"] {
            assert!(read_record(bad).is_none(), "{bad}");
        }
    }
}
