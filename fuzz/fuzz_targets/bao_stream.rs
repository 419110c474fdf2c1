#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flatbao_tests::fuzz::bao_stream(bytes));
