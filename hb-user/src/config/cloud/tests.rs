use super::*;

#[test]
fn every_provider_takes_its_addresses() {
    for (kind, text) in [
        (CloudKind::DigitalOcean, "203.0.113.10"),
        (CloudKind::DigitalOcean, "2001:db8::7"),
        (CloudKind::Hetzner, "203.0.113.10"),
        (CloudKind::Hetzner, "2001:db8::1"),
        (CloudKind::Vultr, "203.0.113.10"),
        (CloudKind::Vultr, "2001:db8::1"),
        (CloudKind::Aws, "203.0.113.10"),
        (CloudKind::Aws, "eipalloc-08229861"),
        (CloudKind::Aws, "eipalloc-0123456789abcdef0"),
    ] {
        let address = kind.parse(text).expect(text);
        assert_eq!(address.to_string(), format!("{kind}::{text}"));
        assert_eq!(CloudKind::of(kind.name()), Some(kind));
    }
}

#[test]
fn what_no_provider_moves_is_refused() {
    for (kind, text, expected) in [
        (CloudKind::DigitalOcean, "", "expected digitalocean::ADDRESS"),
        (
            CloudKind::DigitalOcean,
            "203.0.113.400",
            "expected digitalocean::ADDRESS",
        ),
        (
            CloudKind::DigitalOcean,
            "eipalloc-08229861",
            "expected digitalocean::ADDRESS",
        ),
        (CloudKind::Hetzner, "203.0.113.10/32", "expected hetzner::ADDRESS"),
        (CloudKind::Vultr, "127.0.0.1", "127.0.0.1 is no public address"),
        (CloudKind::Vultr, "fe80::1", "fe80::1 is no public address"),
        (CloudKind::Vultr, "224.0.0.1", "224.0.0.1 is no public address"),
        (CloudKind::Aws, "2001:db8::1", "an Elastic IP is an IPv4 address"),
        (CloudKind::Aws, "eipalloc-", "expected aws::ADDRESS or aws::eipalloc-ID"),
        (
            CloudKind::Aws,
            "eipalloc-0822986z",
            "expected aws::ADDRESS or aws::eipalloc-ID",
        ),
    ] {
        let error = kind.parse(text).expect_err(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn an_id_is_nothing_that_changes_a_request() {
    for good in ["3164444", "i-0598c7d356eba48d7", "36e9cf60-5d93-4e31-8ebf-613b3d2874fb"] {
        assert_eq!(InstanceId::new(good).expect(good).as_str(), good);
    }
    let long = "1".repeat(65);
    for bad in ["", "1/2", "1 2", "1\n", "<html>", "i_1", &long] {
        assert_eq!(InstanceId::new(bad), None, "{bad}");
    }
}
