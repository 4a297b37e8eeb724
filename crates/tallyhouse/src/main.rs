//! The `tallyhouse` program.

use std::process::ExitCode;

use clap::Parser;
use tallyhouse::{cli::Cli, commands, output::Output};

fn main() -> ExitCode {
    commands::run(Cli::parse(), Output)
}
