//! The search for broken promises finds none in the store, and finds every mutant: each sync of the protocol left out,
//! names given in the wrong order, a collection that does not look again, an import that trusts what it finds.

// A search in simulated memory, in which no platform takes part: under WASI it would only take longer.
#![cfg(not(target_os = "wasi"))]
// A test reports by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod mutants;

use Layout::{One, Three, Whole};
use flatbao_tests::explore::{
    Check, Explorer, Failure, Layout, Production, Step, Story, Subject, Totals, replay,
};
use mutants::{Forgetful, Hasty, Site, Swapped, Trusting};

fn search<S: Subject>(
    subject: &S,
    layout: Layout,
    beginning: &str,
    length: usize,
) -> Result<Totals, Box<Failure>> {
    let steps: Vec<Step> = beginning
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let explorer = Explorer::new(subject);
    explorer.all(layout, &steps, length, &|| false)?;
    Ok(explorer.totals())
}

/// The mutant is found, by one of these checks, and its story shows it again.
fn assert_found<S: Subject>(
    told: &str,
    subject: &S,
    stories: (Layout, &str, usize),
    expected: &[Check],
) {
    let (layout, beginning, length) = stories;
    match search(subject, layout, beginning, length) {
        Ok(totals) => panic!("{told}: not found in {totals:?}"),
        Err(failure) => {
            let check = failure.violation.check;
            assert!(
                expected.contains(&check),
                "{told}: found otherwise: {failure}"
            );
            let story: Story = failure.story.to_string().parse().unwrap();
            assert_eq!(story, failure.story);
            assert_eq!(
                replay(subject, &story),
                Err(failure.violation.clone()),
                "{told}: {story}"
            );
            // What finds it is not what the store itself does.
            assert_eq!(replay(&Production, &story), Ok(()), "{told}: {story}");
        }
    }
}

#[test]
fn nothing_is_found_in_short_stories() {
    let mut all = Vec::new();
    for layout in Layout::ALL {
        let totals = search(&Production, layout, "", 1).unwrap();
        assert!(totals.states > 200, "{totals:?}");
        assert!(
            totals.checked > totals.states && totals.killed > 90,
            "{totals:?}"
        );
        assert_eq!(
            search(&Production, layout, "", 1).unwrap(),
            totals,
            "the same search, the same states"
        );
        all.push(totals);
    }
    assert_ne!(all[0], all[1]);
    assert_ne!(all[0], all[2]);
}

#[test]
fn nothing_is_found_in_random_stories_and_they_are_the_same_every_time() {
    let totals = || {
        let explorer = Explorer::production();
        for seed in 0..12 {
            explorer
                .random(seed, &|| false)
                .unwrap_or_else(|failure| panic!("{seed}: {failure}"));
        }
        explorer.totals()
    };
    let once = totals();
    assert!(once.states > 1000, "{once:?}");
    assert_eq!(totals(), once);
}

