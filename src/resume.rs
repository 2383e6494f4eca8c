//! `whorl resume`: go on with a run where its checkpoint is, as if it had not stopped.

use std::process::ExitCode;

use whorl_host::folder::{Closed, Folder};

use crate::args;
use crate::past::{self, Past};
use crate::run::carry_out;
use crate::run::summary::Status;
use crate::sweep::each;

pub fn resume(options: &args::Resume) -> Result<ExitCode, String> {
    let name = options.folder.display();
    // Says what is wrong with the folder before a lock is put in it.
    past::read_config(&options.folder)?;
    let folder = Folder::open(&options.folder).map_err(|e| match e {
        Closed::Busy => format!("error: {name}: another process is at work in it; wait for it, or stop it"),
        Closed::Io(e) => format!("error: {name}: {e}"),
    })?;
    if options.checkpoint.is_none()
        && let Some((Status::Finished, _)) = Status::read(&options.folder)
    {
        if !options.how.quiet {
            eprintln!("{name}: the run is finished; `whorl repeat {name}` does it again");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut past = Past::open(&options.folder)?;
    let how = options.how.where_it_was(past.config.device);
    how.device().check()?;
    if let Some(parts) = each::parts(&mut past.sources, &past.config.job)? {
        return each::carry_out(&past.config, &parts, &how, folder);
    }
    let found = past::checkpoint(&options.folder, options.checkpoint.as_deref(), &past.config.run_hash())?;
    let (_, prepared) = past.prepare(&how)?;
    let place = found.map(|c| past::place(&prepared, c)).transpose()?;
    if place.is_none() && !options.how.quiet {
        eprintln!("{name}: there is no checkpoint yet; the run starts at the beginning");
    }
    carry_out(&prepared, &how, folder, place)
}
