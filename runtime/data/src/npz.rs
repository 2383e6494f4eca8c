//! Several arrays, by name, as NumPy stores them: a zip archive of `.npy` files.

use std::io::{self, Cursor, Write};

use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::array::Array;
use crate::npy;

/// The arrays as a `.npz` file, uncompressed as `numpy.savez` leaves it. Equal arrays give equal files.
pub fn write(arrays: &[(String, Array)]) -> io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .large_file(array.bytes.len() > 1 << 31);
        zip.start_file(format!("{name}.npy"), options).map_err(io::Error::other)?;
        zip.write_all(&npy::write(array))?;
    }
    Ok(zip.finish().map_err(io::Error::other)?.into_inner())
}
