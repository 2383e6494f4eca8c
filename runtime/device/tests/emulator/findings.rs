//! For each kind of finding a kernel that has it, and its twin that has none.

use crate::help::*;
use whorl_device::emulator::finding::FindingKind;
use whorl_device::{Device, Kind};

const SHARED: &str = ".shared .align 16 .b8 s[1024];";

/// Each thread writes its word of shared memory and reads another's: `between` stands between the two.
fn neighbour(step: u32, between: &str) -> String {
    let body = format!(
        "    mov.u32 %r0, %tid.x;
    shl.b32 %r1, %r0, 2;
    mov.u32 %r2, s;
    add.u32 %r3, %r2, %r1;
    st.shared.u32 [%r3], %r0;
{between}
    xor.b32 %r4, %r0, {step};
    shl.b32 %r4, %r4, 2;
    add.u32 %r4, %r2, %r4;
    ld.shared.u32 %r5, [%r4];
    mul.wide.u32 %rd0, %r0, 4;
    add.u64 %rd1, %p0, %rd0;
    st.global.u32 [%rd1], %r5;"
    );
    kernel(1, SHARED, &body)
}

#[test]
fn a_deleted_barrier() {
    let (wrong, right) = (neighbour(32, ""), neighbour(32, "    bar.sync 0;"));
    // Warp 0 would read what warp 1 has not written yet: that is found first.
    let found = check(FindingKind::UninitialisedMemory, &wrong, &right, &Shape::one(64), "ld.shared");
    assert_eq!(found.threads, [0]);
    // Where the memory was written before, the race itself is found.
    let before =
        "    st.shared.u32 [%r3], 0;\n    st.shared.u32 [%r3+512], 0;\n    bar.sync 0;\n    st.shared.u32 [%r3], %r0;";
    let (wrong, right) = (neighbour(32, before), neighbour(32, &format!("{before}\n    bar.sync 0;")));
    let found = check(FindingKind::Race, &wrong, &right, &Shape::one(64), "st.shared.u32 [%r3], %r0");
    assert!(found.what.contains("byte 128 of shared s"), "{found}");
    assert!(found.what.contains("ld.shared.u32 %r5, [%r4];"), "{found}");
}

#[test]
fn a_race_within_a_warp_is_ended_by_the_warps_barrier() {
    let (wrong, right) = (neighbour(1, ""), neighbour(1, "    bar.warp.sync 0xffffffff;"));
    let found = check(FindingKind::Race, &wrong, &right, &Shape::one(32), "ld.shared");
    assert!(found.what.contains("thread 1 wrote"), "{found}");
    // A barrier of lanes that are not those who exchange is none.
    let halves = "    and.b32 %r10, %r0, 16;
    shr.u32 %r10, %r10, 4;
    mul.lo.u32 %r10, %r10, 0xffff0000;
    setp.eq.u32 %q0, %r10, 0;
    selp.b32 %r10, 0xffff, %r10, %q0;
    bar.warp.sync %r10;";
    let (wrong, right) = (neighbour(16, halves), neighbour(8, halves));
    check(FindingKind::Race, &wrong, &right, &Shape::one(32), "ld.shared");
    // Nor is the barrier of one warp a barrier between warps.
    let before = "    bar.sync 0;\n    st.shared.u32 [%r3], %r0;\n";
    let wrong = neighbour(32, &format!("{before}    bar.warp.sync 0xffffffff;"));
    let right = neighbour(32, &format!("{before}    bar.sync 0;"));
    check(FindingKind::Race, &wrong, &right, &Shape::one(64), "shared");
}

#[test]
fn a_shuffle_orders_no_memory() {
    let shuffle = "    shfl.sync.idx.b32 %r10, %r0, 0, 31, 0xffffffff;";
    let right = format!("{shuffle}\n    bar.warp.sync 0xffffffff;");
    check(FindingKind::Race, &neighbour(1, shuffle), &neighbour(1, &right), &Shape::one(32), "ld.shared");
}

