//! A step that writes a few rows of a large array touches those rows, counted in bytes.

mod support;

use whorl_schedule::cost;

/// Bytes that the loop of a function of `ring_buffers.whorl` reads and writes in a step, with buffers of so many rows.
fn bytes_a_step(function: &str, rows: usize) -> f64 {
    let of = |steps: usize| {
        let (rows, steps) = (rows.to_string(), steps.to_string());
        let path = support::root().join("tests/programs/ring_buffers.whorl");
        let source = support::load(&path, &[("n", &rows), ("steps", &steps)]);
        let flat = whorl_transform::flatten::flatten(support::function(&source, function, &[]).program);
        let scheduled = whorl_schedule::schedule(&flat).unwrap_or_else(|e| panic!("{function}: {e}"));
        cost::of_phases(&scheduled).iter().map(|(c, _)| c.bytes()).sum::<u64>()
    };
    // What happens once, such as filling the buffer, is in both.
    (of(3000) - of(1000)) as f64 / 2000.0
}

#[test]
fn rows_of_buffers_are_written_in_place() {
    for function in ["plain", "twice", "nested", "batched", "together", "sometimes"] {
        let (few, many) = (bytes_a_step(function, 1000), bytes_a_step(function, 1_000_000));
        println!("{function}: {few} bytes a step of 1,000 rows, {many} of 1,000,000");
        assert_eq!(few, many, "{function}: what a step touches depends on how long the buffer is");
        assert!(few > 0.0, "{function}: nothing is counted");
    }
}
