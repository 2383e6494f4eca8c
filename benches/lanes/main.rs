//! Lane loops against clang's best: the same operations by Whorl and in C, in turns, by this thread's clock.
//!
//!     cargo bench --bench lanes [-- NAME…]
//!
//! README.md says how the C side is built. Each script beside this file has its loop in a `train scan`, whose steps are the repetitions. What
//! one step of C leaves is compared with what one of Whorl's leaves, bit for bit, before anything is timed.

mod library;

use std::ffi::c_long;
use std::path::Path;

use library::{Library, Step, thread_seconds};
use whorl::pipeline;
use whorl_core::ir::ArrayData;
use whorl_cpu::{Executable, RunState};

/// Seconds that one side runs before the other has its turn.
const TURN: f64 = 1e-3;
const ROUNDS: usize = 100;
const GROUPS: [usize; 3] = [1, 2, 4];

/// Scripts with their settings.
const CASES: [(&str, &[(&str, &str)]); 11] = [
    ("tanh", &[("n", "4096")]),
    ("tanh", &[("n", "65536")]),
    ("exp", &[("n", "4096")]),
    ("exp", &[("n", "65536")]),
    ("threefry", &[("n", "4096")]),
    ("threefry", &[("n", "65536")]),
    ("adam", &[("n", "4096")]),
    ("adam", &[("n", "65536")]),
    ("softmax", &[("rows", "64"), ("columns", "64")]),
    ("softmax", &[("rows", "512"), ("columns", "64")]),
    ("cartpole", &[("n", "1024")]),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/lanes"));
    let open = |name: String| Library::open(&folder.join(name));
    let clang =
        GROUPS.map(|k| open(format!("lanes_{k}.so")).unwrap_or_else(|e| panic!("{e}; see {}", folder.display())));
    let libm = open("libm.so".to_string()).ok();
    println!("Microseconds a step by this thread's clock, the least of {ROUNDS} turns.");
    println!(
        "clang: with 1, 2 and 4 vectors a turn of its loop; ratio: Whorl's to the best of these, least to least and median to median.\n"
    );
    println!("| loop | Whorl | clang | ratio | of medians | C library |");
    println!("|---|---|---|---|---|---|");
    for (name, settings) in CASES {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            compare(folder, name, settings, &clang, libm.as_ref());
        }
    }
}

fn compare(folder: &Path, name: &str, settings: &[(&str, &str)], clang: &[Library], libm: Option<&Library>) {
    let whorl = Whorl::new(&folder.join(format!("{name}.whorl")), settings);
    let before = whorl.after(0);
    let expected = whorl.after(1);
    let function = format!("{name}_rows");
    let mut state = whorl.state();
    let mut sides: Vec<Box<dyn FnMut(usize)>> = Vec::new();
    sides.push(Box::new(|steps| whorl.steps(&mut state, steps)));
    for library in clang {
        let step = library.step(&function).unwrap_or_else(|| panic!("lanes.c has no {function}"));
        let mut arrays = Arrays::new(&before);
        arrays.steps(step, 1);
        arrays.assert_equal(&expected, name);
        sides.push(Box::new(move |steps| arrays.steps(step, steps)));
    }
    if let Some(step) = libm.and_then(|l| l.step(&function)) {
        let mut arrays = Arrays::new(&before);
        sides.push(Box::new(move |steps| arrays.steps(step, steps)));
    }
    let times = in_turns(&mut sides);
    let micro = |k: usize| format!("{:.3}", 1e6 * times[k][0]);
    let best = |at: usize| (1..=clang.len()).map(|k| times[k][at]).fold(f64::INFINITY, f64::min);
    let ratio = |at: usize| format!("{:.2}", times[0][at] / best(at));
    let of_clang: Vec<String> = (1..=clang.len()).map(micro).collect();
    let of_libm = if times.len() > clang.len() + 1 { micro(clang.len() + 1) } else { "–".to_string() };
    let sizes: Vec<&str> = settings.iter().map(|(_, n)| *n).collect();
    println!(
        "| {name} [{}] | {} | {} | {} | {} | {of_libm} |",
        sizes.join(", "),
        micro(0),
        of_clang.join(", "),
        ratio(0),
        ratio(ROUNDS / 2)
    );
}

