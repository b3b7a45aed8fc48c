//! What loopd concludes from events: tiles for the timeline, roll-ups by spawn location, slow sites, leaks,
//! histograms.
//!
//! Pure: no IO, no clock, no allocation that grows with anything but its input. The store keeps
//! tiles and hands in rows; the dashboard shows what comes out.
#![warn(missing_docs)]

pub mod histogram;
pub mod leaks;
pub mod rollup;
pub mod slow;
pub mod tiles;
