//! The wire format of loopd: the generated protobuf ([`pb`]), and its conversion to and from the
//! event model.
//!
//! Encoding ([`encode_batch`] and friends) is infallible: a model value always has a protobuf form.
//! Decoding checks everything, because the bytes may come from anybody.
#![warn(missing_docs)]

#[expect(
    missing_docs,
    clippy::allow_attributes,
    reason = "generated from proto/, where every field is documented"
)]
pub mod pb {
    tonic::include_proto!("loopd.v1");
}

mod decode;
mod encode;
mod limits;

pub use decode::*;
pub use encode::{encode_anchor, encode_batch, encode_ledger, encode_process, encode_settings};
pub use limits::*;
