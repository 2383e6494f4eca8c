//! The run folder: all that a run leaves.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::jsonl;
use crate::metrics::Record;

/// An open run folder. Metrics are appended as they come.
pub struct Folder {
    pub path: PathBuf,
    metrics: BufWriter<File>,
}

impl Folder {
    /// Makes the folder at `path`, which must not exist or be empty, and opens its metrics.
    pub fn create(path: &Path) -> io::Result<Folder> {
        if fs::read_dir(path).is_ok_and(|mut d| d.next().is_some()) {
            let message = format!("the folder {} exists and is not empty", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        fs::create_dir_all(path)?;
        let metrics = BufWriter::new(File::create(path.join("metrics.jsonl"))?);
        Ok(Folder { path: path.to_path_buf(), metrics })
    }

    /// Makes `parent/name`, or `parent/name-2`, … if that exists.
    pub fn create_new(parent: &Path, name: &str) -> io::Result<Folder> {
        let mut k = 1;
        loop {
            let path = parent.join(if k == 1 { name.to_string() } else { format!("{name}-{k}") });
            match Folder::create(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && k < 1000 => k += 1,
                other => return other,
            }
        }
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.path.join(name), bytes)
    }

    /// Appends records to `metrics.jsonl`, one line a record, and flushes.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        for r in records {
            jsonl::write_record(&mut self.metrics, r)?;
        }
        self.metrics.flush()
    }
}

/// `{"step":…,"name":…,"values":[…]}`, `null` where a run has no value; infinities and NaN as strings.
pub fn record_json(r: &Record) -> serde_json::Value {
    serde_json::json!({ "step": r.step, "name": r.name, "values": values_json(&r.values) })
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
    fn folders_do_not_overwrite_each_other() {
        let dir = std::env::temp_dir().join(format!("whorl-folder-{}", std::process::id()));
        let mut a = Folder::create_new(&dir, "run").expect("first");
        let b = Folder::create_new(&dir, "run").expect("second");
        assert_ne!(a.path, b.path);
        a.append(&[Record { step: 1, name: "x".into(), values: vec![Some(1.5), None, Some(f64::NAN)] }])
            .expect("written");
        let text = fs::read_to_string(a.path.join("metrics.jsonl")).expect("read");
        assert_eq!(text, "{\"step\":1,\"name\":\"x\",\"values\":[1.5,null,\"NaN\"]}\n");
        fs::remove_dir_all(&dir).expect("removed");
    }
}
