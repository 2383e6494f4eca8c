//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Parser;
use lexopt::prelude::*;

use crate::cache::Cache;
use crate::device::Choice;
use crate::pipeline::Checks;
use crate::run::How;
use crate::run::job::Job;
use crate::test::Trials;

/// What the user asked for.
pub enum Command {
    Help(String),
    Run(Run),
    Resume(Resume),
    Repeat(Repeat),
    Runs(Runs),
    Eval(Eval),
    Check(Check),
    Test(Test),
    Show(Show),
    Profile(Profile),
    Bench(Bench),
    Fmt(Fmt),
    /// A code, or all of them.
    Explain(Option<String>),
    Repl(Repl),
    Watch(Watch),
    /// Tells of the compiled programs that are kept, or removes them.
    Cache {
        clear: bool,
    },
    Devices {
        json: bool,
    },
}

/// A session, on a script or on nothing.
pub struct Repl {
    pub file: Option<PathBuf>,
    pub settings: Vec<(String, String)>,
}

pub struct Watch {
    pub script: Script,
    /// Runs `main` as well, when the tests pass.
    pub run: bool,
}

/// A script, and the settings of its params and sizes: `("ppo.lr", "1e-3")`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Script {
    pub file: PathBuf,
    pub settings: Vec<(String, String)>,
}

pub struct Run {
    pub job: Job,
    pub how: How,
    pub out: Option<PathBuf>,
}

/// Of a run folder.
pub struct Resume {
    pub folder: PathBuf,
    /// Where to go on; the last checkpoint unless given.
    pub checkpoint: Option<PathBuf>,
    pub how: How,
}

pub struct Repeat {
    pub folder: PathBuf,
    /// The folder of the repetition.
    pub out: Option<PathBuf>,
    pub how: How,
}

pub struct Runs {
    /// Run folders, and folders of run folders.
    pub folders: Vec<PathBuf>,
    pub json: bool,
}

pub struct Eval {
    pub folder: PathBuf,
    /// The last one unless given.
    pub checkpoint: Option<PathBuf>,
    /// A script whose `eval` is taken, in place of the run's own.
    pub script: Option<PathBuf>,
    pub seed: u32,
    /// The first episode, and how many there are.
    pub episode: u32,
    pub episodes: usize,
    /// Only these.
    pub runs: Option<Vec<usize>>,
    pub threads: usize,
    pub cache: Cache,
    pub gif: Option<PathBuf>,
    pub png: Option<PathBuf>,
    pub term: bool,
    /// Pixels of the pictures' own.
    pub scale: usize,
    pub fps: Option<f64>,
    pub json: bool,
}

pub struct Check {
    pub script: Script,
    /// Whose schedule is told.
    pub device: Choice,
    pub fast_math: bool,
    pub json: bool,
}

pub struct Test {
    pub files: Vec<PathBuf>,
    /// Only tests whose name contains it.
    pub filter: Option<String>,
    pub trials: Trials,
}

pub struct Fmt {
    /// Scripts, and folders of scripts.
    pub files: Vec<PathBuf>,
    /// Only says which would change.
    pub check: bool,
}

pub struct Show {
    pub script: Script,
    pub stage: Stage,
    /// `12`, or `ppo.whorl:12`.
    pub line: Option<String>,
}

pub struct Profile {
    pub script: Script,
    pub seed: u32,
    /// Train steps; as many as the time allows unless given.
    pub steps: Option<usize>,
    pub seconds: f64,
    pub json: bool,
    pub checks: Checks,
}

pub struct Bench {
    pub job: Job,
    pub device: Choice,
    pub threads: usize,
    pub repeats: usize,
    /// A run is stopped after so many.
    pub seconds: f64,
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Tree,
    Core,
    Grad,
    Fused,
    Loops,
    Memory,
    Asm,
    Ptx,
}

const COMMANDS: &str =
    "run, resume, repeat, runs, eval, check, test, show, profile, bench, devices, cache, fmt, repl, watch and explain";

const HELP: &str = include_str!("help.txt");

