//! The session at a terminal, with editing, history and completion; and without one, line by line.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::{DefaultHistory, History};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::commands::{Desk, Flow, Said, cut};
use super::completion;
use super::session::Session;
use crate::args;

/// Lines that are remembered between sessions.
const HISTORY: usize = 2000;

pub fn repl(options: &args::Repl) -> Result<ExitCode, String> {
    let session = Session::new(options.file.as_deref(), &options.settings)?;
    let desk = Desk { session, width: width() };
    if std::io::stdin().is_terminal() { at_terminal(desk, options) } else { piped(desk) }
}

/// Statements from a pipe or a file: results and nothing else on standard output. It goes on behind an error.
fn piped(mut desk: Desk) -> Result<ExitCode, String> {
    let mut code = ExitCode::SUCCESS;
    let mut say = |said| match said {
        Said::Result(text) => say!("{text}"),
        Said::Note(text) => eprintln!("{text}"),
        Said::Error(text) => {
            eprintln!("{text}");
            code = ExitCode::FAILURE;
        }
    };
    let mut text = String::new();
    let mut lines = std::io::stdin().lock().lines().peekable();
    while let Some(line) = lines.next() {
        text += &line.map_err(|e| format!("error: standard input: {e}"))?;
        text.push('\n');
        let next = lines.peek().and_then(|l| l.as_ref().ok());
        if next.is_some_and(|next| goes_on(&text, next)) {
            continue;
        }
        if desk.enter(&std::mem::take(&mut text), &mut say) == Flow::Quit {
            break;
        }
    }
    Ok(code)
}

/// Whether the next line belongs to this text: because the text is incomplete, or the line begins with an operator or `else`.
fn goes_on(text: &str, next: &str) -> bool {
    if text.trim_start().starts_with(':') || text.trim().is_empty() {
        return false;
    }
    if whorl_syntax::is_incomplete(text) {
        return true;
    }
    if text.ends_with("\n\n") || next.trim().is_empty() || next.trim_start().starts_with([':', '/']) {
        return false;
    }
    let file = whorl_source::FileId(0);
    let entries = |text: &str| whorl_syntax::parse_entries(file, text).0;
    let (alone, both) = (entries(text), entries(&format!("{text}{next}")));
    let last_end = |e: &[whorl_syntax::Entry]| e.last().map_or(0, |e| e.span.end as usize);
    alone.len() == both.len() && last_end(&both) > text.len()
}

fn at_terminal(desk: Desk, options: &args::Repl) -> Result<ExitCode, String> {
    let failed = |e: ReadlineError| format!("error: the terminal: {e}");
    let config = Config::builder().completion_type(CompletionType::List).auto_add_history(false);
    let config = config.max_history_size(HISTORY).map_err(failed)?.build();
    let mut editor: Editor<Typing, DefaultHistory> = Editor::with_config(config).map_err(failed)?;
    let stop = desk.session.stop.clone();
    // While something runs Ctrl-C is a signal; while something is typed it is a key.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGINT, stop.clone());
    let desk = Rc::new(RefCell::new(desk));
    editor.set_helper(Some(Typing { desk: desk.clone() }));
    let history = history_file();
    if let Some(path) = &history {
        // There is none at first.
        let _ = editor.load_history(path);
    }
    let about = options.file.as_ref().map_or(String::new(), |f| format!(" on {}", f.display()));
    say!("Whorl {}{about}; :help tells more, Ctrl-D leaves", env!("CARGO_PKG_VERSION"));
    let interrupted = stop.clone();
    let mut say = |said| match said {
        Said::Result(text) | Said::Note(text) => say!("{text}"),
        // Out of the line in which the terminal shows `^C`.
        Said::Error(text) if interrupted.load(Ordering::Relaxed) => say!("\n{text}"),
        Said::Error(text) => say!("{text}"),
    };
    loop {
        let prompt = format!("[{}] ", desk.borrow().session.count + 1);
        match editor.readline(&prompt) {
            Ok(text) => {
                if !text.trim().is_empty() {
                    let _ = editor.add_history_entry(text.trim_end());
                    if let Some(path) = &history {
                        save(&mut editor, path);
                    }
                }
                stop.store(false, Ordering::Relaxed);
                let mut desk = desk.borrow_mut();
                desk.width = width();
                if desk.enter(&text, &mut say) == Flow::Quit {
                    break;
                }
            }
            // Ctrl-C drops what was typed.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the history; a session goes on without.
fn save(editor: &mut Editor<Typing, DefaultHistory>, path: &std::path::Path) {
    if editor.history_mut().append(path).is_err() {
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = editor.history_mut().save(path);
    }
}

/// Where typed lines are remembered: in the user's data folder.
fn history_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data.join("whorl/history"))
}

/// Characters in a line of the terminal.
fn width() -> usize {
    terminal_size::terminal_size().map_or(100, |(w, _)| usize::from(w.0))
}

/// What the editor asks while something is typed.
struct Typing {
    desk: Rc<RefCell<Desk>>,
}

impl Helper for Typing {}

impl Validator for Typing {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let command = text.trim_start().starts_with(':');
        Ok(match !command && whorl_syntax::is_incomplete(text) {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

impl Completer for Typing {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context) -> rustyline::Result<(usize, Vec<Pair>)> {
        let mut desk = self.desk.borrow_mut();
        let (start, found) = completion::complete(&mut desk.session, line, at);
        let (several, room) = (found.len() > 1, width().saturating_sub(4));
        let wide = found.iter().map(|c| c.text.chars().count()).max().unwrap_or(0);
        let pair = |c: completion::Candidate| {
            let told = several && !c.about.is_empty();
            let display = if told { cut(&format!("{:wide$}  {}", c.text, c.about), room) } else { c.text.clone() };
            Pair { display, replacement: c.text }
        };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

impl Hinter for Typing {
    type Hint = String;

    fn hint(&self, line: &str, at: usize, _: &Context) -> Option<String> {
        let text = line.get(..at)?;
        if at < line.len() {
            return None;
        }
        // A hint keeps to the line.
        let used = text.lines().next_back().unwrap_or("").chars().count() + 8;
        let room = width().checked_sub(used).filter(|room| *room >= 12)?;
        completion::hint(text).map(|h| cut(&h, room))
    }
}

impl Highlighter for Typing {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }
}
