//! What is known of openings because the program's calls go through us.

mod interpose;
mod notes;
mod shots;
mod stacks;

pub(crate) use notes::{exclude_this_thread, read, set_active, take_closed_at, without_stack};
pub(crate) use stacks::Stacks;

/// Whether this build takes notes.
pub(crate) const IS_POSSIBLE: bool = true;
