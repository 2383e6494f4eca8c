//! Whole kernels: products, reductions by shuffles, exchanges between lanes, atomics, and talk with the host.

use crate::help::*;
use std::sync::atomic::Ordering;
use whorl_device::{Device, Kind, Launch};

/// Values that are exact in all formats, and different.
fn values(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32).map(|i| ((i * 37 + seed * 11) % 23) as f32 / 4.0 - 2.5).collect()
}

fn words(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// c = a b of 64 by 64, in blocks of 16 by 16 with tiles of 16 in shared memory.
fn blocked_product(second_barrier: &str) -> String {
    let body = format!(
        "    mov.u32 %r0, %tid.x;
    mov.u32 %r1, %ctaid.x;
    and.b32 %r2, %r0, 15;
    shr.u32 %r3, %r0, 4;
    and.b32 %r4, %r1, 3;
    shr.u32 %r5, %r1, 2;
    shl.b32 %r4, %r4, 4;
    shl.b32 %r5, %r5, 4;
    add.u32 %r4, %r4, %r2;
    add.u32 %r5, %r5, %r3;
    mov.u32 %r6, tiles;
    shl.b32 %r7, %r0, 2;
    add.u32 %r7, %r6, %r7;
    shl.b32 %r8, %r3, 6;
    add.u32 %r8, %r6, %r8;
    shl.b32 %r9, %r2, 2;
    add.u32 %r9, %r6, %r9;
    mov.f32 %f0, 0f00000000;
    mov.u32 %r10, 0;
loop:
    .pragma \"nounroll\";
    add.u32 %r11, %r10, %r2;
    mad.lo.u32 %r12, %r5, 64, %r11;
    mul.wide.u32 %rd0, %r12, 4;
    add.u64 %rd0, %p0, %rd0;
    ld.global.nc.f32 %f1, [%rd0];
    add.u32 %r11, %r10, %r3;
    mad.lo.u32 %r12, %r11, 64, %r4;
    mul.wide.u32 %rd0, %r12, 4;
    add.u64 %rd0, %p1, %rd0;
    ld.global.nc.f32 %f2, [%rd0];
    st.shared.f32 [%r7], %f1;
    st.shared.f32 [%r7+1024], %f2;
    bar.sync 0;
{}
{second_barrier}
    add.u32 %r10, %r10, 16;
    setp.lt.u32 %q0, %r10, 64;
    @%q0 bra loop;
    mad.lo.u32 %r12, %r5, 64, %r4;
    mul.wide.u32 %rd0, %r12, 4;
    add.u64 %rd0, %p2, %rd0;
    st.global.f32 [%rd0], %f0;",
        (0..16)
            .map(|k| format!(
                "    ld.shared.f32 %f3, [%r8+{}];\n    ld.shared.f32 %f4, [%r9+{}];\n    fma.rn.f32 %f0, %f3, %f4, %f0;\n",
                4 * k,
                1024 + 64 * k
            ))
            .collect::<String>()
    );
    kernel(3, ".shared .align 16 .f32 tiles[512];", &body)
}

#[test]
fn a_blocked_product() {
    let (a, b) = (values(4096, 1), values(4096, 2));
    let device = device();
    let at: Vec<u64> = (0..3).map(|_| device.allocate(4 * 4096).unwrap()).collect();
    device.upload(at[0], &bytes(&words(&a))).unwrap();
    device.upload(at[1], &bytes(&words(&b))).unwrap();
    let shape = Shape { grid: 16, threads: 256, shared: 0, cooperative: false };
    start(&device, &blocked_product("    bar.sync 0;"), &shape, &at).unwrap();
    device.finish(&mut || {}).unwrap_or_else(|error| panic!("{error}"));
    let mut out = vec![0; 4 * 4096];
    device.download(at[2], &mut out).unwrap();
    for row in 0..64 {
        for column in 0..64 {
            let expected = (0..64).fold(0f32, |sum, k| a[64 * row + k].mul_add(b[64 * k + column], sum));
            let place = 4 * (64 * row + column);
            let got = f32::from_le_bytes(out[place..place + 4].try_into().unwrap());
            assert_eq!(got.to_bits(), expected.to_bits(), "row {row}, column {column}");
        }
    }
    let counters = device.take_counters().remove(0).1;
    assert_eq!((counters.launches, counters.barriers, counters.shared_bytes), (1, 16 * 8, 2048));
    assert_eq!(counters.global_loaded, 16 * 256 * 4 * 8);
    assert_eq!(counters.global_stored, 4 * 4096);
    assert_eq!(counters.shared_loaded, 16 * 256 * 64 * 8);
    assert_eq!(counters.shared_stored, 16 * 256 * 4 * 8);
    // Three parameters, 18 before the loop, and then: 10 and 3, products, barrier, three, and at last four and an exit.
    let each = 3 + 20 + 4 * (13 + 48 + 1 + 3) + 5;
    let near = counters.thread_instructions as i64 - 16 * 256 * each;
    assert!(near.abs() < 16 * 256 * 4, "{} is not nearly {}", counters.thread_instructions, 16 * 256 * each);
    // Without the barrier at the end of the loop a tile is overwritten while others read it.
    start(&device, &blocked_product(""), &shape, &at).unwrap();
    let error = device.finish(&mut || {}).unwrap_err();
    assert!(error.what.contains("race") && error.what.contains("tiles"), "{error}");
}

#[test]
fn a_reduction_by_half_warps() {
    // Thread l of 16 has every sixteenth value; then a tree of shuffles within each half warp.
    let steps: String = [8, 4, 2, 1]
        .iter()
        .map(|step| {
            format!("    shfl.sync.down.b32 %f1, %f0, {step}, 0x101f, 0xffffffff;\n    add.rn.f32 %f0, %f0, %f1;\n")
        })
        .collect();
    let body = format!(
        "    mov.u32 %r0, %tid.x;
    mul.wide.u32 %rd0, %r0, 4;
    add.u64 %rd1, %p0, %rd0;
    ld.global.f32 %f0, [%rd1];
{steps}
    and.b32 %r1, %r0, 15;
    setp.eq.u32 %q0, %r1, 0;
    shr.u32 %r2, %r0, 4;
    mul.wide.u32 %rd0, %r2, 4;
    add.u64 %rd1, %p0, %rd0;
    @%q0 st.global.f32 [%rd1+512], %f0;"
    );
    let input = values(136, 5);
    let out = run_words(&kernel(1, "", &body), &Shape::one(128), &words(&input)).unwrap();
    for (group, got) in out[128..].iter().enumerate() {
        let mut tree = input[16 * group..16 * group + 16].to_vec();
        while tree.len() > 1 {
            let half = tree.len() / 2;
            tree = (0..half).map(|i| tree[i] + tree[i + half]).collect();
        }
        assert_eq!(f32::from_bits(*got), tree[0], "group {group}");
    }
    let counters = count(&kernel(1, "", &body), &Shape::one(128), &words(&input));
    assert_eq!(counters.shuffles, 4 * 4);
}

#[test]
fn shuffles_and_votes() {
    // The result and whether it came from another lane, for each kind.
    type Rule = fn(i32) -> (i32, bool);
    let kinds: [(&str, &str, Rule); 6] = [
        ("idx", "5, 31", |_| (5, true)),
        ("idx", "3, 0x181f", |lane| (lane / 8 * 8 + 3, true)),
        ("up", "2, 0", |lane| if lane >= 2 { (lane - 2, true) } else { (lane, false) }),
        ("up", "1, 0x1000", |lane| if lane % 16 >= 1 { (lane - 1, true) } else { (lane, false) }),
        ("down", "3, 31", |lane| if lane + 3 <= 31 { (lane + 3, true) } else { (lane, false) }),
        ("bfly", "4, 31", |lane| (lane ^ 4, true)),
    ];
    for (kind, how, rule) in kinds {
        let body = format!(
            "    mov.u32 %r0, %tid.x;
    add.u32 %r1, %r0, 100;
    shfl.sync.{kind}.b32 %r2|%q0, %r1, {how}, -1;
    selp.u32 %r3, 1000, 0, %q0;
    add.u32 %r2, %r2, %r3;
    mul.wide.u32 %rd0, %r0, 4;
    add.u64 %rd1, %p0, %rd0;
    st.global.u32 [%rd1], %r2;"
        );
        let out = run_words(&kernel(1, "", &body), &Shape::one(32), &[0; 32]).unwrap();
        for (lane, got) in out.iter().enumerate() {
            let (from, inside) = rule(lane as i32);
            assert_eq!(*got as i32, 100 + from + if inside { 1000 } else { 0 }, "{kind} {how}, lane {lane}");
        }
    }
    let body = "    mov.u32 %r0, %tid.x;
    setp.lt.u32 %q0, %r0, 10;
    vote.sync.ballot.b32 %r1, %q0, -1;
    vote.sync.any.pred %q1, %q0, -1;
    vote.sync.all.pred %q2, %q0, -1;
    vote.sync.all.pred %q3, !%q0, -1;
    activemask.b32 %r2;
    selp.u32 %r3, 1, 0, %q1;
    @%q2 add.u32 %r3, %r3, 2;
    @%q3 add.u32 %r3, %r3, 4;
    bar.red.popc.u32 %r4, 0, %q0;
    bar.red.and.pred %q4, 0, %q0;
    bar.red.or.pred %q5, 0, !%q0;
    @%q4 add.u32 %r3, %r3, 8;
    @%q5 add.u32 %r3, %r3, 16;
    setp.eq.u32 %q6, %r0, 0;
    @%q6 st.global.v4.u32 [%p0], {%r1, %r2, %r3, %r4};";
    let out = run_words(&kernel(1, "", body), &Shape::one(64), &[0; 4]).unwrap();
    assert_eq!(out, [0x3ff, 0xffff_ffff, 17, 10]);
}

#[test]
fn special_registers() {
    let names = [
        "tid.x",
        "ntid.x",
        "ctaid.x",
        "nctaid.x",
        "laneid",
        "warpid",
        "nwarpid",
        "lanemask_lt",
        "lanemask_ge",
        "dynamic_smem_size",
    ];
    let reads: String = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            format!("    mov.u32 %r{}, %{name};\n    st.global.u32 [%p0+{}], %r{};\n", i + 1, 4 * i, i + 1)
        })
        .collect();
    let body = format!(
        "    mov.u32 %r30, %tid.x;\n    setp.ne.u32 %q0, %r30, 70;\n    @%q0 ret;
    mov.u32 %r31, %ctaid.x;\n    setp.ne.u32 %q0, %r31, 1;\n    @%q0 ret;\n{reads}"
    );
    let shape = Shape { grid: 3, threads: 96, shared: 64, cooperative: false };
    let out = run_words(&kernel(1, ".extern .shared .align 16 .b8 all[];", &body), &shape, &[0; 10]).unwrap();
    assert_eq!(out, [70, 96, 1, 3, 6, 2, 3, 0x3f, 0xffff_ffc0, 64]);
}

