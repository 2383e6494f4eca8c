//! `whorl runs`: what runs there are, and how they went.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use whorl_host::{checkpoint, folder};

use crate::args;
use crate::past::read_config;
use crate::run::job::{self, Config};
use crate::run::summary::Status;
use crate::words::with_spread;

pub fn runs(options: &args::Runs) -> Result<ExitCode, String> {
    let mut found = Vec::new();
    for root in &options.folders {
        if root.join(job::FILE).is_file() {
            found.push(root.clone());
            continue;
        }
        let entries = match std::fs::read_dir(root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(format!(
                    "error: {}: there is no such folder; runs are in the folder where they were started",
                    root.display()
                ));
            }
            Err(e) => return Err(format!("error: {}: {e}", root.display())),
        };
        let mut inside: Vec<PathBuf> =
            entries.flatten().map(|e| e.path()).filter(|p| p.join(job::FILE).is_file()).collect();
        inside.sort();
        found.extend(inside);
    }
    let rows: Vec<Row> = found.iter().map(|path| Row::of(path)).collect();
    if options.json {
        rows.iter().for_each(|row| say!("{}", row.json()));
    } else {
        table(&rows);
    }
    Ok(ExitCode::SUCCESS)
}

/// A run as the list has it.
struct Row {
    path: PathBuf,
    /// An error is what is wrong with the folder.
    config: Result<Config, String>,
    status: &'static str,
    step: Option<u64>,
    summary: Value,
}

impl Row {
    fn of(path: &Path) -> Row {
        let ended = Status::read(path);
        let status = match &ended {
            // A run that has just finished holds its lock for a moment longer.
            Some((status, _)) => status.name(),
            None if folder::busy(path) => "running",
            None => "cut off",
        };
        let header = || checkpoint::read_header(&path.join(checkpoint::FILE)).ok().map(|h| h.steps_done);
        let summary = ended.map_or(Value::Null, |(_, s)| s);
        let step = summary["step"].as_u64().or_else(header);
        let config = read_config(path).map_err(|e| e.trim_start_matches("error: ").to_string());
        Row { path: path.to_path_buf(), config, status, step, summary }
    }

    fn json(&self) -> Value {
        json!({
            "folder": self.path.display().to_string(),
            "status": self.status,
            "step": self.step,
            "command": self.config.as_ref().map(Config::command).ok(),
            "started": self.config.as_ref().map(|c| c.started.clone()).ok(),
            "problem": self.config.as_ref().err(),
            "summary": self.summary,
        })
    }

    fn progress(&self) -> String {
        let steps = self.config.as_ref().map_or(0, |c| c.steps);
        match self.step {
            _ if steps == 0 => String::new(),
            Some(step) if step == steps => steps.to_string(),
            step => format!("{}/{steps}", step.unwrap_or(0)),
        }
    }

    /// The first few values that it came to.
    fn values(&self) -> String {
        const MOST: usize = 2;
        let runs = self.summary["runs"].as_u64().unwrap_or(1) as usize;
        let value = |(name, v): (&String, &Value)| {
            Some(format!("{name} {}", with_spread(v["mean"].as_f64()?, v["deviation"].as_f64()?, runs)))
        };
        let all = self.summary["final"].as_object().into_iter().flatten();
        all.filter_map(value).take(MOST).collect::<Vec<_>>().join(", ")
    }
}

fn table(rows: &[Row]) {
    if rows.is_empty() {
        say!("there are no runs yet");
        return;
    }
    let cells = |row: &Row| {
        let seed = row.config.as_ref().map_or(String::new(), |c| c.job.seed.to_string());
        let values = row.config.as_ref().map_or_else(|e| format!("damaged: {e}"), |_| row.values());
        [row.path.display().to_string(), row.status.to_string(), row.progress(), seed, values]
    };
    let head = ["run", "status", "steps", "seed", "values"].map(str::to_string);
    let all: Vec<[String; 5]> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let width = |k: usize| all.iter().map(|r| r[k].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    for r in &all {
        let line = format!(
            "{:a$}  {:b$}  {:>c$}  {:>d$}  {}",
            r[0],
            r[1],
            r[2],
            r[3],
            r[4],
            a = widths[0],
            b = widths[1],
            c = widths[2],
            d = widths[3],
        );
        say!("{}", line.trim_end());
    }
}
