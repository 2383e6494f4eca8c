//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::pipeline::Checks;
use crate::test::Trials;

/// What the user asked for.
pub enum Command {
    Help(String),
    Run(Run),
    Check(Script),
    Test(Test),
    Show(Show),
    Fmt(Fmt),
    /// A code, or all of them.
    Explain(Option<String>),
}

/// A script, and the settings of its params and sizes: `("ppo.lr", "1e-3")`.
#[derive(Default)]
pub struct Script {
    pub file: PathBuf,
    pub settings: Vec<(String, String)>,
}

pub struct Run {
    pub script: Script,
    pub seed: u32,
    pub threads: usize,
    pub out: Option<PathBuf>,
    pub json: bool,
    pub quiet: bool,
    pub checks: Checks,
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
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Tree,
    Core,
    Fused,
    Loops,
    Asm,
}

const HELP: &str = "\
Whorl: a functional array language for reinforcement learning, compiled whole.

  whorl run FILE      compile the script and run its `main`
  whorl check FILE    errors, types, schedule and memory, without running
  whorl test PATH…    run the tests, properties and examples of scripts, or of all in a folder (`whorl test std`: the library's)
  whorl fmt PATH…     put scripts, or all in a folder, into the standard style (--check: only say which are not)
  whorl show FILE --stage tree|core|fused|loops|asm
  whorl explain CODE  what an error means and how to mend it; without CODE, a line for each

Options of run
  --seed S            the key that `main` gets is key(S); 0 unless given
  --threads N         threads; all cores unless given
  --out DIR           the run folder; runs/<script>-<time> unless given
  --json              one JSON object a line on standard output
  --quiet             no progress

Options of run and test
  --trap-nan          stop at the first NaN or infinity that an operation makes of finite numbers
  --no-checks         do not look whether indices are in range

Options of run, check and show
  --NAME VALUE        sets a param or size of the script itself, as in --seeds 16
  --set MODULE.NAME=VALUE   one of an imported module, as in --set ppo.lr=1e-3

Options of test
  --filter TEXT       only tests whose name contains TEXT
  --cases N           cases of each property; 100 unless given
  --seed S            what properties draw; 0 unless given
";

/// Reads the command line; an error is a sentence.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = lexopt::Parser::from_iter(args);
    let say = |e: lexopt::Error| format!("{e}; `whorl --help` lists what there is");
    let command = match parser.next().map_err(say)? {
        None | Some(Short('h')) | Some(Long("help")) => return Ok(Command::Help(HELP.to_string())),
        Some(Short('V')) | Some(Long("version")) => {
            return Ok(Command::Help(format!("whorl {}\n", env!("CARGO_PKG_VERSION"))));
        }
        Some(Value(v)) => v.to_string_lossy().into_owned(),
        Some(other) => return Err(say(other.unexpected())),
    };
    match command.as_str() {
        "run" | "check" | "test" | "show" | "fmt" | "explain" => rest(&command, parser).map_err(|e| match e {
            Problem::Asked => String::new(),
            Problem::Wrong(text) => text,
        }),
        other => Err(format!("there is no command `{other}`; there are run, check, test, show, fmt and explain")),
    }
    .or_else(|message| if message.is_empty() { Ok(Command::Help(HELP.to_string())) } else { Err(message) })
}

enum Problem {
    /// `--help` behind a command.
    Asked,
    Wrong(String),
}

impl From<lexopt::Error> for Problem {
    fn from(e: lexopt::Error) -> Problem {
        Problem::Wrong(format!("{e}; `whorl --help` lists what there is"))
    }
}

