//! What the driver answers.

use std::ffi::{CStr, c_char};
use std::ptr::null;

use cudarc::driver::sys::{self, CUresult};

use crate::error::{Error, Kind};

/// The error of a call that did not succeed, with the driver's name and sentence for it.
pub fn check(call: &str, result: CUresult) -> Result<(), Error> {
    if result == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    // SAFETY: the driver is loaded, since it has answered.
    let (name, what) = unsafe { (text(sys::cuGetErrorName, result), text(sys::cuGetErrorString, result)) };
    let kind = match result {
        CUresult::CUDA_ERROR_NO_DEVICE | CUresult::CUDA_ERROR_INVALID_DEVICE => Kind::NoDevice,
        CUresult::CUDA_ERROR_INVALID_PTX | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => Kind::Module,
        _ => Kind::Driver,
    };
    Err(Error::new(kind, call, format!("{what} ({name})")))
}

/// # Safety
/// `of` is one of the driver's two functions that name a result.
unsafe fn text(of: unsafe fn(CUresult, *mut *const c_char) -> CUresult, result: CUresult) -> String {
    let mut text: *const c_char = null();
    // SAFETY: the pointer is that of a pointer; what the driver gives is a text of its own that ends with a zero.
    unsafe {
        if of(result, &raw mut text) != CUresult::CUDA_SUCCESS || text.is_null() {
            return format!("{result:?}");
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}
