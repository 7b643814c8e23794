//! Control requests and vhost-user messages as arbitrary bytes: whatever comes, an answer that fits or a reason.

use proptest::prelude::*;
use vhost_sound::device::fuzz::fuzz_control;
use vhost_sound::link::Message;
use vhost_sound::link::message::{HEADER, payload_bytes};

/// Name and requests answered with OK.
const CORPUS: [(&str, &[u8], usize); 4] = [
    ("probe", include_bytes!("corpus/control/probe.bin"), 4),
    ("life", include_bytes!("corpus/control/life.bin"), 7),
    ("controls", include_bytes!("corpus/control/controls.bin"), 5),
    ("malformed", include_bytes!("corpus/control/malformed.bin"), 0),
];

#[test]
fn the_corpus_is_answered_as_it_should_be() {
    for (name, bytes, fine) in CORPUS {
        assert_eq!(fuzz_control(bytes), fine, "{name}");
    }
}

#[test]
fn the_corpus_with_any_byte_changed_is_answered() {
    for (_, bytes, _) in CORPUS {
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = bytes.to_vec();
                bytes[at] ^= flip;
                fuzz_control(&bytes);
            }
        }
    }
}

/// A header whose numbers are near what front ends send.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let flags = prop_oneof![Just(1u32), Just(9), any::<u32>()];
    (
        0u32..50,
        flags,
        prop::collection::vec(any::<u8>(), 0..80),
        any::<bool>(),
    )
        .prop_map(|(number, flags, body, honest)| {
            let size = if honest {
                body.len() as u32
            } else {
                body.len() as u32 * 7
            };
            let mut bytes: Vec<u8> = [number, flags, size]
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect();
            bytes.extend(body);
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_requests_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz_control(&bytes);
    }

    #[test]
    fn arbitrary_bytes_are_a_message_or_are_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = payload_bytes(&bytes);
        let _ = Message::parse(&bytes);
    }

    #[test]
    fn a_message_has_the_length_its_header_says(bytes in message()) {
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert_eq!(payload_bytes(&bytes).unwrap().map(|size| size + HEADER <= bytes.len()), Some(true));
            prop_assert!(message.came_with(message.request.descriptors()).is_ok());
            prop_assert!(message.came_with(message.request.descriptors() + 1).is_err());
        }
    }
}