/// Reads the command line; an error is a sentence.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = lexopt::Parser::from_iter(args);
    let parsed = command(&mut parser);
    parsed.or_else(|problem| match problem {
        Problem::Asked => Ok(Command::Help(HELP.to_string())),
        Problem::Wrong(text) => Err(text),
    })
}

fn command(parser: &mut Parser) -> Read<Command> {
    let name = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return Err(Problem::Asked),
        Some(Short('V') | Long("version")) => {
            return Ok(Command::Help(format!("whorl {}\n", env!("CARGO_PKG_VERSION"))));
        }
        Some(Value(v)) => v.to_string_lossy().into_owned(),
        Some(other) => return Err(other.unexpected().into()),
    };
    Ok(match name.as_str() {
        "run" => Command::Run(run(parser)?),
        "resume" => Command::Resume(resume(parser)?),
        "repeat" => Command::Repeat(repeat(parser)?),
        "runs" => Command::Runs(runs(parser)?),
        "eval" => Command::Eval(eval(parser)?),
        "check" => Command::Check(check(parser)?),
        "test" => Command::Test(test(parser)?),
        "show" => Command::Show(show(parser)?),
        "profile" => Command::Profile(profile(parser)?),
        "bench" => Command::Bench(bench(parser)?),
        "fmt" => Command::Fmt(fmt(parser)?),
        "explain" => Command::Explain(explain(parser)?),
        "repl" => Command::Repl(repl(parser)?),
        "watch" => Command::Watch(watch(parser)?),
        "cache" => Command::Cache { clear: cache(parser)? },
        "devices" => Command::Devices { json: devices(parser)? },
        other => {
            return wrong(format!("there is no command `{other}`; there are {COMMANDS}"));
        }
    })
}

/// Why a command line is not carried out.
enum Problem {
    /// `--help` behind a command.
    Asked,
    Wrong(String),
}

type Read<T> = Result<T, Problem>;

impl From<lexopt::Error> for Problem {
    fn from(e: lexopt::Error) -> Problem {
        Problem::Wrong(format!("{e}; `whorl --help` lists what there is"))
    }
}

fn wrong<T>(text: impl Into<String>) -> Read<T> {
    Err(Problem::Wrong(text.into()))
}

fn run(parser: &mut Parser) -> Read<Run> {
    let (mut files, mut settings) = (Vec::new(), Vec::new());
    let (mut seed, mut out, mut how, mut checks) = (0, None, kept_programs(), Checks::default());
    let (mut sweep, mut fast_math) = (Vec::new(), false);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => files.push(v.into()),
            Long("seed") => seed = parser.value()?.parse()?,
            Long("out") => out = Some(parser.value()?.into()),
            Long("trap-nan") => checks.nan = true,
            Long("no-checks") => checks.index = false,
            Long("fast-math") => fast_math = true,
            Long("sweep") => sweep.push(parser.value()?.string()?),
            other => {
                let other = Other::from(other);
                if !carrying_out(&other, parser, &mut how)? {
                    setting(other, parser, &mut settings)?;
                }
            }
        }
    }
    crate::sweep::Sweep::parse(&sweep).map_err(Problem::Wrong)?;
    let script = Script { file: one_file("run", files)?, settings };
    Ok(Run { job: Job { script, seed, checks, fast_math, sweep }, how, out })
}

/// The usual way, with the user's compiled programs.
fn kept_programs() -> How {
    How { cache: Cache::of_user(), ..How::default() }
}

/// The options of how a run is carried out, which change nothing of its results; whether it is one of them.
fn carrying_out(option: &Other, parser: &mut Parser, how: &mut How) -> Read<bool> {
    let Other::Long(name) = option else { return Ok(false) };
    match name.as_str() {
        "threads" => how.threads = thread_count(parser)?,
        "device" => how.device = Some(device(parser)?),
        "no-cache" => how.cache = Cache::none(),
        "json" => how.json = true,
        "quiet" => how.quiet = true,
        "memory" => {
            how.memory = Some(crate::memory::parse_bytes(&parser.value()?.string()?).map_err(Problem::Wrong)?);
        }
        "checkpoint-every" => {
            let text = parser.value()?.string()?;
            let seconds: f64 = text.trim_end_matches('s').parse().unwrap_or(-1.0);
            let Ok(time) = Duration::try_from_secs_f64(seconds) else {
                return wrong(format!("--checkpoint-every {text}: write seconds, as in --checkpoint-every 30"));
            };
            how.checkpoint_every = time;
        }
        "log-each" => how.log_each = true,
        "keep" => match parser.value()?.parse()? {
            0 => return wrong("--keep 0: the last checkpoint is always kept"),
            n => how.keep = Some(n),
        },
        _ => return Ok(false),
    }
    Ok(true)
}

