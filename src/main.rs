//! Hands the arguments to the library, and its verdict to the operating system.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// What one thread takes another gives back, a hundred times a row: with the C library's allocator they wait for each other.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    ExitCode::from(cutover::program::main(std::env::args_os()).code())
}
