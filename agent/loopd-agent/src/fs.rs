//! [`tokio::fs`] with a memory: which files are open, since when, and who opened them.
//!
//! Using it is a change of the `use` line: `use loopd_agent::fs::File;`. Methods that are not listed
//! here are tokio's own, through [`Deref`](std::ops::Deref); what only opens a file to read or write
//! all of it, as [`tokio::fs::read`], has nothing to record.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::fs;
use tokio::io::AsyncSeek;

use crate::opened::{Kept, Open, descriptor, reads, transparent, writes};

/// As [`tokio::fs::File`].
#[derive(Debug)]
pub struct File(Open<fs::File>);

impl File {
    /// As [`tokio::fs::File::open`].
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Self>> {
        let place = Location::caller();
        async move { Ok(Self::new(fs::File::open(&path).await?, place, path.as_ref())) }
    }

    /// As [`tokio::fs::File::create`].
    #[track_caller]
    pub fn create(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Self>> {
        let place = Location::caller();
        async move { Ok(Self::new(fs::File::create(&path).await?, place, path.as_ref())) }
    }

    /// As [`tokio::fs::File::create_new`].
    #[track_caller]
    pub fn create_new(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Self>> {
        let place = Location::caller();
        async move { Ok(Self::new(fs::File::create_new(&path).await?, place, path.as_ref())) }
    }

    /// As [`tokio::fs::File::options`].
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// As [`tokio::fs::File::from_std`].
    #[track_caller]
    pub fn from_std(file: std::fs::File) -> Self {
        Self::new(fs::File::from_std(file), Location::caller(), Path::new(""))
    }

    /// As [`tokio::fs::File::try_clone`]. The two count as one file, open until both are dropped.
    pub async fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(Open { inner: self.0.try_clone().await?, kept: self.0.kept.clone() }))
    }

    /// As [`tokio::fs::File::into_std`]. From here on it is not loopd's to watch.
    pub async fn into_std(self) -> std::fs::File {
        self.0.inner.into_std().await
    }

    fn new(inner: fs::File, place: &'static Location<'static>, path: &Path) -> Self {
        Self(Open { inner, kept: Kept::open(place, "file", || path.display().to_string()) })
    }
}

transparent!(File, fs::File);
descriptor!(File);
reads!(File);
writes!(File);

impl AsyncSeek for File {
    fn start_seek(mut self: Pin<&mut Self>, position: io::SeekFrom) -> io::Result<()> {
        Pin::new(&mut **self).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut **self).poll_complete(context)
    }
}

/// As [`tokio::fs::OpenOptions`].
#[derive(Clone, Debug)]
pub struct OpenOptions(fs::OpenOptions);

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Passes an option on.
macro_rules! options {
    ($($name:ident($value:ty)),* $(,)?) => {
        $(
            #[doc = concat!("As [`tokio::fs::OpenOptions::", stringify!($name), "`].")]
            pub fn $name(&mut self, value: $value) -> &mut Self {
                self.0.$name(value);
                self
            }
        )*
    };
}

impl OpenOptions {
    /// As [`tokio::fs::OpenOptions::new`].
    pub fn new() -> Self {
        Self(fs::OpenOptions::new())
    }

    options!(read(bool), write(bool), append(bool), truncate(bool), create(bool), create_new(bool),);

    #[cfg(unix)]
    options!(mode(u32), custom_flags(i32));

    /// As [`tokio::fs::OpenOptions::open`].
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        let place = Location::caller();
        async move { Ok(File::new(self.0.open(&path).await?, place, path.as_ref())) }
    }
}
