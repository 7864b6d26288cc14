use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30, 12:36.
const THEN: u64 = 1_440_938_160;

/// Amazon's worked example: `GET https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08`.
fn example() -> HeaderMap {
    headers(&[
        ("host", "iam.amazonaws.com"),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ])
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.insert(*name, HeaderValue::from_str(value).expect("a header"));
    }
    headers
}

fn check(headers: &HeaderMap, body: &[u8], now: u64, key: Key<'_>) -> Result<(), &'static str> {
    let query = [("Version", "2010-05-08"), ("Action", "ListUsers")];
    let query = query.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let asked = Asked {
        method: "GET",
        path: "/",
        query: &query,
        headers,
        body,
    };
    let keys = |id: &str| (id == "AKIDEXAMPLE").then_some(key);
    verify(&asked, ["us-east-1", "iam"], now, keys).map_err(|wrong| wrong.code)
}

const KEY: Key<'_> = Key {
    secret: SECRET,
    session: None,
};

#[test]
fn the_documented_example_is_good() {
    assert_eq!(check(&example(), b"", THEN, KEY), Ok(()));
}

#[test]
fn another_documented_example_is_good() {
    // `get-vanilla` of Amazon's test suite.
    let headers = headers(&[
        ("host", "example.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
    ]);
    let asked = Asked {
        method: "GET",
        path: "/",
        query: &[],
        headers: &headers,
        body: b"",
    };
    assert_eq!(verify(&asked, ["us-east-1", "service"], THEN, |_| Some(KEY)), Ok(()));
}

#[test]
fn whatever_is_altered_is_noticed() {
    assert_eq!(check(&example(), b"more", THEN, KEY), Err("SignatureDoesNotMatch"));
    let other = Key {
        secret: "another",
        session: None,
    };
    assert_eq!(check(&example(), b"", THEN, other), Err("SignatureDoesNotMatch"));
    let mut elsewhere = example();
    elsewhere.insert("host", HeaderValue::from_static("sts.amazonaws.com"));
    assert_eq!(check(&elsewhere, b"", THEN, KEY), Err("SignatureDoesNotMatch"));
}

#[test]
fn a_request_is_good_for_some_minutes() {
    assert_eq!(check(&example(), b"", THEN + 299, KEY), Ok(()));
    assert_eq!(check(&example(), b"", THEN + 301, KEY), Err("RequestExpired"));
    assert_eq!(check(&example(), b"", THEN - 301, KEY), Err("RequestExpired"));
}

#[test]
fn who_has_no_key_is_not_let_in() {
    assert_eq!(
        check(&HeaderMap::new(), b"", THEN, KEY),
        Err("MissingAuthenticationToken")
    );
    let session = Key {
        secret: SECRET,
        session: Some("a session's"),
    };
    assert_eq!(check(&example(), b"", THEN, session), Err("AuthFailure"));
    let mut stranger = example();
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDOTHER/20150830/us-east-1/iam/aws4_request, SignedHeaders=host, \
                         Signature=00";
    stranger.insert("authorization", HeaderValue::from_static(authorization));
    assert_eq!(check(&stranger, b"", THEN, KEY), Err("AuthFailure"));
}

#[test]
fn headers_of_amazons_have_to_be_signed() {
    let mut added = example();
    added.insert("x-amz-security-token", HeaderValue::from_static("a session's"));
    let session = Key {
        secret: SECRET,
        session: Some("a session's"),
    };
    assert_eq!(check(&added, b"", THEN, session), Err("IncompleteSignature"));
}
