//! `audit export`: one folder or one ZIP, with which anybody can check a run by hand and with common tools.
//!
//! Everything in it is made from the copy of the journal that is in it, so that nothing can change in between.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::checker::checker_sum;
use super::telling::tell;
use crate::audit::bundle::{
    APPROVALS, BundleForm, CHECK, CHECKER, FORM, HEAD, JOURNAL, MANIFEST, Manifest, PLAN, SIGNATURE, approvals_text,
    is_name,
};
use crate::audit::{self, signature};
use crate::digest::{Digester, terms_line};
use crate::exit::Exit;
use crate::files::beside::{Readers, check_destination, write_file_for};
use crate::files::folder::{folder_of, private_folder_in};
use crate::files::sum::sha256;
use crate::formats::Format;
use crate::journal::chain::hex;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::plan::paper::Paper;
use crate::ssh::keygen;
use crate::ssh::signature::Purpose;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_destination, bad_key, key_must_exist, output_failed};
use crate::verb::journal;
use crate::verb::meant::{self, Otherwise};
use crate::verb::results::write_report;
use crate::wording::plain::shown;

const README: &str = include_str!("export/README.md");

/// Content of a bundle, and its destination.
pub(super) struct Exported<'a> {
    pub(super) run: Option<&'a str>,
    /// True for the whole journal, with its other runs.
    pub(super) all_runs: bool,
    pub(super) output: &'a Path,
    pub(super) key: Option<&'a Path>,
}

pub(super) fn export(context: &Context, what: &Exported<'_>) -> Result<Exit, CommandError> {
    let Exported { run, all_runs, output, key } = *what;
    if output.exists() {
        return Err(CommandError::Taken(output.to_owned()));
    }
    check_destination(output).map_err(bad_destination(output))?;
    key.map_or(Ok(()), key_must_exist)?;
    let folder = folder_beside(output).map_err(output_failed(output))?;
    let id = {
        let journal = journal::to_read(context)?;
        let run = meant::run(context, &journal, run, Otherwise::LaunchedLast)?;
        let copy = folder.path().join(JOURNAL);
        if all_runs { journal.copy_to(&copy) } else { journal.copy_run_to(run.key, &copy) }?;
        run.id
    };
    let mut copy = Journal::open_to_read(&folder.path().join(JOURNAL))?;
    copy.be_told_as(JOURNAL);
    let run = copy.find_run(&id)?;
    let audit = if all_runs { audit::verify_all(&copy) } else { audit::verify_one(&copy, &run) }?;
    if !audit.is_ok() {
        tell(context, &audit)?;
        return Ok(Exit::Integrity);
    }
    let bundle = Bundle { folder: folder.path(), journal: &copy, run: &run };
    bundle.fill(key)?;
    drop(copy);
    if output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip")) {
        zip_of(folder.path(), output, &context.settings.journal).map_err(output_failed(output))?;
    } else {
        for_the_eyes_of(folder.path(), &context.settings.journal).map_err(output_failed(output))?;
        let made = folder.keep();
        fs::rename(&made, output).map_err(output_failed(output))?;
    }
    context
        .console
        .say(&format!("the evidence of run {id} is in {}; its README.md says how to check it by hand", shown(output)));
    Ok(Exit::Done)
}

fn folder_beside(output: &Path) -> io::Result<TempDir> {
    // Private until it is complete.
    private_folder_in(folder_of(output))
}

/// Lets those who may read the journal read what is exported from it, and nobody else.
fn for_the_eyes_of(folder: &Path, journal: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(journal)?.permissions().mode() & 0o666;
    for name in names_in(folder)? {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode))?;
    }
    // A reader of a folder needs to be able to enter it.
    let enters = (mode & 0o444) >> 2;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode | enters))
}

