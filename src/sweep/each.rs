//! A sweep that takes several programs, because it goes through sizes: a run folder that holds a whole run folder for each of them.
//!
//! ```text
//! runs/cartpole_ppo-…/             config.toml  source/  summary.json  sweep.svg  sweep.png
//! runs/cartpole_ppo-…/hidden=32/   a run of the other values swept, if there are any
//! runs/cartpole_ppo-…/hidden=64/
//! ```

use std::process::ExitCode;

use serde_json::{Value, json};
use whorl_host::folder::Folder;

use crate::args;
use crate::past::Past;
use crate::pipeline;
use crate::resume;
use crate::run::job::{self, Config, Job};
use crate::run::prepare::Prepared;
use crate::run::sources::Sources;
use crate::run::summary::{self, Status};
use crate::run::{How, new_folder, title};
use crate::sweep::Sweep;
use crate::sweep::outcome::{Outcome, PICTURES, Point};
use crate::words;

/// One program of several: the name of its folder, and what it runs.
pub struct Part {
    pub name: String,
    pub job: Job,
}

/// The programs of a job that takes more than one.
pub fn parts(sources: &mut Sources, job: &Job) -> Result<Option<Vec<Part>>, String> {
    let mut sweep = Sweep::parse(&job.sweep).map_err(|e| format!("error: {e}"))?;
    if sweep.is_empty() {
        return Ok(None);
    }
    let source = &mut sources.source;
    let programs = sweep.programs(&mut source.script, &job.script.settings);
    let programs = programs.map_err(|d| pipeline::render(&d, &source.map))?;
    if programs.len() == 1 {
        return Ok(None);
    }
    let part = |fixed: &[(usize, usize)]| {
        let said = |&(axis, k): &(usize, usize)| format!("{}={}", sweep.axes[axis].name, sweep.axes[axis].values[k]);
        // The values that a program has are swept, too, through one value: so they are in its tables.
        let text = |(axis, text): (usize, &String)| fixed.iter().find(|f| f.0 == axis).map_or(text.clone(), said);
        let sweep = job.sweep.iter().enumerate().map(text).collect();
        Part { name: fixed.iter().map(said).collect::<Vec<_>>().join(" "), job: Job { sweep, ..job.clone() } }
    };
    Ok(Some(programs.iter().map(|p| part(&p.fixed)).collect()))
}

/// An error if the run is one of several programs.
pub fn is_one_program(past: &Past) -> Result<(), String> {
    let folder = past.folder.display();
    let inside = |name: &str| past.folder.join(name).join(job::FILE).is_file();
    let names = std::fs::read_dir(&past.folder).into_iter().flatten().flatten();
    let names: Vec<String> = names.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    match names.iter().filter(|n| inside(n)).min() {
        Some(first) => Err(format!(
            "error: {folder} holds a run for each of its programs\nhelp: `whorl repeat '{}'` repeats the first",
            past.folder.join(first).display()
        )),
        None => Ok(()),
    }
}

/// Runs one program after the other, and goes on with those that were begun.
pub fn carry_out(config: &Config, parts: &[Part], how: &How, folder: Folder) -> Result<ExitCode, String> {
    let _ = std::fs::remove_file(folder.file(summary::FILE));
    for (k, part) in parts.iter().enumerate() {
        if !how.quiet && !how.json {
            eprintln!("{} ({} of {})", part.name, k + 1, parts.len());
        }
        let inside = folder.file(&part.name);
        let code = if inside.join(job::FILE).is_file() {
            resume::resume(&args::Resume { folder: inside.clone(), checkpoint: None, how: how.clone() })?
        } else {
            // From the copies in the folder: the files may have been changed since it was made.
            let config = Config { job: part.job.clone(), ..config.clone() };
            let sources = Sources::stored(&config, &folder.path)?;
            let prepared = Prepared::new(sources, &part.job, how)?;
            let inner = new_folder(&prepared.sources, &part.job, how, prepared.steps(), Some(&inside))?;
            crate::run::carry_out(&prepared, how, inner, None)?
        };
        if code != ExitCode::SUCCESS {
            let status = Status::read(&inside).map_or(Status::Failed, |(status, _)| status);
            conclude(config, parts, how, &folder, status)?;
            return Ok(code);
        }
    }
    conclude(config, parts, how, &folder, Status::Finished)?;
    Ok(ExitCode::SUCCESS)
}

/// What came of all programs.
fn conclude(config: &Config, parts: &[Part], how: &How, folder: &Folder, status: Status) -> Result<(), String> {
    let texts: Vec<String> = config.job.sweep.clone();
    let mut sweep = Sweep::parse(&texts).map_err(|e| format!("error: {e}"))?;
    let summaries: Vec<Value> =
        parts.iter().map(|p| Status::read(&folder.file(&p.name)).map_or(Value::Null, |(_, s)| s)).collect();
    rename(&mut sweep, &summaries);
    let mut points: Vec<Point> =
        summaries.iter().filter_map(|s| Outcome::read_points(&sweep, &s["sweep"])).flatten().collect();
    points.sort_by(|a, b| a.at.cmp(&b.at));
    let outcome = Outcome { sweep, points };
    outcome.draw(folder, &title(&config.job.script))?;
    let sum = |name: &str| summaries.iter().filter_map(|s| s[name].as_f64()).sum::<f64>();
    let count = |name: &str| summaries.iter().filter_map(|s| s[name].as_u64()).sum::<u64>();
    let summary = json!({
        "status": status.name(),
        "step": count("step"),
        "steps": count("steps"),
        "runs": count("runs"),
        "env_steps": sum("env_steps"),
        "run_s": sum("run_s"),
        "ended": words::now(),
        "programs": parts.iter().map(|p| p.name.clone()).collect::<Vec<_>>(),
        "sweep": outcome.json(),
    });
    folder
        .write(summary::FILE, format!("{summary:#}\n").as_bytes())
        .map_err(|e| format!("error: {}: {e}", folder.file(summary::FILE).display()))?;
    if how.json {
        say!("{}", json!({ "event": "swept", "folder": folder.path.display().to_string(), "sweep": outcome.json() }));
    } else if !how.quiet {
        eprint!("\n{}", outcome.table());
        eprintln!("{}: {}", folder.path.display(), PICTURES.join(", "));
        if status == Status::Stopped {
            eprintln!("`whorl resume {}` goes on with the rest", folder.path.display());
        }
    }
    Ok(())
}

/// Gives the axes the names that the programs know them by.
fn rename(sweep: &mut Sweep, summaries: &[Value]) {
    let Some(axes) = summaries.iter().find_map(|s| s["sweep"]["axes"].as_array()) else { return };
    for (axis, known) in sweep.axes.iter_mut().zip(axes) {
        if let Some(name) = known["name"].as_str() {
            axis.name = name.to_string();
        }
    }
}
