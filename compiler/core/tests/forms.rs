//! Forms and effects, by value.

mod common;

use common::{eval, outcome};
use whorl_core::ArrayData;

#[test]
fn map_stacks_and_accumulates() {
    let out = eval(
        "{ %0 : f32[4] ->
           %1 : f32, %2 : f32[3], %3 : f32[4], %4 : i32[4] = map %5 < 4 with %6 : f32 = 100.0f32, %7 : f32[3] = %20 {
             %8 : f32 = index(%0, %5)
             %9 : f32 = add(%6, %8)
             %10 : f32[3] = index_add(%7, %8, %5)
             %11 : f32 = mul(%8, %8)
             %9, %10, %11, %5
           }
           %1, %2, %3, %4 }"
            .replace("{ %0 : f32[4] ->", "{ %0 : f32[4] -> %20 : f32[3] = constant [0.0, 0.0, 0.0]")
            .as_str(),
        &[ArrayData::vector(&[1.0f32, 2.0, 3.0, 4.0])],
    );
    assert_eq!(out[0].to_f64(), [110.0]);
    assert_eq!(out[1].to_f64(), [1.0, 2.0, 7.0], "lane 3 is clamped onto place 2");
    assert_eq!(out[2].to_f64(), [1.0, 4.0, 9.0, 16.0]);
    assert_eq!(out[3].to_f64(), [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn accumulators_thread_inner_maps_and_scans() {
    let out = eval(
        "{ -> %0 : f32 = map %1 < 3 with %2 : f32 = 0.0f32 {
             %3 : f32 = map %4 < 2 with %5 : f32 = %2 { %6 : f32 = add(%5, 1.0f32) %6 }
             %7 : f32, %8 : i32 = scan %9 < 2 with %10 : f32 = %3, %11 : i32 = 0i32 {
               %12 : f32 = add(%10, 10.0f32)
               %13 : i32 = add(%11, 1i32)
               %12, %13
             }
             %7
           }
           %0 }",
        &[],
    );
    assert_eq!(out[0].to_f64(), [66.0]);
}

#[test]
fn scan_runs_either_way() {
    let text = |reverse: &str| {
        format!(
            "{{ %0 : i32[3] -> %1 : i32, %2 : i32[3] = scan {reverse} %3 < 3 with %4 : i32 = 0i32 {{
               %5 : i32 = index(%0, %3)
               %6 : i32 = mul(%4, 10i32)
               %7 : i32 = add(%6, %5)
               %7, %7 }}
               %1, %2 }}"
        )
    };
    let x = [ArrayData::vector(&[1, 2, 3])];
    let forward = eval(&text(""), &x);
    assert_eq!(forward[0].values::<i32>(), [123]);
    assert_eq!(forward[1].values::<i32>(), [1, 12, 123]);
    let backward = eval(&text("reverse train"), &x);
    assert_eq!(backward[0].values::<i32>(), [321]);
    assert_eq!(backward[1].values::<i32>(), [321, 32, 3]);
}

#[test]
fn zero_trips_and_empty_axes() {
    let out = eval(
        "{ %0 : f32[0,3] ->
           %1 : f32, %2 : f32[0,2] = scan %3 < 0 with %4 : f32 = 5.0f32 { %5 : f32[2] = constant [1.0, 2.0] %4, %5 }
           %6 : f32, %7 : i32[0] = map %8 < 0 with %9 : f32 = 7.0f32 { %9, %8 }
           %10 : f32[3] = reduce[op=sum axes=0](%0)
           %11 : f32 = while max 0 with %12 : f32 = 1.0f32 { true } { 2.0f32 }
           %1, %2, %6, %7, %10, %11 }",
        &[ArrayData::new(&[0, 3], &[0f32; 0])],
    );
    assert_eq!(out[0].to_f64(), [5.0]);
    assert_eq!(out[1].ty.shape[..], [0, 2]);
    assert_eq!(out[2].to_f64(), [7.0]);
    assert_eq!(out[3].ty.shape[..], [0]);
    assert_eq!(out[4].to_f64(), [0.0; 3]);
    assert_eq!(out[5].to_f64(), [1.0]);
}

