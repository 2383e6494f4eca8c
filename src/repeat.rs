//! `whorl repeat`: do a run again, from its folder alone, and tell whether the bits are the same.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use whorl_host::checkpoint::{self, Unreadable};
use whorl_host::engine::StateArray;

use crate::args;
use crate::past::Past;
use crate::run::summary::Status;
use crate::run::watch::METRICS;
use crate::run::{carry_out, new_folder};

pub fn repeat(options: &args::Repeat) -> Result<ExitCode, String> {
    let name = options.folder.display();
    let past = Past::open(&options.folder)?;
    if Status::read(&options.folder).is_none_or(|(status, _)| status != Status::Finished) {
        return Err(format!(
            "error: {name} has not come to its end, so there is nothing to compare with\nhelp: `whorl resume {name}` goes on with it"
        ));
    }
    crate::sweep::each::is_one_program(&past, "repeat")?;
    let how = options.how.where_it_was(past.config.device);
    let (config, prepared) = past.prepare(&how)?;
    let plain = options.folder.components().collect::<PathBuf>();
    let beside = plain.with_file_name(format!(
        "{}-repeat",
        plain.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    ));
    let out = options.out.clone().unwrap_or_else(|| free(&beside));
    let folder = new_folder(&prepared.sources, &config.job, &how, prepared.steps(), Some(&out))?;
    let code = carry_out(&prepared, &how, folder, None)?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    let differences = compare(&options.folder, &out)?;
    if differences.is_empty() {
        say!("{} is {name} again, to the bit", out.display());
        return Ok(ExitCode::SUCCESS);
    }
    for difference in &differences {
        eprintln!("{difference}");
    }
    Err(format!("error: {} is not the same as {name}", out.display()))
}

/// The path, or with a number behind it if it is taken.
fn free(path: &Path) -> PathBuf {
    let name = path.display().to_string();
    let numbered = (2..).map(|k| PathBuf::from(format!("{name}-{k}")));
    std::iter::once(path.to_path_buf()).chain(numbered).find(|p| !p.exists()).unwrap_or_else(|| path.to_path_buf())
}

/// Where two finished runs differ: their records, states, and what the script saved. A line each; none if nowhere.
pub fn compare(first: &Path, second: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    found.extend(records(first, second)?);
    found.extend(states(first, second)?);
    for name in saved(first) {
        let read = |folder: &Path| {
            std::fs::read(folder.join(&name)).map_err(|e| format!("error: {}: {e}", folder.join(&name).display()))
        };
        if read(first)? != read(second)? {
            found.push(format!("{} differs", name.display()));
        }
    }
    Ok(found)
}

/// The first record that differs.
fn records(first: &Path, second: &Path) -> Result<Option<String>, String> {
    let read = |folder: &Path| {
        let path = folder.join(METRICS);
        std::fs::read_to_string(&path).map_err(|e| format!("error: {}: {e}", path.display()))
    };
    let (a, b) = (read(first)?, read(second)?);
    if a == b {
        return Ok(None);
    }
    let none = "(nothing)";
    let (mut left, mut right) = (a.lines(), b.lines());
    loop {
        let (l, r) = (left.next(), right.next());
        if l != r || (l.is_none() && r.is_none()) {
            return Ok(Some(format!("{METRICS} differs: first {}, then {}", l.unwrap_or(none), r.unwrap_or(none))));
        }
    }
}

fn states(first: &Path, second: &Path) -> Result<Option<String>, String> {
    let read = |folder: &Path| match checkpoint::read(&folder.join(checkpoint::FILE)) {
        Ok(c) => Ok(Some(c)),
        // A program without a `train scan` has none.
        Err(Unreadable::Missing) => Ok(None),
        Err(e) => Err(format!("error: {}: {e}", folder.join(checkpoint::FILE).display())),
    };
    let (Some(a), Some(b)) = (read(first)?, read(second)?) else { return Ok(None) };
    if a == b {
        return Ok(None);
    }
    if (a.header.phase, a.header.step, a.states.len()) != (b.header.phase, b.header.step, b.states.len()) {
        return Ok(Some("the checkpoints are of different steps or numbers of runs".to_string()));
    }
    let differs = |(run, (x, y)): (usize, (&Vec<StateArray>, &Vec<StateArray>))| {
        let array = x.iter().zip(y).find(|(x, y)| x != y)?;
        Some(format!("the final states differ, first in `{}` of run {run}", array.0.name))
    };
    let place = a.states.iter().zip(&b.states).enumerate().find_map(differs);
    Ok(Some(place.unwrap_or_else(|| "the checkpoints differ".to_string())))
}

/// What the script saved inside of its run folder.
fn saved(folder: &Path) -> Vec<PathBuf> {
    let Some((_, summary)) = Status::read(folder) else { return Vec::new() };
    let paths = summary["saved"].as_array().into_iter().flatten().filter_map(|p| p.as_str()).map(PathBuf::from);
    paths.filter(|p| p.is_relative()).collect()
}
