//! Classes of error codes in one table: who is at fault, and so what to do next.
//!
//! The meaning of a code is the vendor's; the class is our reading of it, with an eye on one question: would the
//! same request, sent again for this row or for another, fare better?

use super::quota;
use crate::event::outcome::Outcome;

/// Party or thing at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The request is wrong and stays wrong.
    Perm,
    /// The server is not in a state that allows it.
    State,
    /// Something that the request names does not exist.
    Missing,
    /// Our credentials are accepted, and do not allow this.
    Deny,
    /// Our credentials are not accepted, or no longer.
    Auth,
    /// Temporary fault that may pass by itself.
    Trans,
    /// The account as a whole is at fault.
    Acct,
    /// The gateway lets nobody of this account, project or address through.
    Barred,
    /// Over the quota.
    Throttle,
    /// Fault of the agent on the source server; taken as about the row, if it is ever an answer to us.
    Agent,
    /// One code for many causes: the status decides.
    ByStatus,
}

/// Returns the class of a code by the table; a code that it does not have goes by its status.
pub(crate) fn class(code: &str) -> Class {
    let row = match gateway_number(code) {
        Some(number) => GATEWAY.iter().find(|row| row.0 == number),
        None => SERVICE.iter().find(|row| row.0.eq_ignore_ascii_case(code)),
    };
    row.map_or(Class::ByStatus, |row| row.1)
}

/// Returns the throttling that an answer reports whose status leaves in doubt whether its request was handled.
pub(crate) fn throttled_in_doubt(outcome: &Outcome) -> Option<Outcome> {
    let Outcome::Lost { code: Some(code), cause, .. } = outcome else { return None };
    (class(code) == Class::Throttle).then(|| Outcome::Throttled {
        status: outcome.status(),
        retry_after_ms: None,
        quota: quota::stated(cause),
        message: cause.clone(),
    })
}

/// Tells whether a code that comes with 401 means that the request was wrong: method, size, content type, source exists.
///
/// source: intl/zh-cn/ae-ad-1-api-sms/sms_api_0047.html
pub(crate) fn is_of_the_request_with_401(code: &str) -> bool {
    const CODES: [&str; 5] = ["SMS.2003", "SMS.2004", "SMS.2005", "SMS.2006", "SMS.2013"];
    CODES.iter().any(|known| known.eq_ignore_ascii_case(code))
}

/// Returns the number in a code of the API gateway. `APIG.` is the older spelling of `APIGW.`, with the same numbers.
///
/// source: devg-apisign/api-sign-errorcode.html; apig error-code page.
pub(crate) fn gateway_number(code: &str) -> Option<&str> {
    let (prefix, number) = code.split_once('.')?;
    (prefix.eq_ignore_ascii_case("APIGW") || prefix.eq_ignore_ascii_case("APIG")).then_some(number)
}

/// Current table of the vendor, where it can be read.
const CURRENT: &str = "CN and intl api-sms/ErrorCode.html";
/// Chapter 16 of the FAQs: codes that an agent shows, mostly without a status.
const FAQ: &str = "SMS FAQs PDF Issue 70, chapter 16";
/// Tables of 2020 and 2022, still online.
const HISTORICAL: &str = "intl/zh-cn/ae-ad-1-api-sms/sms_api_0047.html; huaweicloudDocs/sms";
const SIGNING_GUIDE: &str = "intl/en-us/devg-apisign/api-sign-errorcode.html";

