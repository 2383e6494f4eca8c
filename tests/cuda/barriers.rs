//! Barriers of small programs, those inside of sorts and loops too: without them the emulator finds that threads race.

use whorl_cuda::{Module, Options, RunError};
use whorl_device::Checks;
use whorl_schedule::loop_ir::LoopProgram;

use crate::{compiled, programs, run};

/// What becomes of a program of which a line has been changed.
enum Fate {
    /// What the emulator found.
    Found(String),
    Nothing,
}

fn fate(program: &LoopProgram, module: &Module, line: usize, instead: &str) -> Fate {
    let mut lines: Vec<&str> = module.ptx.lines().collect();
    lines[line] = instead;
    let module = Module { ptx: lines.join("\n"), ..module.clone() };
    match run(program, module, Checks::ALL) {
        Err(RunError::Device(e)) if e.finding().is_some() => Fate::Found(e.to_string()),
        Err(e) => panic!("{e}"),
        Ok(_) => Fate::Nothing,
    }
}

/// The barriers of a program that are executed and of which nothing is seen when they are not there.
fn idle(name: &str, program: &LoopProgram, options: &Options) -> Vec<String> {
    let module = compiled(program, options);
    let lines: Vec<&str> = module.ptx.lines().collect();
    let barriers = lines.iter().enumerate().filter(|(_, l)| l.contains("bar.sync") || l.contains("bar.warp.sync"));
    let mut idle = Vec::new();
    let mut count = 0;
    for (line, text) in barriers {
        count += 1;
        match fate(program, &module, line, "") {
            Fate::Found(what) => println!("{name}: line {line}, {}: {what}", text.trim()),
            Fate::Nothing => {
                // One that nobody comes to says nothing; an access to nowhere would be found.
                let nowhere = "{ .reg .b64 %nowhere; mov.u64 %nowhere, 8; st.global.u32 [%nowhere], 0; }";
                if matches!(fate(program, &module, line, nowhere), Fate::Found(_)) {
                    let around = lines[line.saturating_sub(12)..(line + 12).min(lines.len())].join("\n");
                    idle.push(format!("{name}, {} threads: line {line}, {}\n{around}", options.threads, text.trim()));
                }
            }
        }
    }
    println!("{name}: {count} barriers, {} of them idle", idle.len());
    idle
}

/// Programs whose every barrier is left out, and how many of theirs order nothing at this size.
///
/// Of each kernel they are the one behind what is copied in, if nothing is, and often the one before what is copied back. The others are placed rightly, and
/// what they order does not cross threads here: a small product, whose threads have one number each, before a loop that goes over the same numbers
/// (the analysis knows no tiles); places that are known at run time; bytes that two arrays share one after the other. More of them say
/// that the analysis has become worse.
const IDLE: [(&str, usize); 3] = [("cartpole_ppo", 14), ("environments", 3), ("matrices", 25)];

#[test]
fn barriers_are_needed() {
    let all = programs::all();
    let [options, _] = programs::ways();
    for (name, most) in IDLE {
        let (_, program) = all.iter().find(|(n, _)| n == name).expect("a program of this name");
        let idle = idle(name, program, &options);
        assert!(idle.len() <= most, "{} barriers order nothing, not {most}\n{}", idle.len(), idle.join("\n\n"));
    }
}
