//! The target `json_body` as a program of libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| k3s_fuzz::targets::json_body(data));
