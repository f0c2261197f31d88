//! `audit verify`, `audit export`, `audit sign` and `audit checker`: checks for an auditor, and evidence to take along.

use verify::against::Against;

use crate::exit::Exit;
use crate::settings::flags::verbs::AuditVerb;
use crate::verb::context::Context;
use crate::verb::error::CommandError;

mod checker;
pub(in crate::commands) mod export;
mod sign;
mod telling;
pub(in crate::commands) mod verify;

pub(super) fn audit(context: &Context, verb: AuditVerb) -> Result<Exit, CommandError> {
    match verb {
        AuditVerb::Verify { run, anchor, signature, head, signer, bundle, archive } => {
            let (anchor, signature, signer) = (anchor.as_ref(), signature.as_deref(), signer.as_deref());
            let against = Against { anchor, signature, head: head.as_deref(), archives: archive.as_deref(), signer };
            match bundle {
                Some(bundle) => verify::bundle::verify_bundle(context, &bundle, run.run.as_deref(), &against),
                None => verify::verify(context, run.run.as_deref(), &against),
            }
        }
        AuditVerb::Export { run, output, key, all_runs } => {
            let (run, key) = (run.run.as_deref(), key.as_deref());
            export::export(context, &export::Exported { run, all_runs, output: &output, key })
        }
        AuditVerb::Checker => checker::checker(),
        AuditVerb::Sign { run, key, output, force } => {
            sign::sign(context, run.run.as_deref(), &key, output.as_deref(), force)
        }
    }
}
