//! Something of tokio's that is open, recorded until it is closed.

use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;

use loopd_model::CloseHow;

use crate::resource::{Call, Target};
use crate::tracked::Opened;
use crate::waits::Op;

/// See the module. Whoever shares it keeps it open.
#[derive(Clone, Debug)]
pub(crate) struct Kept(Option<Arc<Opened>>);

impl Kept {
    /// Opened at this place, closed by dropping it; the name is only made if it is recorded.
    pub(crate) fn open(
        place: &'static Location<'static>,
        kind: &str,
        name: impl FnOnce() -> String,
    ) -> Self {
        Self(Opened::at(place, kind, name, CloseHow::Dropped).map(Arc::new))
    }

    /// An operation on it, called at this place.
    pub(crate) fn call(&self, op: Op, place: &'static Location<'static>) -> Call<'static> {
        let target = self.0.as_ref().map_or(Target::Off, |opened| opened.target());
        Call { target, op, location: Some(place), amount: 0 }
    }
}

/// Something of tokio's, and that it is open.
#[derive(Debug)]
pub(crate) struct Open<T> {
    pub(crate) inner: T,
    pub(crate) kept: Kept,
}

impl<T> Deref for Open<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Open<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// Makes a wrapper `struct $name(Open<$inner>)` look like what is inside.
macro_rules! transparent {
    ($name:ident, $inner:ty) => {
        impl std::ops::Deref for $name {
            type Target = $inner;

            fn deref(&self) -> &$inner {
                &self.0
            }
        }

        impl std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut $inner {
                &mut self.0
            }
        }
    };
}
pub(crate) use transparent;

/// Lends the file descriptor of what is inside.
macro_rules! descriptor {
    ($name:ident) => {
        #[cfg(unix)]
        impl std::os::fd::AsFd for $name {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                (**self).as_fd()
            }
        }

        #[cfg(unix)]
        impl std::os::fd::AsRawFd for $name {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                (**self).as_raw_fd()
            }
        }
    };
}
pub(crate) use descriptor;

/// Reads from what is inside.
macro_rules! reads {
    ($name:ident) => {
        impl tokio::io::AsyncRead for $name {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut **self).poll_read(context, buffer)
            }
        }
    };
}
pub(crate) use reads;

/// Writes to what is inside.
macro_rules! writes {
    ($name:ident) => {
        impl tokio::io::AsyncWrite for $name {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(&mut **self).poll_write(context, bytes)
            }

            fn poll_write_vectored(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
                bytes: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(&mut **self).poll_write_vectored(context, bytes)
            }

            fn is_write_vectored(&self) -> bool {
                tokio::io::AsyncWrite::is_write_vectored(&**self)
            }

            fn poll_flush(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut **self).poll_flush(context)
            }

            fn poll_shutdown(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut **self).poll_shutdown(context)
            }
        }
    };
}
pub(crate) use writes;
