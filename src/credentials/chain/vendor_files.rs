//! Credentials in files of the vendor's tools.

use std::io;
use std::path::{Path, PathBuf};

use super::places::{FoundCredentials, SearchPlaces, SearchResult, malformed};
use crate::credentials::error::CredentialsError;
use crate::credentials::files::{self, InFile};
use crate::credentials::fitness;
use crate::transport::secrets::guarded::Guarded;

impl SearchPlaces<'_> {
    pub(super) fn sdk_file(&self, warnings: &mut Vec<String>) -> SearchResult {
        if let Some(path) = self.variable("HUAWEICLOUD_SDK_CREDENTIALS_FILE")? {
            return self.sdk_file_at(Path::new(&path.text));
        }
        match self.in_home(".huaweicloud/credentials", warnings) {
            Some(path) => self.sdk_file_at(&path),
            None => Ok(None),
        }
    }

    pub(super) fn sdk_file_at(&self, path: &Path) -> SearchResult {
        files::sdk(path)?.map(|found| self.in_file(path, found)).transpose()
    }

    pub(super) fn koocli_file(&self, warnings: &mut Vec<String>) -> SearchResult {
        let Some(path) = self.in_home(".hcloud/config.json", warnings) else { return Ok(None) };
        match files::koocli(&path)? {
            None => Ok(None),
            Some(Ok(found)) => self.in_file(&path, found).map(Some),
            Some(Err(why)) => {
                warnings.push(why);
                Ok(None)
            }
        }
    }

    /// Returns the path of a file that no setting names. One that may not be read, as in somebody else's home, is passed over.
    fn in_home(&self, name: &str, warnings: &mut Vec<String>) -> Option<PathBuf> {
        let path = self.home()?.join(name);
        match crate::texts::bytes(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                warnings.push(format!("`{}` is passed over: it may not be read", path.display()));
                None
            }
            Ok(_) | Err(_) => Some(path),
        }
    }

    fn in_file(
        &self,
        path: &Path,
        InFile { keys, project, part }: InFile,
    ) -> Result<FoundCredentials, CredentialsError> {
        let secrets = [
            ("access key", Some(keys.access.as_str())),
            ("secret key", Some(keys.secret.expose_secret())),
            ("security token", keys.security_token.as_ref().map(Guarded::expose_secret)),
            ("project", project.as_deref()),
        ];
        for (what, text) in secrets {
            if let Some(unfit) = text.and_then(|text| fitness::fit_for_a_header(text).err()) {
                return Err(malformed(format!("the {what} in `{}` {part} {unfit}", path.display())));
            }
        }
        let origin = format!("`{}` {part}{}", path.display(), self.profile());
        let warnings = files::readable_by_others(path).into_iter().collect();
        Ok(FoundCredentials { warnings, ..self.fixed_keys(origin, keys, project).into() })
    }
}
