//! A file of any of the formats as [`Data`].

use std::io::{BufReader, Read, Seek};

use crate::problem::{Problem, Room};
use crate::table::{Layout, Table};
use crate::tree::{Data, nest};
use crate::{npy, npz, table, tensors};

/// The formats that are read, by the ending of the file's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Npz,
    Npy,
    Safetensors,
    Csv,
    Tsv,
}

impl Format {
    pub const ALL: [(&str, Format); 5] = [
        ("npz", Format::Npz),
        ("npy", Format::Npy),
        ("safetensors", Format::Safetensors),
        ("csv", Format::Csv),
        ("tsv", Format::Tsv),
    ];

    /// The format of a file of this name.
    pub fn of(name: &str) -> Option<Format> {
        let ending = name.rsplit(['/', '\\']).next()?.rsplit_once('.')?.1.to_ascii_lowercase();
        Format::ALL.iter().find(|(e, _)| *e == ending).map(|(_, f)| *f)
    }
}

/// What the file holds, in no more than `room` bytes. `header` is of tables: whether the first line names the columns.
pub fn read(from: impl Read + Seek, format: Format, header: bool, room: u64) -> Result<Data, Problem> {
    let (mut from, mut room) = (BufReader::with_capacity(1 << 16, from), Room(room));
    match format {
        Format::Npz => nest(npz::read(from, &mut room)?),
        Format::Npy => npy::read(&mut from, &mut room).map(Data::Array),
        Format::Safetensors => nest(tensors::read(&whole(from, room.0)?, &mut room)?),
        Format::Csv | Format::Tsv => {
            let delimiter = if format == Format::Csv { b',' } else { b'\t' };
            match table::read(&whole(from, room.0)?, Layout { header, delimiter }, &mut room)? {
                Table::Columns(columns) => nest(columns),
                Table::Matrix(array) => Ok(Data::Array(array)),
            }
        }
    }
}

fn whole(from: impl Read, room: u64) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let read = from.take(room.saturating_add(1)).read_to_end(&mut bytes);
    match read {
        Ok(n) if n as u64 <= room => Ok(bytes),
        Ok(_) => Err(Problem {
            kind: crate::problem::Kind::TooLarge,
            message: format!("the file is larger than the {room} bytes of memory that are free"),
            help: Some("load a part of it".to_string()),
        }),
        Err(e) => Err(Problem::malformed(e.to_string())),
    }
}
