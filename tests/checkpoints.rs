//! What is kept of a loop is a choice: the arena that is planned falls with it, and the machines agree on every bit.

mod support;

use support::machines::{agree, flatten, same_bits};
use whorl_core::ir::ArrayData;
use whorl_transform::ad::kept::kept;

const LONG: &str = "
size n = 10000
size d = 1000

fn loss(s0: f32[d], xs: f32[n]) -> f32 {
  let (last, ys) = scan s = s0 for x in xs POLICY {
    let next = tanh(s * 1.01 + x * sin(s))
    yield mean(next)
    next
  }
  sum(last) + sum(ys * ys)
}

fn main(key: Key) {
  let (k, l) = split(key)
  value_and_grad(loss, wrt: (0, 1))(uniform(k, d), uniform(l, n))
}
";

fn source(policy: &str, sizes: &[(&str, &str)]) -> whorl_core::Program {
    let text = LONG.replace("POLICY", policy);
    support::load_text("long.whorl", &text, sizes).script.trace_main().expect("a program").program
}

/// Bytes of the arena of a run, and what is said to be kept of the loop.
fn planned(policy: &str) -> (usize, usize) {
    let flat = flatten(source(policy, &[])).expect("well-formed");
    let all = kept(&flat);
    assert_eq!(all.len(), 1, "{policy}");
    let program = whorl_schedule::schedule(&flat).expect("a schedule");
    (program.arena_bytes, all[0].now())
}

#[test]
fn the_arena_falls_with_the_policy() {
    let (carries, all) = planned("");
    assert_eq!(all, 40_000_000);
    assert!(carries > all);
    for (policy, wanted) in [
        ("checkpoint carries", all),
        ("checkpoint sqrt", 200 * 4000),
        ("checkpoint every 100", 200 * 4000),
        ("checkpoint every 20", 520 * 4000),
        ("checkpoint every 500", 520 * 4000),
    ] {
        let (arena, kept) = planned(policy);
        assert_eq!(kept, wanted, "{policy}");
        // Beside the states there are a few arrays of the length of the loop, and some states.
        assert!(arena > kept && arena < kept + 12 * 40_000, "{policy}: {arena} bytes for {kept}");
    }
}

#[test]
fn machines_and_policies_agree() {
    let sizes = [("n", "23"), ("d", "9")];
    let key = [ArrayData::scalar(0u32), ArrayData::scalar(1u32)];
    let of = |policy: &str| {
        let traced = source(policy, &sizes);
        agree(&traced, &key).expect("machines agree").expect("no assertion");
        let flat = flatten(traced).expect("well-formed");
        same_bits(&flat, &key).expect("machines agree").expect("no assertion").results
    };
    let expected = of("");
    for policy in
        ["checkpoint sqrt", "checkpoint every 1", "checkpoint every 4", "checkpoint every 7", "checkpoint every 100"]
    {
        assert_eq!(of(policy), expected, "{policy}");
    }
}
