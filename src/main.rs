//! Entry of the program: passes the arguments to the library, and its exit code to the operating system.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Allocator for memory that one thread allocates and another frees, a hundred times a row: with that of the C library the threads
/// wait for each other.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    ExitCode::from(cutover::program::main(std::env::args_os()).code())
}
