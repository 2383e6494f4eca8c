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
