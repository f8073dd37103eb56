//! Sequence numbers that do not wrap.

/// The number with the low 16 bits `sequence` that is nearest to `reference`.
/// Below zero there is nothing, so next to a small `reference` the nearest may be above it.
pub fn unwrap(reference: u64, sequence: u16) -> u64 {
    let step = sequence.wrapping_sub(reference as u16).cast_signed();
    reference.checked_add_signed(step.into()).unwrap_or_else(|| sequence.into())
}
