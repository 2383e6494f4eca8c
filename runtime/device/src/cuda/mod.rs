//! NVIDIA cards, through the driver that is loaded when the first one is asked for: the same binary runs without any.

mod call;

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cudarc::driver::sys::{
    self, CUcontext, CUdevice, CUdevice_attribute, CUfunction, CUfunction_attribute, CUjit_option, CUmodule, CUresult,
    CUstream,
};

use crate::device::{Device, HostMemory, Launch, ModuleId, Properties};
use crate::error::{Error, Kind};
use call::check;

/// Without more, a kernel may have so much dynamic shared memory.
const SHARED_UNASKED: u32 = 48 << 10;
/// Bytes of what the driver says of a module that it refuses.
const MESSAGE: usize = 8 << 10;
/// Between two looks at a kernel that runs.
const PAUSE: Duration = Duration::from_micros(200);

/// A card, and the one stream that everything goes through.
pub struct Cuda {
    number: CUdevice,
    context: CUcontext,
    stream: CUstream,
    properties: Properties,
    modules: Mutex<Modules>,
}

#[derive(Default)]
struct Modules {
    loaded: HashMap<u64, Loaded>,
    next: u64,
}

struct Loaded {
    module: CUmodule,
    kernels: HashMap<String, CUfunction>,
}

// SAFETY: handles of the driver may be used by any thread that has made their context its own, as every call here does.
unsafe impl Send for Cuda {}
// SAFETY: as above; what is changed is behind a lock.
unsafe impl Sync for Cuda {}
// SAFETY: as above.
unsafe impl Send for Loaded {}

/// Loads the driver, if there is one.
fn driver() -> Result<(), Error> {
    // SAFETY: looks for a library and loads it.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::new(Kind::NoDevice, "cuInit", "this machine has no NVIDIA driver (libcuda)")
            .hint("run without --device cuda, or install the driver"));
    }
    // SAFETY: the library is there.
    check("cuInit", unsafe { sys::cuInit(0) })
}

/// What cards there are.
pub fn devices() -> Result<Vec<Properties>, Error> {
    driver()?;
    let mut count: c_int = 0;
    // SAFETY: the driver is initialised; the pointer is that of an integer.
    check("cuDeviceGetCount", unsafe { sys::cuDeviceGetCount(&raw mut count) })?;
    (0..count as usize).map(|ordinal| properties(handle(ordinal)?)).collect()
}

fn handle(ordinal: usize) -> Result<CUdevice, Error> {
    let mut device: CUdevice = 0;
    // SAFETY: the driver is initialised; the pointer is that of a handle.
    check("cuDeviceGet", unsafe { sys::cuDeviceGet(&raw mut device, ordinal as c_int) })?;
    Ok(device)
}

