//! Registers of a warp, and operations on all of its lanes at once.
//!
//! A register is 32 values side by side, one a lane, so that one decoded instruction is a loop over 32 values that the
//! compiler of this crate vectorises: what an interpreter costs is paid once a warp, not once a thread. Each operation
//! is compiled twice, plainly and for AVX2 with fused multiply-add; which is taken is decided when a module is loaded.

/// Bytes of one slot: 32 values of 32 bits. A register of 64 bits has two slots.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Slot(pub [u32; 32]);

/// What a lane of a register can be read as.
pub trait Elem: Copy {
    type Raw: Copy + Default;
    fn of(raw: Self::Raw) -> Self;
    fn raw(self) -> Self::Raw;
}

macro_rules! elem {
    ($($T:ty: $R:ty, |$raw:ident| $of:expr, |$value:ident| $to:expr;)*) => {$(
        impl Elem for $T {
            type Raw = $R;
            #[inline(always)]
            fn of($raw: $R) -> $T { $of }
            #[inline(always)]
            fn raw(self) -> $R { let $value = self; $to }
        }
    )*};
}

elem! {
    u16: u32, |r| r as u16, |v| u32::from(v);
    i16: u32, |r| r as i16, |v| u32::from(v as u16);
    u32: u32, |r| r, |v| v;
    i32: u32, |r| r as i32, |v| v as u32;
    f32: u32, |r| f32::from_bits(r), |v| v.to_bits();
    u64: u64, |r| r, |v| v;
    i64: u64, |r| r as i64, |v| v as u64;
    f64: u64, |r| f64::from_bits(r), |v| v.to_bits();
}

/// An operation of one operand; the others are alike.
pub trait One {
    type A: Elem;
    type D: Elem;
    fn f(a: Self::A) -> Self::D;
}

pub trait Two {
    type A: Elem;
    type B: Elem;
    type D: Elem;
    fn f(a: Self::A, b: Self::B) -> Self::D;
}

pub trait Three {
    type A: Elem;
    type B: Elem;
    type C: Elem;
    type D: Elem;
    fn f(a: Self::A, b: Self::B, c: Self::C) -> Self::D;
}

pub trait Test {
    type A: Elem;
    fn f(a: Self::A, b: Self::A) -> bool;
}

/// Operations as they are called: the first slot of the warp, the slots of result and operands, and the lanes that
/// take part. The slots must be inside of the warp's registers.
pub type F1 = unsafe fn(*mut Slot, u32, u32, u32);
pub type F2 = unsafe fn(*mut Slot, u32, u32, u32, u32);
pub type F3 = unsafe fn(*mut Slot, u32, u32, u32, u32, u32);
/// A comparison gives the lanes where it holds, of all lanes.
pub type FTest = unsafe fn(*mut Slot, u32, u32) -> u32;

#[inline(always)]
unsafe fn read<E: Elem>(base: *mut Slot, slot: u32) -> [E::Raw; 32] {
    // SAFETY: the slot is in the warp's registers; a slot of 64 bits is followed by its second half.
    unsafe { *base.add(slot as usize).cast::<[E::Raw; 32]>() }
}

#[inline(always)]
unsafe fn write<E: Elem>(base: *mut Slot, slot: u32, mask: u32, value: &[E::Raw; 32]) {
    // SAFETY: as for `read`.
    let to = unsafe { &mut *base.add(slot as usize).cast::<[E::Raw; 32]>() };
    if mask == !0 {
        *to = *value;
    } else {
        let mut left = mask;
        while left != 0 {
            let lane = left.trailing_zeros() as usize;
            to[lane] = value[lane];
            left &= left - 1;
        }
    }
}

#[inline(always)]
unsafe fn map1<O: One>(base: *mut Slot, d: u32, a: u32, mask: u32) {
    // SAFETY: passed on.
    unsafe {
        let a = read::<O::A>(base, a);
        let mut out = [<O::D as Elem>::Raw::default(); 32];
        for i in 0..32 {
            out[i] = O::f(O::A::of(a[i])).raw();
        }
        write::<O::D>(base, d, mask, &out);
    }
}

#[inline(always)]
unsafe fn map2<O: Two>(base: *mut Slot, d: u32, a: u32, b: u32, mask: u32) {
    // SAFETY: passed on.
    unsafe {
        let (a, b) = (read::<O::A>(base, a), read::<O::B>(base, b));
        let mut out = [<O::D as Elem>::Raw::default(); 32];
        for i in 0..32 {
            out[i] = O::f(O::A::of(a[i]), O::B::of(b[i])).raw();
        }
        write::<O::D>(base, d, mask, &out);
    }
}

