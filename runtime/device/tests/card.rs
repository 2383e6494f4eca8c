//! A card, where there is one: what the emulator does, it does. Where there is none, that is said.

use whorl_device::{Cuda, Device, Emulator, Kind, Launch};

/// Adds one to every word, says how many threads there were, and leaves a mark where the host sees it.
const PTX: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .entry add_one(.param .u64 words, .param .u64 seen)
{
    .reg .b32 %r<6>;
    .reg .b64 %rd<4>;
    .reg .pred %p<1>;
    ld.param.u64 %rd0, [words];
    ld.param.u64 %rd1, [seen];
    mov.u32 %r0, %tid.x;
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mad.lo.s32 %r3, %r1, %r2, %r0;
    mul.wide.u32 %rd2, %r3, 4;
    add.s64 %rd2, %rd0, %rd2;
    ld.global.u32 %r4, [%rd2];
    add.s32 %r4, %r4, 1;
    st.global.u32 [%rd2], %r4;
    setp.eq.s32 %p0, %r3, 0;
    mov.u32 %r5, %nctaid.x;
    @%p0 st.global.u32 [%rd1], %r5;
    ret;
}
";

fn used(device: &dyn Device) {
    let words: Vec<u8> = (0u32..256).flat_map(|x| (x * x).to_ne_bytes()).collect();
    let address = device.allocate(words.len() as u64).expect("memory");
    let seen = device.host_memory(64).expect("memory that both see");
    device.upload(address, &words).expect("copied");
    let module = device.load(PTX).expect("a module");
    let args = [address, seen.address()];
    let launch = Launch { module, kernel: "add_one", grid: 4, threads: 64, shared: 0, cooperative: false, args: &args };
    device.launch(&launch).expect("launched");
    device.finish(&mut || ()).expect("it ends");
    let mut got = vec![0; words.len()];
    device.download(address, &mut got).expect("copied");
    let expected: Vec<u8> = (0u32..256).flat_map(|x| (x * x + 1).to_ne_bytes()).collect();
    assert_eq!(got, expected);
    assert_eq!(seen.word(0).load(std::sync::atomic::Ordering::Acquire), 4);
    assert!(device.resident_blocks(module, "add_one", 64, 0).expect("blocks") >= 1);
    assert_eq!(device.launch(&Launch { kernel: "none", ..launch }).map_err(|e| e.call.is_empty()), Err(false));
    device.fill(address, 8, 0xab).expect("filled");
    device.download(address, &mut got).expect("copied");
    assert_eq!((got[7], got[8]), (0xab, expected[8]));
    device.free(address).expect("freed");
    device.unload(module).expect("unloaded");
    assert!(device.load("nonsense").is_err());
}

#[test]
fn the_emulator_is_used_like_a_card() {
    used(&Emulator::default());
}

#[test]
fn a_card_or_that_there_is_none() {
    match Cuda::open(0) {
        Ok(card) => {
            assert!(card.properties().memory > 0 && card.memory_free().expect("memory") > 0);
            used(&card);
        }
        Err(e) => {
            assert_eq!(e.kind, Kind::NoDevice, "{e}");
            eprintln!("skipped, as there is no card: {e}");
        }
    }
    let e = Cuda::open(99).err().expect("there are not so many");
    assert_eq!(e.kind, Kind::NoDevice, "{e}");
}
