//! Who started this process, as the system has it.

use std::fs;

/// `$USER`, which is not set where a timer starts us; else the name that belongs to the process's user id, else its figure.
pub(crate) fn user() -> String {
    let said = std::env::var("USER").ok().filter(|user| !user.is_empty());
    said.unwrap_or_else(|| {
        let uid = rustix::process::getuid().as_raw();
        // source: passwd(5)
        let known = fs::read_to_string("/etc/passwd").ok();
        known.and_then(|text| named(&text, uid)).unwrap_or_else(|| uid.to_string())
    })
}

/// The name of a user id: the first field where the third is the figure.
fn named(passwd: &str, uid: u32) -> Option<String> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut names = fields.filter_map(|fields| match fields[..] {
        [name, _, id, ..] if !name.is_empty() && id.parse() == Ok(uid) => Some(name.to_owned()),
        _ => None,
    });
    names.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_has_the_name_that_the_system_gives_it() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\n\n# by hand\nops:x:1001:1001::/home/ops:/bin/sh\n:x:7:7::/:/bin/sh";
        for (uid, name) in [(0, Some("root")), (1001, Some("ops")), (7, None), (65_534, None)] {
            assert_eq!(named(passwd, uid).as_deref(), name, "{uid}");
        }
    }
}
