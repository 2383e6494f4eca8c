//! How many thread-instructions a second the emulator does: `cargo run --release -p whorl-device --example emulator_speed`.

use std::time::Instant;
use whorl_device::{Checks, Device, Emulator, Launch, Limits};

/// A polynomial of degree 64 in each thread, from and to global memory, again and again.
fn polynomial() -> String {
    let mut steps = String::new();
    for i in 0..64 {
        steps += &format!("    fma.rn.f32 %f{}, %f{}, %f0, 0f3F{:06X};\n", i + 2, i + 1, 0x10_0000 + i * 977);
    }
    format!(
        "    ld.global.f32 %f0, [%rd2];
    mov.f32 %f1, %f0;
{steps}    st.global.f32 [%rd2], %f65;"
    )
}

/// A product of 32 by 32 tiles in shared memory: each of 256 threads does four elements.
fn product() -> String {
    let mut steps = String::new();
    for k in 0..32 {
        steps += &format!(
            "    ld.shared.f32 %f4, [%r10+{}];
    ld.shared.v4.f32 {{%f5, %f6, %f7, %f8}}, [%r11+{}];
    fma.rn.f32 %f0, %f4, %f5, %f0;
    fma.rn.f32 %f1, %f4, %f6, %f1;
    fma.rn.f32 %f2, %f4, %f7, %f2;
    fma.rn.f32 %f3, %f4, %f8, %f3;\n",
            4 * k,
            4096 + 128 * k
        );
    }
    format!(
        "    shl.b32 %r3, %r0, 4;
    shr.u32 %r4, %r0, 3;
    shl.b32 %r4, %r4, 7;
    and.b32 %r5, %r0, 7;
    shl.b32 %r5, %r5, 4;
    mov.u32 %r6, s;
    add.u32 %r10, %r6, %r4;
    add.u32 %r11, %r6, %r5;
    add.u32 %r12, %r6, %r3;
    st.shared.v4.f32 [%r12], {{0f3F800000, 0f3F000000, 0f3E800000, 0f3F800000}};
    st.shared.v4.f32 [%r12+4096], {{0f3F800000, 0f3F000000, 0f3E800000, 0f3F800000}};
    bar.sync 0;
    mov.f32 %f0, 0f00000000;
    mov.f32 %f1, 0f00000000;
    mov.f32 %f2, 0f00000000;
    mov.f32 %f3, 0f00000000;
{steps}    bar.sync 0;
    st.global.f32 [%rd2], %f0;"
    )
}

fn module(body: &str) -> String {
    format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.shared .align 16 .b8 s[8192];
.visible .entry k(.param .u64 buffer, .param .u64 rounds)\n{{
    .reg .u64 %rd<4>;\n    .reg .u32 %r<20>;\n    .reg .f32 %f<80>;\n    .reg .pred %q<2>;
    ld.param.u64 %rd0, [buffer];
    ld.param.u32 %r1, [rounds];
    mov.u32 %r0, %tid.x;
    mul.wide.u32 %rd1, %r0, 4;
    add.u64 %rd2, %rd0, %rd1;
loop:
    .pragma \"nounroll\";
{body}
    sub.u32 %r1, %r1, 1;
    setp.ne.u32 %q0, %r1, 0;
    @%q0 bra loop;
    ret;\n}}\n"
    )
}

fn main() {
    for (name, body, rounds) in [("polynomial", polynomial(), 20_000), ("product", product(), 10_000)] {
        for (checks, what) in [(Checks::ALL, "all checks"), (Checks::FEW, "few checks")] {
            let device = Emulator::new(Emulator::hopper(), checks, Limits::default());
            let buffer = device.allocate(1024).expect("memory");
            device.fill(buffer, 1024, 0).expect("fill");
            let module = device.load(&module(&body)).expect("a module");
            let start = Instant::now();
            let launch = Launch {
                module,
                kernel: "k",
                grid: 1,
                threads: 256,
                shared: 0,
                cooperative: false,
                args: &[buffer, rounds],
            };
            device.launch(&launch).expect("a launch");
            device.finish(&mut || {}).expect("no finding");
            let seconds = start.elapsed().as_secs_f64();
            let count = device.take_counters()[0].1.thread_instructions;
            println!(
                "{name}, {what}: {:.0} M thread-instructions/s ({count} in {seconds:.2} s)",
                count as f64 / seconds / 1e6
            );
        }
    }
}
