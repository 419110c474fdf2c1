//! Every workload, small: a failing one is not to be found out only when it is measured.

// A test that cannot run fails.
#![allow(clippy::unwrap_used)]

use std::{error::Error, process::Command};

#[test]
fn each_workload_runs_and_is_checked() -> Result<(), Box<dyn Error>> {
    for name in ["import", "read", "small", "open", "start"] {
        let dir = tempfile::tempdir()?;
        let output = Command::new(env!("CARGO_BIN_EXE_flatbao-workloads"))
            .args([name, "--size", "3000000", "--count", "300", "--dir"])
            .arg(dir.path().join("x"))
            .output()?;
        let told = String::from_utf8(output.stdout)?;
        assert!(output.status.success(), "{name}: {:?}", output.stderr);
        assert!(
            told.starts_with(&format!(r#"{{"workload":"{name}","seconds":"#)),
            "{told}"
        );
        assert!(told.ends_with(",\"checked\":true}\n"), "{told}");
    }
    Ok(())
}

#[test]
fn a_wrong_command_line_is_not_measured() {
    for args in [
        &[][..],
        &["nothing", "--dir", "x"],
        &["start"],
        &["start", "--dir"],
        &["start", "--dir", "x", "--size", "much"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_flatbao-workloads"))
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
