//! The arguments of the program: those of this process, and what it cannot know otherwise.

use std::ffi::OsString;

use flatbao::Cli;
use flatbao_core::store::Locking;

use crate::{
    error::{Error, Result},
    plan::Plan,
    view::text,
};

const LOCKING: &str = "--locking";
const OWN: &str = "own";
const HELD: &str = "held";

pub(crate) fn for_program(cli: &Cli, given: &[OsString], plan: &Plan) -> Result<Vec<String>> {
    let given = given.iter().skip(1).map(|text| {
        let is_utf8 = text.to_str().map(str::to_owned);
        is_utf8.ok_or_else(|| Error::NotUtf8 {
            text: text.to_string_lossy().into_owned(),
        })
    });
    let mut given = given.collect::<Result<Vec<_>>>()?;
    let mut all = vec!["flatbao".to_owned()];
    let mut add = |option: &str, value: &str| all.extend([option.to_owned(), value.to_owned()]);
    add("--current-dir", plan.current()?);
    if let Some(store) = cli.store_from_environment() {
        add("--store", text(store)?);
    }
    // For the program the lock is always somebody else's.
    if cli.locking() == Locking::Exclusive && !replace_own(&mut given) {
        add(LOCKING, HELD);
    }
    for dir in &plan.external {
        add("--external", dir);
    }
    all.extend(given);
    Ok(all)
}

/// Replaces what says that the program takes the lock itself. Whether there was something.
fn replace_own(given: &mut [String]) -> bool {
    let options = given.iter().take_while(|text| *text != "--");
    let count = options.count();
    let mut found = false;
    for at in 0..count {
        if given[at] == LOCKING && given.get(at + 1).is_some_and(|value| value == OWN) {
            given[at + 1] = HELD.to_owned();
            found = true;
        } else if given[at] == format!("{LOCKING}={OWN}") {
            given[at] = format!("{LOCKING}={HELD}");
            found = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::replace_own;

    #[test]
    fn only_an_option_is_replaced() {
        for (given, wanted) in [
            ("--locking own add", Some("--locking held add")),
            ("add a --locking=own", Some("add a --locking=held")),
            ("add own", None),
            ("add -- --locking own", None),
        ] {
            let mut words: Vec<_> = given.split(' ').map(str::to_owned).collect();
            let replaced = replace_own(&mut words);
            let words = words.join(" ");
            assert_eq!(replaced.then_some(words.as_str()), wanted, "{given}");
        }
    }
}