#[test]
fn while_stops_by_condition_or_bound() {
    let text = |max: &str| {
        format!(
            "{{ %0 : i32 -> %1 : i32, %2 : i32 = while {max} with %3 : i32 = %0, %4 : i32 = 0i32 {{
                 %5 : bool = ne(%3, 1i32) %5
               }} {{
                 %6 : i32 = and(%3, 1i32)
                 %7 : bool = eq(%6, 1i32)
                 %8 : i32 = switch %7 {{ %9 : i32 = div(%3, 2i32) %9 }} {{ %10 : i32 = mul(%3, 3i32) %11 : i32 = add(%10, 1i32) %11 }}
                 %12 : i32 = add(%4, 1i32)
                 %8, %12
               }}
               %1, %2 }}"
        )
    };
    let out = eval(&text(""), &[ArrayData::scalar(27)]);
    assert_eq!((out[0].to_f64()[0], out[1].to_f64()[0]), (1.0, 111.0));
    let out = eval(&text("max 3"), &[ArrayData::scalar(27)]);
    assert_eq!((out[0].to_f64()[0], out[1].to_f64()[0]), (124.0, 3.0));
}

#[test]
fn switch_clamps_its_choice() {
    let text = "{ %0 : i32 -> %1 : f32 = switch %0 { 1.0f32 } { 2.0f32 } { 3.0f32 } %1 }";
    for (which, want) in [(-4, 1.0), (0, 1.0), (1, 2.0), (2, 3.0), (9, 3.0)] {
        assert_eq!(eval(text, &[ArrayData::scalar(which)])[0].to_f64(), [want]);
    }
}

#[test]
fn a_carry_written_in_place_leaves_its_start_alone() {
    let out = eval(
        "{ %0 : f32[3] ->
           %1 : f32[3] = scan %2 < 3 with %3 : f32[3] = %0 {
             %4 : f32[3] = index_set(%3, 9.0f32, %2)
             %5 : f32[3] = add(%4, %3)
             %5
           }
           %6 : f32[3] = add(%0, %0)
           %7 : f32[3] = add(%6, %6)
           %0, %1, %6, %7 }",
        &[ArrayData::vector(&[1.0f32, 2.0, 3.0])],
    );
    assert_eq!(out[0].to_f64(), [1.0, 2.0, 3.0]);
    assert_eq!(out[1].to_f64(), [40.0, 26.0, 21.0]);
    assert_eq!(out[2].to_f64(), [2.0, 4.0, 6.0]);
    assert_eq!(out[3].to_f64(), [4.0, 8.0, 12.0]);
}

#[test]
fn logs_come_in_order() {
    let out = outcome(
        r#"{ -> %9 : i32[2] = map %0 < 2 {
             scan %1 < 2 { %2 : i32 = add(%0, %1) log "sum" (%2, true) }
             %3 : bool = eq(%0, 1i32)
             log "lane" (%0, %3)
             %0
           } %9 }"#,
        &[],
    )
    .unwrap();
    let seen: Vec<(&str, Vec<f64>)> = out.logs.iter().map(|l| (&*l.name, l.recorded())).collect();
    let want: Vec<(&str, Vec<f64>)> = vec![
        ("sum", vec![0.0]),
        ("sum", vec![1.0]),
        ("lane", vec![]),
        ("sum", vec![1.0]),
        ("sum", vec![2.0]),
        ("lane", vec![1.0]),
    ];
    assert_eq!(seen, want);
}

#[test]
fn assertions_hold_where_the_mask_does() {
    let text = r#"{ %0 : bool[2], %1 : bool[2] -> assert "both" (%0, %1) }"#;
    let run = |x: [bool; 2], m: [bool; 2]| outcome(text, &[ArrayData::vector(&x), ArrayData::vector(&m)]);
    assert!(run([true, true], [true, true]).is_ok());
    assert!(run([true, false], [true, false]).is_ok());
    assert_eq!(&*run([true, false], [false, true]).unwrap_err().check.text, "both");
}

/// About ten million scalar operations: seconds at the most.
#[test]
fn scalar_loops_are_not_absurdly_slow() {
    let out = eval(
        "{ -> %0 : i32 = scan %1 < 1000000 with %2 : i32 = 0i32 {
             %3 : i32 = add(%2, %1) %4 : i32 = xor(%3, 5i32) %5 : i32 = mul(%4, 3i32) %5 }
           %0 }",
        &[],
    );
    let want = (0..1_000_000i32).fold(0i32, |c, i| (c.wrapping_add(i) ^ 5).wrapping_mul(3));
    assert_eq!(out[0].values::<i32>(), [want]);
}