#[test]
fn a_write_after_reads() {
    let body = |writer: u32, barrier: &str| {
        let text = format!(
            "    mov.u32 %r0, %tid.x;
    setp.eq.u32 %q0, %r0, 0;
    mov.u32 %r2, s;
    @%q0 st.shared.u32 [%r2], 5;
    bar.sync 0;
    ld.shared.u32 %r5, [%r2];
{barrier}
    setp.eq.u32 %q1, %r0, {writer};
    @%q1 st.shared.u32 [%r2], 6;"
        );
        kernel(1, SHARED, &text)
    };
    let found = check(FindingKind::Race, &body(40, ""), &body(40, "    bar.sync 0;"), &Shape::one(64), "[%r2], 6");
    assert_eq!(found.threads, [40]);
    // Within a warp, all lanes having read the word.
    for writer in [0, 20, 31] {
        let right = body(writer, "    bar.warp.sync -1;");
        let found = check(FindingKind::Race, &body(writer, ""), &right, &Shape::one(32), "[%r2], 6");
        assert_eq!(found.threads, [writer]);
    }
    // The barrier of a warp is none for another.
    let wrong = body(40, "    bar.warp.sync -1;");
    check(FindingKind::Race, &wrong, &body(40, "    bar.sync 0;"), &Shape::one(64), "[%r2], 6");
}

#[test]
fn uninitialised_shared_memory() {
    let body = |store: &str| {
        let text = format!(
            "    mov.u32 %r2, s;
    mov.u32 %r0, %tid.x;
    setp.eq.u32 %q0, %r0, 0;
{store}
    bar.sync 0;
    @%q0 ld.shared.u32 %r5, [%r2+8];
    @%q0 st.global.u32 [%p0], %r5;"
        );
        kernel(1, SHARED, &text)
    };
    let wrong = body("    @%q0 st.shared.u32 [%r2+4], 7;");
    let right = body("    @%q0 st.shared.u32 [%r2+8], 7;");
    let found = check(FindingKind::UninitialisedMemory, &wrong, &right, &Shape::one(64), "ld.shared.u32");
    assert!(found.what.contains("byte 8 of shared s"), "{found}");
    // A byte of a word is enough.
    let wrong = body("    @%q0 st.shared.u16 [%r2+8], 7;\n    @%q0 st.shared.u8 [%r2+11], 7;");
    let found = check(FindingKind::UninitialisedMemory, &wrong, &right, &Shape::one(64), "ld.shared.u32");
    assert!(found.what.contains("byte 10 of shared s"), "{found}");
}

#[test]
fn uninitialised_device_memory() {
    let ptx = kernel(1, "", "    ld.global.f32 %f0, [%p0+64];\n    st.global.f32 [%p0], %f0;");
    let device = device();
    let at = device.allocate(128).unwrap();
    device.fill(at, 64, 0).unwrap();
    start(&device, &ptx, &Shape::one(1), &[at]).unwrap();
    let error = device.finish(&mut || {}).unwrap_err();
    let found = error.finding().expect("a finding");
    assert_eq!(found.kind, FindingKind::UninitialisedMemory);
    assert_eq!(found.address, Some(at + 64));
    assert!(found.what.contains("of 128 bytes"), "{found}");
    device.upload(at + 64, &[0; 4]).unwrap();
    start(&device, &ptx, &Shape::one(1), &[at]).unwrap();
    device.finish(&mut || {}).unwrap();
}

#[test]
fn uninitialised_registers() {
    // Written only by some lanes, and read by all.
    let body = |guard: &str| {
        let text = format!(
            "    mov.u32 %r0, %tid.x;
    setp.lt.u32 %q0, %r0, 5;
    @%q0 mov.u32 %r1, 3;
    {guard}add.u32 %r2, %r1, %r1;"
        );
        kernel(1, "", &text)
    };
    let found =
        check(FindingKind::UninitialisedRegister, &body(""), &body("@%q0 "), &Shape::one(32), "add.u32 %r2, %r1");
    assert!(found.what.contains("%r1"), "{found}");
    assert_eq!(found.threads, (5..32).collect::<Vec<_>>());
    // Written on one of two ways.
    let body = |other: &str| {
        let text = format!(
            "    mov.u32 %r0, %tid.x;
    setp.lt.u32 %q0, %r0, 31;
    @%q0 bra there;
    mov.f32 %f1, 0f3F800000;
    bra.uni here;
there:
{other}
here:
    add.rn.f32 %f2, %f1, %f1;"
        );
        kernel(1, "", &text)
    };
    let right = body("    mov.f32 %f1, 0f40000000;");
    let found = check(FindingKind::UninitialisedRegister, &body(""), &right, &Shape::one(32), "add.rn.f32");
    assert_eq!(found.threads, (0..31).collect::<Vec<_>>());
    // A predicate that guards.
    let (wrong, right) = ("    @%q3 mov.u32 %r1, 3;", "    setp.eq.u32 %q3, 1, 1;\n    @%q3 mov.u32 %r1, 3;");
    let found = check(
        FindingKind::UninitialisedRegister,
        &kernel(1, "", wrong),
        &kernel(1, "", right),
        &Shape::one(1),
        "mov.u32 %r1",
    );
    assert!(found.what.contains("%q3"), "{found}");
}

