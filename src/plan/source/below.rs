//! Files that a plan names: opened below the plan's own folder, whatever links and dots their names contain.
//!
//! A plan may come from anybody, and messages about unreadable rows quote the file's content. So its names must not lead out of
//! its folder: not upwards, not through a link that leaves it, not to anything but a regular file. The kernel checks this while
//! it resolves the path, so that nobody can put a link there in between.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

/// Flags for opening any file; without `NONBLOCK`, opening a pipe that nobody writes to would wait.
const TO_READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Reason for which a file that a plan names is not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotBelow {
    #[error("it is not below the folder of the plan; `--allow-outside` takes it all the same")]
    Outside,
    #[error(
        "a link leads there, and this system cannot hold links to the folder of the plan; name the file itself, or `--allow-outside`"
    )]
    Link,
    #[error("it is no plain file; `--allow-outside` takes a pipe all the same")]
    NotPlain,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for NotBelow {
    fn from(errno: Errno) -> Self {
        NotBelow::Io(errno.into())
    }
}

/// Opens a regular file below a folder.
pub(crate) fn open(folder: &Path, path: &Path) -> Result<File, NotBelow> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = fs::openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match resolved_by_kernel(&folder, path) {
        Some(opened) => plain(opened?),
        None => plain(step_by_step(folder, path)?),
    }
}

fn plain(opened: OwnedFd) -> Result<File, NotBelow> {
    let file = File::from(opened);
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    if found.is_file() { Ok(file) } else { Err(NotBelow::NotPlain) }
}

/// Lets the kernel confine the path to the folder; `None` if this kernel cannot or may not.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn resolved_by_kernel(folder: &OwnedFd, path: &Path) -> Option<Result<OwnedFd, NotBelow>> {
    use rustix::fs::ResolveFlags;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    // The kernel gives up when folders are renamed meanwhile. source: openat2(2), EAGAIN
    for _ in 0..16 {
        return match fs::openat2(folder, path, TO_READ, Mode::empty(), how) {
            Ok(file) => Some(Ok(file)),
            Err(Errno::AGAIN) => continue,
            Err(Errno::XDEV) => Some(Err(NotBelow::Outside)),
            // Older than Linux 5.6, or a sandbox that rejects the unknown call in one of two ways. A file that truly may not be
            // read cannot be read step by step either. source: openat2(2), seccomp(2)
            Err(Errno::NOSYS | Errno::PERM) => None,
            // A socket, or a device without a driver. source: open(2), ENXIO
            Err(Errno::NXIO) => Some(Err(NotBelow::NotPlain)),
            Err(errno) => Some(Err(errno.into())),
        };
    }
    None
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn resolved_by_kernel(_: &OwnedFd, _: &Path) -> Option<Result<OwnedFd, NotBelow>> {
    None
}

/// Resolves the path where the kernel cannot confine it: folder by folder, following no link.
fn step_by_step(folder: OwnedFd, path: &Path) -> Result<OwnedFd, NotBelow> {
    // Open folders from the first one to the current one, so that `..` is right even if a folder is moved meanwhile.
    let mut folders = vec![folder];
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        let here = folders.last().ok_or(NotBelow::Outside)?;
        match component {
            Component::CurDir => (),
            Component::ParentDir if folders.len() > 1 => _ = folders.pop(),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(NotBelow::Outside),
            Component::Normal(name) if components.peek().is_none() => return at(here, Path::new(name), TO_READ),
            Component::Normal(name) => {
                let next = at(here, Path::new(name), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
                folders.push(next);
            }
        }
    }
    Err(io::Error::from(io::ErrorKind::IsADirectory).into())
}

fn at(folder: &OwnedFd, name: &Path, flags: OFlags) -> Result<OwnedFd, NotBelow> {
    match fs::openat(folder, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(file) => Ok(file),
        // The error for a link depends on the flags. source: open(2), ELOOP and ENOTDIR
        Err(Errno::LOOP | Errno::NOTDIR) if is_link(folder, name) => Err(NotBelow::Link),
        Err(Errno::NXIO) => Err(NotBelow::NotPlain),
        Err(errno) => Err(errno.into()),
    }
}

fn is_link(folder: &OwnedFd, name: &Path) -> bool {
    fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| fs::FileType::from_raw_mode(found.st_mode) == fs::FileType::Symlink)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Makes a folder `plan` with a file, another folder beside it, and all kinds of paths between them.
    fn folders() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("plan/sub")).unwrap();
        for name in ["plan/rows.csv", "plan/sub/rows.csv", "secret.csv"] {
            std::fs::write(at(name), name).unwrap();
        }
        symlink("../secret.csv", at("plan/out.csv")).unwrap();
        symlink("rows.csv", at("plan/in.csv")).unwrap();
        symlink("..", at("plan/up")).unwrap();
        symlink("/proc/self/root/etc/passwd", at("plan/magic")).unwrap();
        fs::mknodat(CWD, at("plan/pipe"), fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        dir
    }

    fn kind(opened: Result<File, NotBelow>) -> String {
        match opened {
            Ok(mut file) => {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                text
            }
            Err(NotBelow::Io(error)) => format!("{:?}", error.kind()),
            Err(error) => format!("{error:?}"),
        }
    }

    const CASES: [(&str, &str); 12] = [
        ("rows.csv", "plan/rows.csv"),
        ("./sub/../rows.csv", "plan/rows.csv"),
        ("sub/rows.csv", "plan/sub/rows.csv"),
        ("../secret.csv", "Outside"),
        ("sub/../../secret.csv", "Outside"),
        ("../plan/rows.csv", "Outside"),
        ("/etc/passwd", "Outside"),
        ("/dev/zero", "Outside"),
        ("pipe", "NotPlain"),
        ("none.csv", "NotFound"),
        ("sub", "IsADirectory"),
        ("rows.csv/x", "NotADirectory"),
    ];

    #[test]
    fn what_a_plan_names_is_a_plain_file_below_its_folder() {
        let dir = folders();
        let plan = dir.path().join("plan");
        for (path, expected) in CASES {
            assert_eq!(kind(open(&plan, Path::new(path))), expected, "{path}");
        }
        for path in ["out.csv", "up/secret.csv", "magic", "up/plan/rows.csv"] {
            let kind = kind(open(&plan, Path::new(path)));
            assert!(kind == "Outside" || kind == "Link", "{path}: {kind}");
        }
    }

    #[test]
    fn without_the_kernel_s_help_it_is_the_same_but_for_links_which_lead_nowhere() {
        let dir = folders();
        let folder = || {
            let path = dir.path().join("plan");
            fs::openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
        };
        let open = |path: &str| step_by_step(folder(), Path::new(path)).and_then(plain);
        for (path, expected) in CASES {
            assert_eq!(kind(open(path)), expected, "{path}");
        }
        for path in ["out.csv", "in.csv", "up/secret.csv", "magic"] {
            assert_eq!(kind(open(path)), "Link", "{path}");
        }
    }
}
