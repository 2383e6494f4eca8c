//! `whorl check`, `whorl show` and `whorl profile`, from outside, and what they count, by value.

mod support;

use serde_json::Value;
use support::tool::{Folder, Said};
use whorl::check::{analysis, warnings};
use whorl_schedule::cost;
use whorl_schedule::loop_ir::{Node, Phase};

const TRAINING: &str = r#"/// A tiny learner.

param lr: f32 = 0.1 in (0, 1) "step size"
size runs = 2 "side by side"
size batch = 32
size hidden = 16

fn layer(w: f32[hidden, hidden], x: f32[hidden]) = tanh(x @ w)

fn loss(w, xs) = mean(for x in xs { sum(layer(w, layer(w, x))) })

fn main(key: Key) = for k in split(key, runs) {
  let (k1, k2) = split(k)
  let xs = normal(k2, batch, hidden)
  train scan w = normal(k1, hidden, hidden) for t in 0..40 {
    let (value, g) = value_and_grad(fn(w) = loss(w, xs))(w)
    log("loss", value)
    w - lr * g
  }
}
"#;

fn object(said: &Said) -> Value {
    serde_json::from_str(said.out.trim()).unwrap_or_else(|e| panic!("whorl {}: {e}\n{}", said.line, said.out))
}

/// The rows of a section of `whorl check`.
fn section<'s>(text: &'s str, title: &str) -> Vec<&'s str> {
    let rows = text.lines().skip_while(|l| *l != title).skip(1);
    let rows: Vec<&str> = rows.take_while(|l| l.is_empty() || l.starts_with("  ")).collect();
    assert!(!rows.is_empty(), "there is no section {title:?}:\n{text}");
    rows
}

