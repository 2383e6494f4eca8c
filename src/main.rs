//! `whorl`: the command-line tool. One file a subcommand.

mod args;
mod check;
mod engine;
mod pipeline;
mod run;
mod show;
mod standard_library;
mod test;

use std::process::ExitCode;

use args::Command;

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
            print!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(options) => run::run(&options),
        Command::Check(options) => check::check(&options),
        Command::Test(options) => test::test(&options),
        Command::Show(options) => show::show(&options),
    };
    done.unwrap_or_else(|message| {
        eprintln!("{}", message.trim_end());
        ExitCode::FAILURE
    })
}
