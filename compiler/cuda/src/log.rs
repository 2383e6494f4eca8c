//! Logs and checks: what a kernel tells the host.
//!
//! The ring of a run is memory that the host sees too: the number of elements written, the number that the host has taken (both modulo 2^32),
//! then room for [`CAPACITY`] elements. Warp 0 writes it. The number written goes out at the end of a kernel, or when the ring is full;
//! then the warp waits until the host has made room.

use whorl_core::ir::{DType, Shape};
use whorl_schedule::loop_ir::*;

use crate::CudaError;
use crate::address::{Address, Term};
use crate::emit;
use crate::homes::{Home, width};
use crate::kernel::Kernel;
use crate::ptx::{Class, Operand, Reg};

/// Elements of a run's ring.
pub const CAPACITY: usize = 1024;
/// Bytes of an element: site (and four bytes of nothing), step, loops, place, value.
pub const ELEMENT: usize = 40;
/// Before the elements: the two numbers.
pub const HEADER: usize = 16;
/// Of a run's ring.
pub const RING_BYTES: usize = HEADER + CAPACITY * ELEMENT;

/// A view at the position that `index` says.
fn at(k: &mut Kernel, view: &View, index: &[Operand]) -> Result<Operand, CudaError> {
    if let Home::Register(r) = k.homes.get(view.buffer) {
        return Ok(r.into());
    }
    let (space, start) = k.start(view.buffer)?;
    let bytes = width(k.p, view.buffer);
    let mut terms: Vec<Term> = k.dynamic(view)?;
    terms.extend(index.iter().zip(&view.strides).map(|(i, s)| (*i, *s as i64 * bytes)));
    let base = k.base(space);
    let (reg, constant) = k.sum(space, base, &terms);
    let at = Address { space, reg, bytes: start + constant + view.offset as i64 * bytes };
    let dtype = k.p.buffer(view.buffer).dtype;
    Ok(k.load(dtype, at))
}

/// Writes what the mask lets through, row-major.
pub fn log(
    k: &mut Kernel,
    site: u32,
    dims: &Shape,
    value: &View,
    mask: Option<&View>,
    steps: &[CheckStep],
) -> Result<(), CudaError> {
    let total: usize = dims.iter().product();
    if total == 0 {
        return Ok(());
    }
    let skip = k.text.label();
    let warp = k.text.two("setp.lt.u32", Class::Predicate, k.thread, Operand::Int(32));
    k.text.jump_unless(warp, skip);
    let loops = k.text.reg(Class::Long);
    k.text.assign(loops, Operand::Int(0));
    for s in steps {
        let index = at(k, &s.index, &[])?;
        let index = k.text.in_register(Class::Word, index);
        let index = k.text.one("cvt.u64.u32", Class::Long, index);
        emit!(k.text, "mad.lo.s64 {loops}, {loops}, {}, {index}", s.n);
    }
    let (base, head) = (k.text.reg(Class::Word), k.text.label());
    k.text.assign(base, Operand::Int(0));
    k.text.place_loop(head);
    wait_for_room(k);
    let place = k.text.two("add.s32", Class::Word, base, k.thread);
    let valid = k.text.two("setp.lt.u32", Class::Predicate, place, Operand::Int(total as i64));
    let inside = k.text.two("min.u32", Class::Word, place, Operand::Int(total as i64 - 1));
    let mut index = vec![Operand::Int(0); dims.len()];
    let mut rest: Operand = inside.into();
    for d in (0..dims.len()).rev() {
        (rest, index[d]) = if d == 0 { (rest, rest) } else { k.text.divided(rest, dims[d]) };
    }
    let dtype = k.p.buffer(value.buffer).dtype;
    let x = at(k, value, &index)?;
    let x = k.elements().convert(dtype, DType::F64, x);
    let x = k.text.in_register(Class::F64, x);
    let mut wanted = valid;
    if let Some(mask) = mask {
        let holds = at(k, mask, &index)?;
        let holds = k.elements().predicate(holds);
        wanted = k.text.two("and.pred", Class::Predicate, valid, holds);
    }
    let all = k.text.reg(Class::Word);
    emit!(k.text, "vote.sync.ballot.b32 {all}, {wanted}, -1");
    // Those of the lanes before this one.
    let bit = k.text.two("shl.b32", Class::Word, Operand::Int(1), k.thread);
    let below = k.text.two("sub.s32", Class::Word, bit, Operand::Int(1));
    let before = k.text.two("and.b32", Class::Word, all, below);
    let before = k.text.one("popc.b32", Class::Word, before);
    let number = k.text.two("add.s32", Class::Word, k.written, before);
    let slot = k.text.two("and.b32", Class::Word, number, Operand::Int(CAPACITY as i64 - 1));
    let bytes = k.text.two("mul.wide.u32", Class::Long, slot, Operand::Int(ELEMENT as i64));
    let element = k.text.two("add.s64", Class::Long, k.ring, bytes);
    let step = k.text.in_register(Class::Long, k.step);
    let long_place = k.text.one("cvt.u64.u32", Class::Long, place);
    let site = k.text.in_register(Class::Word, Operand::Int(site.into()));
    let at = |n: usize| HEADER + n;
    emit!(k.text, "@{wanted} st.global.u32 [{element}+{}], {site}", at(0));
    emit!(k.text, "@{wanted} st.global.u64 [{element}+{}], {step}", at(8));
    emit!(k.text, "@{wanted} st.global.u64 [{element}+{}], {loops}", at(16));
    emit!(k.text, "@{wanted} st.global.u64 [{element}+{}], {long_place}", at(24));
    emit!(k.text, "@{wanted} st.global.f64 [{element}+{}], {x}", at(32));
    let count = k.text.one("popc.b32", Class::Word, all);
    let written = k.written;
    emit!(k.text, "add.s32 {written}, {written}, {count}");
    if total > 32 {
        emit!(k.text, "add.s32 {base}, {base}, 32");
        let more = k.text.two("setp.lt.u32", Class::Predicate, base, Operand::Int(total as i64));
        k.text.jump_if(more, head);
    }
    k.text.place(skip);
    Ok(())
}