/// Bundle of a run, in a folder with the copy of its journal.
pub(in crate::commands) struct Bundle<'a> {
    pub(in crate::commands) folder: &'a Path,
    pub(in crate::commands) journal: &'a Journal,
    pub(in crate::commands) run: &'a RunRecord,
}

impl Bundle<'_> {
    /// Adds the files beside the journal.
    pub(in crate::commands) fn fill(&self, key: Option<&Path>) -> Result<(), CommandError> {
        let paper = Paper::of_settings(&self.run.settings).unwrap_or_default();
        self.plan(&paper)?;
        if let Some(text) = approvals_text(&paper) {
            self.write(APPROVALS, &text)?;
        }
        for format in Format::ALL {
            write_report(self.journal, self.run, format, &self.folder.join(format!("report.{}", format.extension())))?;
        }
        let head = signature::head(self.journal, self.run)?;
        self.write(HEAD, &head)?;
        self.write(FORM, &BundleForm::CURRENT.text())?;
        self.write(CHECK, CHECKER)?;
        self.write("README.md", &self.readme()?)?;
        let manifest = manifest_of(self.folder).map_err(output_failed(self.folder))?.text();
        self.write(MANIFEST, &manifest)?;
        if let Some(key) = key {
            let (signature, _) = keygen::sign(&manifest, Purpose::Bundle, key).map_err(|error| bad_key(key, error))?;
            self.write(SIGNATURE, &signature)?;
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), CommandError> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(output_failed(&path))
    }

    /// Writes exactly the bytes whose SHA-256 names the plan.
    fn plan(&self, paper: &Paper) -> Result<(), CommandError> {
        let path = self.folder.join(PLAN);
        let failed = |error| output_failed(&path)(error);
        let mut out = io::BufWriter::new(File::create(&path).map_err(failed)?);
        let mut digester = Digester::new();
        let mut written = Ok(());
        self.journal.for_each_row(self.run.key, |row, _| {
            if written.is_ok() {
                written = out.write_all(digester.row(&row));
            }
            Ok::<(), JournalError>(())
        })?;
        let terms = terms_line(&paper.terms).unwrap_or_default();
        written.and_then(|()| out.write_all(terms.as_bytes())).and_then(|()| out.flush()).map_err(failed)
    }

    fn readme(&self) -> Result<String, CommandError> {
        let anchor = self.journal.anchor(self.run)?;
        Ok(README
            .replace("{run}", &self.run.id)
            .replace("{plan}", &self.run.plan_digest)
            .replace("{anchor}", &anchor.to_string())
            .replace("{purpose}", Purpose::Bundle.namespace())
            .replace("{checker}", &checker_sum())
            .replace("{version}", env!("CARGO_PKG_VERSION")))
    }
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn manifest_of(folder: &Path) -> io::Result<Manifest> {
    let mut manifest = Manifest::default();
    for name in names_in(folder)? {
        let (sum, _) = sha256(&mut File::open(folder.join(&name))?)?;
        manifest.0.insert(name, hex(&sum));
    }
    Ok(manifest)
}

/// Returns a name for the folder in an archive with this name: one that is valid on any machine.
fn folder_in(output: &Path) -> String {
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |char: char| if char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-') { char } else { '_' };
    let name: String = stem.chars().map(plain).take(100).collect();
    if is_name(&name) { name } else { "evidence".to_owned() }
}

/// Writes the ZIP beside its destination, syncs it, and renames it into place. Those who may read the file `like` may read it.
pub(in crate::commands) fn zip_of(folder: &Path, output: &Path, like: &Path) -> io::Result<()> {
    let stem = folder_in(output);
    write_file_for(output, Readers::of_file(like), |file| {
        let mut zip = ZipWriter::new(file);
        for name in names_in(folder)? {
            zip.start_file(format!("{stem}/{name}"), SimpleFileOptions::default().large_file(true))?;
            io::copy(&mut File::open(folder.join(&name))?, &mut zip)?;
        }
        zip.finish()?;
        Ok(())
    })
}
