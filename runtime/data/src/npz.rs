//! Several arrays, by name, as NumPy stores them: a zip archive of `.npy` files.

use std::io::{self, Cursor, Read, Seek, Write};

use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, ZipArchive};

use crate::array::Array;
use crate::npy;
use crate::problem::{Problem, Room};

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

/// The arrays of a `.npz` file, in its order.
pub fn read(from: impl Read + Seek, room: &mut Room) -> Result<Vec<(String, Array)>, Problem> {
    each(from, room)?.into_iter().map(|(name, array)| Ok((name, array?))).collect()
}

/// An array of an archive, with its name.
pub type Entry = (String, Result<Array, Problem>);

/// What is in a `.npz` file, array by array: what cannot be read is a problem of its own.
pub fn each(from: impl Read + Seek, room: &mut Room) -> Result<Vec<Entry>, Problem> {
    let mut zip = ZipArchive::new(from).map_err(|e| Problem::malformed(format!("this is no `.npz` file: {e}")))?;
    let mut out = Vec::new();
    for k in 0..zip.len() {
        let mut file = zip.by_index(k).map_err(|e| Problem::malformed(format!("entry {k} of the archive: {e}")))?;
        let path = String::from_utf8_lossy(file.name_raw()).into_owned();
        let Some(name) = path.strip_suffix(".npy") else { continue };
        let array = npy::read(&mut file, room).map_err(|e| e.of(name));
        out.push((name.to_string(), array));
    }
    if out.is_empty() {
        return Err(Problem::malformed("the archive holds no arrays (`.npy`)"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Element;

    #[test]
    fn what_is_written_is_read() {
        let array = |k: u8| Array { element: Element::U8, shape: vec![2, 2], bytes: vec![k; 4] };
        let arrays = [("net.first".to_string(), array(1)), ("x".to_string(), array(2))];
        let file = write(&arrays).expect("written");
        assert_eq!(file, write(&arrays).expect("again"));
        assert_eq!(read(Cursor::new(&file), &mut Room(1 << 20)), Ok(arrays.to_vec()));
        let cut = read(Cursor::new(&file[..file.len() / 2]), &mut Room(1 << 20)).expect_err("a problem");
        assert!(cut.message.contains("no `.npz` file"), "{cut}");
        assert_eq!(read(Cursor::new(&file), &mut Room(7)).expect_err("a problem").kind, crate::problem::Kind::TooLarge);
    }
}
