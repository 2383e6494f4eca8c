//! `metrics.jsonl` and `log_each.jsonl`: files of one JSON object a line, in the order of steps, that a run may be cut off in.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use serde_json::Value;

use crate::metrics::Record;

/// Writes `{"step":…,"name":…,"values":[…]}`; `null` where a run has no value, infinities and NaN as strings.
pub fn write_record(out: &mut impl Write, r: &Record) -> io::Result<()> {
    write!(out, "{{\"step\":{},\"name\":", r.step)?;
    serde_json::to_writer(&mut *out, &r.name)?;
    out.write_all(VALUES.as_bytes())?;
    for (k, v) in r.values.iter().enumerate() {
        if k > 0 {
            out.write_all(b",")?;
        }
        match v {
            Some(x) => write_number(out, *x)?,
            None => out.write_all(b"null")?,
        }
    }
    out.write_all(b"]}\n")
}

/// The shortest digits that read back as this number.
pub fn write_number(out: &mut impl Write, x: f64) -> io::Result<()> {
    if x.is_finite() { Ok(serde_json::to_writer(out, &x)?) } else { write!(out, "\"{x}\"") }
}

const VALUES: &str = ",\"values\":[";

/// All records of a file. A last line that was not written to its end is passed over.
pub fn records(path: &Path) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    each_line(path, |number, line| match record(line) {
        Some(record) => {
            records.push(record);
            Ok(true)
        }
        None => Err(malformed(path, number)),
    })?;
    Ok(records)
}

/// Cuts a file off before the first line of a step from `step` on, and drops a last line that was not written to its end.
/// What a run records depends on its state alone, so that what it goes on from there to write is what was cut off.
pub fn keep_before(path: &Path, step: u64) -> io::Result<()> {
    let mut keep = 0u64;
    each_line(path, |number, line| {
        let of = serde_json::from_slice(line).ok().and_then(|v: Value| v.get("step")?.as_u64());
        let of = of.ok_or_else(|| malformed(path, number))?;
        if of < step {
            keep += line.len() as u64 + 1;
        }
        Ok(of < step)
    })?;
    OpenOptions::new().write(true).open(path)?.set_len(keep)
}

/// Every whole line, without its end, until `f` says no more.
fn each_line(path: &Path, mut f: impl FnMut(usize, &[u8]) -> io::Result<bool>) -> io::Result<()> {
    let mut from = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        from.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') || !f(number, &line)? {
            break;
        }
    }
    Ok(())
}

fn malformed(path: &Path, line: usize) -> io::Error {
    let message = format!("{}: line {line} is not one that a run writes", path.display());
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Numbers are read by the standard library, which gives back every bit; the JSON library may be a unit off.
fn record(line: &[u8]) -> Option<Record> {
    let line = std::str::from_utf8(line).ok()?;
    let (head, values) = line.rsplit_once(VALUES)?;
    let head: Value = serde_json::from_str(&format!("{head}}}")).ok()?;
    let number = |text: &str| match text {
        "null" => Some(None),
        text => text.trim_matches('"').parse().ok().map(Some),
    };
    let values = values.strip_suffix("]}")?;
    let values = values.split(',').filter(|v| !v.is_empty()).map(number).collect::<Option<_>>()?;
    Some(Record { step: head.get("step")?.as_u64()?, name: head.get("name")?.as_str()?.to_string(), values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LogValue;
    use crate::metrics::{ENV_STEPS, Metrics};

    fn file(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("whorl-jsonl-{name}-{}", std::process::id()))
    }

    /// Numbers that lose bits in careless hands.
    fn numbers() -> Vec<f64> {
        let mut bits = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = || {
            bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            f64::from_bits(bits)
        };
        let special = [0.1 + 0.2, 1e300, 5e-324, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0];
        special.into_iter().chain((0..500).map(|_| next())).collect()
    }

    fn metrics(steps: std::ops::Range<u64>, whole: &mut Metrics) -> Vec<u8> {
        let numbers = numbers();
        let logs: Vec<Vec<LogValue>> = (0..3)
            .map(|run| {
                let of = |step: u64| {
                    let value = numbers[(step as usize * 3 + run) % numbers.len()];
                    let loss = (run != 1).then_some(LogValue { log: 0, step, value, count: 1 });
                    loss.into_iter().chain([LogValue { log: 1, step, value: 64.0, count: 1 }]).collect::<Vec<_>>()
                };
                steps.clone().flat_map(of).collect()
            })
            .collect();
        let mut text = Vec::new();
        for record in whole.add(&logs) {
            write_record(&mut text, record).expect("written");
        }
        text
    }

    #[test]
    fn what_is_read_back_is_what_was_there() {
        let names = || vec!["a \"name\",\"values\":[1]} of ñ".to_string(), ENV_STEPS.to_string()];
        let mut undisturbed = Metrics::new(names(), 3);
        let all = metrics(0..200, &mut undisturbed);
        let path = file("whole");
        // Cut off in the middle of a line, a step or two behind the checkpoint.
        for (step, cut) in [(0u64, 7), (1, 1), (150, 3), (200, 0)] {
            std::fs::write(&path, &all[..all.len() - cut]).expect("written");
            keep_before(&path, step).expect("cut");
            let mut resumed = Metrics::load(&path, names(), 3).expect("loaded");
            assert_eq!(resumed.env_steps, 64.0 * 3.0 * step as f64);
            let mut text = std::fs::read(&path).expect("read");
            text.extend(metrics(step..200, &mut resumed));
            assert!(text == all, "from step {step}");
            assert_eq!(format!("{:?}", resumed.records), format!("{:?}", undisturbed.records));
            assert_eq!(resumed.env_steps, undisturbed.env_steps);
            let bits = |m: &Metrics| {
                m.records.iter().flat_map(|r| r.values.iter().flatten().map(|x| x.to_bits())).collect::<Vec<_>>()
            };
            let nan = |x: &u64| if f64::from_bits(*x).is_nan() { f64::NAN.to_bits() } else { *x };
            let (a, b) = (bits(&resumed), bits(&undisturbed));
            assert_eq!(a.iter().map(nan).collect::<Vec<_>>(), b.iter().map(nan).collect::<Vec<_>>());
        }
        std::fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn lines_of_others_are_told() {
        let path = file("foreign");
        std::fs::write(&path, "{\"step\":0,\"name\":\"x\",\"values\":[1.0]}\nhello\n").expect("written");
        let of = |r: io::Result<()>| r.expect_err("refused").to_string();
        assert!(of(keep_before(&path, 5)).contains("line 2"));
        assert!(of(Metrics::load(&path, vec!["x".into()], 1).map(|_| ())).contains("line 2"));
        keep_before(&path, 0).expect("the line is cut off");
        std::fs::write(&path, "{\"step\":0,\"name\":\"x\",\"values\":[1.0]}\n").expect("written");
        assert!(of(Metrics::load(&path, vec!["x".into()], 2).map(|_| ())).contains("1 runs, not of 2"));
        std::fs::remove_file(&path).expect("removed");
    }
}
