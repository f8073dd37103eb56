//! How much a subscriber's link carries, from transport-wide feedback: growing delay means a filling queue, so the
//! rate goes down before packets are lost (after draft-ietf-rmcat-gcc-02, with the trend of later implementations).
//! And what it is spent on.

mod allocate;
mod delay;
mod estimator;
mod rate;

pub use allocate::{Allocation, Link, MAX_LAYERS, Want, allocate};
pub use estimator::Estimator;

#[cfg(test)]
mod tests;
