//! All messages of a night, heard by somebody who listens to every subject: no secret is in them.

use super::{Worker, is_done, night};
use crate::cluster::by_hand::ByHand;
use crate::lab::machine::shared;

/// Credentials of a worker, and the secrets of them.
type Kind = (&'static [(&'static str, &'static str)], &'static [&'static str]);

const TOKEN: Kind = (&[("CUTOVER_AUTH_TOKEN", "sandbox-token")], &["sandbox-token"]);
const KEYS: Kind = (
    &[
        ("HUAWEICLOUD_SDK_AK", "sandbox-ak"),
        ("HUAWEICLOUD_SDK_SK", "sandbox-sk"),
        ("HUAWEICLOUD_SDK_PROJECT_ID", "sandbox-project"),
    ],
    &["sandbox-ak", "sandbox-sk", "Signature="],
);

/// Faults of which the texts name the credentials.
const FAULTS: &str = "[[fault]]\nshare = 0.2\nkind = \"reset_after\"\n\
                      [[fault]]\nshare = 0.2\nkind = \"status\"\nstatus = 500\nmessage = \"not with SECRET\"\ntimes = 1\n";

#[test]
fn no_message_has_a_secret_in_it() {
    let _machine = shared();
    for (credentials, secrets) in [TOKEN, KEYS] {
        let Some(night) = night(40, &FAULTS.replace("SECRET", credentials[credentials.len().min(2) - 1].1)) else {
            return;
        };
        let all = ByHand::hears(&night.servers[0], &[">"]);
        let mut host = night.another_host();
        host.credentials = credentials;
        let _worker = Worker::on(host);
        let head = night.first.begin(&["run", "plan.csv", "--rate", "off"]);
        head.end().exits(0);
        is_done(&night);
        let texts: Vec<String> = all
            .heard()
            .iter()
            .map(|message| {
                format!("{} {} {}", message.subject, message.headers, String::from_utf8_lossy(&message.payload))
            })
            .collect();
        for word in
            ["attempt_started", "\"asks\":\"ready\"", "\"asks\":\"put\"", "Word: taken", "Word: go", "Word: done"]
        {
            assert!(texts.iter().any(|text| text.contains(word)), "{word}: what is said is not all heard");
        }
        for secret in secrets {
            assert!(texts.iter().all(|text| !text.contains(secret)), "{secret} is in a message");
        }
    }
}
