//! One module for each command: its flags, and `run`.

pub(crate) mod apps;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod leaks;
pub(crate) mod query;
pub(crate) mod serve;
pub(crate) mod slow;
pub(crate) mod tasks;