#[test]
fn atomics() {
    type Row<'a> = (&'a str, u32, u32, fn(u32, u32) -> u32);
    let cases: [Row; 9] = [
        ("add.u32", 7, 5, u32::wrapping_add),
        ("min.s32", 7, -5i32 as u32, |a, b| (a as i32).min(b as i32) as u32),
        ("max.s32", 7, -5i32 as u32, |a, b| (a as i32).max(b as i32) as u32),
        ("min.u32", 7, -5i32 as u32, u32::min),
        ("max.u32", 7, -5i32 as u32, u32::max),
        ("and.b32", 12, 10, |a, b| a & b),
        ("or.b32", 12, 10, |a, b| a | b),
        ("xor.b32", 12, 10, |a, b| a ^ b),
        ("exch.b32", 12, 10, |_, b| b),
    ];
    for (name, first, second, op) in cases {
        for space in ["global", "shared"] {
            let (setup, at) = if space == "global" {
                ("".to_string(), "[%p0]")
            } else {
                (format!("    mov.u32 %r9, s;\n    st.shared.u32 [%r9], {first};\n"), "[%r9]")
            };
            let body = format!(
                "{setup}    atom.{space}.{name} %r0, {at}, {second};
    ld.{space}.u32 %r1, {at};
    st.global.u32 [%p0+4], %r0;
    st.global.u32 [%p0+8], %r1;"
            );
            let ptx = kernel(1, ".shared .align 4 .u32 s;", &body);
            let out = run_words(&ptx, &Shape::one(1), &[first, 0, 0]).unwrap();
            assert_eq!(out[1..], [first, op(first, second)], "{space} {name}");
        }
    }
    // All threads add; a lock by compare-and-swap counts as well.
    let body = "    mov.u32 %r0, %tid.x;
    red.global.add.u32 [%p0], %r0;
