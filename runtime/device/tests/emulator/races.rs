//! Races against an oracle: random accesses and barriers, and vector clocks of all threads.

use crate::help::*;
use whorl_device::emulator::finding::FindingKind;
use whorl_device::{Checks, Device, Emulator, Limits};

const THREADS: usize = 64;

/// What one line of the kernel does.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A thread, where, how many bytes, and whether it writes.
    Access {
        thread: usize,
        at: usize,
        bytes: usize,
        write: bool,
    },
    Barrier,
    /// Of a warp: all its lanes, or each half for itself.
    WarpBarrier {
        warp: usize,
        halves: bool,
    },
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n
    }
}

fn draw(random: &mut Random, halves: bool) -> Vec<Step> {
    // Few threads and few places, so that they meet.
    let threads = [0, 1, 2, 17, 31, 32, 33, 50];
    let steps = 4 + random.below(14);
    (0..steps)
        .map(|_| match random.below(10) {
            0 | 1 => Step::Barrier,
            2 | 3 => Step::WarpBarrier { warp: random.below(2), halves: halves && random.below(2) == 0 },
            _ => {
                let bytes = [1, 2, 4, 4, 4, 8, 16][random.below(7)];
                let at = random.below(32 / bytes) * bytes;
                Step::Access { thread: threads[random.below(8)], at, bytes, write: random.below(2) == 0 }
            }
        })
        .collect()
}

/// Whether two accesses meet that nothing orders.
fn has_race(steps: &[Step]) -> bool {
    let mut clocks = vec![[0u32; THREADS]; THREADS];
    (0..THREADS).for_each(|thread| clocks[thread][thread] = 1);
    let mut past: Vec<(usize, u32, usize, usize, bool)> = Vec::new();
    let meet = |clocks: &mut Vec<[u32; THREADS]>, group: std::ops::Range<usize>| {
        let mut joined = [0; THREADS];
        for thread in group.clone() {
            (0..THREADS).for_each(|i| joined[i] = joined[i].max(clocks[thread][i]));
        }
        for thread in group {
            clocks[thread] = joined;
            clocks[thread][thread] += 1;
        }
    };
    for step in steps {
        match *step {
            Step::Barrier => meet(&mut clocks, 0..THREADS),
            Step::WarpBarrier { warp, halves: false } => meet(&mut clocks, 32 * warp..32 * warp + 32),
            Step::WarpBarrier { warp, halves: true } => {
                meet(&mut clocks, 32 * warp..32 * warp + 16);
                meet(&mut clocks, 32 * warp + 16..32 * warp + 32);
            }
            Step::Access { thread, at, bytes, write } => {
                for &(other, when, start, end, wrote) in &past {
                    let meets = start < at + bytes && at < end && (write || wrote);
                    if other != thread && meets && when > clocks[thread][other] {
                        return true;
                    }
                }
                past.push((thread, clocks[thread][thread], at, at + bytes, write));
            }
        }
    }
    false
}

fn render(steps: &[Step], global: bool) -> String {
    let mut body = String::from(
        "    mov.u32 %r0, %tid.x;
    mov.u32 %r1, s;
    mov.u64 %rd1, 0;
    mov.u32 %r2, 0;
    mov.b16 %h0, 0;
    shr.u32 %r3, %r0, 5;
    and.b32 %r4, %r0, 16;
    setp.eq.u32 %q1, %r4, 0;
    selp.b32 %r5, 0xffff, 0xffff0000, %q1;\n",
    );
    let (space, base) = if global { ("global", "%p0") } else { ("shared", "%r1") };
    for step in steps {
        body += &match *step {
            Step::Barrier => "    bar.sync 0;\n".to_string(),
            Step::WarpBarrier { warp, halves } => {
                let members = if halves { "%r5" } else { "0xffffffff" };
                format!("    setp.eq.u32 %q2, %r3, {warp};\n    @%q2 bar.warp.sync {members};\n")
            }
            Step::Access { thread, at, bytes, write } => {
                let (ty, value) = match bytes {
                    1 => ("u8", "%r2"),
                    2 => ("b16", "%h0"),
                    4 => ("u32", "%r2"),
                    8 => ("u64", "%rd1"),
                    _ if write => ("v4.u32", "{%r2, %r2, %r2, %r2}"),
                    _ => ("v4.u32", "{%r10, %r11, %r12, %r13}"),
                };
                let test = format!("    setp.eq.u32 %q0, %r0, {thread};\n");
                if write {
                    format!("{test}    @%q0 st.{space}.{ty} [{base}+{at}], {value};\n")
                } else {
                    format!("{test}    @%q0 ld.{space}.{ty} {value}, [{base}+{at}];\n")
                }
            }
        };
    }
    kernel(1, ".shared .align 16 .b8 s[64];", &body)
}

/// What the emulator says.
fn finds_race(steps: &[Step], global: bool) -> bool {
    let checks = Checks { uninitialised: false, ..Checks::ALL };
    let device = Emulator::new(Emulator::hopper(), checks, Limits::default());
    let at = device.allocate(64).unwrap();
    start(&device, &render(steps, global), &Shape::one(THREADS as u32), &[at]).unwrap();
    match device.finish(&mut || {}) {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.finding().map(|found| found.kind), Some(FindingKind::Race), "{error}");
            true
        }
    }
}

#[test]
fn races_are_those_of_vector_clocks() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut found = 0;
    for i in 0..3000 {
        let steps = draw(&mut random, false);
        let expected = has_race(&steps);
        found += u32::from(expected);
        assert_eq!(finds_race(&steps, i % 3 == 0), expected, "program {i}: {steps:#?}");
    }
    assert!((500..2500).contains(&found), "{found} of 3000 have races: that tests little");
}

/// Where halves of warps meet for themselves, of many readers only one is known for certain: nothing may be found that is not
/// there, and little may be missed.
#[test]
fn barriers_of_half_warps() {
    let mut random = Random(0x0dd0_5678_9abc_def1);
    let (mut there, mut missed) = (0, 0);
    for i in 0..3000 {
        let steps = draw(&mut random, true);
        let (expected, found) = (has_race(&steps), finds_race(&steps, i % 3 == 0));
        assert!(expected || !found, "program {i}: {steps:#?}");
        there += u32::from(expected);
        missed += u32::from(expected && !found);
    }
    assert!(missed * 200 <= there, "{missed} of {there} are missed");
}

#[test]
fn what_is_not_checked_is_not_found() {
    let steps = [
        Step::Access { thread: 0, at: 0, bytes: 4, write: true },
        Step::Access { thread: 40, at: 0, bytes: 4, write: false },
    ];
    assert!(finds_race(&steps, true));
    let device = Emulator::new(Emulator::hopper(), Checks::FEW, Limits::default());
    let at = device.allocate(64).unwrap();
    start(&device, &render(&steps, true), &Shape::one(64), &[at]).unwrap();
    device.finish(&mut || {}).unwrap();
}