/// Seconds of a step of each side in each round, sorted.
fn in_turns(sides: &mut [Box<dyn FnMut(usize) + '_>]) -> Vec<Vec<f64>> {
    let time = |side: &mut dyn FnMut(usize), steps: usize| {
        let begin = thread_seconds();
        side(steps);
        (thread_seconds() - begin) / steps as f64
    };
    let steps: Vec<usize> = sides
        .iter_mut()
        .map(|side| {
            time(side, 100);
            (TURN / time(side, 100)).ceil() as usize
        })
        .collect();
    let mut times = vec![Vec::new(); sides.len()];
    for round in 0..ROUNDS {
        for k in 0..sides.len() {
            let which = (k + round) % sides.len();
            times[which].push(time(&mut *sides[which], steps[which]));
        }
    }
    times.iter_mut().for_each(|t| t.sort_by(f64::total_cmp));
    times
}

/// A compiled script of three phases: what is prepared, the steps, what is returned.
struct Whorl {
    executable: Executable,
}

const PREPARES: usize = 0;
const STEPS: usize = 1;
const RETURNS: usize = 2;

impl Whorl {
    fn new(path: &Path, settings: &[(&str, &str)]) -> Whorl {
        let settings: Vec<(String, String)> = settings.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.display().to_string();
        let source = pipeline::load_text(&name, text, &settings).unwrap_or_else(|e| panic!("{e}"));
        let traced = source.script.trace_main().unwrap_or_else(|d| panic!("{}", pipeline::render(&d, &source.map)));
        let compiled = pipeline::compile(traced.program, &source.map, 1).unwrap_or_else(|e| panic!("{e}"));
        Whorl { executable: compiled.executable }
    }

    fn phase(&self, phase: usize, state: &mut RunState, steps: usize) {
        if phase < self.executable.program().phases.len() {
            self.executable.run_phase(phase, state, 0, steps).unwrap_or_else(|e| panic!("{e}"));
        }
    }

    /// Ready for the first step.
    fn state(&self) -> RunState {
        let inputs = [ArrayData::scalar(0u32), ArrayData::scalar(7u32)];
        let mut state = self.executable.new_run(0, &inputs).unwrap_or_else(|e| panic!("{e}"));
        self.phase(PREPARES, &mut state, 0);
        state
    }

    fn steps(&self, state: &mut RunState, steps: usize) {
        self.phase(STEPS, state, steps);
    }

    /// The results after so many steps.
    fn after(&self, steps: usize) -> Vec<ArrayData> {
        let mut state = self.state();
        self.steps(&mut state, steps);
        self.phase(RETURNS, &mut state, 0);
        self.executable.outputs(&state)
    }
}

/// Copies of arrays, each at a multiple of 64 bytes.
struct Arrays {
    memory: Vec<[u64; 8]>,
    /// Where each begins, in units of 64 bytes.
    starts: Vec<usize>,
    longest: usize,
}

impl Arrays {
    fn new(of: &[ArrayData]) -> Arrays {
        let (mut memory, mut starts) = (Vec::new(), Vec::new());
        for array in of {
            starts.push(memory.len());
            for bytes in array.bytes.chunks(64) {
                let mut whole = [0; 64];
                whole[..bytes.len()].copy_from_slice(bytes);
                memory.push(std::array::from_fn(|k| u64::from_ne_bytes(std::array::from_fn(|b| whole[8 * k + b]))));
            }
        }
        let longest = of.iter().map(|a| a.bytes.len() / a.ty.dtype.bytes()).max().unwrap_or(0);
        Arrays { memory, starts, longest }
    }

    fn steps(&mut self, step: Step, steps: usize) {
        let memory = self.memory.as_mut_ptr();
        // SAFETY: every start is within the memory.
        let at: Vec<*mut u8> = self.starts.iter().map(|k| unsafe { memory.add(*k) }.cast()).collect();
        for _ in 0..steps {
            // SAFETY: the arrays are those that the function of the script's name expects, of these sizes.
            unsafe { step(at.as_ptr(), self.longest as c_long) };
        }
    }

    fn assert_equal(&self, expected: &[ArrayData], name: &str) {
        let bytes: Vec<u8> = self.memory.iter().flatten().flat_map(|word| word.to_ne_bytes()).collect();
        for (k, array) in expected.iter().enumerate() {
            let is = &bytes[64 * self.starts[k]..][..array.bytes.len()];
            let size = array.ty.dtype.bytes();
            let differs = is.chunks(size).zip(array.bytes.chunks(size)).position(|(a, b)| a != b);
            let bytes = differs.map(|at| (at, &is[size * at..][..size], &array.bytes[size * at..][..size]));
            assert!(bytes.is_none(), "{name}: result {k} differs: {bytes:?} (place, in C, in Whorl)");
        }
    }
}
