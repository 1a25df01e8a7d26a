//! The target `cel_expression` as a program of libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| k3s_fuzz::targets::cel_expression(data));
