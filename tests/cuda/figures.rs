//! What the kernels take, written down and watched: registers, spills, shared memory and instructions of text with `ptxas`, executed instructions and barriers by
//! the emulator.
//!
//! `UPDATE=1` writes `figures.txt` anew; that wants a `ptxas` (`WHORL_PTXAS`). Without one, the test looks at the emulator's numbers alone.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use whorl_cuda::Options;
use whorl_device::Checks;
use whorl_schedule::loop_ir::{LoopProgram, Phase};

use crate::{compiled, programs, run, scheduled, support};

/// What may grow, in hundredths.
const SLACK: u64 = 2;
pub const ARCHITECTURES: [u32; 2] = [80, 90];

/// By what they are of: numbers with their names.
type Figures = BTreeMap<String, Vec<(String, u64)>>;

/// Of one kernel.
pub struct Assembled {
    pub kernel: String,
    pub registers: u64,
    /// Bytes that are stored because there are too few.
    pub spilled: u64,
}

/// What `ptxas -v` says of a module, and the processor's seconds that it takes.
pub fn assemble(ptxas: &Path, ptx: &str, architecture: u32) -> (Vec<Assembled>, f64) {
    // Another for each call: tests run at the same time.
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("whorl-figures-{}-{call}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("kernels.ptx");
    std::fs::write(&path, ptx).expect("written");
    // The shell knows what its children took.
    let mut command = Command::new("sh");
    command.arg("-c").arg("\"$0\" \"$@\" && times").arg(ptxas);
    command.arg("-v").arg(format!("-arch=sm_{architecture}")).arg(&path).arg("-o").arg(folder.join("out"));
    let output = command.output().expect("ptxas runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "sm_{architecture}: {said}");
    let times = String::from_utf8_lossy(&output.stdout).into_owned();
    let _ = std::fs::remove_dir_all(folder);
    let mut all = Vec::new();
    for of_kernel in said.split("Compiling entry function '").skip(1) {
        let number = |before: &str, behind: &str| -> f64 {
            let end = of_kernel.find(behind).unwrap_or_else(|| panic!("no `{behind}` in {of_kernel}"));
            let start = of_kernel[..end].rfind(before).map_or(0, |at| at + before.len());
            of_kernel[start..end].trim().parse().unwrap_or_else(|e| panic!("{e} in {of_kernel}"))
        };
        all.push(Assembled {
            kernel: of_kernel.split('\'').next().unwrap_or_default().to_string(),
            registers: number("Used ", " registers") as u64,
            spilled: number(", ", " bytes spill stores") as u64,
        });
    }
    (all, seconds(times.lines().last().unwrap_or_default()))
}

/// Of `0m1.23s 0m0.04s`, both together.
fn seconds(times: &str) -> f64 {
    let one = |time: &str| {
        let parts = time.trim_end_matches('s').split_once('m').map(|(m, s)| (m.parse::<f64>(), s.parse::<f64>()));
        match parts {
            Some((Ok(minutes), Ok(seconds))) => 60.0 * minutes + seconds,
            _ => panic!("the shell's times: {times}"),
        }
    };
    times.split_whitespace().map(one).sum()
}

pub fn ptxas() -> Option<PathBuf> {
    std::env::var_os("WHORL_PTXAS").map(PathBuf::from)
}

fn module(program: &LoopProgram, architecture: u32) -> whorl_cuda::Module {
    compiled(program, &Options { architecture, ..Options::default() })
}

/// Registers, spills and shared memory of a program's kernels.
fn assembled(name: &str, program: &LoopProgram, ptxas: &Path, figures: &mut Figures) {
    for architecture in ARCHITECTURES {
        let module = module(program, architecture);
        for a in assemble(ptxas, &module.ptx, architecture).0 {
            let entry = module.kernels.iter().find(|e| e.name == a.kernel).expect("a kernel of this name");
            let own = figures.entry(format!("{name} {} sm_{architecture}", entry.name)).or_default();
            own.push(("registers".into(), a.registers));
            own.push(("spilled".into(), a.spilled));
            own.push(("shared".into(), entry.shared_bytes as u64));
            own.push(("text".into(), entry.instructions as u64));
        }
    }
}

/// One update of PPO with the sizes of PureJaxRL, by the emulator.
fn an_update(figures: &mut Figures) {
    let program = scheduled(crate::PPO, crate::SMALL);
    let updates = program.phases.iter().find_map(|p| match p {
        Phase::Train { n, .. } => Some(*n as u64),
        Phase::Straight(_) => None,
    });
    let updates = updates.expect("a train scan");
    let module = module(&program, 90);
    let most = module.kernels.iter().map(|k| k.shared_bytes).max().unwrap_or(0);
    let (_, device) = run(&program, module, Checks::FEW).unwrap_or_else(|e| panic!("{e}"));
    let counters = device.take_counters();
    let (_, counters) = counters.iter().max_by_key(|(_, c)| c.thread_instructions).expect("a kernel");
    let own = figures.entry("an update of cartpole_ppo".into()).or_default();
    own.push(("instructions".into(), counters.thread_instructions / updates));
    own.push(("barriers".into(), counters.barriers / updates));
    own.push(("shared".into(), most as u64));
}

/// With the sizes that they are run with.
fn examples() -> impl Iterator<Item = (String, LoopProgram)> {
    support::scripts("examples").into_iter().map(|path| {
        let name = path.file_stem().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        let program = scheduled(&format!("examples/{name}.whorl"), &[]);
        (name, program)
    })
}

fn text(figures: &Figures) -> String {
    let mut out = String::new();
    for (name, numbers) in figures {
        let numbers: Vec<String> = numbers.iter().map(|(what, n)| format!("{what} {n}")).collect();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name}: {}", numbers.join(", "));
    }
    out
}

fn read(text: &str) -> Figures {
    let line = |line: &str| {
        let (name, numbers) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
        let number = |n: &str| {
            let (what, n) = n.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            (what.to_string(), n.parse().unwrap_or_else(|e| panic!("{line}: {e}")))
        };
        (name.to_string(), numbers.split(", ").map(number).collect())
    };
    text.lines().map(line).collect()
}

/// What has grown, or appeared.
fn worse(old: &Figures, new: &Figures) -> Vec<String> {
    let mut worse = Vec::new();
    for (name, numbers) in new {
        let Some(before) = old.get(name) else {
            worse.push(format!("{name} is not there"));
            continue;
        };
        for ((what, n), (_, most)) in numbers.iter().zip(before) {
            let slack = if matches!(what.as_str(), "instructions" | "text") { most * SLACK / 100 } else { 0 };
            if *n > most + slack {
                worse.push(format!("{name}: {what} {n}, not {most}"));
            }
        }
    }
    worse
}

#[test]
fn kernels_do_not_grow() {
    let path = support::root().join("tests/cuda/figures.txt");
    let mut figures = Figures::new();
    an_update(&mut figures);
    let update = std::env::var_os("UPDATE").is_some();
    match ptxas() {
        Some(ptxas) => {
            let small = programs::all().into_iter().map(|(name, program)| (format!("small {name}"), program));
            for (name, program) in examples().chain(small) {
                assembled(&name, &program, &ptxas, &mut figures);
            }
        }
        None => assert!(!update, "UPDATE=1 wants a ptxas: WHORL_PTXAS"),
    }
    if update {
        std::fs::write(&path, text(&figures)).expect("written");
        return;
    }
    let worse = worse(&read(&std::fs::read_to_string(&path).expect("figures")), &figures);
    assert!(worse.is_empty(), "UPDATE=1 writes them anew:\n{}", worse.join("\n"));
}

/// What was promised of PPO's kernel, whatever the figures.
#[test]
fn ppo_stays_within_its_bars() {
    let mut figures = Figures::new();
    an_update(&mut figures);
    let bars = [("instructions", 132_600_000), ("barriers", 1498), ("shared", 227 << 10)];
    for ((what, n), (name, most)) in figures["an update of cartpole_ppo"].iter().zip(bars) {
        assert!(what == name && *n <= most, "{what} {n}, not {most}");
    }
    let Some(ptxas) = ptxas() else {
        eprintln!("skipped: WHORL_PTXAS names no ptxas");
        return;
    };
    let program = scheduled(crate::PPO, &[]);
    for architecture in ARCHITECTURES {
        let module = module(&program, architecture);
        let (all, seconds) = assemble(&ptxas, &module.ptx, architecture);
        // Promised are two, of a machine that does nothing else: told, as no test can know that.
        println!("ptxas for sm_{architecture}: {seconds} s of a processor");
        for a in all {
            assert!(
                a.registers <= 168 && a.spilled == 0,
                "{}: {} registers, {} spilled",
                a.kernel,
                a.registers,
                a.spilled
            );
        }
    }
}
