//! `whorl watch`: checks a script and runs its tests whenever it, a module that it imports or a data file that it loads is saved.
//!
//! Folders are watched rather than files, since editors write a new file and rename it. What an event says is not looked at: after a
//! burst of them, and now and then without, the files are compared with what they were. Where the system gives no events, that
//! is all there is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use signal_hook::consts::{SIGINT, SIGTERM};
use whorl_source::SourceMap;
use whorl_trace::{Data, DataProblem, DataRequest, Loader, Script};

use crate::args;
use crate::pipeline::{Source, render};
use crate::repl::STACK;
use crate::standard_library::Modules;
use crate::test::{self, Trials};
use crate::words::now;

/// A burst of events ends when there was none for so long.
const QUIET: Duration = Duration::from_millis(40);
/// How long a file may be away while an editor replaces it.
const AWAY: Duration = Duration::from_millis(500);
/// Between two looks at the files; with and without events.
const LOOK: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(250)];
/// Between two looks at signals.
const TICK: Duration = Duration::from_millis(50);

pub fn watch(options: &args::Watch) -> Result<ExitCode, String> {
    if let Err(e) = std::fs::metadata(&options.script.file) {
        return Err(format!("error: {}: {e}", options.script.file.display()));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let terminated = Arc::new(AtomicBool::new(false));
    // Registered first, so that it is set when `stop` is.
    let _ = signal_hook::flag::register(SIGTERM, terminated.clone());
    for signal in [SIGINT, SIGTERM] {
        // The second one ends the process at once.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone());
        let _ = signal_hook::flag::register(signal, stop.clone());
    }
    let (sender, receiver) = mpsc::channel();
    let mut files = Files::new(sender.clone());
    let mut running: Option<Child> = None;
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        if let Some(child) = running.take() {
            end(child);
        }
        round += 1;
        let cancelled = Arc::new(AtomicBool::new(false));
        let before = Stamp::now();
        let (source, read) = load(&options.script);
        files.follow(read);
        let report = Reporter { round, sender: sender.clone(), cancelled: cancelled.clone() };
        let name = options.script.file.display().to_string();
        let worker = std::thread::Builder::new().name("tests".to_string()).stack_size(STACK);
        let worker = worker.spawn(move || report.all(source, &name, before));
        worker.map_err(|e| format!("error: no thread to test on: {e}"))?;
        let changed = |files: &mut Files, wait: Duration| files.changed(&receiver, wait, &stop, round);
        // Until the files change, whether or not the tests have come to their end.
        loop {
            match changed(&mut files, TICK) {
                Seen::Change => break,
                Seen::Passed if options.run && running.is_none() => running = Some(start(options)?),
                Seen::Passed | Seen::Nothing => {}
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        cancelled.store(true, Ordering::Relaxed);
    }
    if let Some(child) = running {
        end(child);
    }
    Ok(ExitCode::from(if terminated.load(Ordering::Relaxed) { 143 } else { 130 }))
}

/// What the main thread is told.
enum Message {
    /// Something happened in a folder.
    Event,
    /// All is well in this round.
    Passed(usize),
}

enum Seen {
    Change,
    Passed,
    Nothing,
}

/// The script and all that it reads, or what is wrong; and the files that were asked for, found or not.
fn load(script: &args::Script) -> (Result<Source, String>, Prints) {
    let name = script.file.display().to_string();
    let mut loader = Recording::default();
    loader.note(script.file.clone());
    let text = match std::fs::read_to_string(&script.file) {
        Ok(text) => text,
        Err(e) => return (Err(format!("error: {name}: {e}; waiting for it")), loader.files),
    };
    let mut map = SourceMap::new();
    let loaded = match Script::load(&mut loader, &mut map, &name, &text, &script.settings) {
        Ok(script) => Ok(Source { map, script, text }),
        Err(errors) => Err(render(&errors, &map)),
    };
    (loaded, loader.files)
}

/// Files as they were before they were read; nothing where there was none.
type Prints = BTreeMap<PathBuf, Option<Print>>;

/// Reads modules, and remembers which files that took.
#[derive(Default)]
struct Recording {
    files: Prints,
}

impl Recording {
    fn beside(&mut self, from: Option<&str>, file: &str) {
        let folder = from.map(Path::new).and_then(Path::parent).map_or(PathBuf::new(), Path::to_path_buf);
        self.note(folder.join(file));
    }

    fn note(&mut self, file: PathBuf) {
        let now = print(&file);
        self.files.entry(file).or_insert(now);
    }
}

impl Loader for Recording {
    fn load(&mut self, path: &[String], from: Option<&str>) -> Result<(String, String), String> {
        if path.first().is_some_and(|p| p != "std") {
            self.beside(from, &format!("{}.whorl", path.join("/")));
        }
        Modules.load(path, from)
    }

    fn data(&mut self, request: &DataRequest, from: Option<&str>) -> Result<Data, DataProblem> {
        self.beside(from, &request.file);
        Modules.data(request, from)
    }

    fn known(&self) -> Vec<String> {
        Modules.known()
    }
}

/// Checks and tests on a thread of its own, and tells of it unless nobody wants to know any more.
struct Reporter {
    round: usize,
    sender: Sender<Message>,
    cancelled: Arc<AtomicBool>,
}

impl Reporter {
    fn all(&self, source: Result<Source, String>, name: &str, begin: Stamp) {
        let source = match source {
            Ok(source) => source,
            Err(text) => return self.tell(&format!("{}\n{}", text.trim_end(), begin.line(name, "errors"))),
        };
        let has_main = source.script.names().iter().any(|n| n.name == "main");
        let warnings = if has_main {
            match source.script.trace_main() {
                Ok(traced) => traced.warnings,
                Err(errors) => {
                    let text = render(&errors, &source.map);
                    return self.tell(&format!("{}\n{}", text.trim_end(), begin.line(name, "errors")));
                }
            }
        } else {
            source.script.unused().to_vec()
        };
        if !warnings.is_empty() {
            self.tell(render(&warnings, &source.map).trim_end());
        }
        let (mut passed, mut failed) = (0, 0);
        for (k, case) in source.script.tests().iter().enumerate() {
            let done = test::check(&source, k, Trials::default());
            if self.cancelled.load(Ordering::Relaxed) {
                return;
            }
            match done {
                Ok(()) => passed += 1,
                Err(errors) => {
                    failed += 1;
                    self.tell(&format!("FAILED {}\n{}", case.name, render(&errors, &source.map).trim_end()));
                }
            }
        }
        let result = match (passed, failed) {
            (0, 0) => "no errors, no tests".to_string(),
            _ => format!("{passed} passed, {failed} failed"),
        };
        let result = match warnings.len() {
            0 => result,
            1 => format!("{result}, 1 warning"),
            n => format!("{result}, {n} warnings"),
        };
        self.tell(&begin.line(name, &result));
        if failed == 0 {
            // The main thread is there until the process ends.
            let _ = self.sender.send(Message::Passed(self.round));
        }
    }

    fn tell(&self, text: &str) {
        if !self.cancelled.load(Ordering::Relaxed) {
            say!("{text}");
        }
    }
}

/// When a round began.
struct Stamp {
    clock: String,
    begin: Instant,
}

impl Stamp {
    fn now() -> Stamp {
        Stamp { clock: now().get(11..19).unwrap_or_default().to_string(), begin: Instant::now() }
    }

    /// `18:59:03 UTC  a.whorl: 3 passed, 0 failed (24 ms)`
    fn line(&self, name: &str, result: &str) -> String {
        let took = self.begin.elapsed();
        let took = match took.as_millis() {
            ms @ 0..10_000 => format!("{ms} ms"),
            _ => format!("{:.1} s", took.as_secs_f64()),
        };
        format!("{} UTC  {name}: {result} ({took})", self.clock)
    }
}

/// The files of the script, as they were when they were last looked at.
struct Files {
    prints: Prints,
    watcher: Option<RecommendedWatcher>,
    folders: Vec<PathBuf>,
    looked: Instant,
}

/// What tells a file from what it was.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Print {
    modified: Option<SystemTime>,
    length: u64,
}

impl Files {
    fn new(sender: Sender<Message>) -> Files {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is no change; of other things the files themselves tell.
            if !event.is_ok_and(|e| e.kind.is_access()) {
                let _ = sender.send(Message::Event);
            }
        });
        let mut files = Files { prints: Prints::new(), watcher: None, folders: Vec::new(), looked: Instant::now() };
        match watcher {
            Ok(watcher) => files.watcher = Some(watcher),
            Err(e) => files.without_events(&e),
        }
        files
    }

    fn without_events(&mut self, e: &notify::Error) {
        if self.watcher.take().is_some() || self.folders.is_empty() {
            say!("the system tells nothing of changed files ({e}); they are looked at four times a second instead");
        }
    }

    /// These are the files now.
    fn follow(&mut self, files: Prints) {
        self.prints = files;
        let files: Vec<PathBuf> = self.prints.keys().cloned().collect();
        for file in &files {
            let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf();
            if self.folders.contains(&folder) || !folder.is_dir() {
                continue;
            }
            let watched = self.watcher.as_mut().map(|w| w.watch(&folder, RecursiveMode::NonRecursive));
            self.folders.push(folder);
            if let Some(Err(e)) = watched {
                self.without_events(&e);
            }
        }
    }

    /// Waits for what happens, for so long at most.
    fn changed(&mut self, receiver: &Receiver<Message>, wait: Duration, stop: &AtomicBool, round: usize) -> Seen {
        let mut passed = false;
        match receiver.recv_timeout(wait) {
            Ok(Message::Event) => {
                // The rest of the burst.
                while let Ok(message) = receiver.recv_timeout(QUIET) {
                    passed |= matches!(message, Message::Passed(of) if of == round);
                }
                self.looked = Instant::now();
                if self.differ(stop) {
                    return Seen::Change;
                }
            }
            Ok(Message::Passed(of)) => passed |= of == round,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let every = LOOK[usize::from(self.watcher.is_none())];
                if self.looked.elapsed() >= every {
                    self.looked = Instant::now();
                    if self.differ(stop) {
                        return Seen::Change;
                    }
                }
            }
        }
        if passed { Seen::Passed } else { Seen::Nothing }
    }

    /// Whether a file is not what it was. One that is away may come back in a moment.
    fn differ(&self, stop: &AtomicBool) -> bool {
        let begin = Instant::now();
        loop {
            let now: Vec<(&Option<Print>, Option<Print>)> =
                self.prints.iter().map(|(f, old)| (old, print(f))).collect();
            let gone = now.iter().any(|(old, new)| old.is_some() && new.is_none());
            if !gone || begin.elapsed() > AWAY || stop.load(Ordering::Relaxed) {
                return now.iter().any(|(old, new)| *old != new);
            }
            std::thread::sleep(QUIET);
        }
    }
}

fn print(file: &Path) -> Option<Print> {
    let meta = std::fs::metadata(file).ok()?;
    Some(Print { modified: meta.modified().ok(), length: meta.len() })
}

/// `whorl run` of the script, beside this process.
fn start(options: &args::Watch) -> Result<Child, String> {
    let whorl = std::env::current_exe().map_err(|e| format!("error: --run: {e}"))?;
    let mut command = Command::new(whorl);
    command.arg("run").arg(&options.script.file);
    for (name, value) in &options.script.settings {
        command.arg("--set").arg(format!("{name}={value}"));
    }
    command.spawn().map_err(|e| format!("error: --run: {e}"))
}

/// Asks a run to stop, and waits until it has written what it has to write.
fn end(mut child: Child) {
    /// A run looks at signals several times a second.
    const PATIENCE: Duration = Duration::from_secs(10);
    if let Ok(Some(_)) = child.try_wait() {
        return;
    }
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(TICK),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}