/// Codes of the migration service: code, class, public source.
const SERVICE: &[(&str, Class, &str)] = &[
    // parameters invalid
    ("SMS.9001", Class::Perm, CURRENT),
    // no permission
    ("SMS.9004", Class::Deny, CURRENT),
    // fine-grained permission missing
    ("SMS.0204", Class::Deny, CURRENT),
    // access key wrong, disabled or deleted
    ("SMS.0202", Class::Auth, FAQ),
    // clock or time zone wrong: no signature will pass
    ("SMS.0205", Class::Auth, FAQ),
    // temporary credential expired or unreadable
    ("SMS.0219", Class::Auth, FAQ),
    // quota exhausted, or account frozen, suspended or restricted
    ("SMS.6526", Class::Acct, FAQ),
    // real-name authentication needed before these APIs may be called
    ("SMS.6528", Class::Acct, FAQ),
    // database read or write failed
    ("SMS.6301", Class::Trans, CURRENT),
    // network busy; gateway timed out; privacy statement could not be sent
    ("SMS.0201", Class::Trans, CURRENT),
    ("SMS.0203", Class::Trans, FAQ),
    ("SMS.0208", Class::Trans, FAQ),
    // body is not JSON
    ("SMS.6010", Class::Perm, CURRENT),
    // The source server's state does not meet the requirements: one of these five, the exact number cannot be read.
    ("SMS.6001", Class::State, CURRENT),
    ("SMS.6002", Class::State, CURRENT),
    ("SMS.6003", Class::State, CURRENT),
    ("SMS.6004", Class::State, CURRENT),
    ("SMS.6005", Class::State, CURRENT),
    // platform, target, `vm_id`, disk or template information malformed; no speed limit
    ("SMS.6006", Class::Perm, CURRENT),
    ("SMS.6031", Class::Perm, CURRENT),
    ("SMS.6032", Class::Perm, CURRENT),
    ("SMS.6033", Class::Perm, CURRENT),
    ("SMS.6102", Class::Perm, CURRENT),
    ("SMS.6302", Class::Perm, CURRENT),
    // agent too old; the FAQ's text and title differ in the number
    ("SMS.6303", Class::Agent, FAQ),
    ("SMS.6306", Class::Agent, FAQ),
    // agent offline
    ("SMS.6603", Class::State, CURRENT),
    // public address
    ("SMS.6602", Class::Perm, CURRENT),
    ("SMS.6562", Class::Perm, CURRENT),
    // template not found; in use
    ("SMS.7101", Class::Missing, CURRENT),
    ("SMS.7111", Class::State, CURRENT),
    // left-over task; no such task; bad task name; source still running; too many projects
    ("SMS.7605", Class::State, CURRENT),
    ("SMS.7703", Class::Missing, CURRENT),
    ("SMS.7711", Class::Perm, CURRENT),
    ("SMS.7719", Class::State, CURRENT),
    ("SMS.8115", Class::Perm, CURRENT),
    // task paused over its speed limit; agent error
    ("SMS.9007", Class::Agent, FAQ),
    ("SMS.0007", Class::Agent, CURRENT),
    // unsupported or incomplete source
    ("SMS.0206", Class::Agent, FAQ),
    ("SMS.0207", Class::Agent, FAQ),
    ("SMS.6504", Class::Agent, FAQ),
    ("SMS.6509", Class::Agent, FAQ),
    ("SMS.6511", Class::Agent, FAQ),
    ("SMS.6517", Class::Agent, FAQ),
    ("SMS.6531", Class::Agent, FAQ),
    ("SMS.6533", Class::Agent, FAQ),
    ("SMS.6537", Class::Agent, FAQ),
    ("SMS.6563", Class::Agent, FAQ),
    ("SMS.6564", Class::Agent, FAQ),
    ("SMS.6616", Class::Agent, FAQ),
    ("SMS.6617", Class::Agent, FAQ),
    // the source reaches no domain, or not the target
    ("SMS.0210", Class::Agent, FAQ),
    ("SMS.0211", Class::Agent, FAQ),
    ("SMS.0303", Class::Agent, FAQ),
    ("SMS.0304", Class::Agent, FAQ),
    ("SMS.1807", Class::Agent, FAQ),
    ("SMS.2802", Class::Agent, FAQ),
    ("SMS.3802", Class::Agent, FAQ),
    ("SMS.3803", Class::Agent, FAQ),
    ("SMS.3804", Class::Agent, FAQ),
    ("SMS.3805", Class::Agent, FAQ),
    ("SMS.3806", Class::Agent, FAQ),
    // agent restarted
    ("SMS.0212", Class::Agent, FAQ),
    ("SMS.1414", Class::Agent, FAQ),
    // network cards unreadable; target server gone; disks changed since the last report
    ("SMS.0410", Class::Agent, FAQ),
    ("SMS.0412", Class::Missing, FAQ),
    ("SMS.0515", Class::Agent, FAQ),
    // target server or disk cannot be created, detached, deleted, repartitioned
    ("SMS.0601", Class::Agent, FAQ),
    ("SMS.1104", Class::Agent, FAQ),
    ("SMS.1105", Class::Agent, FAQ),
    ("SMS.1106", Class::Agent, FAQ),
    ("SMS.1113", Class::Agent, FAQ),
    // agent start-up, snapshots, mounts, tooling
    ("SMS.0609", Class::Agent, FAQ),
    ("SMS.1204", Class::Agent, FAQ),
    ("SMS.1205", Class::Agent, FAQ),
    ("SMS.1351", Class::Agent, FAQ),
    ("SMS.1352", Class::Agent, FAQ),
    ("SMS.1353", Class::Agent, FAQ),
    ("SMS.1402", Class::Agent, FAQ),
    ("SMS.1404", Class::Agent, FAQ),
    ("SMS.1901", Class::Agent, FAQ),
    ("SMS.1902", Class::Agent, FAQ),
    ("SMS.1904", Class::Agent, FAQ),
    ("SMS.3102", Class::Agent, FAQ),
    ("SMS.3205", Class::Agent, FAQ),
    ("SMS.5102", Class::Agent, FAQ),
    ("SMS.5105", Class::Agent, FAQ),
    ("SMS.5108", Class::Agent, FAQ),
    ("SMS.5112", Class::Agent, FAQ),
    ("SMS.5113", Class::Agent, FAQ),
    // copy, sync or the link between the two servers failed
    ("SMS.0805", Class::Agent, FAQ),
    ("SMS.0806", Class::Agent, FAQ),
    ("SMS.0807", Class::Agent, FAQ),
    // no permission
    ("SMS.2002", Class::Deny, HISTORICAL),
    // method, size, content type (two of them), source exists
    ("SMS.2003", Class::Perm, HISTORICAL),
    ("SMS.2004", Class::Perm, HISTORICAL),
    ("SMS.2005", Class::Perm, HISTORICAL),
    ("SMS.2006", Class::Perm, HISTORICAL),
    ("SMS.2013", Class::State, HISTORICAL),
    // backend exception
    ("SMS.2007", Class::Trans, HISTORICAL),
    // command mismatch; task running; system unsupported
    ("SMS.2009", Class::Perm, HISTORICAL),
    ("SMS.2015", Class::State, HISTORICAL),
    ("SMS.2206", Class::Agent, HISTORICAL),
    // no such source; resource is not ours; no task for that source
    (NO_SUCH_SOURCE, Class::Missing, HISTORICAL),
    ("SMS.2248", Class::Deny, HISTORICAL),
    (NO_TASK_FOR_SOURCE, Class::Missing, HISTORICAL),
    // pause, resume and restart only from fitting states
    ("SMS.1038", Class::State, HISTORICAL),
    ("SMS.1039", Class::State, HISTORICAL),
    ("SMS.1040", Class::State, HISTORICAL),
];