again:
    ld.relaxed.gpu.global.u32 %r1, [%p0+4];
    add.u32 %r2, %r1, 2;
    atom.global.cas.b32 %r3, [%p0+4], %r1, %r2;
    setp.ne.u32 %q0, %r3, %r1;
    @%q0 bra again;";
    let out = run_words(&kernel(1, "", body), &Shape::one(256), &[0, 0]).unwrap();
    assert_eq!(out, [255 * 128, 512]);
}

#[test]
fn lanes_that_take_different_ways_come_together_again() {
    // Each lane runs as often as its number says, with a branch inside.
    let body = "    mov.u32 %r0, %tid.x;
    mov.u32 %r1, 0;
    mov.u32 %r2, 0;
    setp.eq.u32 %q0, %r0, 0;
    @%q0 bra done;
again:
    and.b32 %r3, %r1, 1;
    setp.eq.u32 %q1, %r3, 0;
    @%q1 bra even;
    add.u32 %r2, %r2, 100;
    bra.uni next;
even:
    add.u32 %r2, %r2, 1;
next:
    add.u32 %r1, %r1, 1;
    setp.lt.u32 %q0, %r1, %r0;
    @%q0 bra again;
done:
    shfl.sync.bfly.b32 %r4, %r2, 1, 31, -1;
    mul.wide.u32 %rd0, %r0, 4;
    add.u64 %rd1, %p0, %rd0;
    st.global.u32 [%rd1], %r4;";
    let out = run_words(&kernel(1, "", body), &Shape::one(32), &[0; 32]).unwrap();
    for (lane, got) in out.iter().enumerate() {
        let n = lane as u32 ^ 1;
        assert_eq!(*got, n.div_ceil(2) + n / 2 * 100, "lane {lane}");
    }
}

