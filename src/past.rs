//! A run that was: what its folder tells of it, and the program as it was.

use std::path::{Path, PathBuf};

use whorl_core::ir::ArrayData;
use whorl_host::checkpoint::{self, Checkpoint, Unreadable};
use whorl_host::drive::{Place, Saved};
use whorl_host::engine::{Engine, Phase};

use crate::engine::ProgramEngine;
use crate::run::How;
use crate::run::job::{self, Config};
use crate::run::prepare::Prepared;
use crate::run::sources::Sources;

pub struct Past {
    pub folder: PathBuf,
    pub config: Config,
    pub sources: Sources,
}

impl Past {
    /// Reads what a run folder says, and proves that the program is still the same.
    pub fn open(folder: &Path) -> Result<Past, String> {
        let config = read_config(folder)?;
        let sources = Sources::stored(&config, folder)?;
        if sources.hash != config.source_hash {
            return Err(format!(
                "error: {}: {}\nhelp: `{}` starts anew with what there is now",
                folder.display(),
                changed(&config, &sources),
                config.command()
            ));
        }
        Ok(Past { folder: folder.to_path_buf(), config, sources })
    }

    /// The compiled program.
    pub fn prepare(self, how: &How) -> Result<(Config, Prepared), String> {
        let prepared = Prepared::new(self.sources, &self.config.job, how)?;
        Ok((self.config, prepared))
    }
}

pub fn read_config(folder: &Path) -> Result<Config, String> {
    let path = folder.join(job::FILE);
    let text = std::fs::read_to_string(&path).map_err(|e| {
        let name = folder.display();
        match e.kind() {
            std::io::ErrorKind::NotFound if !folder.exists() => {
                format!("error: {name}: there is no such folder; `whorl runs` lists what there is")
            }
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                format!("error: {name} is no run folder: it has no {}; `whorl runs` lists what there is", job::FILE)
            }
            _ => format!("error: {}: {e}", path.display()),
        }
    })?;
    Config::read(&text).map_err(|e| format!("error: {} is damaged: {e}", path.display()))
}

/// Why the sources have another hash than they had.
fn changed(config: &Config, sources: &Sources) -> String {
    for (name, was) in &config.data {
        if sources.data.iter().any(|(n, is)| n == name && is != was) {
            return format!("the data file {name} has been changed since the run");
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    if config.version != version {
        return format!(
            "it was run by Whorl {}, and this is {version}, whose standard library is another",
            config.version
        );
    }
    "the script's copy in it has been changed since the run, or the standard library of this Whorl is another"
        .to_string()
}

/// The checkpoint of a run: `file`, or its last one; `None` where it has none. An error says what can be done.
pub fn checkpoint(folder: &Path, file: Option<&Path>, run_hash: &str) -> Result<Option<Checkpoint>, String> {
    let path = file.map_or_else(|| folder.join(checkpoint::FILE), Path::to_path_buf);
    let refused = |why: &str| {
        let good = checkpoint::earlier(folder).into_iter().rev().find(|p| *p != path && checkpoint::read(p).is_ok());
        let help = match good {
            Some(good) => format!(
                "`whorl resume {} --checkpoint {}` goes on from an earlier one",
                folder.display(),
                good.display()
            ),
            None => format!("`whorl repeat {}` does the run again from the start", folder.display()),
        };
        Err(format!("error: {}: {why}\nhelp: {help}", path.display()))
    };
    match checkpoint::read(&path) {
        Ok(c) if c.header.run_hash != run_hash => refused(
            "it is of another run: of another script, other settings or another seed, or by another version of Whorl",
        ),
        Ok(c) => Ok(Some(c)),
        Err(Unreadable::Missing) if file.is_none() => Ok(None),
        Err(why) => refused(&why.to_string()),
    }
}

/// The states of a checkpoint, in the program.
pub fn place(prepared: &Prepared, checkpoint: Checkpoint) -> Result<Place<ProgramEngine>, String> {
    let Checkpoint { header, states, .. } = checkpoint;
    let saved = Saved { phase: header.phase, step: header.step, states };
    Place::restored(&prepared.engine, &saved)
        .map_err(|why| format!("error: the checkpoint does not fit the program: {why}"))
}

/// What `main` gives, at each point of a sweep, if its `train scan` ends where the checkpoint was made: one array for each of
/// [`Prepared::results`].
pub fn results(prepared: &Prepared, place: Place<ProgramEngine>) -> Result<Vec<Vec<ArrayData>>, String> {
    let Place { phase, mut states, .. } = place;
    let phases = prepared.engine.phases();
    let straight = (phase + 1..phases.len()).filter(|p| phases[*p] == Phase::Straight);
    for phase in straight {
        prepared.engine.execute(phase, &mut states, 0, 0, 1).map_err(|failure| format!("error: {}", failure.error))?;
    }
    let points = 0..prepared.engine.points().len();
    points.map(|k| prepared.outcome(k, &states).map_err(|e| format!("error: {e}"))).collect()
}