pub(crate) const NO_SUCH_SOURCE: &str = "SMS.2216";
pub(crate) const NO_TASK_FOR_SOURCE: &str = "SMS.2252";

/// Codes of the API gateway by their number: number, class, public source.
const GATEWAY: &[(&str, Class, &str)] = &[
    // no such API: wrong host or path; its backend is missing
    ("0101", Class::Perm, SIGNING_GUIDE),
    ("0103", Class::Perm, SIGNING_GUIDE),
    // plug-in, backend or orchestration misconfigured
    ("0104", Class::Perm, SIGNING_GUIDE),
    ("0105", Class::Perm, SIGNING_GUIDE),
    ("0106", Class::Perm, SIGNING_GUIDE),
    // from a bad request (400) to a backend that timed out (504)
    ("0201", Class::ByStatus, SIGNING_GUIDE),
    // TLS protocol or certificate
    ("0204", Class::Perm, SIGNING_GUIDE),
    // wrong credentials, or a key pair locked after too many wrong signatures
    ("0301", Class::Auth, SIGNING_GUIDE),
    // this user is not let through
    ("0302", Class::Barred, SIGNING_GUIDE),
    // App authentication, which this service does not use: if it is ever asked of us, our credentials are at fault.
    ("0303", Class::Auth, SIGNING_GUIDE),
    ("0305", Class::Auth, SIGNING_GUIDE),
    ("0306", Class::Deny, SIGNING_GUIDE),
    // token expired, or of another region
    ("0307", Class::Auth, SIGNING_GUIDE),
    ("0308", Class::Throttle, SIGNING_GUIDE),
    // project unavailable
    ("0310", Class::Barred, SIGNING_GUIDE),
    // not from this address
    ("0401", Class::Barred, SIGNING_GUIDE),
    ("0402", Class::Barred, SIGNING_GUIDE),
    // method or protocol
    ("0501", Class::Perm, SIGNING_GUIDE),
    ("0502", Class::Perm, SIGNING_GUIDE),
    // internal
    ("0601", Class::Trans, SIGNING_GUIDE),
    ("0605", Class::Trans, SIGNING_GUIDE),
    ("0606", Class::Trans, SIGNING_GUIDE),
    ("0705", Class::Trans, SIGNING_GUIDE),
    // bad request line
    ("0602", Class::Perm, SIGNING_GUIDE),
    // the identity service is unavailable
    ("0613", Class::Trans, SIGNING_GUIDE),
    // user barred in this region
    ("0802", Class::Barred, SIGNING_GUIDE),
];

/// Returns every code of the table, in full.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = String> {
    let gateway = GATEWAY.iter().map(|row| format!("APIGW.{}", row.0));
    SERVICE.iter().map(|row| row.0.to_owned()).chain(gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_in_the_table_twice_and_each_has_a_source() {
        for table in [SERVICE, GATEWAY] {
            for (i, (code, _, source)) in table.iter().enumerate() {
                assert!(table[i + 1..].iter().all(|other| other.0 != *code), "{code}");
                assert!(!source.is_empty(), "{code}");
            }
        }
    }

    #[test]
    fn both_spellings_of_the_gateway_are_one_and_case_is_ignored() {
        assert_eq!(class("APIGW.0308"), Class::Throttle);
        assert_eq!(class("APIG.0308"), Class::Throttle);
        assert_eq!(class("apigw.0301"), Class::Auth);
        assert_eq!(class("sms.6526"), Class::Acct);
    }

    #[test]
    fn the_same_number_of_another_service_is_another_code() {
        assert_eq!(class("SMS.0303"), Class::Agent);
        assert_eq!(class("APIGW.0303"), Class::Auth);
        assert_eq!(class("ECS.0308"), Class::ByStatus);
        assert_eq!(class("0308"), Class::ByStatus);
        assert_eq!(class(""), Class::ByStatus);
    }
}
