//! The target `protobuf_body` as a program of libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| k3s_fuzz::targets::protobuf_body(data));