/// The fragments of a tile product, from the tables of the PTX manual.
fn tile_product(kind: &str) {
    let (k, per) = if kind == "tf32" { (8usize, 1usize) } else { (16, 2) };
    let (a, b, c) = (values(16 * k, 1), values(k * 8, 2), values(128, 3));
    let pack = |parts: &[f32]| -> u32 {
        match kind {
            "tf32" => parts[0].to_bits(),
            "f16" => {
                u32::from(half::f16::from_f32(parts[0]).to_bits())
                    | u32::from(half::f16::from_f32(parts[1]).to_bits()) << 16
            }
            _ => parts[0].to_bits() >> 16 | parts[1].to_bits() >> 16 << 16,
        }
    };
    let mut input = Vec::new();
    for lane in 0..32 {
        let (group, place) = (lane >> 2, lane & 3);
        for i in 0..4 {
            let row = if i % 2 == 0 { group } else { group + 8 };
            let column = place * per + if i >= 2 { 4 * per } else { 0 };
            input.push(pack(&a[row * k + column..row * k + column + per]));
        }
        for i in 0..2 {
            let row = place * per + 4 * per * i;
            let parts: Vec<f32> = (row..row + per).map(|row| b[row * 8 + group]).collect();
            input.push(pack(&parts));
        }
        for i in 0..4 {
            let row = if i < 2 { group } else { group + 8 };
            input.push(c[row * 8 + place * 2 + (i & 1)].to_bits());
        }
    }
    let shape = if kind == "tf32" { "m16n8k8" } else { "m16n8k16" };
    let loads: String = (0..6).map(|i| format!("    ld.global.b32 %b{i}, [%rd1+{}];\n", 4 * i)).collect();
    let sums: String = (0..4).map(|i| format!("    ld.global.f32 %f{i}, [%rd1+{}];\n", 24 + 4 * i)).collect();
    let stores: String = (0..4).map(|i| format!("    st.global.f32 [%rd1+{}], %f{i};\n", 24 + 4 * i)).collect();
    let body = format!(
        "    .reg .b32 %b<6>;
    mov.u32 %r0, %tid.x;
    mul.wide.u32 %rd0, %r0, 40;
    add.u64 %rd1, %p0, %rd0;
{loads}{sums}    mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 {{%f0, %f1, %f2, %f3}}, {{%b0, %b1, %b2, %b3}}, {{%b4, %b5}}, {{%f0, %f1, %f2, %f3}};
{stores}"
    );
    let out = run_words(&kernel(1, "", &body), &Shape::one(32), &input).unwrap();
    for lane in 0..32 {
        for i in 0..4 {
            let (row, column) = ((lane >> 2) + if i < 2 { 0 } else { 8 }, (lane & 3) * 2 + (i & 1));
            let expected = (0..k).fold(c[row * 8 + column], |sum, j| sum + a[row * k + j] * b[j * 8 + column]);
            assert_eq!(f32::from_bits(out[10 * lane + 6 + i]), expected, "{kind}, row {row}, column {column}");
        }
    }
}

