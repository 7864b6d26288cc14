//! The tutorial's own way: a script that asks the metadata service who this is, and the API for the address.

use std::net::SocketAddrV4;

use super::site::RELAY;
use crate::{
    cloud::{API_NAME, TOKEN},
    network::{FLOATING_IP, METADATA_IP},
    tutorial::AUTHORITY_FILE,
};

/// The script `floatip`, with curl for what the tutorial's `assign-ip` does in Python. It ends when the API has accepted.
pub(super) fn floatip() -> String {
    let (metadata, port) = (SocketAddrV4::new(METADATA_IP, 80), RELAY.port());
    format!(
        r#"#!/bin/bash
case "$1" in
start)
    ID=$(curl --silent --fail --max-time 5 http://{metadata}/metadata/v1/id) || exit 1
    exec curl --silent --fail --max-time 10 --cacert {AUTHORITY_FILE} --output /dev/null \
        --header 'Authorization: Bearer {TOKEN}' --json '{{"type":"assign","droplet_id":'"$ID"'}}' \
        https://{API_NAME}:{port}/v2/reserved_ips/{FLOATING_IP}/actions
    ;;
stop | status)
    exit 0
    ;;
esac
exit 1
"#
    )
}
