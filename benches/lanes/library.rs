//! Shared libraries, and the clock of a thread: what the standard library does not offer.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::path::Path;

#[repr(C)]
struct Time {
    seconds: i64,
    nanoseconds: c_long,
}

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
    fn clock_gettime(clock: c_int, time: *mut Time) -> c_int;
}

const NOW: c_int = 2;
const THREAD_CPU_TIME: c_int = 3;

/// Seconds that this thread has been on a processor.
pub fn thread_seconds() -> f64 {
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: `Time` is the system's `timespec` on 64-bit machines.
    unsafe { clock_gettime(THREAD_CPU_TIME, &raw mut time) };
    time.seconds as f64 + 1e-9 * time.nanoseconds as f64
}

/// One step of a loop, on arrays of which the longest has so many elements.
pub type Step = unsafe extern "C" fn(*const *mut u8, c_long);

/// An open library, which stays open.
pub struct Library(*mut c_void);

impl Library {
    pub fn open(path: &Path) -> Result<Library, String> {
        let name = CString::new(path.display().to_string()).map_err(|e| e.to_string())?;
        // SAFETY: the name ends in a zero; the libraries are those beside this file, which do nothing when they are opened.
        let library = unsafe { dlopen(name.as_ptr(), NOW) };
        if library.is_null() {
            // SAFETY: after a failure there is a text.
            return Err(unsafe { CStr::from_ptr(dlerror()) }.to_string_lossy().into_owned());
        }
        Ok(Library(library))
    }

    pub fn step(&self, name: &str) -> Option<Step> {
        let name = CString::new(name).ok()?;
        // SAFETY: the library is open.
        let address = unsafe { dlsym(self.0, name.as_ptr()) };
        // SAFETY: all functions of lanes.c and libm.c that have a name of this form are of this type.
        (!address.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, Step>(address) })
    }
}
