//! Programs as CUDA kernels.

use std::sync::Arc;
use std::time::{Duration, Instant};

use whorl_core::Program;
use whorl_cuda::{Card, Executable, Module, Options, Schedule};
use whorl_device::{Device, Properties};
use whorl_schedule::loop_ir::LoopProgram;
use whorl_source::{SourceMap, Span};

use crate::cache::{Cache, Key};
use crate::pipeline::{flatten_for_cards, schedule};

/// The names of all files, and where a span is: the number of its file, counted from 1, and the line.
pub fn lines(map: &SourceMap) -> (Vec<String>, impl Fn(Span) -> Option<(u32, u32)>) {
    let files = map.files().map(|(_, f)| f.name.clone()).collect();
    let line = |span: Span| {
        let file = map.file(span.file)?;
        Some((span.file.0 + 1, file.position(span.start).0 as u32))
    };
    (files, line)
}

/// The text of kernels is for this or a newer card; there is nothing in it that only newer ones than these two have.
fn architecture(card: &Properties) -> u32 {
    if card.capability >= (9, 0) { 90 } else { 80 }
}

/// The kernels of a program.
pub fn module(
    p: &LoopProgram,
    schedule: &Schedule,
    card: &Properties,
    fast_math: bool,
    map: &SourceMap,
) -> Result<Module, String> {
    let (files, line) = lines(map);
    let options = Options { fast_math, ..schedule.options(architecture(card)) };
    whorl_cuda::compile(p, &options, &files, &line).map_err(|e| format!("error: {e}"))
}

/// A traced program on a card.
pub struct OnCard {
    pub executable: Executable,
    /// From the traced program to a module that the driver has taken.
    pub time: Duration,
    /// Whether its kernels were written before.
    pub cached: bool,
}

/// Compiles for a card and so many points of a sweep, unless the cache has the kernels. (What the driver makes of them it keeps itself.)
pub fn compile(
    traced: Program,
    map: &SourceMap,
    device: Arc<dyn Device>,
    points: usize,
    fast_math: bool,
    cache: &Cache,
) -> Result<OnCard, String> {
    let begin = Instant::now();
    let card = device.properties();
    if card.capability < (8, 0) {
        let (major, minor) = card.capability;
        return Err(format!(
            "error: {} has compute capability {major}.{minor}, and 8.0 is the least that can be used\nhelp: run without --device",
            card.name
        ));
    }
    let (files, _) = lines(map);
    let key = cache.folder().map(|_| Key::of(&traced, ("cuda", &card, points, fast_math, &files)));
    let found: Option<(LoopProgram, Module)> = key.and_then(|key| cache.get(key));
    let cached = found.is_some();
    let (program, module) = match found {
        Some(found) => found,
        None => {
            let program = schedule(&flatten_for_cards(traced), map)?;
            let schedule = Schedule::choose(&program, program.runs.unwrap_or(1) * points, &Card::from(&card));
            let module = module(&program, &schedule, &card, fast_math, map)?;
            let compiled = (program, module);
            if let Some(key) = key {
                cache.put(key, &compiled);
            }
            compiled
        }
    };
    let executable = Executable::new(program, module, device).map_err(|e| format!("error: {e}"))?;
    Ok(OnCard { executable, time: begin.elapsed(), cached })
}
