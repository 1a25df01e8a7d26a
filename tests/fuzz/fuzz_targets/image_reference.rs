//! The target `image_reference` as a program of libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| k3s_fuzz::targets::image_reference(data));
