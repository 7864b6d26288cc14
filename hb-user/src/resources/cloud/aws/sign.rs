//! Signing a request to EC2 (Signature Version 4).

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::clock;
use crate::resources::cloud::provider::Failure;
use crate::resources::cloud::secrets::Keys;

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

type Signed = (Vec<(HeaderName, HeaderValue)>, String);

/// The headers of a POST of this body to `base`, the signature among them, and the signature.
pub(super) fn headers(keys: &Keys, region: &str, base: &str, body: &str) -> Result<Signed, Failure> {
    at(keys, region, base, body, clock::unix_seconds())
}

fn at(keys: &Keys, region: &str, base: &str, body: &str, unix_seconds: u64) -> Result<Signed, Failure> {
    let text = |secret: &crate::secret::Secret| str::from_utf8(secret.reveal()).map(str::to_owned);
    let (Ok(key), Ok(session)) = (text(&keys.key), keys.session.as_ref().map(text).transpose()) else {
        return Err(unsigned("the key is no text"));
    };
    let identity = Credentials::new(&keys.id, key, session, None, "hb").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("ec2")
        .time(UNIX_EPOCH + Duration::from_secs(unix_seconds))
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| unsigned(&error.to_string()))?
        .into();
    let url = format!("{base}/");
    let content_type = [(CONTENT_TYPE.as_str(), FORM)];
    let request = SignableRequest::new(
        "POST",
        &url,
        content_type.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    )
    .map_err(|error| unsigned(&error.to_string()))?;
    let (instructions, signature) = sign(request, &params)
        .map_err(|error| unsigned(&error.to_string()))?
        .into_parts();

    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static(FORM))];
    let (signed, _) = instructions.into_parts();
    for header in signed {
        let mut value = HeaderValue::from_str(header.value()).map_err(|_| unsigned("a header is no header"))?;
        value.set_sensitive(true);
        headers.push((HeaderName::from_static(header.name()), value));
    }
    Ok((headers, signature))
}

fn unsigned(reason: &str) -> Failure {
    Failure::Setting {
        reason: format!("cannot sign a request to AWS: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn keys(session: Option<&str>) -> Keys {
        Keys {
            id: "AKIDEXAMPLE".to_owned(),
            key: Secret::new(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec()),
            session: session.map(|session| Secret::new(session.as_bytes().to_vec())),
        }
    }

    fn signed(base: &str, session: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
        at(
            &keys(session),
            "us-east-1",
            base,
            "Action=DescribeAddresses&Version=2016-11-15",
            1_440_938_160,
        )
        .expect("signed")
        .0
    }

    fn header(headers: &[(HeaderName, HeaderValue)], name: &str) -> String {
        let found = headers.iter().find(|(header, _)| header == name);
        let (_, value) = found.expect(name);
        value.to_str().expect("text").to_owned()
    }

    #[test]
    fn a_signature_is_what_another_implementation_computes() {
        let headers = signed("https://ec2.us-east-1.amazonaws.com", None);
        assert_eq!(header(&headers, "x-amz-date"), "20150830T123600Z");
        let authorization = header(&headers, "authorization");
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/ec2/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date, Signature=f060f352ba0fdbe5604b7519f035039e5e77616ab2de9d0194cd858a83fff923";
        assert_eq!(authorization, expected);
    }

    #[test]
    fn a_session_and_a_port_are_signed_too() {
        let headers = signed("http://127.0.0.1:8080", Some("session"));
        assert_eq!(header(&headers, "x-amz-security-token"), "session");
        let authorization = header(&headers, "authorization");
        assert!(
            authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"),
            "{authorization}"
        );
        let other = header(&signed("http://127.0.0.1:8081", Some("session")), "authorization");
        assert_ne!(authorization, other, "the port is part of the host");
        assert!(!format!("{headers:?}").contains("session\""), "nothing of it is shown");
    }
}