/// Until 32 more elements fit. Lane 0 asks, so that all of the warp go the same way.
fn wait_for_room(k: &mut Kernel) {
    let (ask, there) = (k.text.label(), k.text.label());
    let first = k.first();
    let (taken, written, ring) = (k.text.reg(Class::Word), k.written, k.ring);
    k.text.place_loop(ask);
    k.text.assign(taken, Operand::Int(0));
    emit!(k.text, "@{first} ld.volatile.global.u32 {taken}, [{ring}+4]");
    let taken_by_all = k.text.reg(Class::Word);
    emit!(k.text, "shfl.sync.idx.b32 {taken_by_all}, {taken}, 0, 31, -1");
    let waiting = k.text.two("sub.s32", Class::Word, written, taken_by_all);
    let room = k.text.two("setp.le.u32", Class::Predicate, waiting, Operand::Int(CAPACITY as i64 - 32));
    k.text.jump_if(room, there);
    // What all lanes have written is there before its number.
    emit!(k.text, "membar.sys");
    emit!(k.text, "bar.warp.sync -1");
    emit!(k.text, "@{first} st.volatile.global.u32 [{ring}], {written}");
    emit!(k.text, "nanosleep.u32 1000");
    k.text.jump(ask);
    k.text.place(there);
}

/// The run is over: its status is the number of the check, and what the check looks at is in the slab.
pub fn check(k: &mut Kernel, c: &CheckNode, number: usize) -> Result<(), CudaError> {
    // The slab's places may have been others' before.
    k.barrier();
    let indices = c.steps.iter().map(|s| &s.index);
    let mut seen: Vec<BufferId> = Vec::new();
    for view in c.values.iter().chain(&c.mask).chain(indices) {
        for b in view.dynamic.iter().map(|d| d.index).chain([view.buffer]) {
            if !seen.contains(&b) {
                seen.push(b);
                put_back(k, b)?;
            }
        }
    }
    let first = k.first();
    let number = k.text.in_register(Class::Word, Operand::Int(number as i64 + 1));
    emit!(k.text, "@{first} st.global.u32 [{}], {number}", k.status);
    k.text.jump_together(k.exit);
    Ok(())
}

/// The place of a buffer in the slab.
fn in_slab(k: &Kernel, b: BufferId) -> Option<Address> {
    use crate::address::Space;
    match k.p.buffer(b).place {
        Place::Arena(at) => Some(Address { space: Space::Slab, reg: k.slab, bytes: at as i64 }),
        Place::Constant(_) => None,
    }
}

/// Copies a buffer that lives elsewhere to the slab.
pub fn put_back(k: &mut Kernel, b: BufferId) -> Result<(), CudaError> {
    let Some(slab) = in_slab(k, b) else { return Ok(()) };
    match k.homes.get(b) {
        Home::Register(r) => {
            let first = k.first();
            k.store(k.p.buffer(b).dtype, r.into(), slab, Some(first));
            Ok(())
        }
        Home::Shared(_) => {
            let (space, bytes) = k.start(b)?;
            copy(k, b, Address { space, reg: k.shared, bytes }, slab);
            Ok(())
        }
        Home::Slab(_) | Home::Constant(_) => Ok(()),
    }
}

/// Copies a buffer from the slab to where it lives.
pub fn take_in(k: &mut Kernel, b: BufferId) -> Result<(), CudaError> {
    let Some(slab) = in_slab(k, b) else { return Ok(()) };
    match k.homes.get(b) {
        Home::Register(r) => {
            let v = k.load(k.p.buffer(b).dtype, slab);
            k.text.assign(r, v);
            Ok(())
        }
        Home::Shared(_) => {
            let (space, bytes) = k.start(b)?;
            copy(k, b, slab, Address { space, reg: k.shared, bytes });
            Ok(())
        }
        Home::Slab(_) | Home::Constant(_) => Ok(()),
    }
}

/// All threads together; words, then the bytes that are left.
fn copy(k: &mut Kernel, b: BufferId, from: Address, to: Address) {
    let bytes = k.p.buffer(b).bytes();
    pieces(k, DType::U32, bytes / 4, from, to);
    let rest = (bytes / 4 * 4) as i64;
    pieces(k, DType::U8, bytes % 4, from.plus(rest), to.plus(rest));
}

fn pieces(k: &mut Kernel, dtype: DType, n: usize, from: Address, to: Address) {
    if n == 0 {
        return;
    }
    let (at, head, done) = (k.text.reg(Class::Word), k.text.label(), k.text.label());
    k.text.assign(at, k.thread);
    k.text.place_loop(head);
    let over = k.text.two("setp.ge.u32", Class::Predicate, at, Operand::Int(n as i64));
    k.text.jump_if(over, done);
    let moved = |k: &mut Kernel, place: Address, at: Reg| {
        let (reg, more) = k.sum(place.space, place.reg, &[(at.into(), dtype.bytes() as i64)]);
        Address { reg, ..place.plus(more) }
    };
    let (from, to) = (moved(k, from, at), moved(k, to, at));
    let v = k.load(dtype, from);
    k.store(dtype, v, to, None);
    emit!(k.text, "add.s32 {at}, {at}, {}", k.threads);
    k.text.jump(head);
    k.text.place(done);
}
