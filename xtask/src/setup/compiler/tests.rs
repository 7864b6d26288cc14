use super::*;

#[test]
fn a_compiler_tells_its_release_and_its_llvm() {
    let about = parse_about(
        "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n\
         release: 1.97.0-nightly\nLLVM version: 22.1.4\n",
    );
    assert_eq!(
        about.ok(),
        Some(About {
            release: "1.97.0-nightly".into(),
            llvm: 22
        })
    );
    assert!(parse_about("release: 1.97.0\n").is_err());
}

#[test]
fn rustup_lists_its_toolchains_with_their_paths() {
    let nightly =
        parse_nightly("nightly-x86_64-unknown-linux-gnu (active) /home/a b/.rustup/toolchains/nightly-x86_64")
            .expect("a nightly");
    assert_eq!(nightly.name, "nightly-x86_64-unknown-linux-gnu");
    assert_eq!(
        nightly.bin,
        Path::new("/home/a b/.rustup/toolchains/nightly-x86_64/bin")
    );
    assert!(parse_nightly("stable-x86_64-unknown-linux-gnu (default) /root/.rustup/toolchains/stable").is_none());
    assert!(parse_nightly("no installed toolchains").is_none());
}

#[test]
fn an_old_compiler_is_refused() {
    let about = |release: &str| About {
        release: release.into(),
        llvm: 22,
    };
    assert!(about("1.97.0-nightly").is_new_enough());
    assert!(about(concat!(env!("CARGO_PKG_RUST_VERSION"), ".0")).is_new_enough());
    assert!(!about("1.85.0").is_new_enough());
}
