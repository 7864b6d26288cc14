use proptest::prelude::*;

use super::parse;
use crate::secret::Secret;

/// A file, the number that signs, and the keys.
type Row = (&'static str, u8, &'static [(u8, &'static str)]);

const KEY: &str = "d1e6557e2fcb30ff8d4d3ae65b50345fa46a2faa";

#[test]
fn accepts_what_heartbeat_accepts() {
    let table: [Row; 10] = [
        ("auth1\n1 sha1 KEY\n", 1, &[(1, KEY)]),
        ("auth 1\n1 sha1 KEY\n", 1, &[(1, KEY)]),
        ("auth\t1\r\n1\tsha1\tKEY\r\n", 1, &[(1, KEY)]),
        ("# keys\n\n  auth 15\n  15 sha1 KEY", 15, &[(15, KEY)]),
        ("1 sha1 KEY\nauth 1", 1, &[(1, KEY)]),
        (
            "auth 2\n2 sha1 KEY\n1 sha1 an-older-key-of-ours",
            2,
            &[(1, "an-older-key-of-ours"), (2, KEY)],
        ),
        ("auth 1\n1 sha1 a-key-with-a-#-in-it", 1, &[(1, "a-key-with-a-#-in-it")]),
        ("auth 1 # signs\n1 sha1 KEY # of May", 1, &[(1, KEY)]),
        ("auth 1\n1sha1 KEY", 1, &[(1, KEY)]),
        ("auth 01\n001 sha1 KEY", 1, &[(1, KEY)]),
    ];
    for (text, signing, expected) in table {
        let (keys, warnings) = parse(text.replace("KEY", KEY).as_bytes()).expect(text);
        let found: Vec<_> = keys.all.iter().map(|key| (key.id, key.secret.reveal())).collect();
        let expected: Vec<_> = expected.iter().map(|(id, key)| (*id, key.as_bytes())).collect();
        assert_eq!((keys.signing, found), (signing, expected), "{text}");
        assert_eq!(warnings, [], "{text}");
    }
}

#[test]
fn refuses_with_the_reason() {
    let table = [
        ("", None, "no auth line: expected `auth NUMBER`, the key that signs"),
        (
            "1 sha1 KEY",
            None,
            "no auth line: expected `auth NUMBER`, the key that signs",
        ),
        (
            "auth2\n1 sha1 KEY",
            Some(1),
            "auth 2: expected a line `2 sha1 KEY` as well",
        ),
        ("auth", Some(1), "auth: expected the number of a key (auth 1)"),
        ("auth one", Some(1), "auth: expected the number of a key (auth 1)"),
        ("authority 1", Some(1), "auth: expected the number of a key (auth 1)"),
        ("auth 0", Some(1), "the number of a key: expected 1 to 15"),
        ("auth 16", Some(1), "the number of a key: expected 1 to 15"),
        ("auth 1\nauth 1", Some(2), "auth: already given in line 1: expected one"),
        ("auth 1\n16 sha1 KEY", Some(2), "the number of a key: expected 1 to 15"),
        (
            "auth 1\n1 sha256 KEY",
            Some(2),
            "key 1: unknown method: expected sha1, in lower case, before the key",
        ),
        (
            "auth 1\n1 SHA1 KEY",
            Some(2),
            "key 1: unknown method: expected sha1, in lower case, before the key",
        ),
        (
            "auth 1\n1 KEY",
            Some(2),
            "key 1: unknown method: expected sha1, in lower case, before the key",
        ),
        (
            "auth 1\n1 sha1",
            Some(2),
            "key 1: sha1 requires a key: expected `1 sha1 KEY`",
        ),
        (
            "auth 1\n1 crc",
            Some(2),
            "key 1: crc does not authenticate anything, beats are signed with HMAC-SHA1: expected sha1",
        ),
        (
            "auth 1\n1 md5 KEY",
            Some(2),
            "key 1: md5 is not supported, beats are signed with HMAC-SHA1: expected sha1",
        ),
        ("auth 1\n1", Some(2), "expected `auth NUMBER` or `NUMBER sha1 KEY`"),
        (
            "auth 1\nsha1 KEY",
            Some(2),
            "expected `auth NUMBER` or `NUMBER sha1 KEY`",
        ),
        (
            "auth 1\n1 sha1 KEY\n1 sha1 KEY",
            Some(3),
            "key 1: given twice: expected each number once",
        ),
        (
            "auth 1\n1 sha1 K\0EY",
            Some(2),
            "contains a NUL byte: expected plain text",
        ),
    ];
    for (text, line, message) in table {
        let fault = parse(text.replace("KEY", KEY).as_bytes()).expect_err(text);
        assert_eq!((fault.line, fault.message.as_str()), (line, message), "{text}");
        assert!(!fault.message.contains(KEY), "{text}");
    }
}

#[test]
fn warns_of_a_blank_and_of_a_short_key() {
    let (keys, warnings) = parse(b"auth 1\n1 sha1 secret phrase").expect("accepted");
    assert_eq!(keys.all[0].secret.reveal(), b"secret");
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "authkeys:2: key 1 contains a blank: only the part before it is used, as in Heartbeat",
            "authkeys:2: key 1 is short: `hb keygen` makes one that cannot be guessed",
        ]
    );
}

#[test]
fn a_secret_does_not_show() {
    let secret = Secret::new(KEY.as_bytes().to_vec());
    assert_eq!(format!("{secret:?}"), "Secret");
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn anything_like_a_file_is_judged(text in "((auth|[0-9]{1,4}|sha1|crc|#| |\t|\r|\n|key){0,3} ?){0,12}") {
        let _ = parse(text.as_bytes());
    }
}
