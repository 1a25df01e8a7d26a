//! The target `json_patch` as a program of libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| k3s_fuzz::targets::json_patch(data));