fn resume(parser: &mut Parser) -> Read<Resume> {
    let (mut folders, mut checkpoint, mut how) = (Vec::new(), None, kept_programs());
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => folders.push(v.into()),
            Long("checkpoint") => checkpoint = Some(parser.value()?.into()),
            other => {
                let other = Other::from(other);
                if !carrying_out(&other, parser, &mut how)? {
                    return unexpected(other);
                }
            }
        }
    }
    Ok(Resume { folder: one_folder("resume", folders)?, checkpoint, how })
}

fn repeat(parser: &mut Parser) -> Read<Repeat> {
    let (mut folders, mut out, mut how) = (Vec::new(), None, kept_programs());
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => folders.push(v.into()),
            Long("out") => out = Some(parser.value()?.into()),
            other => {
                let other = Other::from(other);
                if !carrying_out(&other, parser, &mut how)? {
                    return unexpected(other);
                }
            }
        }
    }
    Ok(Repeat { folder: one_folder("repeat", folders)?, out, how })
}

fn runs(parser: &mut Parser) -> Read<Runs> {
    let mut runs = Runs { folders: Vec::new(), json: false };
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => runs.folders.push(v.into()),
            Long("json") => runs.json = true,
            other => return unexpected(other.into()),
        }
    }
    if runs.folders.is_empty() {
        runs.folders.push("runs".into());
    }
    Ok(runs)
}

fn eval(parser: &mut Parser) -> Read<Eval> {
    let mut folders = Vec::new();
    let mut eval = Eval {
        folder: PathBuf::new(),
        checkpoint: None,
        script: None,
        seed: 0,
        episode: 0,
        episodes: 10,
        runs: None,
        threads: How::default().threads,
        cache: Cache::of_user(),
        gif: None,
        png: None,
        term: false,
        scale: 1,
        fps: None,
        json: false,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => folders.push(v.into()),
            Long("checkpoint") => eval.checkpoint = Some(parser.value()?.into()),
            Long("script") => eval.script = Some(parser.value()?.into()),
            Long("seed") => eval.seed = parser.value()?.parse()?,
            Long("episode") => eval.episode = parser.value()?.parse()?,
            Long("episodes") => match parser.value()?.parse()? {
                0 => return wrong("--episodes 0: at least one episode is needed"),
                n => eval.episodes = n,
            },
            Long("runs") => eval.runs = Some(run_numbers(&parser.value()?.string()?)?),
            Long("threads") => eval.threads = thread_count(parser)?,
            Long("no-cache") => eval.cache = Cache::none(),
            Long("gif") => eval.gif = Some(parser.value()?.into()),
            Long("png") => eval.png = Some(parser.value()?.into()),
            Long("term") => eval.term = true,
            Long("json") => eval.json = true,
            Long("scale") => match parser.value()?.parse()? {
                n @ 1..=32 => eval.scale = n,
                n => return wrong(format!("--scale {n}: a pixel becomes 1 to 32 pixels wide")),
            },
            Long("fps") => match parser.value()?.parse()? {
                fps if (0.01..=1000.0).contains(&fps) => eval.fps = Some(fps),
                fps => return wrong(format!("--fps {fps}: from 0.01 to 1000 frames a second")),
            },
            other => return unexpected(other.into()),
        }
    }
    eval.folder = one_folder("eval", folders)?;
    if u32::try_from(eval.episodes).ok().and_then(|n| eval.episode.checked_add(n)).is_none() {
        return wrong(format!("--episodes {}: so many have no numbers", eval.episodes));
    }
    Ok(eval)
}

