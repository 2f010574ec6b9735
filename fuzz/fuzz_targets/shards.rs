#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| sortilege_fuzz::shards(data));
