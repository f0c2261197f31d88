//! Hands the arguments to the library, and its verdict to the operating system.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cutover::commands::main(std::env::args_os()).code())
}
