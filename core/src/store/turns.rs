//! Changes of tags that wait for one another are written at once.
//!
//! A change costs as many bytes as all tags take, and a sync. So of those who want to change tags while somebody else is
//! writing them, one writes next, for all of them.

use crate::{
    Backend, Error, HashAndFormat, Result, Tag, TagMap,
    store::{Inner, locked},
    sync::{Condvar, Mutex, PoisonError},
};

/// What is to be done to the tags.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Set(Tag, HashAndFormat),
    /// Under the next free name that begins so.
    SetFree(String, HashAndFormat),
    Remove(Tag),
}

/// The tag that was set or removed, with its value.
type Changed = (Tag, HashAndFormat);

impl Change {
    fn apply(&self, tags: &mut TagMap) -> Result<Changed> {
        let (tag, value) = match self {
            Self::Remove(tag) => {
                let removed = tags.remove(tag);
                let value = removed.ok_or_else(|| Error::NoTag(tag.clone()))?;
                return Ok((tag.clone(), value));
            }
            Self::Set(tag, value) => (tag.clone(), *value),
            Self::SetFree(base, value) => (next_free(base, tags)?, *value),
        };
        tags.insert(tag.clone(), value);
        Ok((tag, value))
    }
}

fn next_free(base: &str, tags: &TagMap) -> Result<Tag> {
    let mut tag = Tag::try_from(base)?;
    let mut count = 0_u64;
    while tags.contains_key(&tag) {
        count += 1;
        tag = Tag::try_from(format!("{base}-{count}").as_str())?;
    }
    Ok(tag)
}

/// Who changes tags, one after the other or together.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    queue: Mutex<Queue>,
    /// Signals that somebody has ended writing.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// The number of the next change.
    next: u64,
    /// Whether somebody writes for all.
    is_led: bool,
    waiting: Vec<(u64, Change)>,
    /// What came of those that were written by others.
    written: Vec<(u64, Result<Changed>)>,
}

enum Turn {
    /// Somebody else has written the change.
    Written(Result<Changed>),
    /// It is the caller's turn, who gets the change back.
    Own(Change),
}

impl Turns {
    fn wait(&self, change: Change) -> Turn {
        let mut queue = locked(&self.queue);
        let own = queue.next;
        queue.next += 1;
        queue.waiting.push((own, change));
        loop {
            if let Some(at) = queue.written.iter().position(|(id, _)| *id == own) {
                return Turn::Written(queue.written.swap_remove(at).1);
            }
            if !queue.is_led
                && let Some(at) = queue.waiting.iter().position(|(id, _)| *id == own)
            {
                queue.is_led = true;
                return Turn::Own(queue.waiting.remove(at).1);
            }
            let woken = self.ended.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self) {
        locked(&self.queue).is_led = false;
        self.ended.notify_all();
    }
}

/// The turn of one who writes for all, until dropped.
struct Lead<'a>(&'a Turns);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<B: Backend> Inner<B> {
    /// Changes the tags on disk, then in memory: at every moment the set on disk is the old or the new one.
    ///
    /// A change that cannot be made fails alone. Where the tags cannot be written, that is the error of this caller; the
    /// others, still waiting, try for themselves and get errors of their own.
    pub(super) fn change_tags(&self, change: Change) -> Result<Changed> {
        let own = match self.tag_turns.wait(change) {
            Turn::Written(outcome) => return outcome,
            Turn::Own(change) => change,
        };
        // The next one comes when the writer is free again, and after a panic too.
        let _lead = Lead(&self.tag_turns);
        let _writer = locked(&self.tag_writer);
        match self.write_changes(&own, true) {
            // They do not fit. Perhaps this one does, without the others.
            Err(Error::TagFile(_)) => self.write_changes(&own, false),
            other => other,
        }
    }

    /// Writes a change, and those that wait. The caller holds `tag_writer`, and leads.
    fn write_changes(&self, own: &Change, with_others: bool) -> Result<Changed> {
        let known = self.known_tags()?;
        self.check_tags_on_disk(&known)?;
        let mut tags = TagMap::clone(&known.map);
        let own = own.apply(&mut tags);
        // As late as can be: more have come while the tags were read and copied. They stay in the queue until theirs
        // are written.
        let others = match with_others {
            true => locked(&self.tag_turns.queue).waiting.clone(),
            false => Vec::new(),
        };
        let others: Vec<_> = others
            .iter()
            .map(|(id, change)| (*id, change.apply(&mut tags)))
            .collect();
        if own.is_ok() || others.iter().any(|(_, outcome)| outcome.is_ok()) {
            self.write_tags(tags)?;
        }
        let mut queue = locked(&self.tag_turns.queue);
        queue.waiting.drain(..others.len());
        queue.written.extend(others);
        own
    }
}
