//! A test that has to find something in its own environment runs itself once more, in a process that has it.

use std::process::Command;

const INSIDE: &str = "HB_TEST_INSIDE";

/// Whether this is the process with the variables. If not, such a one was started, and has run the calling test, which is to return.
pub(crate) fn inside(variables: &[(&str, &str)]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let name = std::thread::current().name().expect("the test's").to_owned();
    let again = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &name, "--nocapture"])
        .env(INSIDE, "yes")
        .envs(variables.iter().copied())
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
    false
}
