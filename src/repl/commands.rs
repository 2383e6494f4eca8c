//! What is done with a line of a session: `:commands`, and everything else.

use std::path::Path;
use std::time::Duration;

use whorl_trace::{Input, NameKind, Named, nearest, prelude};

use super::print;
use super::session::{Answer, Session};
use crate::args::{self, Stage};
use crate::pipeline::Source;

/// A command: its name, what it takes, and what it does.
pub struct Command {
    pub name: &'static str,
    pub takes: &'static str,
    pub about: &'static str,
}

pub const COMMANDS: &[Command] = &[
    Command { name: "type", takes: "EXPR", about: "its type, without running it" },
    Command {
        name: "show",
        takes: "EXPR [STAGE]",
        about: "its program after a stage: core (unless said), fused, loops, asm, ptx",
    },
    Command { name: "time", takes: "EXPR", about: "its value, and how long it took to compile and run" },
    Command { name: "doc", takes: "NAME", about: "what a function, type or param is" },
    Command { name: "names", takes: "", about: "what is defined" },
    Command { name: "set", takes: "NAME VALUE", about: "sets a param or size" },
    Command { name: "test", takes: "", about: "runs all tests of the session" },
    Command { name: "load", takes: "FILE", about: "starts again from a file" },
    Command { name: "reload", takes: "", about: "reads the file, its modules and data again; what was typed stays" },
    Command { name: "reset", takes: "", about: "forgets everything" },
    Command { name: "help", takes: "", about: "this" },
    Command { name: "quit", takes: "", about: "leaves, as Ctrl-D does" },
];

const HELP: &str = "\
An expression is compiled, run and shown; `it` is the last value. Definitions (`let`, `fn`, `param`, `size`, `type`, `enum`, `import`,
`data`, `test`, `prop`) join the session, and replace what had their name. The value of a `let` is computed once. An open bracket goes on
in the next line; Ctrl-C drops what is typed, or stops what runs.
";

/// Something to show.
pub enum Said {
    /// What was asked for.
    Result(String),
    /// What else there is to know.
    Note(String),
    Error(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    On,
    Quit,
}

/// A session and how it is shown.
pub struct Desk {
    pub session: Session,
    /// Characters in a line.
    pub width: usize,
}

type Done = Result<(), String>;

impl Desk {
    /// Does what was typed, a command or a piece of a script.
    pub fn enter(&mut self, text: &str, say: &mut dyn FnMut(Said)) -> Flow {
        let typed = text.trim();
        let done = match typed.strip_prefix(':') {
            Some("quit" | "q" | "exit") => return Flow::Quit,
            Some(command) => self.command(command, say),
            None if typed.is_empty() => Ok(()),
            None => {
                let width = self.width;
                self.session.enter(text, &mut |answer| show(answer, width, false, say))
            }
        };
        if let Err(text) = done {
            say(Said::Error(text.trim_end().to_string()));
        }
        Flow::On
    }

    fn command(&mut self, line: &str, say: &mut dyn FnMut(Said)) -> Done {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let needs = |what: &str| match rest {
            "" => Err(format!("error: `:{name}` needs {what}")),
            given => Ok(given),
        };
        match name {
            "type" | "t" => {
                let (input, _) = self.session.traced(needs("an expression: `:type sqrt(2.0)`")?)?;
                say(Said::Result(input.outline.type_text()));
            }
            "show" => {
                let (text, stage) = stage_of(needs("an expression: `:show sum(arange(4)) loops`")?);
                let (input, source) = self.session.traced(text)?;
                say(Said::Result(stage_text(input, &source, stage)?));
            }
            "time" => {
                let answer = self.session.evaluate(needs("an expression: `:time sum(arange(4))`")?)?;
                show(answer, self.width, true, say);
            }
            "doc" => say(Said::Result(self.doc(needs("a name: `:doc softmax`")?)?)),
            "names" => say(Said::Result(self.names())),
            "set" => {
                let given = needs("a name and a value: `:set lr 0.1`")?;
                let Some((knob, value)) = given.split_once([' ', '=']) else {
                    return Err(format!("error: `:set {given}` needs a value: `:set {given} 0.1`"));
                };
                self.session.set(knob.trim(), value.trim_matches([' ', '=']))?;
            }
            "test" => {
                let answer = self.session.test_all()?;
                show(answer, self.width, false, say);
            }
            "load" | "l" => self.session.load(Path::new(needs("a file: `:load script.whorl`")?), &[])?,
            "reload" | "r" => self.session.reload()?,
            "reset" => self.session.reset()?,
            "help" | "h" | "?" => say(Said::Result(help())),
            other => {
                let known = nearest(other, COMMANDS.iter().map(|c| c.name));
                let help = known.map_or("`:help` lists what there is".to_string(), |n| format!("did you mean `:{n}`?"));
                return Err(format!("error: there is no command `:{other}`; {help}"));
            }
        }
        Ok(())
    }

