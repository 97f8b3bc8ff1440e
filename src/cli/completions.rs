//! `portcullis completions` and `portcullis man`: made from the definitions of
//! the commands, so that they can't fall behind.

use super::output;
use clap::{Args, CommandFactory};
use std::process::ExitCode;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut script = Vec::new();
    let mut command = super::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "portcullis", &mut script);
    output::finish(output::raw(&script), ExitCode::SUCCESS)
}

pub(super) fn man() -> ExitCode {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(super::Arguments::command()).render(&mut page);
    output::finish(
        rendered.and_then(|()| output::raw(&page)),
        ExitCode::SUCCESS,
    )
}