/// `0,3,5`, each once.
fn run_numbers(text: &str) -> Read<Vec<usize>> {
    let mut runs: Vec<usize> = Vec::new();
    for part in text.split(',') {
        match part.trim().parse() {
            Ok(k) if !runs.contains(&k) => runs.push(k),
            Ok(k) => return wrong(format!("--runs {text}: run {k} is there twice")),
            Err(_) => return wrong(format!("--runs {text}: write the numbers of runs, as in --runs 0,3")),
        }
    }
    Ok(runs)
}

fn check(parser: &mut Parser) -> Read<Check> {
    let (mut files, mut settings, mut json) = (Vec::new(), Vec::new(), false);
    let (mut on, mut fast_math) = (Choice::default(), false);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => files.push(v.into()),
            Long("json") => json = true,
            Long("device") => on = device(parser)?,
            Long("fast-math") => fast_math = true,
            other => setting(other.into(), parser, &mut settings)?,
        }
    }
    Ok(Check { script: Script { file: one_file("check", files)?, settings }, device: on, fast_math, json })
}

fn show(parser: &mut Parser) -> Read<Show> {
    let (mut files, mut settings, mut stage, mut line) = (Vec::new(), Vec::new(), Stage::Core, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => files.push(v.into()),
            Long("stage") => stage = parse_stage(&parser.value()?.string()?)?,
            Long("line") => line = Some(parser.value()?.string()?),
            other => setting(other.into(), parser, &mut settings)?,
        }
    }
    Ok(Show { script: Script { file: one_file("show", files)?, settings }, stage, line })
}

fn profile(parser: &mut Parser) -> Read<Profile> {
    let (mut files, mut settings) = (Vec::new(), Vec::new());
    let (mut seed, mut steps, mut seconds, mut json) = (0, None, 2.0, false);
    let mut checks = Checks::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => files.push(v.into()),
            Long("seed") => seed = parser.value()?.parse()?,
            Long("steps") => steps = Some(parser.value()?.parse()?),
            Long("seconds") => seconds = seconds_of(parser)?,
            Long("json") => json = true,
            Long("trap-nan") => checks.nan = true,
            Long("no-checks") => checks.index = false,
            other => setting(other.into(), parser, &mut settings)?,
        }
    }
    if steps == Some(0) {
        return wrong("--steps 0: at least one step is needed");
    }
    let script = Script { file: one_file("profile", files)?, settings };
    Ok(Profile { script, seed, steps, seconds, json, checks })
}

/// Whether it is to be cleared.
fn cache(parser: &mut Parser) -> Read<bool> {
    let mut clear = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) if v == "clear" => clear = true,
            other => return unexpected(other.into()),
        }
    }
    Ok(clear)
}

fn devices(parser: &mut Parser) -> Read<bool> {
    let mut json = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => json = true,
            other => return unexpected(other.into()),
        }
    }
    Ok(json)
}

fn bench(parser: &mut Parser) -> Read<Bench> {
    let (mut files, mut settings, mut checks) = (Vec::new(), Vec::new(), Checks::default());
    let (mut seed, mut threads, mut repeats, mut seconds, mut json) = (0, How::default().threads, 5, 10.0, false);
    let (mut on, mut fast_math) = (Choice::default(), false);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => files.push(v.into()),
            Long("seed") => seed = parser.value()?.parse()?,
            Long("threads") => threads = thread_count(parser)?,
            Long("device") => on = device(parser)?,
            Long("repeats") => match parser.value()?.parse()? {
                0 => return wrong("--repeats 0: at least one repetition is needed"),
                n => repeats = n,
            },
            Long("seconds") => seconds = seconds_of(parser)?,
            Long("json") => json = true,
            Long("trap-nan") => checks.nan = true,
            Long("no-checks") => checks.index = false,
            Long("fast-math") => fast_math = true,
            other => setting(other.into(), parser, &mut settings)?,
        }
    }
    let script = Script { file: one_file("bench", files)?, settings };
    Ok(Bench {
        job: Job { script, seed, checks, fast_math, sweep: Vec::new() },
        device: on,
        threads,
        repeats,
        seconds,
        json,
    })
}

