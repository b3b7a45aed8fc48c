//! A recording as a trace: what happened on every worker, for viewers of traces.
//!
//! [`walk`] reads the recording once and tells it to a format, which is a [`Sink`]. Memory holds
//! what is known of the latest poll of each worker, and caches of bounded size.

mod chrome;
mod flows;
mod lanes;
mod perfetto;
mod rows;
mod sink;
mod walk;

#[cfg(test)]
pub(crate) use perfetto::proto;

use std::io::Write;

use crate::{ExportError, Source};

/// Writes a trace that [Perfetto](https://ui.perfetto.dev) opens, in its binary format.
pub fn perfetto(source: &Source, out: impl Write) -> Result<(), ExportError> {
    walk::walk(source, &mut perfetto::Perfetto::new(out))
}

/// Writes a trace in the JSON format of Chrome's tracing, which many viewers open.
pub fn chrome(source: &Source, out: impl Write) -> Result<(), ExportError> {
    walk::walk(source, &mut chrome::Chrome::new(out))
}
