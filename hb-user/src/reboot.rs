//! The last resort: a node that cannot stop what it has reboots itself.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::process::{self, End, last_lines};

/// How long the command may take; the machine may go down while it runs, or after it.
const DEADLINE: Duration = Duration::from_mins(1);
/// How many lines of a failed command's output are told.
const LINES: usize = 3;

/// Why the machine does not reboot.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RebootError {
    #[error("the reboot command is empty: expected a program's absolute path and its arguments")]
    Empty,
    #[error("the reboot command {program:?} is not an absolute path")]
    NotAbsolute { program: String },
    #[error("the reboot command {program} could not be started")]
    NotStarted { program: String, source: io::Error },
    #[error("the reboot command {program} failed: {what}: {output}")]
    Failed {
        program: String,
        what: String,
        output: String,
    },
    #[error("the reboot command {program} was killed after {} s: {output}", .limit.as_secs())]
    TimedOut {
        program: String,
        limit: Duration,
        output: String,
    },
}

/// Runs the reboot command, exactly as given: nothing is written to disks before, as by Heartbeat's `reboot -nf`.
///
/// Variables that are `passed` it finds although their names are those of secrets: `[scripts] pass_env`.
///
/// `Ok` means that the command succeeded. The machine may still be there for a while.
pub async fn reboot(command: &[String], passed: &[String]) -> Result<(), RebootError> {
    reboot_within(command, passed, DEADLINE).await
}

async fn reboot_within(command: &[String], passed: &[String], limit: Duration) -> Result<(), RebootError> {
    let (program, arguments) = command.split_first().ok_or(RebootError::Empty)?;
    let program = program.clone();
    if !Path::new(&program).is_absolute() {
        return Err(RebootError::NotAbsolute { program });
    }
    let mut call = Command::new(&program);
    call.args(arguments).stdin(Stdio::null());
    process::withhold(&mut call, passed);
    let (end, tail) = process::run(call, limit).await;
    let output = last_lines(&tail.text(), LINES);
    let what = match end {
        Ok(End::Exited(0)) => return Ok(()),
        Ok(End::Exited(code)) => format!("exit code {code}"),
        Ok(End::Signalled(signal)) => format!("killed by signal {signal}"),
        Ok(End::Untold(reason)) => reason,
        Ok(End::TimedOut | End::Aborted) => return Err(RebootError::TimedOut { program, limit, output }),
        Err(source) => return Err(RebootError::NotStarted { program, source }),
    };
    Err(RebootError::Failed { program, what, output })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    fn shell(text: &str) -> [String; 3] {
        ["/bin/sh", "-c", text].map(str::to_owned)
    }

    #[tokio::test]
    async fn the_command_is_run_as_given() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("called");
        let text = format!("echo \"$0 $1\" > {}", file.display());
        let [program, option, text] = shell(&text);
        let command = [program, option, text, "-nf".to_owned(), "two words".to_owned()];
        reboot(&command, &[]).await.expect("success");
        assert_eq!(std::fs::read_to_string(file).expect("a file"), "-nf two words\n");
    }

    #[tokio::test]
    async fn it_finds_the_secrets_that_are_passed() {
        if !process::inside(&[("HB_TEST_PASSWORD", "passed"), ("HB_TEST_TOKEN", "kept")]) {
            return;
        }
        let command = shell("echo password=$HB_TEST_PASSWORD token=$HB_TEST_TOKEN; exit 1");
        let error = reboot(&command, &["HB_TEST_PASSWORD".to_owned()]).await;
        let error = error.expect_err("it fails").to_string();
        assert!(error.ends_with(": password=passed token="), "{error}");
    }

    #[tokio::test]
    async fn what_went_wrong_is_told() {
        let table: [(&[String], &str); 5] = [
            (&[], "empty"),
            (&["reboot".to_owned()], "\"reboot\" is not an absolute path"),
            (&["/nowhere/reboot".to_owned()], "/nowhere/reboot could not be started"),
            (
                &shell("echo one; echo two >&2; exit 7"),
                "/bin/sh failed: exit code 7: one; two",
            ),
            (
                &shell("echo begun; exec sleep 1000"),
                "/bin/sh was killed after 0 s: begun",
            ),
        ];
        for (command, expected) in table {
            let limit = if expected.contains("killed") { SHORT } else { DEADLINE };
            let error = reboot_within(command, &[], limit)
                .await
                .expect_err(expected)
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
