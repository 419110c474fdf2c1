//! Which names of a collection become files, and which refuse the whole restore.
//!
//! A collection comes from anywhere, and its names are whatever its maker wrote. Rules that keep a restore
//! inside its directory hold always. Rules about what other systems cannot hold can be left out.

use std::collections::BTreeMap;

use crate::{
    error::{CliError, Result},
    output::printable,
};

/// What a name has to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Every system.
    Portable,
    /// This one. Where this one is Windows, that is the same.
    Native,
}

/// Checks all names of a collection, alone and against each other.
pub(crate) fn check<'a>(names: impl IntoIterator<Item = &'a str>, rules: Rules) -> Result<()> {
    let mut seen = Seen::default();
    for name in names {
        never(name).map_err(refuse(name, false))?;
        seen.add(name, str::to_owned).map_err(refuse(name, false))?;
        if rules == Rules::Native && !cfg!(windows) {
            continue;
        }
        elsewhere(name).map_err(refuse(name, true))?;
        seen.add(name, |path| format!("\0{}", folded(path)))
            .map_err(refuse(name, true))?;
    }
    Ok(())
}

/// The first name that [`Rules::Portable`] refuse, and why.
pub(crate) fn not_portable<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    match *check(names, Rules::Portable).err()? {
        CliError::UnsafeName { name, why, .. } => Some(format!("{name} {why}")),
        _ => None,
    }
}

fn refuse(name: &str, elsewhere: bool) -> impl FnOnce(String) -> Box<CliError> {
    let name = printable(name);
    move |why| {
        Box::new(CliError::UnsafeName {
            name,
            why,
            elsewhere,
        })
    }
}

/// What no system may be asked to create below a directory.
fn never(name: &str) -> Result<(), String> {
    let why = if name.is_empty() {
        "is empty"
    } else if name.starts_with('/') {
        "is absolute"
    } else if name.contains('\0') {
        "contains a NUL byte"
    } else if name.split('/').any(|part| matches!(part, "." | "..")) {
        "has a component `.` or `..`"
    } else if name.split('/').any(str::is_empty) {
        "has an empty component"
    } else {
        return Ok(());
    };
    Err(why.to_owned())
}

/// What means something else on another system, or cannot be there.
fn elsewhere(name: &str) -> Result<(), String> {
    for part in name.split('/') {
        let why = if part.contains('\\') {
            "has a backslash, which separates directories on Windows"
        } else if part.contains(':') {
            "has a colon, which names drives and streams on Windows"
        } else if part.ends_with(['.', ' ']) {
            "ends a component with a dot or a space, which Windows drops"
        } else if is_reserved(part) {
            "has a component that is a device on Windows"
        } else {
            continue;
        };
        return Err(why.to_owned());
    }
    Ok(())
}

/// Whether Windows takes the name for a device, with whatever extension.
fn is_reserved(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end_matches(' ');
    let stem = folded(stem);
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => return true,
        _ => {}
    }
    let port = stem
        .strip_prefix("COM")
        .or_else(|| stem.strip_prefix("LPT"));
    let mut digits = port.unwrap_or_default().chars();
    // Windows takes the superscript digits of Latin-1 for digits.
    let digit = |c: char| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³');
    digits.next().is_some_and(digit) && digits.next().is_none()
}

/// The same for all spellings that a file system which ignores case takes for one: in capitals. Six of these look
/// like capitals of their own and share their small letter with others; by naming them, the table of all small
/// letters is not needed.
fn folded(path: &str) -> String {
    let mut folded = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '\u{130}' => folded.push_str("I\u{307}"),
            '\u{3f4}' => folded.push('\u{398}'),
            '\u{1e9e}' => folded.push_str("SS"),
            '\u{2126}' => folded.push('\u{3a9}'),
            '\u{212a}' => folded.push('K'),
            '\u{212b}' => folded.push('\u{c5}'),
            c => folded.extend(c.to_uppercase()),
        }
    }
    folded
}

/// Files and directories so far, by the key under which they would collide, with their spelling.
#[derive(Default)]
struct Seen {
    files: BTreeMap<String, String>,
    directories: BTreeMap<String, String>,
}

impl Seen {
    fn add(&mut self, name: &str, key: impl Fn(&str) -> String) -> Result<(), String> {
        for (at, _) in name.match_indices('/') {
            let directory = &name[..at];
            let key = key(directory);
            if let Some(file) = self.files.get(&key) {
                return Err(format!("needs a directory where {} is", printable(file)));
            }
            match self.directories.get(&key) {
                Some(other) if other != directory => return Err(same(other)),
                Some(_) => {}
                None => {
                    self.directories.insert(key, directory.to_owned());
                }
            }
        }
        let key = key(name);
        if self.directories.contains_key(&key) {
            return Err("is a directory as well".to_owned());
        }
        match self.files.insert(key, name.to_owned()) {
            Some(other) => Err(same(&other)),
            None => Ok(()),
        }
    }
}

fn same(other: &str) -> String {
    format!("is the same as {} where case is ignored", printable(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(names: &[&str], rules: Rules) -> Option<String> {
        check(names.iter().copied(), rules)
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn folding_takes_together_what_has_the_same_small_letters() {
        for c in '\0'..=char::MAX {
            let name = format!("a{c}b");
            let expected = name.to_uppercase().to_lowercase().to_uppercase();
            assert_eq!(folded(&name), expected, "{c:?}");
        }
    }

    #[test]
    fn what_could_lead_out_is_refused_under_all_rules() {
        for name in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            ".",
            "./a",
            "a/.",
            "a//b",
            "a/",
            "a\0b",
        ] {
            for rules in [Rules::Portable, Rules::Native] {
                assert!(refused(&["ok", name], rules).is_some(), "{name:?}");
            }
        }
        for clash in [["a", "a/b"], ["a/b", "a"], ["a", "a"], ["a/b/c", "a/b"]] {
            for rules in [Rules::Portable, Rules::Native] {
                assert!(refused(&clash, rules).is_some(), "{clash:?}");
            }
        }
    }

    #[test]
    fn what_other_systems_cannot_hold_is_refused_unless_asked_for() {
        for names in [
            &["a\\b"][..],
            &["..\\..\\x"],
            &["C:"],
            &["C:/x"],
            &["a:stream"],
            &["CON"],
            &["dir/nul.txt"],
            &["aux .c"],
            &["com1"],
            &["COM¹.log"],
            &["lpt³"],
            &["conin$"],
            &["trailing."],
            &["trailing /x"],
            &["..."],
            &["A", "a"],
            &["Ä", "ä"],
            &["A/x", "a/y"],
            &["A", "a/b"],
            &["straße", "STRASSE"],
        ] {
            let why = refused(names, Rules::Portable);
            assert!(why.is_some(), "{names:?}");
            let native = refused(names, Rules::Native);
            assert_eq!(native.is_some(), cfg!(windows), "{names:?}");
        }
    }

    #[test]
    fn ordinary_names_pass() {
        let names = [
            "a", "b/c", "b/d", "..a", "a..b", ".hidden", "com", "com10", "comx", "console", "lpt",
            "ü/🦀", "a b", "nul_", "x/y/z",
        ];
        assert_eq!(refused(&names, Rules::Portable), None);
    }
}
