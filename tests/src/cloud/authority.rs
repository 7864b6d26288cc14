//! A certificate authority that only the tests know.

use std::sync::Arc;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// What a server shows, and what its clients have to know.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub config: Arc<ServerConfig>,
    /// The authority's certificate.
    pub authority: String,
}

/// Makes an authority, and a certificate of it for some names and addresses.
pub(super) fn certify(names: &[String]) -> Result<Identity> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
        .distinguished_name
        .push(DnType::CommonName, "the tests' authority");
    let certificate = authority.self_signed(&authority_key)?;

    let key = KeyPair::generate()?;
    let issuer = Issuer::from_params(&authority, &authority_key);
    let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)?;
    Ok(Identity {
        config: Arc::new(config),
        authority: certificate.pem(),
    })
}
