//! What somebody may have meant who mistyped a name.

use strsim::damerau_levenshtein;

/// The one of `names` that `text` is nearly: but for its case, and one slip in a short name or two in a longer one.
pub(crate) fn similar<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    let near = names.into_iter().filter_map(|name| {
        let slips = damerau_levenshtein(&text, &name.to_lowercase());
        let most = if name.len() < LONG { 1 } else { 2 };
        (slips <= most).then_some((slips, name))
    });
    near.min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
}

/// With two slips a shorter name becomes any other.
const LONG: usize = 6;

#[cfg(test)]
mod tests {
    use super::similar;

    #[test]
    fn a_slip_is_seen_and_another_name_is_not() {
        let names = [
            "digitalocean",
            "hetzner",
            "vultr",
            "aws",
            "IPaddr",
            "IPaddr2",
            "IPv6addr",
        ];
        for (text, meant) in [
            ("digtalocean", Some("digitalocean")),
            ("digital0caen", Some("digitalocean")),
            ("DigitalOcean", Some("digitalocean")),
            ("hetnzer", Some("hetzner")),
            ("vulture", None),
            ("vultur", Some("vultr")),
            ("AWS", Some("aws")),
            ("asw", Some("aws")),
            ("as3", None),
            ("IPadr2", Some("IPaddr2")),
            ("ipaddr", Some("IPaddr")),
            ("floatip", None),
            ("apache2", None),
            ("nginx", None),
            ("", None),
        ] {
            assert_eq!(similar(text, names), meant, "{text}");
        }
    }
}
