//! Things that must be closed, seen from open to close.

use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use loopd_model::CloseHow;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::ticks;
use crate::place;
use crate::record::Record;
use crate::recorder;
use crate::resource::{Target, current_task};

/// A value whose opening and closing are recorded, with the place that opened it. Use it like the
/// value itself.
#[derive(Debug)]
pub struct Tracked<T> {
    value: T,
    opened: Option<Opened>,
}

/// A resource whose opening was recorded. Dropping it records the close.
#[derive(Debug)]
pub(crate) struct Opened {
    resource: u64,
    /// What dropping without a close means.
    at_drop: CloseHow,
}

impl Opened {
    /// Records that the caller's caller opens a resource; `None` if nothing is recorded.
    #[track_caller]
    pub(crate) fn new(kind: &str, name: &str, at_drop: CloseHow) -> Option<Self> {
        Self::at(Location::caller(), kind, || name.to_owned(), at_drop)
    }

    /// The same at a place noted before; the name is only made if it is recorded.
    pub(crate) fn at(
        place: &'static Location<'static>,
        kind: &str,
        name: impl FnOnce() -> String,
        at_drop: CloseHow,
    ) -> Option<Self> {
        if !recorder::is_recording() {
            return None;
        }
        let resource = recorder::next_resource();
        recorder::write(&Record::Opened {
            at: ticks(),
            resource,
            location: place::number(place),
            task: current_task(),
            kind: kind.to_owned(),
            name: name(),
        });
        Some(Self { resource, at_drop })
    }

    /// The program closes it.
    pub(crate) fn close(mut self) {
        self.at_drop = CloseHow::Closed;
    }

    /// For operations on it.
    pub(crate) fn target(&self) -> Target<'static> {
        if recorder::records_waits() { Target::Resource(self.resource) } else { Target::Off }
    }
}

impl<T> Tracked<T> {
    /// Records that a resource was opened here. Dropping it closes it.
    #[track_caller]
    pub fn new(kind: &str, name: &str, value: T) -> Self {
        Self::open(kind, name, value, CloseHow::Dropped)
    }

    /// The same for a resource that must be closed explicitly: dropped without
    /// [`close`](Self::close) or [`into_inner`](Self::into_inner) it counts as unclosed.
    #[track_caller]
    pub fn must_close(kind: &str, name: &str, value: T) -> Self {
        Self::open(kind, name, value, CloseHow::Unclosed)
    }

    #[track_caller]
    fn open(kind: &str, name: &str, value: T, at_drop: CloseHow) -> Self {
        Self { value, opened: Opened::new(kind, name, at_drop) }
    }

    /// Records that the program closed the resource, and hands it out so that it really does.
    pub fn close(mut self) -> T {
        if let Some(opened) = &mut self.opened {
            opened.at_drop = CloseHow::Closed;
        }
        self.value
    }

    /// The same as [`close`](Self::close): from here on the resource is not loopd's to watch.
    pub fn into_inner(self) -> T {
        self.close()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if recorder::is_recording() {
            let (resource, how) = (self.resource, self.at_drop);
            recorder::write(&Record::Closed { at: ticks(), resource, how });
        }
    }
}

/// A file; its name is its path.
#[track_caller]
pub fn track_file<T>(path: impl AsRef<std::path::Path>, file: T) -> Tracked<T> {
    Tracked::new("file", &path.as_ref().to_string_lossy(), file)
}

/// A socket; its name is its address, for example the peer's.
#[track_caller]
pub fn track_socket<T>(address: impl std::fmt::Display, socket: T) -> Tracked<T> {
    Tracked::new("socket", &address.to_string(), socket)
}

impl<T> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Tracked<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Tracked<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut **self).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Tracked<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut **self).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut **self).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut **self).poll_shutdown(context)
    }
}