fn properties(device: CUdevice) -> Result<Properties, Error> {
    use CUdevice_attribute as A;
    let attribute = |which: CUdevice_attribute| -> Result<u32, Error> {
        let mut value: c_int = 0;
        // SAFETY: the pointer is that of an integer, the device one of the driver's.
        let result = unsafe { sys::cuDeviceGetAttribute(&raw mut value, which, device) };
        check("cuDeviceGetAttribute", result)?;
        Ok(value.max(0) as u32)
    };
    let mut name = [0 as c_char; 256];
    let mut memory = 0usize;
    // SAFETY: the buffer has so many bytes, and the driver ends the name with a zero; the pointer is that of a size.
    unsafe {
        check("cuDeviceGetName", sys::cuDeviceGetName(name.as_mut_ptr(), name.len() as c_int, device))?;
        check("cuDeviceTotalMem", sys::cuDeviceTotalMem_v2(&raw mut memory, device))?;
    }
    // SAFETY: as above.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
    Ok(Properties {
        name,
        memory: memory as u64,
        multiprocessors: attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        shared_a_block: attribute(A::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        shared_a_multiprocessor: attribute(A::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)?,
        threads_a_block: attribute(A::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?,
        threads_a_multiprocessor: attribute(A::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR)?,
        capability: (
            attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        cooperative: attribute(A::CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH)? != 0,
    })
}

/// Card number `ordinal` among those that there are.
fn found(ordinal: usize) -> Result<Properties, Error> {
    let all = devices()?;
    match all.get(ordinal) {
        Some(properties) => Ok(properties.clone()),
        None => {
            let what = match all.len() {
                0 => "the driver sees no card".to_string(),
                1 => format!("there is no card {ordinal}; there is one, number 0"),
                n => format!("there is no card {ordinal}; there are {n}, from 0 on"),
            };
            Err(Error::new(Kind::NoDevice, "cuDeviceGet", what).hint("`whorl devices` lists them"))
        }
    }
}

impl Cuda {
    /// Whether card number `ordinal` is there; an error says what is missing.
    pub fn there(ordinal: usize) -> Result<(), Error> {
        found(ordinal).map(|_| ())
    }

    /// Card number `ordinal`, counted from 0.
    pub fn open(ordinal: usize) -> Result<Cuda, Error> {
        let properties = found(ordinal)?;
        let number = handle(ordinal)?;
        let (mut context, mut stream): (CUcontext, CUstream) = (null_mut(), null_mut());
        // SAFETY: the device is the driver's; the pointers are those of handles.
        unsafe {
            check("cuDevicePrimaryCtxRetain", sys::cuDevicePrimaryCtxRetain(&raw mut context, number))?;
            check("cuCtxSetCurrent", sys::cuCtxSetCurrent(context))?;
            // 1: it does not wait for the default stream.
            check("cuStreamCreate", sys::cuStreamCreate(&raw mut stream, 1))?;
        }
        Ok(Cuda { number, context, stream, properties, modules: Mutex::default() })
    }

    /// Makes the card this thread's.
    fn enter(&self) -> Result<(), Error> {
        // SAFETY: the context lives as long as `self`.
        check("cuCtxSetCurrent", unsafe { sys::cuCtxSetCurrent(self.context) })
    }

    fn synchronise(&self) -> Result<(), Error> {
        // SAFETY: the stream lives as long as `self`.
        check("cuStreamSynchronize", unsafe { sys::cuStreamSynchronize(self.stream) })
    }

    fn modules(&self) -> MutexGuard<'_, Modules> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kernel's handle.
    fn kernel(&self, module: ModuleId, name: &str) -> Result<CUfunction, Error> {
        let mut modules = self.modules();
        let Some(loaded) = modules.loaded.get_mut(&module.0) else {
            return Err(Error::new(Kind::Invalid, "cuModuleGetFunction", "the module was unloaded").at(name));
        };
        if let Some(known) = loaded.kernels.get(name) {
            return Ok(*known);
        }
        let text = CString::new(name)
            .map_err(|_| Error::new(Kind::Launch, "cuModuleGetFunction", "a kernel's name with a zero"))?;
        let mut function: CUfunction = null_mut();
        // SAFETY: the module is loaded; the name ends with a zero.
        let result = unsafe { sys::cuModuleGetFunction(&raw mut function, loaded.module, text.as_ptr()) };
        check("cuModuleGetFunction", result).map_err(|e| e.at(name))?;
        loaded.kernels.insert(name.to_string(), function);
        Ok(function)
    }

    /// Allows the kernel so much dynamic shared memory.
    fn allow(&self, function: CUfunction, name: &str, shared: u32) -> Result<(), Error> {
        if shared > self.properties.shared_a_block {
            let most = self.properties.shared_a_block;
            let what = format!("{shared} bytes of shared memory, and a block of this card has {most}");
            return Err(Error::new(Kind::Launch, "cuLaunchKernel", what).at(name));
        }
        if shared <= SHARED_UNASKED {
            return Ok(());
        }
        let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the function is one of a loaded module.
        let result = unsafe { sys::cuFuncSetAttribute(function, attribute, shared as c_int) };
        check("cuFuncSetAttribute", result).map_err(|e| e.at(name))
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Nobody is left to be told; what was not freed goes with the context.
        if self.enter().is_err() {
            return;
        }
        let _ = self.synchronise();
        for loaded in self.modules().loaded.values() {
            // SAFETY: nothing runs any more.
            let _ = unsafe { sys::cuModuleUnload(loaded.module) };
        }
        // SAFETY: nothing uses the stream or the context any more.
        unsafe {
            let _ = sys::cuStreamDestroy_v2(self.stream);
            let _ = sys::cuDevicePrimaryCtxRelease_v2(self.number);
        }
    }
}

impl Device for Cuda {
    fn properties(&self) -> Properties {
        self.properties.clone()
    }

    fn memory_free(&self) -> Result<u64, Error> {
        self.enter()?;
        let (mut free, mut total) = (0usize, 0usize);
        // SAFETY: the pointers are those of sizes.
        check("cuMemGetInfo", unsafe { sys::cuMemGetInfo_v2(&raw mut free, &raw mut total) })?;
        Ok(free as u64)
    }

    fn load(&self, ptx: &str) -> Result<ModuleId, Error> {
        self.enter()?;
        let text = CString::new(ptx)
            .map_err(|_| Error::new(Kind::Module, "cuModuleLoadDataEx", "PTX text with a zero in it"))?;
        let mut message = vec![0u8; MESSAGE];
        let mut options = [CUjit_option::CU_JIT_ERROR_LOG_BUFFER, CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
        let mut values: [*mut c_void; 2] = [message.as_mut_ptr().cast(), MESSAGE as *mut c_void];
        let mut module: CUmodule = null_mut();
        // SAFETY: the text ends with a zero; there are two options, and the buffer has as many bytes as the second says.
        let result = unsafe {
            let (options, values) = (options.as_mut_ptr(), values.as_mut_ptr());
            sys::cuModuleLoadDataEx(&raw mut module, text.as_ptr().cast(), 2, options, values)
        };
        if result != CUresult::CUDA_SUCCESS {
            let said = CStr::from_bytes_until_nul(&message).map(|m| m.to_string_lossy().into_owned());
            let e = check("cuModuleLoadDataEx", result).err();
            let what = e.map_or(String::new(), |e| e.what);
            return Err(Error::new(Kind::Module, "cuModuleLoadDataEx", what).at(said.unwrap_or_default()));
        }
        let mut modules = self.modules();
        modules.next += 1;
        let id = modules.next;
        modules.loaded.insert(id, Loaded { module, kernels: HashMap::new() });
        Ok(ModuleId(id))
    }

    fn unload(&self, module: ModuleId) -> Result<(), Error> {
        self.enter()?;
        self.synchronise()?;
        let Some(loaded) = self.modules().loaded.remove(&module.0) else {
            return Err(Error::new(Kind::Invalid, "cuModuleUnload", "the module was unloaded before"));
        };
        // SAFETY: the module was loaded, and nothing of it runs.
        check("cuModuleUnload", unsafe { sys::cuModuleUnload(loaded.module) })
    }

    fn resident_blocks(&self, module: ModuleId, kernel: &str, threads: u32, shared: u32) -> Result<u32, Error> {
        self.enter()?;
        let function = self.kernel(module, kernel)?;
        self.allow(function, kernel, shared)?;
        let mut blocks: c_int = 0;
        // SAFETY: the function is loaded; the pointer is that of an integer.
        let result = unsafe {
            let threads = threads as c_int;
            sys::cuOccupancyMaxActiveBlocksPerMultiprocessor(&raw mut blocks, function, threads, shared as usize)
        };
        check("cuOccupancyMaxActiveBlocksPerMultiprocessor", result).map_err(|e| e.at(kernel))?;
        Ok(blocks.max(0) as u32 * self.properties.multiprocessors)
    }

    fn allocate(&self, bytes: u64) -> Result<u64, Error> {
        self.enter()?;
        let mut address = 0;
        // SAFETY: the pointer is that of an address; the stream is ours.
        let result = unsafe { sys::cuMemAllocAsync(&raw mut address, bytes.max(1) as usize, self.stream) };
        if result == CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            let free = self.memory_free()?;
            let what = format!("{bytes} bytes, and the card has {free} that are free");
            return Err(Error::new(Kind::OutOfMemory { wanted: bytes, free }, "cuMemAllocAsync", what)
                .hint("fewer runs at once need less"));
        }
        check("cuMemAllocAsync", result)?;
        Ok(address)
    }

    fn free(&self, address: u64) -> Result<(), Error> {
        self.enter()?;
        // SAFETY: whoever allocated it gives it back, in the order of the stream.
        check("cuMemFreeAsync", unsafe { sys::cuMemFreeAsync(address, self.stream) })
    }

    fn upload(&self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        self.enter()?;
        // SAFETY: the bytes are there until the copy is done, as it is waited for.
        let result = unsafe { sys::cuMemcpyHtoDAsync_v2(address, bytes.as_ptr().cast(), bytes.len(), self.stream) };
        check("cuMemcpyHtoDAsync", result)?;
        self.synchronise()
    }

    fn download(&self, address: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.enter()?;
        // SAFETY: the bytes are there until the copy is done, as it is waited for.
        let result = unsafe { sys::cuMemcpyDtoHAsync_v2(bytes.as_mut_ptr().cast(), address, bytes.len(), self.stream) };
        check("cuMemcpyDtoHAsync", result)?;
        self.synchronise()
    }

    fn fill(&self, address: u64, bytes: u64, value: u8) -> Result<(), Error> {
        self.enter()?;
        // SAFETY: an address outside of what was allocated is the driver's error.
        check("cuMemsetD8Async", unsafe { sys::cuMemsetD8Async(address, value, bytes as usize, self.stream) })
    }

    fn host_memory(&self, bytes: usize) -> Result<HostMemory, Error> {
        self.enter()?;
        // For all contexts, and seen by the card.
        const PORTABLE_AND_MAPPED: c_uint = 1 | 2;
        let (mut start, mut address): (*mut c_void, u64) = (null_mut(), 0);
        // SAFETY: the pointers are those of a pointer and of an address.
        unsafe {
            let size = bytes.max(16);
            check("cuMemHostAlloc", sys::cuMemHostAlloc(&raw mut start, size, PORTABLE_AND_MAPPED))?;
            check("cuMemHostGetDevicePointer", sys::cuMemHostGetDevicePointer_v2(&raw mut address, start, 0))?;
        }
        let Some(start) = NonNull::new(start.cast::<u8>()) else {
            return Err(Error::new(Kind::Driver, "cuMemHostAlloc", "no memory, and no error"));
        };
        // SAFETY: so many bytes are there.
        unsafe { start.as_ptr().write_bytes(0, bytes) };
        let (context, place) = (self.context as usize, start.as_ptr() as usize);
        let release = move || {
            // SAFETY: the memory was allocated above; a context that is gone took it with it, which is an error that says so.
            unsafe {
                let _ = sys::cuCtxSetCurrent(context as CUcontext);
                let _ = sys::cuMemFreeHost(place as *mut c_void);
            }
        };
        // SAFETY: the memory is there until it is released, at a multiple of a page.
        Ok(unsafe { HostMemory::new(address, start, bytes, Box::new(release)) })
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<(), Error> {
        self.enter()?;
        let function = self.kernel(launch.module, launch.kernel)?;
        self.allow(function, launch.kernel, launch.shared)?;
        let mut args: Vec<*mut c_void> =
            launch.args.iter().map(|arg| (arg as *const u64).cast_mut().cast::<c_void>()).collect();
        let (grid, threads, shared) = (launch.grid, launch.threads, launch.shared);
        // SAFETY: the driver copies the arguments; there is one for each parameter, each of eight bytes, as the launch promises.
        let (call, result) = unsafe {
            let args = args.as_mut_ptr();
            if launch.cooperative {
                let r = sys::cuLaunchCooperativeKernel(function, grid, 1, 1, threads, 1, 1, shared, self.stream, args);
                ("cuLaunchCooperativeKernel", r)
            } else {
                let none = null_mut();
                (
                    "cuLaunchKernel",
                    sys::cuLaunchKernel(function, grid, 1, 1, threads, 1, 1, shared, self.stream, args, none),
                )
            }
        };
        check(call, result).map_err(|e| Error { kind: Kind::Launch, ..e }.at(launch.kernel))
    }

    fn finish(&self, attend: &mut dyn FnMut()) -> Result<(), Error> {
        self.enter()?;
        loop {
            // SAFETY: the stream lives as long as `self`.
            let result = unsafe { sys::cuStreamQuery(self.stream) };
            if result != CUresult::CUDA_ERROR_NOT_READY {
                let failed = |e: Error| Error { kind: Kind::Kernel, ..e };
                return check("cuStreamQuery", result).map_err(failed);
            }
            attend();
            std::thread::sleep(PAUSE);
        }
    }
}
