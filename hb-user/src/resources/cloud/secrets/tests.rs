use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::config::CloudKind;

fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    (dir, path)
}

fn settings(kind: CloudKind, path: &Path) -> CloudSettings {
    CloudSettings::new(kind, SecretSource::File(path.to_owned()))
}

#[test]
fn a_token_is_the_one_word_of_its_file() {
    let (_dir, path) = file("\n dop_v1_secret \n", 0o600);
    let settings = settings(CloudKind::DigitalOcean, &path);
    assert_eq!(token(&settings).expect("a token").reveal(), b"dop_v1_secret");
    for bad in ["", " \n", "two words", "se\u{1}cret", "s\u{e9}cret"] {
        fs::write(&path, bad).expect("a file");
        let error = token(&settings).expect_err(bad).to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert!(!error.contains("cret"), "{error}");
    }
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    for mode in [0o644, 0o640, 0o604] {
        let (_dir, path) = file("dop_v1_secret", mode);
        let error = token(&settings(CloudKind::Vultr, &path))
            .expect_err("exposed")
            .to_string();
        let expected = format!("mode {mode:o} lets others read the token: run `chmod 600");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn what_is_missing_says_what_to_do() {
    let error = token(&settings(CloudKind::Vultr, Path::new("/nowhere/token"))).expect_err("none");
    let error = crate::causes::causes(&error);
    assert!(
        error.starts_with("/nowhere/token: not found, put the provider's token there"),
        "{error}"
    );
    // Only where the tests are no service of systemd's.
    if std::env::var_os(DIRECTORY).is_none() {
        let settings = CloudSettings::new(CloudKind::Vultr, SecretSource::Credential("vultr".to_owned()));
        let error = token(&settings).expect_err("no credential").to_string();
        assert!(error.starts_with("the credential vultr"), "{error}");
    }
}

#[test]
fn keys_of_aws_are_written_as_for_its_tools() {
    let (_dir, path) = file(
        "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n",
        0o400,
    );
    let settings = settings(CloudKind::Aws, &path);
    let keys = super::keys(&settings).expect("readable").expect("keys");
    assert_eq!(keys.id, "AKIDEXAMPLE");
    assert_eq!(keys.key.reveal(), b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    assert_eq!(keys.session, None);
    assert!(!format!("{keys:?}").contains("wJalr"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    for bad in [
        "",
        "aws_access_key_id = A\n",
        "[a]\n[b]\naws_access_key_id=A\naws_secret_access_key=B\n",
    ] {
        fs::write(&path, bad).expect("a file");
        assert!(super::keys(&settings).is_err(), "{bad}");
    }
    let role = CloudSettings::new(CloudKind::Aws, SecretSource::InstanceRole);
    assert!(super::keys(&role).expect("no file is needed").is_none());
}