/// A time to run for.
fn seconds_of(parser: &mut Parser) -> Read<f64> {
    let seconds = parser.value()?.parse()?;
    // Longer than anybody waits, and what a duration can hold.
    if !(0.0..=1e9).contains(&seconds) {
        return wrong(format!("--seconds {seconds}: a number of seconds, not below 0"));
    }
    Ok(seconds)
}

fn test(parser: &mut Parser) -> Read<Test> {
    let (mut files, mut filter, mut trials) = (Vec::new(), None, Trials::default());
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => files.push(v.into()),
            Long("filter") => filter = Some(parser.value()?.string()?),
            Long("cases") => trials.cases = parser.value()?.parse()?,
            Long("seed") => trials.seed = parser.value()?.parse()?,
            Long("trap-nan") => trials.checks.nan = true,
            Long("no-checks") => trials.checks.index = false,
            other => return unexpected(other.into()),
        }
    }
    if trials.cases == 0 {
        return wrong("--cases 0: at least one case is needed");
    }
    if files.is_empty() {
        return wrong("whorl test: which file? `whorl test std` is the standard library");
    }
    Ok(Test { files, filter, trials })
}

fn fmt(parser: &mut Parser) -> Read<Fmt> {
    let (mut files, mut check) = (Vec::new(), false);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => files.push(v.into()),
            Long("check") => check = true,
            other => return unexpected(other.into()),
        }
    }
    if files.is_empty() {
        return wrong("whorl fmt: which files? `whorl fmt .` is all here");
    }
    Ok(Fmt { files, check })
}

fn explain(parser: &mut Parser) -> Read<Option<String>> {
    let mut codes: Vec<String> = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => codes.push(v.to_string_lossy().into_owned()),
            other => return unexpected(other.into()),
        }
    }
    if codes.len() > 1 {
        return wrong(format!("whorl explain takes one code, not {}", codes.len()));
    }
    Ok(codes.pop())
}

fn repl(parser: &mut Parser) -> Read<Repl> {
    let (mut files, mut settings) = (Vec::new(), Vec::new());
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => files.push(v.into()),
            other => setting(other.into(), parser, &mut settings)?,
        }
    }
    let file = if files.is_empty() { None } else { Some(one_file("repl", files)?) };
    Ok(Repl { file, settings })
}

fn watch(parser: &mut Parser) -> Read<Watch> {
    let (mut files, mut settings, mut run) = (Vec::new(), Vec::new(), false);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(v) => files.push(v.into()),
            Long("run") => run = true,
            other => setting(other.into(), parser, &mut settings)?,
        }
    }
    Ok(Watch { script: Script { file: one_file("watch", files)?, settings }, run })
}

fn device(parser: &mut Parser) -> Read<Choice> {
    parser.value()?.string()?.parse().map_err(Problem::Wrong)
}

fn thread_count(parser: &mut Parser) -> Read<usize> {
    match parser.value()?.parse()? {
        0 => wrong("--threads 0: at least one thread is needed"),
        n => Ok(n),
    }
}

fn one_folder(command: &str, mut folders: Vec<PathBuf>) -> Read<PathBuf> {
    match folders.len() {
        1 => Ok(folders.remove(0)),
        0 => wrong(format!("whorl {command}: which run? Give its folder; `whorl runs` lists them")),
        n => wrong(format!("whorl {command} takes one run folder, not {n}")),
    }
}

fn one_file(command: &str, mut files: Vec<PathBuf>) -> Read<PathBuf> {
    match files.len() {
        1 => Ok(files.remove(0)),
        0 => wrong(format!("whorl {command}: which file?")),
        n => wrong(format!("whorl {command} takes one file, not {n}")),
    }
}

/// An option that is none of the command's own.
enum Other {
    Short(char),
    Long(String),
    Value(OsString),
}

impl From<lexopt::Arg<'_>> for Other {
    fn from(arg: lexopt::Arg) -> Other {
        match arg {
            Short(c) => Other::Short(c),
            Long(name) => Other::Long(name.to_string()),
            Value(v) => Other::Value(v),
        }
    }
}

