//! News as tuples: a name, then what belongs to it.

use callcluster_plane::command::Event;
use callcluster_plane::worker::News;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// The news in their order. The shapes are written down in `callcluster_plane.pyi`.
pub fn list(py: Python<'_>, all: Vec<News>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for news in all {
        match news {
            News::Event(Event::Connected { peer, profile }) => list.append(("connected", peer.0, profile))?,
            News::Event(Event::Disconnected { peer, why }) => {
                list.append(("disconnected", peer.0, why.name()))?;
            }
            News::Event(Event::EncodingLive { track, encoding }) => {
                list.append(("encoding_live", track.0, encoding))?;
            }
            News::Event(Event::Estimate { peer, bits_per_second }) => {
                list.append(("estimate", peer.0, bits_per_second))?;
            }
            News::Event(Event::Loudness { track, loudness }) => list.append(("loudness", track.0, loudness))?,
            News::Event(Event::Paused { leg }) => list.append(("paused", leg.0))?,
            News::Event(Event::Switched { leg, encoding }) => list.append(("switched", leg.0, encoding))?,
            News::Answer { token, outcome } => {
                let refusal = outcome.err().map(|refusal| refusal.name());
                list.append(("answer", token, refusal))?;
            }
            News::Statistics { token, peers, plane, socket } => {
                let counts = PyDict::new(py);
                counts.set_item("peers", peers)?;
                counts.set_item("media_in", plane.media_in)?;
                counts.set_item("media_out", plane.media_out)?;
                counts.set_item("bytes_out", plane.bytes_out)?;
                counts.set_item("repairs_out", plane.repairs_out)?;
                counts.set_item("padding_out", plane.padding_out)?;
                counts.set_item("strangers", plane.strangers)?;
                counts.set_item("rejected", plane.rejected)?;
                counts.set_item("key_frame_requests", plane.key_frame_requests)?;
                counts.set_item("unsent", socket.unsent)?;
                counts.set_item("offload_refused", socket.offload_refused)?;
                list.append(("statistics", token, counts))?;
            }
            News::Lost(count) => list.append(("lost", count))?,
            News::Failed => list.append(("failed",))?,
        }
    }
    Ok(list)
}
