//! What receivers tell senders: losses, arrival times, reception quality, wishes for key frames.

mod arrivals;
mod departures;
mod keyframes;
mod losses;
mod reception;

pub use arrivals::Arrivals;
pub use departures::{Departure, Departures, KEPT};
pub use keyframes::{Plea, Requests};
pub use losses::Losses;
pub use reception::Reception;
