//! What kernels did, counted.

/// Counts of a kernel, over all of its launches since they were last taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    pub launches: u64,
    /// Instructions times threads that came to them, also where a guard kept the thread from doing it.
    pub thread_instructions: u64,
    /// Barriers of blocks: one each time that the threads of a block have met.
    pub barriers: u64,
    /// Shuffles and votes, once a warp.
    pub shuffles: u64,
    pub atomics: u64,
    pub shared_loaded: u64,
    pub shared_stored: u64,
    /// Bytes of global memory, atomics not among them.
    pub global_loaded: u64,
    pub global_stored: u64,
    /// The most shared memory that a block had, static and dynamic.
    pub shared_bytes: u64,
}
