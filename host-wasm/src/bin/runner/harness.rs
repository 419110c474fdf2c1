//! Test programs: each test in an instance of its own.

use std::{collections::BTreeSet, error::Error, process::ExitCode, sync::Arc};

use flatbao_host::{Finished, Output, Program, RunError, Sandbox};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::setting::Setting;

/// What a test program can do.
pub(crate) struct Tests {
    names: Vec<String>,
    ignored: BTreeSet<String>,
}

/// Asks a program for its tests. `None` if it is no test program.
pub(crate) fn list(
    setting: &Setting,
    program: &Program,
    path: &str,
) -> Result<Option<Tests>, Box<dyn Error>> {
    let Some(names) = ask(setting, program, path, &[])? else {
        return Ok(None);
    };
    let ignored = ask(setting, program, path, &["--ignored"])?.unwrap_or_default();
    Ok(Some(Tests {
        names,
        ignored: ignored.into_iter().collect(),
    }))
}

/// Runs those that `args` ask for, and reports in the way of all test programs.
pub(crate) fn run(
    setting: Setting,
    program: Program,
    path: String,
    tests: Tests,
    args: Vec<String>,
) -> ExitCode {
    let arguments = Arguments::from_iter([path.clone()].into_iter().chain(args));
    let one = Arc::new(One {
        setting,
        program,
        path,
        passes_output: arguments.nocapture,
    });
    let trials = tests.names.into_iter().map(|name| {
        let ignored = tests.ignored.contains(&name);
        let (one, test) = (one.clone(), name.clone());
        Trial::ignorable_test(name, move || one.run(&test)).with_ignored_flag(ignored)
    });
    let trials = trials.collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    conclusion.exit_code()
}

fn ask(
    setting: &Setting,
    program: &Program,
    path: &str,
    more: &[&str],
) -> Result<Option<Vec<String>>, Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let sandbox = setting.sandbox(scratch.path()).deadline(setting.timeout());
    let args = [path, "--list", "--format", "terse"]
        .into_iter()
        .chain(more.iter().copied());
    let finished = match sandbox.run(program, args) {
        Ok(finished) if finished.code == 0 => finished,
        // A program that takes these arguments for something else.
        Ok(_) | Err(RunError::Stopped(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Ok(text) = String::from_utf8(finished.stdout) else {
        return Ok(None);
    };
    let names = text.lines().filter(|line| !line.ends_with(": benchmark"));
    Ok(names
        .map(|line| line.strip_suffix(": test").map(str::to_owned))
        .collect())
}

/// How one test is run.
struct One {
    setting: Setting,
    program: Program,
    path: String,
    passes_output: bool,
}

impl One {
    fn run(&self, test: &str) -> Result<Completion, Failed> {
        let scratch = tempfile::tempdir()?;
        let mut sandbox: Sandbox = self
            .setting
            .sandbox(scratch.path())
            .deadline(self.setting.timeout());
        if self.passes_output {
            sandbox = sandbox.stderr(Output::Inherited);
        }
        let args = [
            &self.path,
            "--exact",
            test,
            "--include-ignored",
            "--nocapture",
            "--test-threads=1",
        ];
        let outcome = sandbox.run(&self.program, args);
        match outcome {
            Ok(finished) => self.judge(&finished),
            Err(RunError::Stopped(stopped)) => {
                let reason = stopped.reason.to_string();
                Err(failed(&reason, &stopped.stdout, &stopped.stderr))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An exit code of 0 is not enough: a program that ran nothing has it, too.
    fn judge(&self, finished: &Finished) -> Result<Completion, Failed> {
        let stdout = String::from_utf8_lossy(&finished.stdout);
        if self.passes_output {
            print!("{stdout}");
        }
        let result = stdout
            .lines()
            .rfind(|line| line.starts_with("test result: ok."));
        match result {
            Some(line)
                if finished.code == 0 && line.contains(" 1 passed; 0 failed; 0 ignored;") =>
            {
                Ok(Completion::Completed)
            }
            Some(line)
                if finished.code == 0 && line.contains(" 0 passed; 0 failed; 1 ignored;") =>
            {
                Ok(Completion::ignored_with("not to be run on this platform"))
            }
            _ => {
                let reason = format!("exit code {}", finished.code);
                Err(failed(&reason, &finished.stdout, &finished.stderr))
            }
        }
    }
}

fn failed(reason: &str, stdout: &[u8], stderr: &[u8]) -> Failed {
    let [stdout, stderr] = [stdout, stderr].map(String::from_utf8_lossy);
    format!("{}{}{reason}", stdout.trim_start(), stderr).into()
}
