//! Variables that hold credentials: in the environment, or as files of the folder that a service manager hands over.
//!
//! systemd gives a unit its credentials as files of a private folder, whose path is in `CREDENTIALS_DIRECTORY`; a container has
//! the same with a mounted volume and that variable. A file stands for the variable that it is named like, so that no secret
//! has to be in an environment, which child processes inherit. A variable that is set goes before its file, and a variable's
//! file before the next variable.
//!
//! source: systemd.exec(5) (`LoadCredential=`, `$CREDENTIALS_DIRECTORY`)

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::error::CredentialsError;
use crate::texts;
use crate::transport::proxy::Environment;
use crate::wording::amounts::bounded;

/// Variable with the path of the folder.
pub(crate) const FOLDER: &str = "CREDENTIALS_DIRECTORY";

/// Variable that is set and not empty.
pub(crate) struct FoundVariable {
    pub(crate) text: String,
    name: String,
    /// Folder with the file that stands for it; `None` for the environment.
    pub(crate) folder: Option<PathBuf>,
}

impl FoundVariable {
    /// Returns its name, and the folder if it is a file, for messages.
    pub(crate) fn told(&self) -> String {
        match &self.folder {
            Some(folder) => format!("{} in `{}`", self.name, folder.display()),
            None => self.name.clone(),
        }
    }

    /// Says that the other variable of its pair is missing.
    pub(crate) fn without(&self, lacks: &'static str) -> CredentialsError {
        CredentialsError::Lacking { has: self.told(), lacks, folder: self.folder.clone() }
    }

    /// Returns its name and its place, for messages about the origin of credentials.
    pub(crate) fn origin(&self) -> String {
        match &self.folder {
            Some(_) => self.told(),
            None => format!("{} in the environment", self.name),
        }
    }

    /// Returns the same for a pair of variables: the second is named where its place is another.
    pub(crate) fn origin_with(&self, second: &Self) -> String {
        if self.folder == second.folder { self.origin() } else { format!("{} and {}", self.origin(), second.origin()) }
    }
}

fn malformed(text: String) -> CredentialsError {
    CredentialsError::Malformed(text)
}

/// Returns a variable that is set and not empty, of the environment or else as a file. One line break at the end of a file is
/// not part of it.
pub(crate) fn look_up(name: &str, environment: Environment<'_>) -> Result<Option<FoundVariable>, CredentialsError> {
    if let Some(text) = environment(name).filter(|text| !text.is_empty()) {
        let text = text.into_string().map_err(|_| malformed(format!("{name} is not UTF-8")))?;
        return Ok(Some(FoundVariable { text, name: name.to_owned(), folder: None }));
    }
    // Any other name could lead out of the folder.
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let Some(folder) = folder(environment)?.filter(|_| is_name) else { return Ok(None) };
    let text = text_in(&folder, name)?.filter(|text| !text.is_empty());
    Ok(text.map(|text| FoundVariable { text, name: name.to_owned(), folder: Some(folder) }))
}

/// Returns the folder of credentials; `None` where no service manager or volume gives one.
pub(crate) fn folder(environment: Environment<'_>) -> Result<Option<PathBuf>, CredentialsError> {
    let Some(path) = environment(FOLDER).filter(|path| !path.is_empty()).map(PathBuf::from) else { return Ok(None) };
    if path.is_relative() {
        return Err(malformed(format!("{FOLDER} is to be an absolute path, and is `{}`", path.display())));
    }
    Ok(Some(path))
}

/// Reads a file of the folder. A folder that cannot be looked into is an error and not an empty one: otherwise the credentials
/// of another kind, and perhaps of another account, would be used in their place.
fn text_in(folder: &Path, name: &str) -> Result<Option<String>, CredentialsError> {
    let error = match texts::whole_secret(&folder.join(name)) {
        Ok(secret) => return Ok(Some(secret.expose_secret().to_owned())),
        Err(error) => error,
    };
    let folder_of_files = folder.display();
    match check_is_passable(folder) {
        Err(error) => Err(malformed(format!(
            "`{folder_of_files}`, named by {FOLDER}, cannot be looked into: {error}; unset {FOLDER} if it is not meant for cutover"
        ))),
        Ok(()) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(()) => Err(malformed(format!("{name} in `{folder_of_files}` cannot be read: {error}"))),
    }
}

fn check_is_passable(folder: &Path) -> io::Result<()> {
    if !std::fs::metadata(folder)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::access(folder, rustix::fs::Access::EXEC_OK)?)
}