#[inline(always)]
unsafe fn map3<O: Three>(base: *mut Slot, d: u32, a: u32, b: u32, c: u32, mask: u32) {
    // SAFETY: passed on.
    unsafe {
        let (a, b, c) = (read::<O::A>(base, a), read::<O::B>(base, b), read::<O::C>(base, c));
        let mut out = [<O::D as Elem>::Raw::default(); 32];
        for i in 0..32 {
            out[i] = O::f(O::A::of(a[i]), O::B::of(b[i]), O::C::of(c[i])).raw();
        }
        write::<O::D>(base, d, mask, &out);
    }
}

#[inline(always)]
unsafe fn compare<O: Test>(base: *mut Slot, a: u32, b: u32) -> u32 {
    // SAFETY: passed on.
    unsafe {
        let (a, b) = (read::<O::A>(base, a), read::<O::A>(base, b));
        let mut out = 0;
        for i in 0..32 {
            out |= u32::from(O::f(O::A::of(a[i]), O::A::of(b[i]))) << i;
        }
        out
    }
}

macro_rules! twice {
    ($plain:ident, $wide:ident, $pick:ident, $Op:ident, $F:ty, $body:ident($($arg:ident),*) $(-> $R:ty)?) => {
        unsafe fn $plain<O: $Op>(base: *mut Slot, $($arg: u32),*) $(-> $R)? {
            // SAFETY: passed on.
            unsafe { $body::<O>(base, $($arg),*) }
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
        unsafe fn $wide<O: $Op>(base: *mut Slot, $($arg: u32),*) $(-> $R)? {
            // SAFETY: passed on.
            unsafe { $body::<O>(base, $($arg),*) }
        }

        /// The version of an operation for this processor.
        pub fn $pick<O: $Op>() -> $F {
            #[cfg(target_arch = "x86_64")]
            if wide() {
                return $wide::<O>;
            }
            $plain::<O>
        }
    };
}

#[cfg(target_arch = "x86_64")]
fn wide() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

twice!(plain1, wide1, pick1, One, F1, map1(d, a, mask));
twice!(plain2, wide2, pick2, Two, F2, map2(d, a, b, mask));
twice!(plain3, wide3, pick3, Three, F3, map3(d, a, b, c, mask));
twice!(plain_test, wide_test, pick_test, Test, FTest, compare(a, b) -> u32);

/// `one!(f32 => f32, |a| -a)`: an operation of one operand for all lanes.
macro_rules! one {
    ($A:ty => $D:ty, |$a:ident| $body:expr) => {{
        struct O;
        impl $crate::emulator::lanes::One for O {
            type A = $A;
            type D = $D;
            #[inline(always)]
            fn f($a: $A) -> $D {
                $body
            }
        }
        $crate::emulator::lanes::pick1::<O>()
    }};
}

/// `two!(f32, f32 => f32, |a, b| a + b)`
macro_rules! two {
    ($A:ty, $B:ty => $D:ty, |$a:ident, $b:ident| $body:expr) => {{
        struct O;
        impl $crate::emulator::lanes::Two for O {
            type A = $A;
            type B = $B;
            type D = $D;
            #[inline(always)]
            fn f($a: $A, $b: $B) -> $D {
                $body
            }
        }
        $crate::emulator::lanes::pick2::<O>()
    }};
}

/// `three!(f32, f32, f32 => f32, |a, b, c| a.mul_add(b, c))`
macro_rules! three {
    ($A:ty, $B:ty, $C:ty => $D:ty, |$a:ident, $b:ident, $c:ident| $body:expr) => {{
        struct O;
        impl $crate::emulator::lanes::Three for O {
            type A = $A;
            type B = $B;
            type C = $C;
            type D = $D;
            #[inline(always)]
            fn f($a: $A, $b: $B, $c: $C) -> $D {
                $body
            }
        }
        $crate::emulator::lanes::pick3::<O>()
    }};
}

/// `test!(f32, |a, b| a < b)`
macro_rules! test {
    ($A:ty, |$a:ident, $b:ident| $body:expr) => {{
        struct O;
        impl $crate::emulator::lanes::Test for O {
            type A = $A;
            #[inline(always)]
            fn f($a: $A, $b: $A) -> bool {
                $body
            }
        }
        $crate::emulator::lanes::pick_test::<O>()
    }};
}

pub(crate) use {one, test, three, two};