#[test]
fn a_barrier_in_a_branch() {
    let body = |inside: &str, outside: &str| {
        let text = format!(
            "    mov.u32 %r0, %tid.x;
    setp.lt.u32 %q0, %r0, 40;
    @!%q0 bra after;
{inside}
after:
{outside}"
        );
        kernel(1, "", &text)
    };
    let right = body("", "    bar.sync 0;");
    // Warp 1 is divided.
    let found = check(FindingKind::Divergence, &body("    bar.sync 0;", ""), &right, &Shape::one(64), "bar.sync");
    assert!(found.what.contains("threads 40-63 have ended"), "{found}");
    // Whole warps do not come, or come to another.
    let found = check(FindingKind::Divergence, &body("    bar.sync 0;", ""), &right, &Shape::one(96), "bar.sync");
    assert!(found.what.contains("40-95"), "{found}");
    let wrong = "    mov.u32 %r0, %tid.x;
    setp.lt.u32 %q0, %r0, 32;
    @!%q0 bra other;
    bar.sync 0;
    bra.uni after;
other:
    bar.sync 0;
after:";
    let found = check(FindingKind::Divergence, &kernel(1, "", wrong), &right, &Shape::one(64), "bar.sync");
    assert!(found.what.contains("different barriers"), "{found}");
}

#[test]
fn a_barrier_after_an_early_exit() {
    let body = |exit: &str| {
        let text = format!("    mov.u32 %r0, %tid.x;\n    setp.ge.u32 %q0, %r0, 50;\n{exit}\n    bar.sync 0;");
        kernel(1, "", &text)
    };
    let found = check(FindingKind::Divergence, &body("    @%q0 exit;"), &body(""), &Shape::one(64), "bar.sync 0");
    assert!(found.what.contains("threads 50-63 have ended"), "{found}");
}

#[test]
fn lanes_that_are_not_there() {
    let body = |limit: u32, members: &str| {
        let text = format!(
            "    mov.u32 %r0, %tid.x;
    setp.lt.u32 %q0, %r0, {limit};
    @!%q0 bra after;
    shfl.sync.down.b32 %r1|%q1, %r0, 1, 31, {members};
    vote.sync.ballot.b32 %r2, %q1, {members};
after:"
        );
        kernel(1, "", &text)
    };
    let right = body(32, "0xffffffff");
    let found = check(FindingKind::Divergence, &body(20, "0xffffffff"), &right, &Shape::one(32), "shfl");
    assert!(found.what.contains("lanes 20-31") || found.what.contains("threads 20-31"), "{found}");
    // The lanes that take part are right, but one takes the value of another.
    let found = check(FindingKind::Divergence, &body(20, "0xfffff"), &right, &Shape::one(32), "shfl");
    assert!(found.what.contains("lane 19 takes the value of lane 20"), "{found}");
    // A lane that is not in its own mask.
    let found = check(FindingKind::Divergence, &body(32, "0xfffffffe"), &right, &Shape::one(32), "shfl");
    assert_eq!(found.threads, [0]);
    // A warp that is not full.
    check(FindingKind::Divergence, &right, &body(32, "0xff").replace("1, 31,", "1, 7,"), &Shape::one(8), "shfl");
}

#[test]
fn lanes_of_two_branches_do_not_meet() {
    let body = |label: &str| {
        let text = format!(
            "    mov.u32 %r0, %tid.x;
    setp.lt.u32 %q0, %r0, 16;
    @%q0 bra {label};
    bar.warp.sync 0xffffffff;
    bra.uni after;
first:
    vote.sync.any.pred %q1, %q0, 0xffffffff;
after:
    bar.warp.sync 0xffffffff;"
        );
        kernel(1, "", &text)
    };
    // In the mended one nobody goes to the vote, and nobody jumps over the first barrier.
    let right = body("first").replace("16;", "0;");
    let found = check(FindingKind::Divergence, &body("first"), &right, &Shape::one(32), "sync");
    assert!(found.what.contains("threads 0-15 are at `vote.sync.any"), "{found}");
}

