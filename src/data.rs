//! The data files of scripts, read when the script is.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use whorl_core::ir::{ArrayData, DType, Type};
use whorl_data::{Array, Element, Format, Kind};
use whorl_trace::{Data, DataFile, DataProblem, DataRequest, nearest};

/// Reads a file that is named in the script displayed as `from`.
pub fn load(request: &DataRequest, from: Option<&str>) -> Result<Data, DataProblem> {
    let Some(format) = Format::of(&request.file) else {
        let message = format!("the ending of `{}` is not one that `load` knows", request.file);
        let there = Format::ALL.map(|(ending, _)| format!(".{ending}"));
        return Err(DataProblem::new("E0812", message, format!("there are {}", there.join(", "))));
    };
    let path = path(request, from);
    let file = File::open(&path).map_err(|e| missing(&path, request, &e))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(DataProblem::new("E0807", format!("`{}` is a folder", request.file), "not a file"));
    }
    let read = whorl_data::read(file, format, request.header, free_memory());
    read.map(convert).map_err(|p| {
        let (code, message) = match p.kind {
            Kind::Malformed => ("E0808", format!("`{}` cannot be read", request.file)),
            Kind::Element => ("E0809", format!("`{}` holds what no array here can", request.file)),
            Kind::TooLarge => ("E0810", format!("`{}` is too large", request.file)),
        };
        DataProblem { help: p.help, ..DataProblem::new(code, message, p.message) }
    })
}

/// Where the file is.
pub fn path(request: &DataRequest, from: Option<&str>) -> PathBuf {
    from.map(Path::new).and_then(Path::parent).map_or(PathBuf::new(), Path::to_path_buf).join(&request.file)
}

fn missing(path: &Path, request: &DataRequest, e: &std::io::Error) -> DataProblem {
    let why = match e.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_string(),
        _ => e.to_string(),
    };
    let message = format!("there is no file `{}` to load", request.file);
    let mut problem = DataProblem::new("E0807", message, format!("{why}; it is looked for beside this script"));
    let wanted = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(beside) = std::fs::read_dir(parent) else {
        let folder = Path::new(&request.file).parent().unwrap_or(Path::new(""));
        problem.help = Some(format!("there is no folder `{}`", folder.display()));
        return problem;
    };
    let mut names: Vec<String> = beside.flatten().map(|f| f.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let known: Vec<&str> = names.iter().map(String::as_str).filter(|n| Format::of(n).is_some()).collect();
    problem.help = nearest(&wanted, known.iter().copied()).map(|n| format!("did you mean `{n}`?")).or_else(|| {
        let some: Vec<String> = known.iter().take(5).map(|n| format!("`{n}`")).collect();
        (!some.is_empty()).then(|| format!("there are {}", some.join(", ")))
    });
    problem
}

/// The same array as the compiler has it.
pub fn array_data(a: Array) -> ArrayData {
    ArrayData { ty: Type::new(dtype(a.element), &a.shape), bytes: a.bytes }
}

/// The same arrays; nothing is copied.
fn convert(data: whorl_data::Data) -> Data {
    match data {
        whorl_data::Data::Array(a) => Data::Array(Arc::new(array_data(a))),
        whorl_data::Data::Tuple(parts) => Data::Tuple(parts.into_iter().map(convert).collect()),
        whorl_data::Data::Record(fields) => Data::Record(fields.into_iter().map(|(n, d)| (n, convert(d))).collect()),
    }
}

fn dtype(e: Element) -> DType {
    match e {
        Element::F32 => DType::F32,
        Element::F64 => DType::F64,
        Element::F16 => DType::F16,
        Element::BF16 => DType::BF16,
        Element::I32 => DType::I32,
        Element::U32 => DType::U32,
        Element::U8 => DType::U8,
        Element::Bool => DType::Bool,
    }
}

/// Bytes that a new array may take: half of what is free, since compiled code has constants of its own.
fn free_memory() -> u64 {
    available_memory() / 2
}

/// Bytes that the system can still give.
pub fn available_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    // Where the system does not say, the system decides.
    kilobytes.map_or(u64::MAX, |k| k * 1024)
}

/// One line on a data file, for `whorl check`.
pub fn described(file: &DataFile) -> String {
    format!("data {} of {}: {}", file.name, file.file, crate::save::arrays_described(&file.arrays))
}
