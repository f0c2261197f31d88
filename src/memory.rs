//! Protection of this process's memory, which holds tokens and keys.
//!
//! Copies that we hold are zeroed when they are dropped (`transport::secrets`, `credentials`). The environment that they came in
//! cannot be zeroed, nor can the buffers of libraries that they pass through; so nobody may copy the whole memory.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Disables core dumps, and access of other processes of the same user to the memory. (Debuggers and `perf` then need root.)
/// Programs that are started from here make no core dumps either.
pub(crate) fn keep_to_ourselves() {
    // The limit prevents dumps to files; the other call also those that the kernel pipes to a program in spite of the limit. Both
    // are always permitted. sources: setrlimit(2), core(5), PR_SET_DUMPABLE(2const)
    _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
