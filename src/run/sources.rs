//! The files that a script is made of: found beside it when it is run, and in the run folder when it is resumed or repeated.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use whorl_host::hash::Checksum;
use whorl_trace::{Data, DataProblem, DataRequest, Loader};

use crate::args;
use crate::pipeline::{self, Source};
use crate::run::job::Config;
use crate::standard_library::{self, Modules};

/// A script, loaded, with what its results depend on.
pub struct Sources {
    pub source: Source,
    /// The script and its own modules.
    pub files: Vec<File>,
    /// Data files and their checksums.
    pub data: Vec<(String, String)>,
    /// Of all texts and data.
    pub hash: String,
    /// Where the script's path begins.
    pub directory: PathBuf,
}

pub struct File {
    /// As errors name it.
    pub name: String,
    /// Where a run folder has it.
    pub stored: String,
    pub text: String,
}

impl Sources {
    /// From where the user has them; an error is the rendered text.
    pub fn load(script: &args::Script) -> Result<Sources, String> {
        let name = script.file.display().to_string();
        let text = std::fs::read_to_string(&script.file).map_err(|e| format!("error: {name}: {e}"))?;
        Sources::by(&name, text, &script.settings, None, std::env::current_dir().unwrap_or_default())
    }

    /// From a run folder.
    pub fn stored(config: &Config, folder: &Path) -> Result<Sources, String> {
        let mut texts = HashMap::new();
        for (name, stored) in &config.sources {
            let path = folder.join(stored);
            let text = std::fs::read_to_string(&path).map_err(|e| format!("error: {}: {e}", path.display()))?;
            texts.insert(name.clone(), text);
        }
        let name = config.job.script.file.display().to_string();
        let text = texts.get(&name).cloned();
        let text = text.ok_or_else(|| format!("error: {}: the script `{name}` is not here", folder.display()))?;
        Sources::by(&name, text, &config.job.script.settings, Some(texts), config.directory.clone())
    }

    fn by(
        name: &str,
        text: String,
        settings: &[(String, String)],
        texts: Option<HashMap<String, String>>,
        directory: PathBuf,
    ) -> Result<Sources, String> {
        let mut found = Found { texts, directory, data: Vec::new() };
        let source = pipeline::load_by(&mut found, name, text, settings)?;
        let mut sum = Checksum::new();
        source.map.files().for_each(|(_, f)| sum.add(f.text.as_bytes()));
        let mut data = Vec::new();
        for (name, path) in &found.data {
            let bytes = std::fs::read(path).map_err(|e| format!("error: {}: {e}", path.display()))?;
            let mut own = Checksum::new();
            own.add(&bytes);
            let own = own.text();
            sum.add(own.as_bytes());
            data.push((name.clone(), own));
        }
        let folder = Path::new(name).parent().unwrap_or(Path::new("")).to_path_buf();
        let own = source.map.files().filter(|(_, f)| !f.name.starts_with("std/"));
        let file = |f: &whorl_source::SourceFile| {
            let inside = Path::new(&f.name).strip_prefix(&folder).unwrap_or(Path::new(&f.name));
            let plain = inside.components().all(|c| matches!(c, std::path::Component::Normal(_)));
            let inside = if plain { inside } else { Path::new(inside.file_name().unwrap_or_default()) };
            File { name: f.name.clone(), stored: format!("source/{}", inside.display()), text: f.text.clone() }
        };
        let files = own.map(|(_, f)| file(f)).collect();
        Ok(Sources { source, files, data, hash: sum.text(), directory: found.directory })
    }
}

/// Finds modules and data, and remembers which data.
struct Found {
    /// The script's own modules; those on the disk if there are none.
    texts: Option<HashMap<String, String>>,
    /// Where the script's path begins.
    directory: PathBuf,
    /// As the script's path leads there, and where it is.
    data: Vec<(String, PathBuf)>,
}

impl Loader for Found {
    fn load(&mut self, path: &[String], from: Option<&str>) -> Result<(String, String), String> {
        let Some(texts) = self.texts.as_ref().filter(|_| path.first().is_none_or(|p| p != "std")) else {
            return Modules.load(path, from);
        };
        let name = standard_library::file(path, from).display().to_string();
        let text = texts.get(&name).cloned();
        Ok((name.clone(), text.ok_or_else(|| format!("the run folder has no copy of {name}"))?))
    }

    fn data(&mut self, request: &DataRequest, from: Option<&str>) -> Result<Data, DataProblem> {
        let name = crate::data::path(request, from).display().to_string();
        let from = from.map(|f| self.directory.join(f).display().to_string());
        let data = crate::data::load(request, from.as_deref())?;
        if self.data.iter().all(|(n, _)| *n != name) {
            self.data.push((name, crate::data::path(request, from.as_deref())));
        }
        Ok(data)
    }

    fn known(&self) -> Vec<String> {
        Modules.known()
    }
}
