//! `mma.sync`: c + a b for a tile of 16 by 8, of which each lane has a part.

use super::code::{Mma, MmaKind};
use super::warp::Warp;

/// The places of values in registers, from the PTX manual, for element `e` of a lane: row and column.
struct Shape {
    k: usize,
    /// Values in a register: 1 of 32 bits, 2 of 16.
    packed: usize,
}

/// Does a product. Sums are made in f32, in the order of k: cards leave the order open.
pub fn product(warp: &mut Warp, mma: &Mma) {
    let shape = match mma.kind {
        MmaKind::Tf32K4 => Shape { k: 4, packed: 1 },
        MmaKind::Tf32K8 => Shape { k: 8, packed: 1 },
        MmaKind::F16K8 | MmaKind::Bf16K8 => Shape { k: 8, packed: 2 },
        MmaKind::F16K16 | MmaKind::Bf16K16 => Shape { k: 16, packed: 2 },
    };
    let read = |slot: u32, lane: usize, part: usize| -> f32 {
        let bits = warp.slots[slot as usize].0[lane];
        match mma.kind {
            MmaKind::Tf32K4 | MmaKind::Tf32K8 => f32::from_bits(bits & !0x1fff),
            MmaKind::F16K8 | MmaKind::F16K16 => half::f16::from_bits((bits >> (16 * part)) as u16).to_f32(),
            MmaKind::Bf16K8 | MmaKind::Bf16K16 => f32::from_bits(bits >> (16 * part) << 16),
        }
    };
    let mut a = [[0f32; 16]; 16];
    let mut b = [[0f32; 8]; 16];
    let mut c = [[0f32; 8]; 16];
    for lane in 0..32 {
        let (group, place) = (lane / 4, lane % 4);
        // Registers of a go by rows (0, 8) and then by halves of k; those of b by halves of k.
        for register in 0..shape.k / (2 * shape.packed) {
            for part in 0..shape.packed {
                let (row, half) = (group + 8 * (register % 2), register / 2);
                a[row][half * 4 * shape.packed + place * shape.packed + part] = read(mma.a[register], lane, part);
            }
        }
        for register in 0..shape.k / (4 * shape.packed) {
            for part in 0..shape.packed {
                let row = register * 4 * shape.packed + place * shape.packed + part;
                b[row][group] = read(mma.b[register], lane, part);
            }
        }
        for register in 0..4 {
            let bits = warp.slots[mma.c[register] as usize].0[lane];
            c[group + 8 * (register / 2)][place * 2 + register % 2] = f32::from_bits(bits);
        }
    }
    for (c, a) in c.iter_mut().zip(&a) {
        for (column, c) in c.iter_mut().enumerate() {
            for k in 0..shape.k {
                *c += a[k] * b[k][column];
            }
        }
    }
    for lane in 0..32 {
        let (group, place) = (lane / 4, lane % 4);
        for register in 0..4 {
            let value = c[group + 8 * (register / 2)][place * 2 + register % 2];
            warp.slots[mma.d[register] as usize].0[lane] = value.to_bits();
        }
    }
}
