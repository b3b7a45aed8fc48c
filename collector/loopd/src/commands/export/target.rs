//! Where exports go. A file is written under another name first, so that there is all of it or none.

use std::fmt;
use std::fs;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use loopd_export::ExportError;
use tempfile::TempDir;

use super::failed;
use crate::exit::{Exit, OrExit};

/// Writes are gathered up to this many bytes.
const BUFFER: usize = 1 << 16;

/// A file, a folder, or the standard output.
#[derive(Clone, Debug)]
pub(super) struct Target {
    path: PathBuf,
    may_replace: bool,
    /// Where files are until they are whole.
    scratch: PathBuf,
}

/// A folder beside the target that goes with this, whoever still writes into it.
#[derive(Debug)]
pub(super) struct Scratch(Option<TempDir>);

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if Self::is_standard(&self.path) {
            return f.write_str("standard output");
        }
        self.path.display().fmt(f)
    }
}

impl Scratch {
    /// Removes it.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        let Some(folder) = self.0 else { return Ok(()) };
        folder.close().context("remove a folder that is no longer needed")
    }
}

impl Target {
    /// Takes a path, or `-`. Never the database that is read.
    pub(super) fn new(
        path: &Path,
        may_replace: bool,
        db: &Path,
    ) -> anyhow::Result<(Self, Scratch)> {
        let real = |path: &Path| fs::canonicalize(path).ok();
        if real(path).is_some() && real(path) == real(db) {
            let error = anyhow!("{} is the database that is read", path.display());
            return Err(error).or_exit(Exit::Usage);
        }
        let mut target = Self { path: path.to_owned(), may_replace, scratch: PathBuf::new() };
        target.check(path)?;
        if Self::is_standard(path) {
            return Ok((target, Scratch(None)));
        }
        // On the same file system, so that a file can be moved to its place in one step.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let beside = if path.is_dir() { path } else { parent.unwrap_or(Path::new(".")) };
        let folder = tempfile::Builder::new().prefix(".loopd-export-").tempdir_in(beside);
        let folder = folder.with_context(|| format!("write into {}", beside.display()))?;
        target.scratch = folder.path().to_owned();
        Ok((target, Scratch(Some(folder))))
    }

    /// Whether it is the standard output.
    pub(super) fn is_standard(path: &Path) -> bool {
        path == Path::new("-")
    }

    /// A file in this folder.
    pub(super) fn inside(&self, name: &str) -> Self {
        Self { path: self.path.join(name), ..self.clone() }
    }

    /// Makes the folder. One that is there has to be empty, unless files may be replaced.
    pub(super) fn make_folder(&self) -> anyhow::Result<()> {
        let make = || fs::create_dir_all(&self.path);
        make().with_context(|| format!("make the folder {}", self.path.display()))
    }

    /// Refuses what is in the way.
    fn check(&self, path: &Path) -> anyhow::Result<()> {
        if Self::is_standard(path) || self.may_replace || !path.exists() {
            return Ok(());
        }
        let is_empty_folder = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if is_empty_folder {
            return Ok(());
        }
        let error = anyhow!("{} exists already; --force writes over it", path.display());
        Err(error).or_exit(Exit::Usage)
    }

    /// A place for a file that will be moved to where it belongs.
    pub(super) fn new_file(&self) -> anyhow::Result<NewFile> {
        if self.path.is_dir() {
            let error = anyhow!("{} is a folder; name a file", self.path.display());
            return Err(error).or_exit(Exit::Usage);
        }
        Ok(NewFile { file: self.scratch.join("file"), target: self.clone() })
    }
}

/// A file that goes with the [`Scratch`], unless it is kept.
#[derive(Debug)]
pub(super) struct NewFile {
    file: PathBuf,
    target: Target,
}

impl NewFile {
    pub(super) fn path(&self) -> &Path {
        &self.file
    }

    /// Moves it to where it belongs. Returns its size.
    pub(super) fn keep(self) -> anyhow::Result<u64> {
        let path = &self.target.path;
        self.target.check(path)?;
        // A log beside it belongs to the file that is there.
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        if Path::new(&log).exists() {
            let error = anyhow!("{} is a database in use; name another file", path.display());
            return Err(error).or_exit(Exit::Usage);
        }
        let moved = fs::rename(&self.file, path);
        moved.with_context(|| format!("write {}", path.display()))?;
        Ok(fs::metadata(path).map_or(0, |file| file.len()))
    }
}

/// Has `write` write the file, or the standard output. Returns how many bytes that were.
pub(super) fn write_file(
    target: &Target,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), ExportError>,
) -> anyhow::Result<u64> {
    if Target::is_standard(&target.path) {
        let mut out = Counted { out: BufWriter::with_capacity(BUFFER, io::stdout()), bytes: 0 };
        write(&mut out).map_err(failed)?;
        out.flush()?;
        return Ok(out.bytes);
    }
    let new = target.new_file()?;
    let context = || format!("write {}", target.path.display());
    let file = fs::File::create(&new.file).with_context(context)?;
    let mut out = BufWriter::with_capacity(BUFFER, file);
    write(&mut out).map_err(failed).with_context(context)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error).with_context(context)?;
    file.sync_all().with_context(context)?;
    new.keep()
}

/// Whether the standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Counts what goes through.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
