//! Places in source code as numbers that fit a ring: the address of the compiler's own constant.
#![expect(unsafe_code, reason = "turns an address back into the reference it came from")]

use std::panic::Location;

/// A place as a number.
#[inline(always)]
pub(crate) fn number(location: &'static Location<'static>) -> u64 {
    std::ptr::from_ref(location).expose_provenance() as u64
}

/// The place with this number. Only numbers made by [`number`] in this process may be given; 0 is
/// no place.
pub(crate) fn location(number: u64) -> Option<&'static Location<'static>> {
    let address = usize::try_from(number).ok().filter(|&address| address != 0)?;
    let pointer = std::ptr::with_exposed_provenance::<Location<'static>>(address);
    // SAFETY: such numbers are written to rings only by `number`, whose argument lives for the
    // rest of the process, and rings are read only in the process that wrote them.
    Some(unsafe { &*pointer })
}