#[test]
fn check_says_all_of_it_on_eighty_columns() {
    let folder = Folder::with("check-all", TRAINING);
    let said = folder.whorl("check script.whorl").good();
    let wide: Vec<&str> = said.out.lines().filter(|l| l.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    let knobs = section(&said.out, "params and sizes (--set name=value)").join("\n");
    assert!(knobs.contains("lr") && knobs.contains("(0, 1)") && knobs.contains("step size"), "{knobs}");
    let types = section(&said.out, "types").join("\n");
    assert!(types.contains("main(key: Key) -> f32[runs, hidden, hidden]"), "{types}");
    assert!(types.contains("runs = 2") && types.contains("hidden = 16"), "{types}");
    let schedule = section(&said.out, "schedule").join("\n");
    for part in ["for 2", "2 runs", "train scan 40", "the host paces", "for 32", "32 lanes", "matrix products"] {
        assert!(schedule.contains(part), "{part}:\n{schedule}");
    }
    let memory = section(&said.out, "memory").join("\n");
    assert!(memory.contains("for 2 runs") && memory.contains("are free") && memory.contains("f32["), "{memory}");
    let cost = section(&said.out, "cost").join("\n");
    assert!(cost.contains("each of 40 steps of the train scan") && cost.contains("script.whorl:8"), "{cost}");
    assert!(said.out.trim_end().ends_with("no errors"), "{}", said.out);
}

#[test]
fn check_for_machines() {
    let folder = Folder::with("check-json", TRAINING);
    let o = object(&folder.whorl("check script.whorl --runs 5 --json").good());
    assert_eq!(o["knobs"][0]["name"], "lr");
    assert_eq!(o["main"]["sizes"]["runs"], 5);
    assert_eq!(o["main"]["arrays"][0]["shape"], serde_json::json!([5, 16, 16]));
    assert_eq!(o["programs"][0]["runs"], 5);
    let steps = o["programs"][0]["cost"].as_array().expect("phases").iter().find(|s| s["train_steps"] == 40);
    let step = steps.expect("a train scan");
    // Forward two products of 32×16×16; backward two for the weights and one for what the second layer reads.
    let products = 5 * 2 * 32 * 16 * 16;
    let flops = step["flops"].as_u64().expect("a number");
    assert!((products..products * 5 / 4 + 80_000).contains(&flops), "{flops} for {products}");
    assert!(o["schedule"].as_array().is_some_and(|s| s.iter().any(|e| e["what"] == "for 32")), "{o}");
    assert_eq!(o["warnings"], serde_json::json!([]));
}

/// Multiply-adds of PPO on CartPole as one counts them by hand: two networks of 4 × 64, 64 × 64 and 64 × 2 or 64 × 1.
#[test]
fn products_of_ppo() {
    let source = support::load(&support::root().join("examples/cartpole_ppo.whorl"), &[]);
    let traced = source.script.trace_main().expect("it traces");
    let parts = analysis::parts(traced.program, &source.map).expect("it schedules");
    let part = &parts[0];
    let train = part.program.phases.iter().find(|p| matches!(p, Phase::Train { .. })).expect("a train scan");
    let mut products = 0;
    for leaf in cost::leaves(&part.program, train.body()) {
        if let Node::MatMul(m) = leaf.node {
            products += leaf.times * (m.batch.iter().product::<usize>() * m.m * m.n * m.k) as u64;
        }
    }
    let (policy, value) = (4 * 64 + 64 * 64 + 64 * 2, 4 * 64 + 64 * 64 + 64);
    // Nobody asks for the gradient of an observation.
    let backward = 2 * (policy + value) - 2 * 4 * 64;
    let samples = 4 * 128;
    // The critic is asked of the last four final observations, and of those of episodes that end: a block of 16, at least.
    let by_hand: u64 = samples * (policy + value) + (4 + 16) * value + 4 * samples * (policy + value + backward);
    let close = products.abs_diff(by_hand) * 50 < by_hand;
    assert!(close, "{products} multiply-adds an update in products, by hand {by_hand}");
    assert!(warnings::warnings(&parts, &source.map).is_empty());
    let (all, _) = cost::total(&cost::leaves(&part.program, train.body()));
    assert!((2 * products..3 * products).contains(&all.flops), "{} FLOPs, {products} products", all.flops);
}

/// Every `for` and loop of PPO is told, and nothing twice.
#[test]
fn the_schedule_of_ppo_is_a_page() {
    let said = Folder::new("check-ppo");
    let script = support::root().join("examples/cartpole_ppo.whorl");
    let said = said.whorl(&format!("check {}", script.display())).good();
    let schedule = section(&said.out, "schedule");
    assert!((10..=60).contains(&schedule.len()), "{} lines:\n{}", schedule.len(), said.out);
    let text = schedule.join("\n");
    for part in ["8 runs", "train scan 976", "15 matrix products, the", "a branch on whether any lane takes"] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let wide: Vec<&str> = said.out.lines().filter(|l| l.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    let types = section(&said.out, "types").join("\n");
    assert!(types.contains("eval(agent, key: Key) -> { episode_return: f32, length: i32"), "{types}");
    assert!(types.contains("frames: u8[1001, 100, 200, 3]"), "{types}");
}

#[test]
fn a_library_is_checked_by_its_tests() {
    let library = "/// Twice x.\n///\n///     double(2.0) == 4.0\npub fn double(x) = 2.0 * x\n\n\
                   pub fn lonely(x) = x\n\ntest \"zero\" { assert double(0.0) == 0.0 }\n";
    let folder = Folder::with("check-library", library);
    let said = folder.whorl("check script.whorl").good();
    assert!(said.out.contains("there is no `main`; traced: 1 test"), "{}", said.out);
    assert!(said.out.contains("functions that these reach: double"), "{}", said.out);
    assert!(said.out.contains("not reached, so not checked for sizes and types: lonely"), "{}", said.out);
    folder.write("script.whorl", "fn f(x: f32[3]) = x\n\ntest \"t\" { assert all(f([1.0, 2.0]) == [1.0, 2.0]) }\n");
    let said = folder.whorl("check script.whorl");
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.err.contains("error[E0") && said.err.contains("script.whorl:3"), "{}", said.err);
}

#[test]
fn while_loops_are_counted_as_far_as_is_known() {
    let folder =
        Folder::with("check-while", "fn main(key: Key) = while x = 100.0 * uniform(key); x > 1.0 { 0.5 * x }\n");
    let said = folder.whorl("check script.whorl").good();
    assert!(said.out.contains("as often as its condition says") && said.out.contains("at least:"), "{}", said.out);
}

#[test]
fn show_says_lines_at_every_stage() {
    let folder = Folder::with("show-stages", TRAINING);
    for stage in ["core", "grad", "fused", "loops", "memory", "asm"] {
        let said = folder.whorl(&format!("show script.whorl --stage {stage}")).good();
        assert!(said.out.contains("script.whorl:8"), "{stage}:\n{}", said.out);
        let one = folder.whorl(&format!("show script.whorl --stage {stage} --line 8")).good();
        assert!(one.out.starts_with("script.whorl:8 │ fn layer(w"), "{stage}:\n{}", one.out);
        assert!(one.out.lines().count() < said.out.lines().count() + 2, "{stage}");
    }
    let tree = folder.whorl("show script.whorl --stage tree").good();
    assert!(tree.out.lines().count() > 50, "{}", tree.out);
    let said = folder.whorl("show script.whorl --stage grad").good();
    assert!(said.out.contains("derivative 1 of 1, reverse mode, at script.whorl:16"), "{}", said.out);
    let loops = folder.whorl("show script.whorl --stage loops --line 8").good();
    let products = loops.out.matches("matmul").count();
    assert_eq!(products, 5, "{}", loops.out);
    assert!(!loops.out.contains("buffer "), "{}", loops.out);
}

#[test]
fn show_has_both_programs() {
    let script = "fn main(key: Key) {\n  let all = for k in split(key, 3) {\n    train scan x = uniform(k) for _ in 0..5 { 0.5 * x }\n  }\n  mean(all)\n}\n";
    let folder = Folder::with("show-both", script);
    for stage in ["fused", "loops", "memory", "asm"] {
        let said = folder.whorl(&format!("show script.whorl --stage {stage}")).good();
        assert!(
            said.out.contains("# the runs\n") && said.out.contains("# what follows the runs\n"),
            "{stage}: {}",
            said.out
        );
    }
    let said = folder.whorl("check script.whorl").good();
    assert!(said.out.contains("what follows the runs"), "{}", said.out);
}

#[test]
fn lines_that_are_not_there() {
    let folder = Folder::with("show-lines", TRAINING);
    for (line, part) in [
        ("0", "script.whorl has 20 lines"),
        ("400", "script.whorl has 20 lines"),
        ("x", "write the number of a line"),
        ("ppo.whorl:3", "no such file is part of the program"),
    ] {
        let said = folder.whorl(&format!("show script.whorl --line {line}"));
        assert!(said.code == Some(1) && said.err.contains(part), "{line}: {}", said.err);
    }
}

#[test]
fn profile_sums_up() {
    let folder = Folder::with("profile", TRAINING);
    let o = object(&folder.whorl("profile script.whorl --steps 7 --json").good());
    assert_eq!((&o["train_steps"], &o["of_train_steps"], &o["runs"]), (&7.into(), &40.into(), &2.into()));
    let nodes = o["nodes"].as_array().expect("nodes");
    let products: Vec<&Value> =
        nodes.iter().filter(|n| n["what"].as_str().is_some_and(|w| w.starts_with("product"))).collect();
    assert_eq!(products.len(), 5, "{o}");
    for p in &products {
        assert_eq!(p["time"]["calls"], 7, "{p}");
        let flops = p["time"]["flops"].as_u64().expect("a number");
        assert!(flops >= 7 * 2 * 32 * 16 * 16, "{p}");
    }
    let shares = |of: &str| -> f64 {
        let rows = o[of].as_array().expect("rows");
        rows.iter().map(|n| n["time"]["share"].as_f64().expect("a share")).sum()
    };
    assert!((shares("nodes") - 1.0).abs() < 1e-6 && (shares("lines") - 1.0).abs() < 1e-6, "{o}");
    assert!(o["machine"]["gflops_per_s"].as_f64().is_some_and(|g| g > 0.1), "{o}");
    let said = folder.whorl("profile script.whorl --steps 7").good();
    assert!(said.out.contains("one run of 2, 7 of 40 train steps"), "{}", said.out);
    let wide: Vec<&str> = said.out.lines().filter(|l| l.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn bench_says_how_fast() {
    let folder = Folder::with("bench", TRAINING);
    let o = object(&folder.whorl("bench script.whorl --repeats 3 --threads 2 --json").good());
    assert_eq!((&o["runs"], &o["threads"], &o["of_train_steps"]), (&2.into(), &2.into(), &40.into()));
    let each = o["repetitions"].as_array().expect("repetitions");
    assert_eq!(each.len(), 3);
    for r in each {
        assert_eq!((&r["train_steps"], &r["finished"]), (&40.into(), &true.into()), "{r}");
        let (run, rate) = (r["run_s"].as_f64().expect("a time"), r["steps_per_s"].as_f64().expect("a rate"));
        assert!((run * rate - 2.0 * 40.0).abs() < 1e-6, "{r}");
        assert!(r["compile_s"].as_f64().is_some_and(|t| t > 0.0), "{r}");
    }
    let spread = |name: &str| ["min", "median", "max"].map(|k| o[name][k].as_f64().expect("a number"));
    for name in ["trace_s", "compile_s", "run_s", "steps_per_s"] {
        assert!(spread(name).is_sorted(), "{o}");
    }
    assert!(!folder.0.join("runs").exists());
    let long = "fn main(key: Key) {\n  train scan s = uniform(key) for t in 0..1_000_000_000 {\n    log(\"env_steps\", 3.0)\n    s * 0.5 + 1.0\n  }\n}\n";
    let folder = Folder::with("bench-long", long);
    let o = object(&folder.whorl("bench script.whorl --repeats 1 --seconds 0.2 --json").good());
    let r = &o["repetitions"][0];
    let steps = r["train_steps"].as_f64().expect("a number");
    assert!(r["finished"] == false && steps > 0.0 && steps < 1e9, "{r}");
    assert_eq!((o["counted"].as_str(), r["env_steps"].as_f64()), (Some("environment steps"), Some(3.0 * steps)));
    let said = folder.whorl("bench script.whorl --repeats 2 --seconds 0.1").good();
    assert!(
        said.out.contains("stopped when their time was over") && said.out.contains("environment steps/s"),
        "{}",
        said.out
    );
    assert!(said.out.lines().all(|l| l.chars().count() <= 80), "{}", said.out);
}

#[test]
fn bench_answers_bad_input() {
    let folder = Folder::with("bench-bad", "fn main(key: Key) {\n  let x = uniform(key)\n  assert x > 2.0\n  x\n}\n");
    let said = folder.whorl("bench script.whorl");
    assert!(said.code == Some(1) && said.err.contains("script.whorl:3"), "{}", said.err);
    for line in ["--repeats 0", "--repeats x", "--seconds -1", "--threads 0"] {
        let said = folder.whorl(&format!("bench script.whorl {line}"));
        assert_eq!(said.code, Some(2), "{line}: {}", said.err);
    }
}

#[test]
fn profile_answers_bad_input() {
    let folder = Folder::with("profile-bad", "fn main(key: Key) {\n  let x = uniform(key)\n  assert x > 2.0\n  x\n}\n");
    let said = folder.whorl("profile script.whorl");
    assert!(said.code == Some(1) && said.err.contains("script.whorl:3"), "{}", said.err);
    for line in ["--steps 0", "--seconds -1", "--seconds inf", "--steps x"] {
        let said = folder.whorl(&format!("profile script.whorl {line}"));
        assert_eq!(said.code, Some(2), "{line}: {}", said.err);
    }
}

/// Without a profile there is no measurement in the code; with one, there is a call for every node.
#[test]
fn only_profiles_measure() {
    let source = support::load_text("script.whorl", TRAINING, &[]);
    let traced = source.script.trace_main().expect("it traces");
    let parts = analysis::parts(traced.program, &source.map).expect("it schedules");
    let program = &parts[0].program;
    let calls = |profile: bool| {
        let options = whorl_cpu::Options { threads: 1, profile, ..whorl_cpu::Options::default() };
        let executable = whorl_cpu::compile(program, &options).expect("it compiles");
        let texts = executable.assembly().expect("text");
        texts.iter().map(|t| t.code.matches("call").count()).sum::<usize>()
    };
    let nodes: usize = program.phases.iter().map(|p| cost::leaves(program, p.body()).len()).sum();
    assert!(nodes > 10);
    assert_eq!(calls(true), calls(false) + nodes);
}