#[test]
fn products_of_tiles() {
    ["tf32", "f16", "bf16"].into_iter().for_each(tile_product);
}

/// Threads write numbers into a ring of four in host-visible memory; the host empties it while they wait.
#[test]
fn a_ring_that_the_host_empties() {
    // [0] written, [4] read, [16..] the ring.
    let body = "    mov.u32 %r0, 0;
next:
    and.b32 %r1, %r0, 3;
    mul.wide.u32 %rd0, %r1, 4;
    add.u64 %rd1, %p0, %rd0;
full:
    ld.acquire.sys.global.u32 %r2, [%p0+4];
    sub.u32 %r3, %r0, %r2;
    setp.lt.u32 %q0, %r3, 4;
    @%q0 bra room;
    nanosleep.u32 1000;
    bra.uni full;
room:
    mul.lo.u32 %r4, %r0, 3;
    st.global.u32 [%rd1+16], %r4;
    add.u32 %r0, %r0, 1;
    st.release.sys.global.u32 [%p0], %r0;
    setp.lt.u32 %q1, %r0, 50;
    @%q1 bra next;";
    let ptx = kernel(1, "", body);
    let device = device();
    let ring = device.host_memory(32).unwrap();
    start(&device, &ptx, &Shape::one(1), &[ring.address()]).unwrap();
    let mut seen = Vec::new();
    let mut empty = || {
        let written = ring.word(0).load(Ordering::Acquire);
        let mut read = ring.word(4).load(Ordering::Relaxed);
        while read < written {
            seen.push(ring.word(16 + 4 * (read as usize % 4)).load(Ordering::Relaxed));
            read += 1;
        }
        ring.word(4).store(read, Ordering::Release);
    };
    device.finish(&mut empty).unwrap_or_else(|error| panic!("{error}"));
    empty();
    assert_eq!(seen, (0..50).map(|i| 3 * i).collect::<Vec<_>>());
    // A host that does nothing leaves the kernel waiting for ever, which is found.
    let ring = device.host_memory(32).unwrap();
    start(&device, &ptx, &Shape::one(1), &[ring.address()]).unwrap();
    let error = device.finish(&mut || {}).unwrap_err();
    assert!(error.what.contains("threads sleep until something changes"), "{error}");
}

