//! Whether a program fits into the memory that there is, and in how many arenas.

use std::path::Path;

use whorl_schedule::loop_ir::LoopProgram;
use whorl_source::SourceMap;

use crate::park;
use crate::pipeline;
use crate::words::bytes;

/// The memory of runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arenas {
    EachItsOwn,
    /// Runs take turns in so many; between its turns only a run's state is kept.
    Shared(usize),
}

/// How much memory there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    pub free: usize,
    /// `--memory` said so: the system has more.
    pub is_limit: bool,
}

impl Room {
    /// What the system can give, but no more than `most`.
    pub fn now(most: Option<usize>) -> Room {
        let free = usize::try_from(crate::data::available_memory()).unwrap_or(usize::MAX);
        Room::of([of_group(), of_process()].into_iter().flatten().fold(free, usize::min), most)
    }

    /// What is free, but no more than `most`.
    pub fn of(free: usize, most: Option<usize>) -> Room {
        match most {
            Some(most) if most < free => Room { free: most, is_limit: true },
            Some(_) | None => Room { free, is_limit: false },
        }
    }
}

/// How `runs` runs of the program are to lie in memory, a few at a time if they do not fit together; where that does not help
/// either, an error with the largest arrays.
///
/// Counted are arenas, the states of parked runs, and twice the states of all runs: the host keeps the last good state for a
/// checkpoint, and one is being written. What the process has already, the system does not say to be free.
pub fn plan(program: &LoopProgram, runs: usize, threads: usize, room: Room, map: &SourceMap) -> Result<Arenas, String> {
    let arena = program.arena_bytes;
    let parked = park::most_bytes(program);
    let together = |arenas: usize, states: usize| {
        arenas.checked_mul(arena)?.checked_add(runs.checked_mul(parked)?.checked_mul(states)?)
    };
    let fits = |needed: Option<usize>| needed.is_some_and(|n| n <= room.free);
    if fits(together(runs, 2)) {
        return Ok(Arenas::EachItsOwn);
    }
    let at_once = threads.min(runs).max(1);
    if let Some(k) = (1..=at_once).rev().find(|&k| k < runs && fits(together(k, 3))) {
        return Ok(Arenas::Shared(k));
    }
    // Tight, and without room for a copy of the states: it may do, and it is the program's only chance.
    if fits(together(runs, 0)) {
        return Ok(Arenas::EachItsOwn);
    }
    let tried = if runs > 1 {
        format!("; one at a time with the states of the others beside it, they need {}", needed(together(1, 3)))
    } else {
        String::new()
    };
    Err(refusal(program, runs, "", room, &tried, map))
}

/// An error, with the largest arrays, if the runs, which take so many bytes of a card's memory, do not fit there all together.
pub fn fits_on_card(
    program: &LoopProgram,
    runs: usize,
    needed: usize,
    room: Room,
    map: &SourceMap,
) -> Result<(), String> {
    if needed <= room.free {
        return Ok(());
    }
    let all = if runs > 1 { format!("; together they need {}", bytes(needed)) } else { String::new() };
    Err(refusal(program, runs, " on the card", room, &all, map))
}

fn refusal(program: &LoopProgram, runs: usize, place: &str, room: Room, more: &str, map: &SourceMap) -> String {
    let arena = program.arena_bytes;
    let table = whorl_schedule::memory_table(program, 8, &|spans| pipeline::lines(map, spans));
    let each = if runs > 1 { format!("{runs} runs of {} each", bytes(arena)) } else { bytes(arena) };
    let (there, free) = if room.is_limit {
        ("`--memory` allows".to_string(), format!("{} are allowed", bytes(room.free)))
    } else {
        (format!("there is{place}"), format!("{} are free", bytes(room.free)))
    };
    let fewer = if runs > 1 && !place.is_empty() { "fewer runs at once, or " } else { "" };
    format!(
        "error: this needs more memory than {there}: {each}, and {free}{more}\n{table}\
         help: {fewer}fewer or smaller of the arrays above; of a loop that is differentiated, `checkpoint sqrt` keeps fewer states"
    )
}

fn needed(n: Option<usize>) -> String {
    n.map_or("more than can be counted".to_string(), bytes)
}

/// What a container's limit leaves: the control group's, of version 2 or 1. Pages of files are given up when needed.
fn of_group() -> Option<usize> {
    let number = |path: &Path| std::fs::read_to_string(path).ok()?.trim().parse::<usize>().ok();
    let files = |path: &Path, entry: &str| -> usize {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix(entry)?.trim().parse().ok());
        line.unwrap_or(0)
    };
    let left = |root: &str, limit: &str, used: &str, entry: &str| {
        let root = Path::new(root);
        let (limit, used) = (number(&root.join(limit))?, number(&root.join(used))?);
        Some(limit.saturating_sub(used.saturating_sub(files(&root.join("memory.stat"), entry))))
    };
    left("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ").or_else(|| {
        left("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
    })
}

/// What the limit of the process's address space leaves (`ulimit -v`).
fn of_process() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|l| l.strip_prefix("Max address space"))?;
    let limit: usize = line.split_whitespace().next()?.parse().ok()?;
    let pages: usize = std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().next()?.parse().ok()?;
    // Pages are of 4 KiB where there is such a file and such a limit, or larger, and then this is too little by some.
    Some(limit.saturating_sub(pages * 4096))
}

/// `512`, `300K`, `1.5G`: bytes, by powers of 1024.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let wrong = || format!("--memory {text}: write a number of bytes, as in 800M, 1.5G or 65536");
    let plain = text.trim().trim_end_matches("iB").trim_end_matches('B');
    let (digits, factor) = match plain.char_indices().last() {
        Some((at, 'K' | 'k')) => (&plain[..at], 1u64 << 10),
        Some((at, 'M' | 'm')) => (&plain[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&plain[..at], 1 << 30),
        Some((at, 'T' | 't')) => (&plain[..at], 1 << 40),
        Some(_) | None => (plain, 1),
    };
    let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
    if !(number.is_finite() && number > 0.0) {
        return Err(wrong());
    }
    Ok((number * factor as f64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("65536", 65536),
            ("300K", 300 << 10),
            ("800M", 800 << 20),
            ("1.5G", 3 << 29),
            ("2GiB", 2 << 30),
            ("7B", 7),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1", "nan", "inf", "4X", "0", "1e999"] {
            assert!(parse_bytes(text).is_err_and(|e| e.contains("--memory")), "{text}");
        }
    }
}
