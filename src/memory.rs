//! Who may see what is in the memory of this process: tokens and keys, among others.
//!
//! What is held of them is zeroed when it is let go of (`transport::secrets`, `credentials`). The environment that they came in
//! stays what it is while the process lives, and what left goes through buffers of libraries; so nobody gets a copy of it all.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Leaves no core dump behind, and lets no other process of the same user read the memory. (Debuggers and `perf` need root
/// then.) Programs that are started here have no core dumps either.
pub(crate) fn keep_to_ourselves() {
    // The limit keeps files from being written; the other keeps it from those to whom the kernel pipes a dump, whatever the
    // limit. Lowering a limit and giving this up is always allowed. sources: setrlimit(2), core(5), PR_SET_DUMPABLE(2const)
    _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