#[test]
fn memory_and_launches_that_cannot_be() {
    let device = device();
    let free = device.memory_free().unwrap();
    let at = device.allocate(1000).unwrap();
    assert_eq!(at % 256, 0);
    assert_eq!(device.memory_free().unwrap(), free - 1000);
    let error = device.allocate(free).unwrap_err();
    assert_eq!(error.kind, Kind::OutOfMemory { wanted: free, free: free - 1000 });
    assert_eq!(device.upload(at + 999, &[1, 2]).unwrap_err().kind, Kind::Invalid);
    device.fill(at, 1000, 7).unwrap();
    device.upload(at + 10, &[1, 2, 3]).unwrap();
    let mut out = [0; 5];
    device.download(at + 9, &mut out).unwrap();
    assert_eq!(out, [7, 1, 2, 3, 7]);
    device.free(at).unwrap();
    assert_eq!(device.free(at).unwrap_err().kind, Kind::Invalid);
    assert_eq!(device.memory_free().unwrap(), free);

    let module = device.load(&kernel(1, "", "")).unwrap();
    let launch = Launch { module, kernel: "k", grid: 1, threads: 1, shared: 0, cooperative: false, args: &[0] };
    let refused = |launch: Launch| device.launch(&launch).unwrap_err().to_string();
    assert!(refused(Launch { kernel: "other", ..launch.clone() }).contains("no kernel other"));
    assert!(refused(Launch { args: &[], ..launch.clone() }).contains("0 arguments for 1"));
    assert!(refused(Launch { threads: 1025, ..launch.clone() }).contains("1024"));
    assert!(refused(Launch { grid: 0, ..launch.clone() }).contains("0 blocks"));
    assert!(refused(Launch { shared: 227 * 1024 + 1, ..launch.clone() }).contains("232448"));
    let most = device.resident_blocks(module, "k", 1024, 0).unwrap();
    assert_eq!(most, 2 * 132);
    assert!(refused(Launch { cooperative: true, grid: most + 1, threads: 1024, ..launch.clone() }).contains("264 do"));
    device.unload(module).unwrap();
    assert!(refused(launch).contains("no such module"));
}

#[test]
fn what_is_refused() {
    let cases = [
        ("add.f32 %f0, %f1, %f2;", "write add.rn.f32"),
        ("add.rn.f32 %f0, %f1, %r2;", "%r2 is a register of .u32, the instruction takes .f32"),
        ("add.rn.ftz.f32 %f0, %f1, %f2;", "subnormal"),
        ("frobnicate.f32 %f0, %f1;", "frobnicate.f32 is not emulated"),
        ("add.u32 %r0, %r1;", "2 operands where 3 belong"),
        ("add.u32 %r0, %r1, %nothing;", "%nothing is neither declared nor"),
        ("bra nowhere;", "there is no label nowhere"),
        ("mov.u32 %r0, 0f3F800000;", "no operand of .u32"),
        ("ld.global.u64 %r0, [%rd0];", "%r0 is a register of .u32 and does not go with .u64"),
        ("ld.global.u32 %r0, [%r1];", "no address"),
        ("st.const.u32 [%rd0], %r0;", "is not written to"),
        ("cvt.f32.s32 %f0, %r0;", "rounds by .rn"),
        ("shfl.sync.round.b32 %r0, %r1, 1, 31, -1;", "no shfl.sync.round"),
        ("ld.param.u32 %r0, [p7];", "no parameter p7"),
        ("@%r0 ret;", "is not a predicate"),
        ("bar.sync 16;", "0 to 15"),
        ("setp.lt.f32 %q0, %f0, %f1", "expected ',' or ';'"),
    ];
    for (line, expected) in cases {
        // Not by `kernel`, which keeps its text for ptxas.
        let text = format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 p0)\n{{\n.reg .u32 %r<4>; \
             .reg .u64 %rd<4>; .reg .f32 %f<4>; .reg .pred %q<4>;\n{line}\n}}\n"
        );
        let error = device().load(&text).unwrap_err();
        assert_eq!(error.kind, Kind::Module);
        assert!(error.what.contains(expected), "{line}: {error}");
        assert!(
            error.place.as_ref().is_some_and(|place| place.contains("PTX line 7") || line.ends_with('1')),
            "{error}"
        );
    }
}

