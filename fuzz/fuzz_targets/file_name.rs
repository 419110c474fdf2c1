#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flatbao_tests::fuzz::file_name(bytes));
