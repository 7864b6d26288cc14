use hb_ebpf::beat::Words;

use super::*;

/// Both halves, over a message of 55 bytes.
fn tags(key: &[u8]) -> [Vec<u8>; 2] {
    let message = std::array::from_fn(|index| u8::try_from(index).unwrap_or(0));
    let ours = midstates(key).tag(&Words::of_message(&message));
    [
        Signer::new(key).sign(&message)[MESSAGE_LEN..].to_vec(),
        ours.0.iter().flat_map(|word| word.to_be_bytes()).collect(),
    ]
}

#[test]
fn keys_of_every_length_sign_as_the_hmac_crate_does() {
    for length in 0..=200 {
        let key: Vec<u8> = (0..length).map(|byte| byte ^ 0x5a).collect();
        let mut expected = Hmac::<Sha1>::new_from_slice(&key).expect("HMAC takes keys of every length");
        expected.update(&(0..55).collect::<Vec<u8>>());
        let expected = expected.finalize().into_bytes().to_vec();
        assert_eq!(tags(&key), [expected.clone(), expected], "a key of {length} bytes");
    }
}

/// Python's `hmac.new(b'Jefe', bytes(range(55)), hashlib.sha1).hexdigest()`.
#[test]
fn tags_are_those_of_another_implementation() {
    let expected = "a250f241ac406312446e416bc92e65f8dead7208";
    for tag in tags(b"Jefe") {
        let hex: Vec<String> = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex.concat(), expected);
    }
}

#[test]
fn a_signer_prints_nothing_of_its_key() {
    assert_eq!(format!("{:?}", Signer::new(b"secret")), "Signer");
}