#[test]
fn variables_with_values() {
    let outside = ".const .align 8 .f32 table[4] = {0f3F800000, 2.5, -0.5};
.global .align 4 .u32 count = 41;
.const .u8 small[] = {1, 2, 0xff};";
    let body = "    ld.const.f32 %f0, [table+4];
    ld.const.v2.f32 {%f1, %f2}, [table+8];
    mov.u64 %rd0, small;
    ld.const.s8 %r0, [%rd0+2];
    atom.global.add.u32 %r1, [count], 1;
    ld.global.u32 %r2, [count];
    st.global.v4.b32 [%p0], {%f0, %f1, %f2, %f3};
    st.global.v4.u32 [%p0+16], {%r0, %r1, %r2, %r2};";
    let body = body.replace("%f3}", "%f2}");
    let ptx = kernel(1, outside, &body);
    let out = run_words(&ptx, &Shape::one(1), &[0; 8]).unwrap();
    let floats = [2.5f32, -0.5, 0.0, 0.0].map(f32::to_bits);
    assert_eq!(out[..4], floats);
    assert_eq!(out[4..], [u32::MAX, 41, 42, 42]);
    // A module's variables keep what they have from launch to launch.
    let device = device();
    let at = device.allocate(32).unwrap();
    let module = device.load(&ptx).unwrap();
    for expected in [42u32, 43] {
        let launch = Launch { module, kernel: "k", grid: 1, threads: 1, shared: 0, cooperative: false, args: &[at] };
        device.launch(&launch).unwrap();
        device.finish(&mut || {}).unwrap();
        let mut out = [0; 4];
        device.download(at + 24, &mut out).unwrap();
        assert_eq!(u32::from_le_bytes(out), expected);
    }
}

/// Registers share places; in a loop a value that is only read again in the next turn must keep its own.
#[test]
fn registers_that_share_places() {
    let mut steps = String::new();
    for i in 0..30 {
        // Each writes a register of its own, and reads the first, which is live all along.
        steps += &format!("    add.u32 %r{}, %r2, {i};\n    mad.lo.u32 %r3, %r{}, 3, %r3;\n", i + 8, i + 8);
    }
    let body = format!(
        "    mov.u32 %r2, %tid.x;
    mov.u32 %r3, 0;
    mov.u32 %r4, 0;
    mov.u32 %r5, 7;
again:
    add.u32 %r3, %r3, %r5;
{steps}
    add.u32 %r5, %r3, 1;
    add.u32 %r4, %r4, 1;
    setp.lt.u32 %q0, %r4, 3;
    @%q0 bra again;
    mul.wide.u32 %rd0, %r2, 4;
    add.u64 %rd1, %p0, %rd0;
    st.global.u32 [%rd1], %r5;"
    );
    let out = run_words(&kernel(1, "", &body), &Shape::one(32), &[0; 32]).unwrap();
    for (lane, got) in out.iter().enumerate() {
        let (mut sum, mut carried) = (0u32, 7u32);
        for _ in 0..3 {
            sum = sum.wrapping_add(carried);
            for i in 0..30 {
                sum = (lane as u32 + i).wrapping_mul(3).wrapping_add(sum);
            }
            carried = sum.wrapping_add(1);
        }
        assert_eq!(*got, carried, "lane {lane}");
    }
}