fn rest(command: &str, mut parser: lexopt::Parser) -> Result<Command, Problem> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut files: Vec<PathBuf> = Vec::new();
    let mut settings = Vec::new();
    let (mut seed, mut threads, mut out, mut json, mut quiet) = (0, cores, None, false, false);
    let (mut stage, mut filter, mut only_check) = (None, None, false);
    let mut trials = Trials::default();
    let mut checks = Checks::default();
    while let Some(arg) = parser.next()? {
        match (command, arg) {
            (_, Short('h') | Long("help")) => return Err(Problem::Asked),
            (_, Value(v)) => files.push(v.into()),
            ("run", Long("seed")) => seed = parser.value()?.parse()?,
            ("run", Long("threads")) => threads = parser.value()?.parse()?,
            ("run", Long("out")) => out = Some(parser.value()?.into()),
            ("run", Long("json")) => json = true,
            ("run", Long("quiet")) => quiet = true,
            ("test", Long("cases")) => trials.cases = parser.value()?.parse()?,
            ("test", Long("seed")) => trials.seed = parser.value()?.parse()?,
            ("run" | "test", Long("trap-nan")) => checks.nan = true,
            ("run" | "test", Long("no-checks")) => checks.index = false,
            ("fmt", Long("check")) => only_check = true,
            ("test", Long("filter")) => filter = Some(parser.value()?.string()?),
            ("show", Long("stage")) => stage = Some(parse_stage(&parser.value()?.string()?)?),
            ("run" | "check" | "show", Long("set")) => {
                let text = parser.value()?.string()?;
                let Some((name, value)) = text.split_once('=') else {
                    return Err(Problem::Wrong(format!("--set {text}: write --set name=value")));
                };
                settings.push((name.trim().to_string(), value.trim().to_string()));
            }
            ("run" | "check" | "show", Long(name)) => {
                let name = name.replace('-', "_");
                settings.push((name, parser.value()?.string()?));
            }
            (_, other) => return Err(other.unexpected().into()),
        }
    }
    if trials.cases == 0 {
        return Err(Problem::Wrong("--cases 0: at least one case is needed".into()));
    }
    if threads == 0 {
        return Err(Problem::Wrong("--threads 0: at least one thread is needed".into()));
    }
    if command == "fmt" {
        if files.is_empty() {
            return Err(Problem::Wrong("whorl fmt: which files? `whorl fmt .` is all here".into()));
        }
        return Ok(Command::Fmt(Fmt { files, check: only_check }));
    }
    if command == "test" {
        if files.is_empty() {
            return Err(Problem::Wrong("whorl test: which file? `whorl test std` is the standard library".into()));
        }
        return Ok(Command::Test(Test { files, filter, trials: Trials { checks, ..trials } }));
    }
    if command == "explain" {
        if files.len() > 1 {
            return Err(Problem::Wrong(format!("whorl explain takes one code, not {}", files.len())));
        }
        return Ok(Command::Explain(files.pop().map(|f| f.display().to_string())));
    }
    let file = match files.len() {
        1 => files.remove(0),
        0 => return Err(Problem::Wrong(format!("whorl {command}: which file?"))),
        _ => return Err(Problem::Wrong(format!("whorl {command} takes one file, not {}", files.len()))),
    };
    let script = Script { file, settings };
    Ok(match command {
        "run" => Command::Run(Run { script, seed, threads, out, json, quiet, checks }),
        "check" => Command::Check(script),
        _ => Command::Show(Show { script, stage: stage.unwrap_or(Stage::Core) }),
    })
}

fn parse_stage(text: &str) -> Result<Stage, Problem> {
    match text {
        "tree" => Ok(Stage::Tree),
        "core" => Ok(Stage::Core),
        "fused" => Ok(Stage::Fused),
        "loops" => Ok(Stage::Loops),
        "asm" => Ok(Stage::Asm),
        other => Err(Problem::Wrong(format!("--stage {other}: there are tree, core, fused, loops and asm"))),
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
        assert_eq!((run.seed, run.json, run.script.settings), (3, true, expected.to_vec()));
        assert_eq!(run.checks, Checks { index: false, nan: false });
        let Ok(Command::Test(test)) = parsed("test std --trap-nan") else { panic!("not a test") };
        assert_eq!(test.trials.checks, Checks { index: true, nan: true });
    }

    #[test]
    fn mistakes_are_answered() {
        for (line, part) in [
            ("fly a.whorl", "there is no command `fly`"),
            ("run", "which file?"),
            ("run a b", "takes one file"),
            ("run a --threads 0", "at least one thread"),
            ("run a --set x", "write --set name=value"),
            ("show a --stage x", "--stage x"),
            ("run a --seed x", "x"),
            ("explain E0301 E0302", "one code"),
        ] {
            let message = parsed(line).err().unwrap_or_default();
            assert!(message.contains(part), "{line}: {message}");
        }
        assert!(matches!(parsed("run --help"), Ok(Command::Help(_))));
    }
}