#[test]
fn threads_that_wait_for_ever() {
    // Two groups of warps, each at the barrier that the other opens.
    let body = |first: u32, second: u32| {
        let text = format!(
            "    mov.u32 %r0, %tid.x;
    setp.lt.u32 %q0, %r0, 32;
    @%q0 bra low;
    bar.sync {first}, 64;
    bar.sync {second}, 64;
    bra.uni after;
low:
    bar.sync 1, 64;
    bar.sync 2, 64;
after:"
        );
        kernel(1, "", &text)
    };
    let found = check(FindingKind::Deadlock, &body(2, 1), &body(1, 2), &Shape::one(64), "bar.sync");
    assert!(found.what.contains("threads 0-31") && found.what.contains("32-63"), "{found}");
    // A flag that nobody sets.
    let body = |value: u32| {
        let text = format!(
            "again:
    ld.acquire.gpu.global.u32 %r1, [%p0];
    setp.eq.u32 %q0, %r1, {value};
    @%q0 bra out;
    nanosleep.u32 100;
    bra.uni again;
out:"
        );
        kernel(1, "", &text)
    };
    let found = check(FindingKind::Deadlock, &body(1), &body(0), &Shape::one(32), "nanosleep");
    assert_eq!(found.line, 19, "{found}");
}

#[test]
fn a_kernel_that_runs_away() {
    let body = |step: u32| {
        let text = format!(
            "    mov.u32 %r0, 0;
again:
    add.u32 %r0, %r0, {step};
    setp.ne.u32 %q0, %r0, 7;
    @%q0 bra again;"
        );
        kernel(1, "", &text)
    };
    let device = device();
    let at = device.allocate(4).unwrap();
    start(&device, &body(1), &Shape::one(32), &[at]).unwrap();
    device.finish(&mut || {}).unwrap();
    start(&device, &body(2), &Shape::one(32), &[at]).unwrap();
    let error = device.finish(&mut || {}).unwrap_err();
    assert_eq!(error.finding().map(|found| found.kind), Some(FindingKind::Runaway), "{error}");
}

#[test]
fn out_of_bounds_and_misaligned() {
    let global = |offset: i32, what: &str| {
        let text = format!(
            "    mov.u32 %r0, %tid.x;
    mul.wide.u32 %rd0, %r0, 16;
    add.u64 %rd1, %p0, %rd0;
    {what} [%rd1+{offset}], {{%r0, %r0, %r0, %r0}};"
        );
        kernel(1, "", &text)
    };
    let store = "st.global.v4.u32";
    // 256 words: 64 threads of four.
    let right = global(0, store);
    let found = check(FindingKind::OutOfBounds, &global(16, store), &right, &Shape::one(64), "st.global");
    assert_eq!(found.threads, [63]);
    assert!(found.what.contains("byte 1024 of allocation"), "{found}");
    let found = check(FindingKind::OutOfBounds, &global(-16, store), &right, &Shape::one(64), "st.global");
    assert_eq!(found.threads, [0]);
    let found = check(FindingKind::Misaligned, &global(8, store), &right, &Shape::one(63), "st.global");
    assert_eq!(found.threads, [0]);
    let shared = |offset: u32| {
        let text = format!(
            "    mov.u32 %r0, %tid.x;
    shl.b32 %r1, %r0, 4;
    mov.u32 %r2, s;
    add.u32 %r1, %r1, %r2;
    st.shared.f32 [%r1+{offset}], 0f3F800000;"
        );
        kernel(1, SHARED, &text)
    };
    let found = check(FindingKind::OutOfBounds, &shared(16), &shared(12), &Shape::one(64), "st.shared");
    assert!(found.what.contains("byte 1024 of s"), "{found}");
    check(FindingKind::Misaligned, &shared(2), &shared(4), &Shape::one(64), "st.shared");
    // What was freed is told apart.
    let device = device();
    let at = device.allocate(1024).unwrap();
    device.free(at).unwrap();
    start(&device, &right, &Shape::one(64), &[at]).unwrap();
    let error = device.finish(&mut || {}).unwrap_err();
    assert!(error.to_string().contains("was freed"), "{error}");
}

