//! The trait that everything above devices is written against.

use crate::error::Error;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// What a device is and can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Properties {
    pub name: String,
    /// Bytes of device memory in all.
    pub memory: u64,
    pub multiprocessors: u32,
    /// The most shared memory that a block can have, static and dynamic, when a kernel opts in.
    pub shared_a_block: u32,
    /// Shared memory of a multiprocessor, for how many blocks fit at once.
    pub shared_a_multiprocessor: u32,
    pub threads_a_block: u32,
    pub threads_a_multiprocessor: u32,
    /// Compute capability: (9, 0) is sm_90.
    pub capability: (u32, u32),
    /// Whether all blocks of a launch can be resident together and wait for each other.
    pub cooperative: bool,
}

/// A loaded module of PTX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModuleId(pub u64);

/// One launch of a kernel. Grids and blocks have one dimension: more is arithmetic on indices that the compiler does.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch<'a> {
    pub module: ModuleId,
    pub kernel: &'a str,
    /// Thread blocks.
    pub grid: u32,
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of the dynamic shared array.
    pub shared: u32,
    /// All blocks are resident together, so that they may wait for each other.
    pub cooperative: bool,
    /// One value a parameter; a parameter of 32 bits takes the low half.
    pub args: &'a [u64],
}

/// A device: one stream, in which launches run in the order in which they were made.
pub trait Device: Send + Sync {
    fn properties(&self) -> Properties;

    /// Bytes of device memory that are free now.
    fn memory_free(&self) -> Result<u64, Error>;

    /// Compiles PTX text.
    fn load(&self, ptx: &str) -> Result<ModuleId, Error>;

    fn unload(&self, module: ModuleId) -> Result<(), Error>;

    /// How many blocks of such a launch are resident together: the largest grid of a cooperative launch.
    fn resident_blocks(&self, module: ModuleId, kernel: &str, threads: u32, shared: u32) -> Result<u32, Error>;

    /// Device memory, aligned to 256 bytes. Its content is undefined.
    fn allocate(&self, bytes: u64) -> Result<u64, Error>;

    fn free(&self, address: u64) -> Result<(), Error>;

    /// Copies to the device, after the launches before.
    fn upload(&self, address: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Copies from the device, after the launches before.
    fn download(&self, address: u64, bytes: &mut [u8]) -> Result<(), Error>;

    /// Sets bytes on the device, after the launches before.
    fn fill(&self, address: u64, bytes: u64, value: u8) -> Result<(), Error>;

    /// Zeroed memory that the host and kernels see at the same time.
    fn host_memory(&self, bytes: usize) -> Result<HostMemory, Error>;

    /// Starts a kernel after the launches before, and does not wait for it.
    fn launch(&self, launch: &Launch<'_>) -> Result<(), Error>;

    /// Waits until all launches are done. While they run, `attend` is called now and then: the host empties rings in
    /// host-visible memory there, without which a kernel may wait for ever. `attend` must not call the device.
    fn finish(&self, attend: &mut dyn FnMut()) -> Result<(), Error>;
}

/// Memory of the host that kernels see at [`HostMemory::address`]. It lives until it is dropped, which must be after
/// the launches that use it.
pub struct HostMemory {
    address: u64,
    start: NonNull<u8>,
    bytes: usize,
    release: Option<Box<dyn FnOnce() + Send + Sync>>,
}

// SAFETY: the memory is reached through atomics and volatile copies only, from whatever thread.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// # Safety
    /// `start` must be valid for reads and writes of `bytes` bytes, aligned to 16, until `release` is called.
    pub unsafe fn new(
        address: u64,
        start: NonNull<u8>,
        bytes: usize,
        release: Box<dyn FnOnce() + Send + Sync>,
    ) -> HostMemory {
        HostMemory { address, start, bytes, release: Some(release) }
    }

    /// Where kernels see it.
    pub fn address(&self) -> u64 {
        self.address
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The word at a byte offset that is a multiple of 4.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.bytes, "word {offset} of {} bytes", self.bytes);
        // SAFETY: in bounds and aligned; the memory lives as long as `self`.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    /// The double word at a byte offset that is a multiple of 8.
    pub fn double(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.bytes, "double {offset} of {} bytes", self.bytes);
        // SAFETY: in bounds and aligned; the memory lives as long as `self`.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    /// Copies out what starts at `offset`.
    pub fn read(&self, offset: usize, to: &mut [u8]) {
        assert!(offset.checked_add(to.len()).is_some_and(|end| end <= self.bytes), "out of host memory");
        for (i, byte) in to.iter_mut().enumerate() {
            // SAFETY: in bounds, as asserted. Volatile, since a kernel may write at the same time.
            *byte = unsafe { self.start.as_ptr().add(offset + i).read_volatile() };
        }
    }

    /// Copies in, from `offset` on.
    pub fn write(&self, offset: usize, from: &[u8]) {
        assert!(offset.checked_add(from.len()).is_some_and(|end| end <= self.bytes), "out of host memory");
        for (i, byte) in from.iter().enumerate() {
            // SAFETY: in bounds, as asserted. Volatile, since a kernel may read at the same time.
            unsafe { self.start.as_ptr().add(offset + i).write_volatile(*byte) };
        }
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}