/// A killed import had dropped the parts of its blob, in another directory, which the collection of the blob did not
/// sync: they came back.
#[test]
fn what_a_killed_import_dropped_stays_dropped_after_a_collection() {
    let totals = search(&Production, Three, "last-w import-w", 2);
    totals.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A blob that a killed process had left in the cache was acknowledged as durably there when it was received again.
#[test]
fn what_is_received_and_was_found_is_durable() {
    for moment in 0..12 {
        let story = format!("one: import-s@{moment}k receive-s @0k @0a0");
        let outcome = replay(&Production, &story.parse().unwrap());
        outcome.unwrap_or_else(|violation| panic!("{story}: {violation}"));
    }
}

#[test]
fn every_step_has_a_name_of_its_own() {
    let all = Step::all();
    for step in &all {
        assert_eq!(step.to_string().parse(), Ok(*step));
        assert_eq!(
            all.iter()
                .filter(|other| other.to_string() == step.to_string())
                .count(),
            1
        );
    }
    for text in [
        "one: import-l@3k tag-x-l@0a12 @5j2 @0k",
        "three: refer-w receive-l",
    ] {
        let story: Story = text.parse().unwrap();
        assert_eq!(story.to_string(), text);
    }
    for text in [
        "",
        "one",
        "two: plan",
        "one: plan-l",
        "one: tag-z-l",
        "one: plan@k",
        "one: plan @3x",
    ] {
        assert!(text.parse::<Story>().is_err(), "{text}");
    }
}

/// One sync that is left out, the stories in which it is looked for, and what finds it.
fn assert_needed(site: Site, layout: Layout, story: &str, expected: &[Check]) {
    let length = story.split(' ').count();
    assert_found(
        &format!("{site:?}"),
        &Forgetful(site),
        (layout, story, length),
        expected,
    );
}

#[test]
fn a_sync_of_bytes_that_is_left_out_is_found() {
    let whole = &[
        Check::PublishedIsWhole,
        Check::FoundAndTaggedStays,
        Check::FoundAndImportedStays,
    ];
    let exported = &[Check::ExportedIsWhole, Check::ExportedStays];
    let stays = &[
        Check::AcknowledgedStays,
        Check::TaggedStays,
        Check::FoundAndImportedStays,
    ];
    assert_needed(Site::BytesOfData, One, "import-l", whole);
    assert_needed(Site::BytesOfOutboard, One, "import-l", whole);
    assert_needed(Site::BytesOfPaths, One, "refer-s", whole);
    assert_needed(Site::BytesOfTags, One, "tag-x-s", whole);
    assert_needed(Site::BytesOfPartialData, One, "first-l last-l", whole);
    assert_needed(Site::BytesOfPartialOutboard, One, "first-l last-l", whole);
    assert_needed(Site::BytesOfOutgoing, One, "import-l copy-out-l", exported);
    assert_needed(
        Site::BytesOfFoundData,
        One,
        "careless-l",
        &[Check::FoundAndTaggedStays],
    );
    assert_needed(
        Site::BytesOfFoundOutboard,
        One,
        "careless-l",
        &[Check::FoundAndTaggedStays],
    );
    assert_needed(Site::BytesOfCopy, Three, "import-l", whole);
    assert_needed(Site::Everything, Whole, "import-l", whole);
    assert_needed(Site::NamesOfBlobs, Whole, "import-l", stays);
}

#[test]
fn a_sync_of_names_that_is_left_out_is_found() {
    let stays = &[
        Check::AcknowledgedStays,
        Check::TaggedStays,
        Check::FoundAndImportedStays,
    ];
    let good_groups = &[Check::PublishedIsWhole, Check::GoodGroupsStay];
    assert_needed(Site::NamesOfBlobs, One, "import-l", stays);
    assert_needed(Site::NamesOfBlobs, Three, "import-l", stays);
    assert_needed(Site::NamesOfPaths, One, "refer-s", stays);
    assert_needed(Site::NamesOfTags, One, "tag-x-s", &[Check::TagsAreOldOrNew]);
    assert_needed(
        Site::NamesRemoved,
        One,
        "import-s delete-s",
        &[Check::DeletedStaysDeleted],
    );
    assert_needed(
        Site::NamesDemoted,
        One,
        "import-l spoil-l repair",
        good_groups,
    );
    assert_needed(
        Site::NamesDemoted,
        Three,
        "import-l spoil-l repair",
        good_groups,
    );
    assert_needed(
        Site::NamesOutside,
        One,
        "import-l copy-out-l",
        &[Check::ExportedStays],
    );
    assert_needed(
        Site::DirsOutside,
        One,
        "import-l copy-out-l",
        &[Check::ExportedStays],
    );
}

/// What was found is made durable before a tag relies on it, and tags before a collection does. In one directory any
/// sync of names does for all of them.
#[test]
fn a_sync_of_names_that_were_found_is_found_to_be_missing() {
    let tagged = &[Check::FoundAndTaggedStays];
    let tags = &[Check::NoTagOutlivesItsBlob];
    assert_needed(Site::NamesOfFound, Three, "import-l", tagged);
    assert_needed(
        Site::NamesOfFoundTags,
        Three,
        "import-s tag-x-s untag-x",
        tags,
    );
}

/// PD-09: data renamed before outboard.
#[test]
fn a_swapped_order_of_names_is_found() {
    assert_found(
        "swapped",
        &Swapped,
        (One, "import-l", 1),
        &[Check::OutboardBeforeData],
    );
}

/// PD-03: what was tagged or imported between mark and sweep.
#[test]
fn a_sweep_that_does_not_look_again_is_found() {
    let hasty = Hasty::default();
    let stories = (One, "import-s plan", 4);
    assert_found(
        "hasty",
        &hasty,
        stories,
        &[Check::CollectionSparesTheLiving],
    );
}

#[test]
fn an_import_that_trusts_what_it_finds_is_found() {
    let expected = [Check::FoundAndImportedStays, Check::AcknowledgedStays];
    assert_found("trusting", &Trusting, (One, "import-l", 1), &expected);
}