#[test]
fn dynamic_shared_memory_and_its_limits() {
    let outside = ".extern .shared .align 16 .b8 dynamic[];\n.shared .align 4 .b8 fixed[40];";
    let body = |offset: u32| {
        let text = format!(
            "    mov.u32 %r2, dynamic;
    mov.u32 %r3, fixed;
    st.shared.u32 [%r3], 1;
    st.shared.u32 [%r2+{offset}], 2;
    ld.shared.u32 %r4, [%r3];
    st.global.u32 [%p0], %r4;"
        );
        kernel(1, outside, &text)
    };
    let shape = Shape { grid: 1, threads: 1, shared: 128, cooperative: false };
    let found = check(FindingKind::OutOfBounds, &body(128), &body(124), &shape, "%r2");
    assert!(found.what.contains("byte 128 of dynamic"), "{found}");
    // 227 KiB less what the static arrays have: 40 bytes, rounded up.
    let most = (227 << 10) - 48;
    let shape = |shared| Shape { grid: 1, threads: 1, shared, cooperative: false };
    run_words(&body(124), &shape(most), &[0]).unwrap();
    let error = run_words(&body(124), &shape(most + 16), &[0]).unwrap_err();
    assert_eq!(error.kind, Kind::Launch);
    assert!(error.what.contains("232448"), "{error}");
}

#[test]
fn constant_memory_is_not_written() {
    let outside = ".const .align 4 .u32 table[4] = {1, 2, 3, 4};\n.global .align 4 .u32 other[4] = {1, 2, 3, 4};";
    let body = |name: &str| kernel(1, outside, &format!("    mov.u64 %rd0, {name};\n    st.u32 [%rd0], 1;"));
    let found = check(FindingKind::ReadOnly, &body("table"), &body("other"), &Shape::one(1), "st.u32");
    assert!(found.what.contains("table"), "{found}");
}

#[test]
fn blocks_that_share_memory_without_order() {
    // Each block writes its word, and reads that of the block before.
    let body = |from: &str| {
        let text = format!(
            "    mov.u32 %r0, %ctaid.x;
    mul.wide.u32 %rd0, %r0, 4;
    add.u64 %rd1, %p0, %rd0;
    st.global.u32 [%rd1+4], %r0;
    ld.global.u32 %r1, [%rd1+{from}];"
        );
        kernel(1, "", &text)
    };
    for cooperative in [false, true] {
        let shape = Shape { grid: 3, threads: 1, shared: 0, cooperative };
        let found = check(FindingKind::Race, &body("0"), &body("4"), &shape, "global");
        assert!(found.what.contains("of block"), "{found}");
        // Read first by all, and written by one.
        let text = |write: &str| {
            let text = format!(
                "    mov.u32 %r0, %ctaid.x;
    ld.global.u32 %r1, [%p0];
    setp.eq.u32 %q0, %r0, 2;
    @%q0 st.global.u32 [%p0+{write}], 1;"
            );
            kernel(1, "", &text)
        };
        let found = check(FindingKind::Race, &text("0"), &text("4"), &shape, "st.global");
        assert!(found.what.contains("read before"), "{found}");
    }
}

/// A barrier of all blocks, the counter of which is at `%p0 + 512`, and each block's word at `%p0`.
fn grid_barrier(before: &str, fence: &str, arrive: &str, spin: &str, after: &str) -> String {
    let text = format!(
        "    mov.u32 %r0, %tid.x;
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %nctaid.x;
    setp.ne.u32 %q0, %r0, 0;
    shl.b32 %r3, %r1, 5;
    add.u32 %r3, %r3, %r0;
    mul.wide.u32 %rd0, %r3, 4;
    add.u64 %rd1, %p0, %rd0;
    st.global.u32 [%rd1], %r3;
{before}
    @%q0 bra wait;
{fence}
    {arrive} %r4, [%p0+512], 1;
spin:
    {spin} %r5, [%p0+512];
    setp.ge.u32 %q1, %r5, %r2;
    @%q1 bra wait;
    nanosleep.u32 20;
    bra.uni spin;
wait:
{after}
    xor.b32 %r6, %r3, 33;
    mul.wide.u32 %rd0, %r6, 4;
    add.u64 %rd1, %p0, %rd0;
    ld.global.u32 %r7, [%rd1];"
    );
    kernel(1, "", &text)
}

