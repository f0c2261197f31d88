//! Table `hooks` of a plan file: commands around its run and its waves.

use super::sections::Section;
use crate::values::duration;
use crate::waves::hooks::{Hook, PlanHook, PlanHooks};

/// Reads the table. Files that the commands name are added by whoever knows the plan's folder.
pub(super) fn read(plan: &mut Section<'_>) -> PlanHooks {
    let mut hooks = PlanHooks::default();
    let Some(mut table) = plan.section("hooks") else { return hooks };
    for hook in Hook::ALL {
        match table.text(hook.name()) {
            Some(command) if command.trim().is_empty() => {
                table.complain_of(hook.name(), format!("`{hook}` is empty: leave it out"));
            }
            Some(command) if command.contains('\0') => {
                table.complain_of(hook.name(), format!("`{hook}` has a null character in it"));
            }
            Some(command) => _ = hooks.commands.insert(hook, PlanHook { command, ..PlanHook::default() }),
            None => (),
        }
    }
    hooks.timeout_s = table.read("timeout", duration).map(|timeout| timeout.as_secs().max(1));
    table.finish();
    hooks
}
