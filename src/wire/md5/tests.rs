//! Every way of hashing against the `md-5` crate.

use ::md5::Digest;
use proptest::prelude::*;

use super::*;

fn oracle(message: &[u8]) -> [u8; 16] {
    ::md5::Md5::digest(message).into()
}

fn check_many(messages: &[Vec<Vec<u8>>]) {
    let expected: Vec<[u8; 16]> = messages.iter().map(|segments| oracle(&segments.concat())).collect();
    let messages: Vec<Vec<&[u8]>> =
        messages.iter().map(|segments| segments.iter().map(Vec::as_slice).collect()).collect();
    for kernel in Kernel::available() {
        let mut out = vec![[7; 16]];
        lanes::md5_many(kernel, &messages, &mut out);
        assert_eq!(out[0], [7; 16], "what is there stays");
        assert_eq!(out[1..], expected, "{kernel:?}");
    }
    for (segments, expected) in messages.iter().zip(&expected) {
        assert_eq!(lanes::finish(INITIAL, &mut Message::new(segments)), *expected);
    }
    let mut out = Vec::new();
    md5_many(&messages, &mut out);
    assert_eq!(out, expected);
}

fn check_keys(keys: &[String]) {
    let expected: Vec<HashKey> = keys.iter().map(|key| HashKey(u128::from_be_bytes(oracle(key.as_bytes())))).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for kernel in Kernel::available() {
        let mut out = vec![HashKey(7)];
        lanes::hash_keys(kernel, &keys, &mut out);
        assert_eq!(out[1..], expected, "{kernel:?}");
    }
    let mut out = Vec::new();
    hash_keys(&keys, &mut out);
    assert_eq!(out, expected);
}

/// Miri takes a thousand times as long.
const STEP: usize = if cfg!(miri) { 23 } else { 1 };

#[test]
fn every_length_up_to_some_blocks_is_hashed_right_alone_and_in_lanes() {
    let messages: Vec<Vec<u8>> =
        (0..300).step_by(STEP).map(|len| (0..len).map(|byte| (byte * 7 + len) as u8).collect()).collect();
    for message in &messages {
        assert_eq!(md5(message), oracle(message), "{} bytes", message.len());
    }
    check_many(&messages.iter().map(|message| vec![message.clone()]).collect::<Vec<_>>());
    check_keys(&(0..200).step_by(STEP).map(|len| "k".repeat(len)).collect::<Vec<_>>());
}

#[test]
fn every_number_of_lanes_in_use_is_hashed_right() {
    for count in 0..40_usize {
        check_many(&(0..count).map(|n| vec![vec![n as u8; 5000 + 77 * n], vec![], vec![1; n]]).collect::<Vec<_>>());
        check_keys(&(0..count).map(|n| format!("key-{n}")).collect::<Vec<_>>());
    }
}

#[test]
fn one_long_message_among_short_ones_is_hashed_right() {
    let mut messages = vec![vec![vec![5; 70]]; 50];
    messages[17] = vec![vec![9; 100_000]];
    check_many(&messages);
}

proptest! {
    #[test]
    fn messages_in_any_segments_are_hashed_right(
        messages in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6), 0..40),
    ) {
        check_many(&messages);
    }

    #[test]
    fn keys_of_any_text_are_hashed_right(keys in prop::collection::vec(".{0,80}", 0..40)) {
        check_keys(&keys);
    }
}
