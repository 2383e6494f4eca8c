//! What a run is: everything that its results depend on, as the command line gives it and `config.toml` keeps it.

use std::path::PathBuf;

use toml::{Table, Value};
use whorl_host::hash::Checksum;
use whorl_trace::Knob;

use crate::args;
use crate::device::Choice;
use crate::pipeline::Checks;
use crate::run::How;
use crate::run::sources::Sources;
use crate::words;

pub const FILE: &str = "config.toml";

/// Two equal jobs on equal sources give equal bits.
#[derive(Clone, PartialEq, Debug)]
pub struct Job {
    pub script: args::Script,
    pub seed: u32,
    pub checks: Checks,
    /// Products and functions as a card has them, in other bits.
    pub fast_math: bool,
    /// What each `--sweep` says: `ppo.lr=1e-4,3e-4`.
    pub sweep: Vec<String>,
}

impl Job {
    /// Tells runs apart: a checkpoint of one is none of another.
    pub fn hash(&self, source_hash: &str) -> String {
        let mut sum = Checksum::new();
        sum.add(source_hash.as_bytes());
        sum.add(format!("{} {:?} {:?}", self.seed, self.checks, self.sweep).as_bytes());
        if self.fast_math {
            sum.add(b"fast math");
        }
        for (name, value) in &self.script.settings {
            sum.add(name.as_bytes());
            sum.add(value.as_bytes());
        }
        sum.text()
    }
}

/// A job with where and how it was started: `config.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    pub job: Job,
    /// Where the script's path begins.
    pub directory: PathBuf,
    /// The version of Whorl.
    pub version: String,
    /// Of the script, its modules, those of the standard library, and data files.
    pub source_hash: String,
    /// The script's own files: as errors name them, and where the run folder has them.
    pub sources: Vec<(String, String)>,
    /// Data files and their checksums.
    pub data: Vec<(String, String)>,
    pub device: Choice,
    pub threads: usize,
    /// Of all `train scan`s.
    pub steps: u64,
    pub started: String,
}

impl Config {
    pub fn new(job: Job, sources: &Sources, how: &How, steps: u64) -> Config {
        Config {
            job,
            directory: sources.directory.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            source_hash: sources.hash.clone(),
            sources: sources.files.iter().map(|f| (f.name.clone(), f.stored.clone())).collect(),
            data: sources.data.clone(),
            device: how.device(),
            threads: how.threads,
            steps,
            started: words::now(),
        }
    }

    pub fn run_hash(&self) -> String {
        self.job.hash(&self.source_hash)
    }

