//! What things cost on a card, in nanoseconds: `cargo run --release -p whorl-device --example card_costs [cuda:1]`. The choice between schedules
//! (`compiler/cuda/src/choice.rs`) rests on such figures. Without a card the emulator does the same, whose times say nothing.

use std::sync::Arc;
use std::time::Instant;

use whorl_device::{Cuda, Device, Emulator, Launch, ModuleId};

const PTX: &str = "
.version 8.0
.target sm_80
.address_size 64
.extern .shared .align 16 .b8 shared[];

.visible .entry empty(.param .u64 words, .param .u32 times)
{
    ret;
}

.visible .entry block_barriers(.param .u64 words, .param .u32 times)
{
    .reg .b32 %r<2>;
    .reg .pred %p<1>;
    ld.param.u32 %r0, [times];
again:
    .pragma \"nounroll\";
    bar.sync 0;
    sub.u32 %r0, %r0, 1;
    setp.ne.u32 %p0, %r0, 0;
    @%p0 bra again;
    ret;
}

.visible .entry grid_barriers(.param .u64 words, .param .u32 times)
{
    .reg .b32 %r<8>;
    .reg .b64 %rd<1>;
    .reg .pred %p<3>;
    ld.param.u64 %rd0, [words];
    ld.param.u32 %r0, [times];
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %nctaid.x;
    mov.u32 %r3, %tid.x;
    setp.ne.u32 %p0, %r3, 0;
    // The first block makes the upper bit turn, the others add one.
    sub.u32 %r4, 0x80000001, %r2;
    setp.eq.u32 %p1, %r1, 0;
    selp.b32 %r4, %r4, 1, %p1;
again:
    .pragma \"nounroll\";
    bar.sync 0;
    @%p0 bra over;
    atom.add.release.gpu.global.u32 %r5, [%rd0], %r4;
spin:
    .pragma \"nounroll\";
    ld.acquire.gpu.global.u32 %r6, [%rd0];
    xor.b32 %r7, %r5, %r6;
    setp.ge.s32 %p2, %r7, 0;
    @%p2 bra spin;
over:
    bar.sync 0;
    sub.u32 %r0, %r0, 1;
    setp.ne.u32 %p2, %r0, 0;
    @%p2 bra again;
    ret;
}

.visible .entry global_chain(.param .u64 words, .param .u32 times)
{
    .reg .b32 %r<2>;
    .reg .b64 %rd<3>;
    .reg .pred %p<1>;
    ld.param.u64 %rd0, [words];
    ld.param.u32 %r0, [times];
    mov.u64 %rd1, %rd0;
again:
    .pragma \"nounroll\";
    ld.relaxed.gpu.global.u64 %rd1, [%rd1];
    sub.u32 %r0, %r0, 1;
    setp.ne.u32 %p0, %r0, 0;
    @%p0 bra again;
    st.global.u64 [%rd0], %rd1;
    ret;
}

.visible .entry shared_chain(.param .u64 words, .param .u32 times)
{
    .reg .b32 %r<3>;
    .reg .pred %p<1>;
    ld.param.u32 %r0, [times];
    mov.u32 %r1, shared;
    st.shared.u32 [%r1], %r1;
again:
    .pragma \"nounroll\";
    ld.volatile.shared.u32 %r1, [%r1];
    sub.u32 %r0, %r0, 1;
    setp.ne.u32 %p0, %r0, 0;
    @%p0 bra again;
    st.shared.u32 [%r1], %r1;
    ret;
}
";

struct Bench {
    device: Arc<dyn Device>,
    module: ModuleId,
    words: u64,
    times: u32,
}

impl Bench {
    /// Seconds of one launch.
    fn launch(&self, kernel: &str, grid: u32, threads: u32, times: u32) -> f64 {
        let cooperative = kernel == "grid_barriers";
        let args = [self.words, times.into()];
        let launch = Launch { module: self.module, kernel, grid, threads, shared: 64, cooperative, args: &args };
        let begin = Instant::now();
        self.device.launch(&launch).expect("launched");
        self.device.finish(&mut || ()).expect("it ends");
        begin.elapsed().as_secs_f64()
    }

    /// Nanoseconds of one turn of the kernel's loop: the least of several, less a launch.
    fn turn(&self, kernel: &str, grid: u32, threads: u32) -> f64 {
        self.device.upload(self.words, &self.words.to_ne_bytes()).expect("uploaded");
        if kernel == "grid_barriers" {
            self.device.fill(self.words, 8, 0).expect("filled");
        }
        let least =
            |times: u32| (0..5).map(|_| self.launch(kernel, grid, threads, times)).fold(f64::INFINITY, f64::min);
        let (many, few) = (least(self.times), least(1));
        (many - few) / f64::from(self.times - 1) * 1e9
    }
}

fn main() {
    let number =
        std::env::args().nth(1).and_then(|a| a.strip_prefix("cuda:").and_then(|n| n.parse().ok())).unwrap_or(0);
    let (device, times): (Arc<dyn Device>, u32) = match Cuda::open(number) {
        Ok(card) => (Arc::new(card), 10_000),
        Err(e) => {
            println!("{}; the emulator, whose times say nothing:", e.what);
            (Arc::new(Emulator::default()), 20)
        }
    };
    let properties = device.properties();
    let module = device.load(PTX).expect("a module");
    let words = device.allocate(256).expect("memory");
    device.fill(words, 256, 0).expect("filled");
    let bench = Bench { device, module, words, times };
    println!("{}, {} multiprocessors", properties.name, properties.multiprocessors);
    println!("| what | ns |");
    println!("|---|--:|");
    let launches = times.min(1000);
    bench.launch("empty", 1, 32, 1);
    let args = [words, 1];
    let empty = Launch { module, kernel: "empty", grid: 1, threads: 32, shared: 0, cooperative: false, args: &args };
    let begin = Instant::now();
    (0..launches).for_each(|_| bench.device.launch(&empty).expect("launched"));
    bench.device.finish(&mut || ()).expect("it ends");
    println!("| a launch behind others | {:.0} |", begin.elapsed().as_secs_f64() / f64::from(launches) * 1e9);
    let alone = (0..20).map(|_| bench.launch("empty", 1, 32, 1)).fold(f64::INFINITY, f64::min);
    println!("| a launch, and waiting for it | {:.0} |", alone * 1e9);
    for threads in [32, 128, 256, 1024] {
        println!("| `bar.sync` of {threads} threads | {:.1} |", bench.turn("block_barriers", 1, threads));
    }
    for blocks in [2, 16, properties.multiprocessors] {
        println!("| a barrier of {blocks} blocks of 256 threads | {:.0} |", bench.turn("grid_barriers", blocks, 256));
    }
    println!("| a load from the second cache, of the next address | {:.1} |", bench.turn("global_chain", 1, 1));
    println!("| a load from shared memory, of the next address | {:.1} |", bench.turn("shared_chain", 1, 1));
}
