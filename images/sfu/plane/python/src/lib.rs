//! The Python boundary of the packet plane.