    /// The text of `config.toml`.
    pub fn text(&self, knobs: &[Knob]) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let path = |path: &PathBuf| quoted(&path.display().to_string());
        let mut out = String::from(
            "# What was run. `whorl repeat FOLDER` runs it again, and tells whether the bits are the same.\n",
        );
        let mut line = |name: &str, value: String| out += &format!("{name} = {value}\n");
        line("command", quoted(&self.command()));
        line("script", path(&self.job.script.file));
        line("directory", path(&self.directory));
        let settings = self.job.script.settings.iter().map(|(n, v)| Value::from(format!("{n}={v}")));
        line("settings", Value::Array(settings.collect()).to_string());
        if !self.job.sweep.is_empty() {
            let sweep = self.job.sweep.iter().map(|s| Value::from(s.as_str()));
            line("sweep", Value::Array(sweep.collect()).to_string());
        }
        line("seed", self.job.seed.to_string());
        line("index_checks", self.job.checks.index.to_string());
        line("trap_nan", self.job.checks.nan.to_string());
        line("fast_math", self.job.fast_math.to_string());
        line("whorl", quoted(&self.version));
        line("source_hash", quoted(&self.source_hash));
        line("device", quoted(&self.device.to_string()));
        line("threads", self.threads.to_string());
        line("steps", self.steps.to_string());
        line("started", quoted(&self.started));
        let mut table = |name: &str, about: &str, rows: Vec<(String, String)>| {
            out += &format!("\n# {about}\n[{name}]\n");
            rows.iter().for_each(|(name, value)| out += &format!("{} = {value}\n", quoted(name)));
        };
        let texts = |rows: &[(String, String)]| rows.iter().map(|(n, v)| (n.clone(), quoted(v))).collect();
        let swept = crate::sweep::Sweep::parse(&self.job.sweep).unwrap_or_default();
        let value = |k: &Knob| swept.toml_values(&k.name).unwrap_or_else(|| k.value.clone());
        table("params", "All of them, as used.", knobs.iter().map(|k| (k.name.clone(), value(k))).collect());
        table("sources", "The script and its modules, and their copies here.", texts(&self.sources));
        table("data", "Data files, and their checksums.", texts(&self.data));
        out
    }

    /// What was said in `config.toml`; an error says what is wrong with it.
    pub fn read(text: &str) -> Result<Config, String> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| e.message().to_string())?;
        let missing = |name: &str| format!("there is no `{name}` in it");
        let string =
            |name: &str| table.get(name).and_then(Value::as_str).map(str::to_string).ok_or_else(|| missing(name));
        let number = |name: &str| table.get(name).and_then(Value::as_integer).ok_or_else(|| missing(name));
        let truth = |name: &str| table.get(name).and_then(Value::as_bool).ok_or_else(|| missing(name));
        let texts = |name: &str| -> Result<Vec<(String, String)>, String> {
            let rows = table.get(name).and_then(Value::as_table).ok_or_else(|| missing(name))?;
            let row = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_string()));
            rows.iter().map(|r| row(r).ok_or_else(|| format!("`{}` in `{name}` is no text", r.0))).collect()
        };
        let settings = table.get("settings").and_then(Value::as_array).ok_or_else(|| missing("settings"))?;
        let setting =
            |v: &Value| v.as_str().and_then(|s| s.split_once('=')).map(|(n, v)| (n.to_string(), v.to_string()));
        let settings = settings.iter().map(setting).collect::<Option<_>>().ok_or("`settings` are not `name=value`")?;
        let script = args::Script { file: string("script")?.into(), settings };
        let sweep = match table.get("sweep") {
            None => Vec::new(),
            Some(texts) => {
                let texts = texts.as_array().map(|t| t.iter().map(|v| v.as_str().map(str::to_string)).collect());
                texts.flatten().ok_or("`sweep` is no list of texts")?
            }
        };
        let seed = number("seed")?.try_into().map_err(|_| "`seed` is out of range".to_string())?;
        let checks = Checks { index: truth("index_checks")?, nan: truth("trap_nan")? };
        // Those of before it was there have none.
        let fast_math = table.get("fast_math").and_then(Value::as_bool).unwrap_or(false);
        Ok(Config {
            job: Job { script, seed, checks, fast_math, sweep },
            directory: string("directory")?.into(),
            version: string("whorl")?,
            source_hash: string("source_hash")?,
            sources: texts("sources")?,
            data: texts("data")?,
            device: string("device")?.parse()?,
            threads: number("threads")?.try_into().unwrap_or(1),
            steps: number("steps")?.try_into().unwrap_or(0),
            started: string("started")?,
        })
    }

    /// The command that does the same again.
    pub fn command(&self) -> String {
        let job = &self.job;
        let mut words = vec!["whorl".to_string(), "run".to_string(), job.script.file.display().to_string()];
        words.extend(["--seed".to_string(), job.seed.to_string()]);
        for (name, value) in &job.script.settings {
            words.extend(["--set".to_string(), format!("{name}={value}")]);
        }
        for sweep in &job.sweep {
            words.extend(["--sweep".to_string(), sweep.clone()]);
        }
        if !job.checks.index {
            words.push("--no-checks".to_string());
        }
        if job.checks.nan {
            words.push("--trap-nan".to_string());
        }
        if job.fast_math {
            // It needs a card.
            words.extend(["--fast-math".to_string(), "--device".to_string(), self.device.to_string()]);
        }
        words.iter().map(|w| shell_quoted(w)).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell takes it whole.
fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let settings = vec![("ppo.lr".to_string(), "1e-3".to_string()), ("odd \"name\"".to_string(), "\\".to_string())];
        let script = args::Script { file: "my scripts/it's.whorl".into(), settings };
        let sweep = vec!["lr=log(1e-4, 1e-2, 3)".to_string()];
        let job = Job { script, seed: 7, checks: Checks { index: false, nan: true }, fast_math: true, sweep };
        let config = Config {
            job: job.clone(),
            directory: "/home/a b".into(),
            version: "0.1.0".into(),
            source_hash: "ab".into(),
            sources: vec![("a.whorl".into(), "source/a.whorl".into())],
            data: Vec::new(),
            device: Choice::Cuda(1),
            threads: 2,
            steps: 9,
            started: "then".into(),
        };
        let read = Config::read(&config.text(&[])).expect("read");
        assert_eq!((&read.job, &read.sources, &read.directory), (&job, &config.sources, &config.directory));
        let command = config.command();
        assert!(command.contains("'my scripts/it'\\''s.whorl' --seed 7 --set ppo.lr=1e-3"), "{command}");
        assert!(command.contains("--sweep 'lr=log(1e-4, 1e-2, 3)'"), "{command}");
        assert!(command.ends_with("--no-checks --trap-nan --fast-math --device cuda:1"), "{command}");
        let text = config.text(&[]);
        for name in ["script", "seed", "whorl", "sources", "settings"] {
            let without: String = text
                .lines()
                .filter(|l| !l.starts_with(name) && *l != format!("[{name}]"))
                .map(|l| format!("{l}\n"))
                .collect();
            assert!(Config::read(&without).is_err_and(|e| e.contains(name)), "{name}");
        }
        assert!(Config::read("seed = ").is_err());
    }
}
