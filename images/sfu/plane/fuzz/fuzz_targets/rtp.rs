#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callcluster_plane_fuzz::rtp(data));
