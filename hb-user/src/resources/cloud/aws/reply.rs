//! What EC2 answers, in XML.

use serde::Deserialize;

use crate::resources::cloud::http::Reply;
use crate::resources::cloud::provider::Failure;

/// An Elastic IP. What is not there is empty.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Address {
    pub(super) public_ip: String,
    pub(super) allocation_id: String,
    #[serde(default)]
    pub(super) instance_id: String,
    #[serde(default)]
    pub(super) network_interface_id: String,
}

/// The one address of a `DescribeAddressesResponse`.
pub(super) fn address(reply: &Reply) -> Result<Address, Failure> {
    #[derive(Deserialize)]
    struct Response {
        #[serde(rename = "addressesSet")]
        addresses: Addresses,
    }
    #[derive(Deserialize)]
    struct Addresses {
        #[serde(default, rename = "item")]
        items: Vec<Address>,
    }
    let response: Response = parse(reply, "DescribeAddressesResponse")?;
    let mut items = response.addresses.items;
    let address = items.pop().filter(|address| items.is_empty() && is_plain(address));
    address.ok_or_else(|| reply.unreadable(&"expected one address with its allocation"))
}

/// The allocation's id goes into requests.
fn is_plain(address: &Address) -> bool {
    crate::config::cloud::is_id(&address.allocation_id) && address.public_ip.parse::<std::net::Ipv4Addr>().is_ok()
}

/// An `AssociateAddressResponse` that says that it was done.
pub(super) fn associated(reply: &Reply) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Response {
        #[serde(rename = "return")]
        result: bool,
    }
    let response: Response = parse(reply, "AssociateAddressResponse")?;
    if response.result {
        Ok(())
    } else {
        Err(reply.unreadable(&"it says neither that it was done nor why not"))
    }
}

/// The first error's code, and the code with the message.
pub(super) fn words(body: &[u8]) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Response {
        #[serde(rename = "Errors")]
        errors: Errors,
    }
    #[derive(Deserialize)]
    struct Errors {
        #[serde(rename = "Error")]
        errors: Vec<Error>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Error {
        code: String,
        #[serde(default)]
        message: String,
    }
    let response: Response = quick_xml::de::from_str(str::from_utf8(body).ok()?).ok()?;
    let error = response.errors.errors.into_iter().next()?;
    let message = format!("{} ({})", error.message, error.code);
    Some((error.code, message))
}

/// Whether the keys were refused in a way that new ones of the same role may mend.
pub(super) fn says_expired(reply: &Reply) -> bool {
    let is_refused = reply.status.is_client_error();
    let code = words(&reply.body).map(|(code, _)| code).filter(|_| is_refused);
    let codes = ["ExpiredToken", "RequestExpired", "AuthFailure", "InvalidClientTokenId"];
    code.is_some_and(|code| codes.contains(&code.as_str()))
}

/// The name of the outermost element is looked at, too: serde would take any.
fn parse<T: serde::de::DeserializeOwned>(reply: &Reply, name: &str) -> Result<T, Failure> {
    let text = str::from_utf8(&reply.body).map_err(|error| reply.unreadable(&error))?;
    if !text.contains(&format!("</{name}>")) {
        return Err(reply.unreadable(&format_args!("expected a whole {name}")));
    }
    quick_xml::de::from_str(text).map_err(|error| reply.unreadable(&error))
}