#[test]
fn barriers_of_the_grid() {
    const BAR: &str = "    bar.sync 0;";
    const FENCE: &str = "    fence.acq_rel.gpu;";
    let (add, load) = ("atom.global.add.u32", "ld.acquire.gpu.global.u32");
    let right = grid_barrier(BAR, FENCE, add, load, BAR);
    let shape = Shape { grid: 4, threads: 32, shared: 0, cooperative: true };
    run_words(&right, &shape, &[0; 256]).unwrap();
    let released = grid_barrier(BAR, "", "atom.add.release.gpu.global.u32", load, BAR);
    run_words(&released, &shape, &[0; 256]).unwrap_or_else(|error| panic!("{error}"));
    // It does not have to sleep.
    let awake = |ptx: &str| ptx.replace("    nanosleep.u32 20;\n", "");
    run_words(&awake(&released), &shape, &[0; 256]).unwrap_or_else(|error| panic!("{error}"));
    let fenced = grid_barrier(BAR, "    membar.gl;", add, "ld.volatile.global.u32", &format!("{FENCE}\n{BAR}"));
    // Each thread makes a fence of its own behind the spinning one: only thread 0 has seen the counter.
    run_words(&fenced, &shape, &[0; 256]).unwrap_or_else(|error| panic!("{error}"));
    let wrong = [
        ("nothing is released", grid_barrier(BAR, "", add, load, BAR)),
        ("nothing is acquired", grid_barrier(BAR, FENCE, add, "ld.volatile.global.u32", BAR)),
        ("a fence of the block", grid_barrier(BAR, "    fence.acq_rel.cta;", add, load, BAR)),
        ("thread 0 releases before the others are done", grid_barrier("", FENCE, add, load, BAR)),
        ("the others do not wait for thread 0", grid_barrier(BAR, FENCE, add, load, "")),
    ];
    for (why, ptx) in wrong {
        let found = finding(&ptx, &shape, 256);
        assert_eq!(found.kind, FindingKind::Race, "{why}: {found}");
    }
    // Blocks that are not resident together wait for ever.
    let shape = Shape { grid: 4, threads: 32, shared: 0, cooperative: false };
    assert_eq!(finding(&right, &shape, 256).kind, FindingKind::Deadlock);
    assert_eq!(finding(&awake(&right), &shape, 256).kind, FindingKind::Deadlock);
}

#[test]
fn findings_name_their_place() {
    let text = "    .loc 1 42 7
    mov.u32 %r0, %tid.x;
    .loc 1 43 3
    st.global.u32 [%p0], %r0;";
    let ptx = kernel(1, ".file 1 \"train.whorl\"", text);
    let found = finding(&ptx, &Shape::one(2), 1);
    assert_eq!(found.kind, FindingKind::Race);
    assert_eq!(found.source, Some(("train.whorl".to_string(), 43, 3)));
    assert_eq!((found.kernel.as_str(), found.block, found.threads.as_slice()), ("k", 0, [1].as_slice()));
    let shown = found.to_string();
    assert!(shown.contains("train.whorl:43:3") && shown.contains("thread 0 wrote"), "{shown}");
}

#[test]
fn atomics_do_not_race_with_each_other() {
    let body = |second: &str| {
        let text = format!("    mov.u32 %r0, %tid.x;\n    red.global.add.u32 [%p0], 1;\n{second}");
        kernel(1, "", &text)
    };
    let right = body("    bar.sync 0;\n    ld.global.u32 %r1, [%p0];");
    let found = check(FindingKind::Race, &body("    ld.global.u32 %r1, [%p0];"), &right, &Shape::one(64), "global");
    assert!(found.what.contains("red.global.add"), "{found}");
}

#[test]
fn an_asynchronous_copy_has_to_be_waited_for() {
    let body = |wait: &str| {
        let text = format!(
            "    mov.u32 %r2, s;
    cp.async.ca.shared.global [%r2], [%p0], 16;
    cp.async.commit_group;
{wait}
    ld.shared.u32 %r5, [%r2+12];
    st.global.u32 [%p0+64], %r5;"
        );
        kernel(1, SHARED, &text)
    };
    let right = body("    cp.async.wait_group 0;");
    let wrong = body("    cp.async.wait_group 1;");
    check(FindingKind::UninitialisedMemory, &wrong, &right, &Shape::one(1), "ld.shared");
    let input: Vec<u32> = (5..25).collect();
    assert_eq!(run_words(&right, &Shape::one(1), &input).unwrap()[16], 8);
}
