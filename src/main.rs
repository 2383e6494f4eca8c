//! `whorl`: the command-line tool.

use std::process::ExitCode;

use whorl::args::{self, Command};

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let done = match command {
        Command::Help(text) => {
            whorl::put(text);
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(options) => whorl::run::run(&options),
        Command::Resume(options) => whorl::resume::resume(&options),
        Command::Repeat(options) => whorl::repeat::repeat(&options),
        Command::Runs(options) => whorl::runs::runs(&options),
        Command::Eval(options) => whorl::eval::eval(&options),
        Command::Check(options) => whorl::check::check(&options),
        Command::Test(options) => whorl::test::test(&options),
        Command::Show(options) => whorl::show::show(&options),
        Command::Profile(options) => whorl::profile::profile(&options),
        Command::Bench(options) => whorl::bench::bench(&options),
        Command::Fmt(options) => whorl::fmt::fmt(&options),
        Command::Repl(options) => whorl::repl::repl(&options),
        Command::Watch(options) => whorl::watch::watch(&options),
        Command::Cache { clear } => whorl::cache::tell(&whorl::cache::Cache::of_user(), clear),
        Command::Devices { json } => whorl::devices::devices(json),
        Command::Explain(code) => whorl::explain::explain(code.as_deref()),
    };
    done.unwrap_or_else(|message| {
        eprintln!("{}", message.trim_end());
        if let Some(hint) = whorl::explain::hint(&message) {
            eprintln!("\n{hint}");
        }
        ExitCode::FAILURE
    })
}