/// Returns a warning if everybody can read a file of the folder. A group may: that is how a volume of Kubernetes is given to a
/// user other than root.
pub(super) fn readable_by_everybody(environment: Environment<'_>) -> Option<String> {
    const OTHERS_READ: u32 = 0o004;
    const OTHERS_PASS: u32 = 0o001;
    let folder = folder(environment).ok()??;
    let mode = |path: &Path| std::fs::metadata(path).map_or(0, |found| if found.is_file() { found.mode() } else { 0 });
    if std::fs::metadata(&folder).ok()?.mode() & OTHERS_PASS == 0 {
        return None;
    }
    let names = std::fs::read_dir(&folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut open: Vec<String> = names.filter(|name| mode(&folder.join(name)) & OTHERS_READ != 0).collect();
    open.sort_unstable();
    let which = bounded(&open);
    (!open.is_empty()).then(|| {
        format!("everybody can read {which} in `{}`: give the files mode 0400, or 0440 for a group", folder.display())
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn environment<'a>(
        folder: &'a Path,
        variables: &'a [(&'a str, &'a str)],
    ) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| match name {
            FOLDER => Some(folder.into()),
            _ => variables.iter().find(|(known, _)| *known == name).map(|(_, text)| OsString::from(text)),
        }
    }

    #[test]
    fn a_variable_goes_before_its_file_and_one_line_break_at_the_end_is_not_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let found = |content: &str, variable: &str| {
            std::fs::write(folder.path().join("HW_AUTH_TOKEN"), content).unwrap();
            let found = look_up("HW_AUTH_TOKEN", &environment(folder.path(), &[("HW_AUTH_TOKEN", variable)]));
            found.unwrap().map(|found| (found.text, found.folder.is_some()))
        };
        for content in ["s3cret", "s3cret\n", "s3cret\r\n", "\u{feff}s3cret\n"] {
            assert_eq!(found(content, ""), Some(("s3cret".to_owned(), true)), "{content:?}");
        }
        assert_eq!(found("s3cret\n\n", "").unwrap().0, "s3cret\n", "it is refused later, by what no secret has");
        assert_eq!(found("theirs", "mine"), Some(("mine".to_owned(), false)));
        for nothing in ["", "\n"] {
            assert_eq!(found(nothing, ""), None, "{nothing:?}");
        }
    }

    /// A volume of Kubernetes has links to files in a hidden folder, which is replaced as a whole.
    /// source: kubernetes `pkg/volume/util/atomic_writer.go`
    #[test]
    fn a_file_behind_links_is_read_and_nothing_outside_of_the_folder_is() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("credentials");
        std::fs::create_dir_all(folder.join("..2026_11_28")).unwrap();
        std::fs::write(folder.join("..2026_11_28/HW_AUTH_TOKEN"), "s3cret").unwrap();
        symlink("..2026_11_28", folder.join("..data")).unwrap();
        symlink("..data/HW_AUTH_TOKEN", folder.join("HW_AUTH_TOKEN")).unwrap();
        std::fs::write(top.path().join("OUTSIDE"), "s3cret").unwrap();
        let found = |name: &str| look_up(name, &environment(&folder, &[])).unwrap();
        assert_eq!(found("HW_AUTH_TOKEN").unwrap().origin(), format!("HW_AUTH_TOKEN in `{}`", folder.display()));
        assert!(found("../OUTSIDE").is_none() && found("HW_PASSWORD").is_none() && found("").is_none());
    }

    #[test]
    fn what_keeps_a_file_from_being_read_is_told_and_is_not_taken_for_its_absence() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| match look_up("HW_AUTH_TOKEN", &environment(path, &[])) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("it is not refused"),
        };
        std::fs::create_dir(folder.path().join("HW_AUTH_TOKEN")).unwrap();
        let text = refused(folder.path());
        assert!(text.contains("HW_AUTH_TOKEN in `") && text.contains("cannot be read: is a directory"), "{text}");
        let text = refused(&folder.path().join("absent"));
        assert!(
            text.contains("absent`, named by CREDENTIALS_DIRECTORY, cannot be looked into: No such file"),
            "{text}"
        );
        assert!(text.ends_with("unset CREDENTIALS_DIRECTORY if it is not meant for cutover"), "{text}");
        assert!(refused(Path::new("run/credentials")).contains("is to be an absolute path"));
    }

    #[test]
    fn a_secret_that_everybody_can_read_is_warned_of_and_one_for_a_group_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let set = |name: &str, mode| {
            let path = folder.path().join(name);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        std::fs::write(folder.path().join("HW_AUTH_TOKEN"), "s3cret").unwrap();
        for (of_folder, mode, is_warned) in
            [(0o755, 0o644, true), (0o755, 0o440, false), (0o755, 0o400, false), (0o750, 0o644, false)]
        {
            set("HW_AUTH_TOKEN", mode);
            set("", of_folder);
            let warned = readable_by_everybody(&environment(folder.path(), &[]));
            assert_eq!(warned.is_some_and(|text| text.contains("can read HW_AUTH_TOKEN in")), is_warned, "{mode:o}");
        }
    }
}
