//! Any text as a properties file and as our own lines: nothing panics, a refusal says why and changes nothing, and what is
//! accepted passes its own checks.
#![no_main]

use kinesis_producer::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for load in [Config::load_properties, Config::load_text] {
        let before = format!("{:?}", Config::new());
        let mut config = Config::new();
        match load(&mut config, text) {
            Ok(()) => config.check().expect("loading checks"),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(format!("{config:?}"), before);
            }
        }
    }
});