fn unexpected<T>(other: Other) -> Read<T> {
    match other {
        Other::Short('h') => Err(Problem::Asked),
        Other::Long(name) if name == "help" => Err(Problem::Asked),
        Other::Short(c) => Err(Short(c).unexpected().into()),
        Other::Long(name) => Err(Long(&name).unexpected().into()),
        Other::Value(v) => Err(Value(v).unexpected().into()),
    }
}

/// `--set module.name=value`, or `--name value` of the script itself.
fn setting(other: Other, parser: &mut Parser, settings: &mut Vec<(String, String)>) -> Read<()> {
    match other {
        Other::Long(name) if name == "set" => {
            let text = parser.value()?.string()?;
            let Some((name, value)) = text.split_once('=') else {
                return wrong(format!("--set {text}: write --set name=value"));
            };
            settings.push((name.trim().to_string(), value.trim().to_string()));
            Ok(())
        }
        Other::Long(name) if name != "help" => {
            settings.push((name.replace('-', "_"), parser.value()?.string()?));
            Ok(())
        }
        other => unexpected(other),
    }
}

fn parse_stage(text: &str) -> Read<Stage> {
    match stage(text) {
        Some(stage) => Ok(stage),
        None => wrong(format!("--stage {text}: there are tree, core, grad, fused, loops, memory, asm and ptx")),
    }
}

/// A stage by its name.
pub fn stage(text: &str) -> Option<Stage> {
    match text {
        "tree" => Some(Stage::Tree),
        "core" => Some(Stage::Core),
        "grad" => Some(Stage::Grad),
        "fused" => Some(Stage::Fused),
        "loops" => Some(Stage::Loops),
        "memory" => Some(Stage::Memory),
        "asm" => Some(Stage::Asm),
        "ptx" => Some(Stage::Ptx),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Command, String> {
        parse(std::iter::once("whorl").chain(text.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn settings_and_options() {
        let Ok(Command::Run(run)) = parsed("run a.whorl --seeds 16 --set ppo.lr=1e-3 --seed 3 --json --no-checks")
        else {
            panic!("not a run");
        };
        let expected = [("seeds", "16"), ("ppo.lr", "1e-3")].map(|(a, b)| (a.to_string(), b.to_string()));
        assert_eq!((run.job.seed, run.how.json, run.job.script.settings), (3, true, expected.to_vec()));
        assert_eq!(run.job.checks, Checks { index: false, nan: false });
        let Ok(Command::Resume(resume)) = parsed("resume runs/a --threads 3 --checkpoint-every 0.5 --keep 2") else {
            panic!("not a resume");
        };
        assert_eq!((resume.how.threads, resume.how.keep), (3, Some(2)));
        assert_eq!(resume.how.checkpoint_every, Duration::from_millis(500));
        let Ok(Command::Test(test)) = parsed("test std --trap-nan") else { panic!("not a test") };
        assert_eq!(test.trials.checks, Checks { index: true, nan: true });
    }

    #[test]
    fn mistakes_are_answered() {
        for (line, part) in [
            ("fly a.whorl", "there is no command `fly`"),
            ("run", "which file?"),
            ("eval", "which run?"),
            ("eval r --runs 0,x", "as in --runs 0,3"),
            ("eval r --runs 2,2", "run 2 is there twice"),
            ("eval r --episodes 0", "at least one episode"),
            ("eval r --scale 0", "1 to 32 pixels"),
            ("eval r --fps -1", "frames a second"),
            ("run a b", "takes one file"),
            ("run a --threads 0", "at least one thread"),
            ("run a --set x", "write --set name=value"),
            ("show a --stage x", "--stage x"),
            ("run a --seed x", "x"),
            ("explain E0301 E0302", "one code"),
            ("resume", "which run?"),
            ("resume a b", "one run folder"),
            ("resume a --lr 3", "--lr"),
            ("run a --keep 0", "always kept"),
            ("run a --checkpoint-every soon", "write seconds"),
            ("run a --checkpoint-every -1", "write seconds"),
        ] {
            let message = parsed(line).err().unwrap_or_default();
            assert!(message.contains(part), "{line}: {message}");
        }
        assert!(matches!(parsed("run --help"), Ok(Command::Help(_))));
    }
}
