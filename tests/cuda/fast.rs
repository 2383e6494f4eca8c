//! `--fast-math`: products by tensor cores and approximate functions, within what is said of them; and not a word of it where it is not asked for.

use whorl_core::ir::ArrayData;
use whorl_cuda::Options;
use whorl_device::Checks;
use whorl_schedule::loop_ir::{LoopProgram, Phase};

use crate::figures::{ARCHITECTURES, assemble, ptxas};
use crate::{PPO, SMALL, compiled, key, run, scheduled, support};

/// Each product, and the sum of the absolute values of what it adds. Sizes of whole blocks and not; transposed, batched, accumulated, with a bias and a function.
const PRODUCTS: &str = "
fn both(a: f32[m, k], b: f32[k, n]) = (a @ b, abs(a) @ abs(b))
fn main(key: Key) {
  let (k0, k1, k2, k3, k4, k5, k6) = split(key, 7)
  let a = normal(k0, [64, 128])
  let b = normal(k1, [128, 64])
  let c = normal(k2, [48, 24])
  let d = normal(k3, [24, 40])
  let rows = for k in split(k6, 3) { let (l, r) = split(k)
    both(normal(l, [32, 16]), normal(r, [16, 8])) }
  let odd = both(normal(k4, [17, 9]), normal(k5, [9, 5]))
  (both(a, b), both(transpose(b), transpose(a)), both(transpose(a), a), both(c, d), rows, odd)
}
";

fn program(text: &str) -> LoopProgram {
    let source = support::load_text("script.whorl", text, &[]);
    let program = whorl::pipeline::flatten_for_cards(source.script.trace_main().expect("a program").program);
    whorl::pipeline::schedule(&program, &source.map).expect("a schedule")
}

fn exact(program: &LoopProgram) -> Vec<ArrayData> {
    let executable = whorl_cpu::compile(program, &whorl_cpu::Options::default()).expect("code");
    executable.run_to_end(&key(), 1).expect("it runs")
}

fn fast() -> [Options; 3] {
    let fast = Options { fast_math: true, ..Options::default() };
    [fast.clone(), Options { threads: 32, shared: 512, ..fast.clone() }, Options { threads: 64, blocks: 3, ..fast }]
}

fn got(program: &LoopProgram, options: &Options) -> Vec<ArrayData> {
    run(program, compiled(program, options), Checks::ALL).unwrap_or_else(|e| panic!("{e}")).0
}

/// A number of tf32 is off by 2^-11 of itself, a product of two by twice that.
#[test]
fn products_are_within_the_error_of_tf32() {
    let program = program(PRODUCTS);
    let expected = exact(&program);
    for options in fast() {
        let module = compiled(&program, &options);
        assert!(module.ptx.contains("mma.sync"), "no product went to the tensor cores");
        let got = got(&program, &options);
        let mut differ = 0;
        for (k, pair) in expected.chunks_exact(2).enumerate() {
            let (values, bounds) = (pair[0].to_f64(), pair[1].to_f64());
            for (i, (x, y)) in values.iter().zip(got[2 * k].to_f64()).enumerate() {
                let error = (x - y).abs();
                assert!(error <= bounds[i] * 2f64.powi(-10), "product {k}, element {i}: {y}, not {x}: {error}");
                differ += usize::from(*x != y);
            }
        }
        assert!(differ > 1000, "only {differ} numbers differ: was it computed by other means?");
        // 17 × 9 × 5 has no whole blocks: it is as it was.
        assert_eq!(got[10], expected[10]);
    }
}

const FUNCTIONS: &str = "
fn main(key: Key) {
  let x = 16.0 * uniform(key, [4096]) - 8.0
  let y = 0.001 + abs(x)
  (exp(x), exp2(x), sigmoid(x), sqrt(y), 3.0 / y, tanh(x), log(y), log2(y))
}
";

#[test]
fn functions_are_within_their_bounds() {
    let program = program(FUNCTIONS);
    let expected = exact(&program);
    for options in fast() {
        let got = got(&program, &options);
        // Relative, and absolute: a logarithm near zero.
        let bounds =
            [(1e-5, 0.0), (1e-6, 0.0), (1e-5, 0.0), (1e-6, 0.0), (1e-6, 0.0), (6e-4, 0.0), (1e-5, 1e-6), (1e-5, 1e-6)];
        for (k, ((x, y), (relative, absolute))) in expected.iter().zip(&got).zip(bounds).enumerate() {
            for (x, y) in x.to_f64().into_iter().zip(y.to_f64()) {
                assert!((x - y).abs() <= relative * x.abs() + absolute, "function {k}: {y}, not {x}");
            }
        }
    }
}

/// Training goes the same way for a while.
#[test]
fn ppo_begins_as_without() {
    let program = scheduled(PPO, SMALL);
    let updates =
        program.phases.iter().map(|p| if let Phase::Train { n, .. } = p { *n as u64 } else { 0 }).sum::<u64>();
    let plain = Options::default();
    let [fast, ..] = fast();
    let counted = |options: &Options| {
        let module = compiled(&program, options);
        let (results, device) = run(&program, module, Checks::ALL).unwrap_or_else(|e| panic!("{e}"));
        let counters = device.take_counters();
        let most = counters.iter().map(|(_, c)| c.thread_instructions).max().unwrap_or(0);
        (results, most / updates)
    };
    let ((expected, exact), (got, fewer)) = (counted(&plain), counted(&fast));
    assert_ne!(expected, got, "the same bits");
    let (mut far, mut all) = (0, 0);
    for (x, y) in expected.iter().zip(&got) {
        for (x, y) in x.to_f64().into_iter().zip(y.to_f64()) {
            all += 1;
            far += usize::from((x - y).abs() > 1e-2 * x.abs().max(1e-2));
        }
    }
    eprintln!(
        "an update: {exact} thread-instructions, {fewer} by fast math; {far} of {all} results differ by more than a hundredth"
    );
    assert!(far * 100 <= all, "{far} of {all} results differ by more than a hundredth");
    assert!(fewer * 10 < exact * 7, "{fewer} thread-instructions, and {exact} without");
}

#[test]
fn nothing_is_approximate_unless_asked() {
    for program in [program(PRODUCTS), program(FUNCTIONS), scheduled(PPO, SMALL)] {
        let ptx = compiled(&program, &Options::default()).ptx;
        for word in ["mma.sync", ".approx", "div.full", "tf32"] {
            assert!(!ptx.contains(word), "{word}");
        }
    }
}

#[test]
fn ptxas_takes_it() {
    let Some(ptxas) = ptxas() else {
        eprintln!("skipped: WHORL_PTXAS names no ptxas");
        return;
    };
    for program in [program(PRODUCTS), program(FUNCTIONS), scheduled(PPO, &[])] {
        for (architecture, options) in ARCHITECTURES.into_iter().flat_map(|a| fast().map(|o| (a, o))) {
            let module = compiled(&program, &Options { architecture, ..options });
            for a in assemble(&ptxas, &module.ptx, architecture).0 {
                eprintln!("sm_{architecture} {}: {} registers, {} bytes spilled", a.kernel, a.registers, a.spilled);
            }
        }
    }
}
