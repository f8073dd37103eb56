//! The Python boundary of the packet plane: orders in, news out, nothing per packet. No call waits for the plane,
//! and the plane never calls Python.

mod news;
mod plane;

use pyo3::prelude::*;

/// The Python module.
#[pymodule]
fn callcluster_plane(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<plane::Extensions>()?;
    module.add_class::<plane::Plane>()
}