    /// What is defined, a line each, with its value, type or head.
    fn names(&self) -> String {
        let names = self.session.names();
        if names.is_empty() {
            return "nothing is defined yet".to_string();
        }
        let knobs = self.session.script().knobs();
        let wide = names.iter().map(|n| n.name.chars().count()).max().unwrap_or(0).min(24);
        let line = |n: &Named| {
            let room = self.width.saturating_sub(wide + 2).max(20);
            let text = match (n.kind, self.session.value(&n.name)) {
                (NameKind::Value, Some(kept)) => print::in_short(kept, room),
                (NameKind::Knob, _) => match knobs.iter().find(|k| k.name == n.name) {
                    Some(k) => format!("{}, now {}", n.text, k.value),
                    None => n.text.clone(),
                },
                (NameKind::Module, _) => format!("the module {}", n.text),
                (NameKind::Value | NameKind::Function | NameKind::Type, _) => n.text.clone(),
            };
            format!("{:wide$}  {}", n.name, cut(&text, room))
        };
        names.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn doc(&self, name: &str) -> Result<String, String> {
        let path: Vec<&str> = name.split('.').collect();
        let (last, of) = path.split_last().expect("a name has a last part");
        let members = if of.is_empty() { Some(self.session.names()) } else { self.session.script().members(of) };
        let found = members.as_ref().and_then(|all| all.iter().find(|n| n.name == *last));
        if let Some(n) = found {
            let doc = if n.doc.is_empty() { "it has no comment" } else { n.doc.trim() };
            return Ok(format!("{}\n{doc}", n.text));
        }
        if let (Some(b), true) = (prelude().find(|b| b.name == name), of.is_empty()) {
            let example = b.example.map_or(String::new(), |e| format!("\n\n{}", e.trim_end()));
            return Ok(format!("{}({})\n{}{example}", b.name, b.params.join(", ").replace('*', "…"), b.doc));
        }
        let known: Vec<String> = members.unwrap_or_default().into_iter().map(|n| n.name).collect();
        let builtins = prelude().map(|b| b.name).filter(|_| of.is_empty());
        let near = nearest(last, known.iter().map(String::as_str).chain(builtins));
        let help = near.map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        Err(format!("error: there is no `{name}` here{help}"))
    }
}

fn show(answer: Answer, width: usize, timed: bool, say: &mut dyn FnMut(Said)) {
    answer.notes.into_iter().for_each(|note| say(Said::Note(note.trim_end().to_string())));
    if let Some(kept) = &answer.value {
        say(Said::Result(print::value(kept, width)));
    }
    if let Some(said) = answer.said {
        say(Said::Result(said));
    }
    if let (true, Some(t)) = (timed, answer.times) {
        let ms = |d: Duration| {
            let ms = d.as_secs_f64() * 1e3;
            if ms < 10_000.0 { format!("{ms:.1} ms") } else { format!("{:.1} s", ms / 1e3) }
        };
        say(Said::Note(format!("traced in {}, compiled in {}, run in {}", ms(t.trace), ms(t.compile), ms(t.run))));
    }
}

/// An expression, and the stage whose name is its last word.
fn stage_of(text: &str) -> (&str, Stage) {
    if let Some((front, last)) = text.rsplit_once(char::is_whitespace)
        && let Some(stage) = args::stage(last)
    {
        return (front.trim(), stage);
    }
    (text, Stage::Core)
}

fn stage_text(input: Input, source: &Source, stage: Stage) -> Result<String, String> {
    let text = match stage {
        Stage::Tree => {
            let (file, part) = source.map.files().last().expect("what was typed is a file");
            whorl_syntax::parse(file, &part.text).tree.outline()
        }
        Stage::Grad => return Err("error: derivatives are shown of a script: whorl show FILE --stage grad".to_string()),
        Stage::Core | Stage::Fused | Stage::Loops | Stage::Memory | Stage::Asm | Stage::Ptx => {
            crate::show::text(input.traced.program, stage, &source.map)?
        }
    };
    Ok(text.trim_end().to_string())
}

fn help() -> String {
    let line = |c: &Command| format!("  :{:18}{}", format!("{} {}", c.name, c.takes).trim_end(), c.about);
    format!("{HELP}\n{}", COMMANDS.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// The text in so many characters.
pub fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_string();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}
