//! One schedule of each class of those that come to the same.
//!
//! A thread goes from one call that others can notice to the next: a *segment*. What it touches is known when it is
//! done ([`Segment`]). Two segments of two threads, one right after the other, that touch nothing in common may change
//! places: either way each does the same, and all that comes after is the same. Schedules that come from one another by
//! such changes are one class, and one of each is enough.
//!
//! Two rules leave out the others, and no class (C. Flanagan and P. Godefroid, *Dynamic partial-order reduction for model
//! checking software*, 2005; P. Godefroid, *Partial-order methods for the verification of concurrent systems*, 1996):
//!
//! - **Races.** At a choice, another thread is let run first only if in a schedule that was tried a later segment of it
//!   meets the one that was chosen, and no segment between them puts the two in order. Who waits for a lock could not
//!   have been first: then all who could are let, and so that this hides nothing, the search goes on to the segment before
//!   which it could have taken the lock.
//! - **Sleep.** Who was let run at a choice sleeps under the ways that are taken after it, until a segment meets the one
//!   that it would go on with: until then it could as well have been first, and that was tried. A schedule in which all
//!   sleep who can go on is of a class that was there. It is not counted, and comes to its end in any order.
//!
//! Why what is noted is all there is to notice:
//!
//! - Every call of a directory or a file is noted, also where nobody else can be let run.
//! - Memory is shared under locks. Whoever has taken or given back one is taken to have changed what is under all of them;
//!   so is who waits and is let go on. What is shared without (which pairs of a page in memory are proved) decides
//!   about no call.
//! - Who ends, or waits, is taken to have touched all there is. So the last segment of a thread may look at what a power
//!   loss would leave.
//! - Each thread draws uuids for itself. The numbers and times of files, for which the disk counts, depend on the order; but
//!   nobody who acts compares them. A number that is noted is of a file that was there before the two segments, or
//!   of a new one that only its own segment can know.
//!
//! None of this is taken on trust: `tests/classes.rs` tries all schedules of some pairs, and under all of one class
//! the calls of each thread, what they tell and what is on the disk must be the same, and each class must come once.

use crate::touch::{Segment, Touch};

/// Which ways are taken at a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ways {
    /// Those that lead to another class.
    Races,
    /// All, so that each class comes again and again.
    All,
}

/// Where a thread has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// At a call.
    Call,
    /// At a lock, from which it could go on.
    Lock,
    /// It has ended, or waits for another one.
    End,
}

/// A walk through the tree of choices, depth first.
pub(crate) struct Reduced {
    ways: Ways,
    /// How many runs there may be.
    most: usize,
    /// How many there were, and how many of them were of a class that was there.
    runs: usize,
    known: usize,
    /// The choices of this run, segment by segment. From `fresh` on no races have been looked for.
    path: Vec<Choice>,
    fresh: usize,
    depth: usize,
    /// The segment under way.
    segment: Segment,
    /// Who has ended, or waited.
    stopped: Vec<usize>,
    /// Who sleeps at the next choice.
    asleep: Vec<Way>,
    /// Whether this run has turned out to be of a class that was there.
    is_known: bool,
}

/// Somebody who might be next, with all the segment that would come.
type Way = (usize, Segment);

/// A choice, the way that is taken, and those that were.
struct Choice {
    /// Who can go on.
    who: Vec<usize>,
    /// Who sleeps.
    asleep: Vec<Way>,
    taken: usize,
    /// What the one that is taken does.
    segment: Segment,
    /// How many segments of each thread that builds on, itself included.
    builds_on: Vec<usize>,
    /// Who was let run before, and who is to be.
    done: Vec<Way>,
    wanted: Vec<usize>,
}

fn add(all: &mut [usize], counts: &[usize]) {
    for (all, count) in all.iter_mut().zip(counts) {
        *all = (*all).max(*count);
    }
}

impl Choice {
    /// Takes the next way, if one is left.
    fn turn(&mut self, ways: Ways) -> bool {
        let segment = std::mem::take(&mut self.segment);
        self.done.push((self.taken, segment));
        let among = match ways {
            Ways::Races => &self.wanted,
            Ways::All => &self.who,
        };
        let is_out = |who: usize| self.done.iter().chain(&self.asleep).any(|way| way.0 == who);
        let next = among.iter().copied().find(|who| !is_out(*who));
        self.taken = next.unwrap_or(self.taken);
        next.is_some()
    }
}

impl Reduced {
    pub(crate) fn new(most: usize, ways: Ways) -> Self {
        Self {
            ways,
            most,
            runs: 0,
            known: 0,
            path: Vec::new(),
            fresh: 0,
            depth: 0,
            segment: Segment::default(),
            stopped: Vec::new(),
            asleep: Vec::new(),
            is_known: false,
        }
    }

    /// Whether there are no more.
    pub(crate) fn is_done(&self) -> bool {
        self.path.is_empty()
    }

    /// How many schedules there were.
    pub(crate) fn schedules(&self) -> usize {
        self.runs - self.known
    }

    /// Goes on to the next schedule, if there is one, and there may be one more.
    pub(crate) fn advance(&mut self) -> bool {
        if self.runs > 0 {
            self.known += usize::from(self.is_known);
            self.find_races();
            let ways = self.ways;
            while self.path.pop_if(|choice| !choice.turn(ways)).is_some() {}
            if self.path.is_empty() || self.runs == self.most {
                return false;
            }
            self.fresh = self.path.len() - 1;
        }
        self.runs += 1;
        self.depth = 0;
        self.stopped.clear();
        self.asleep.clear();
        self.is_known = false;
        true
    }

    /// Who is next: the one that ran until now, where it could go on, or one of the `others`. `None` when nobody can.
    pub(crate) fn next(
        &mut self,
        ran: Option<(usize, Stop)>,
        touched: Vec<Touch>,
        others: &[usize],
    ) -> Option<usize> {
        let mut who = Vec::new();
        if let Some((ran, stop)) = ran {
            touched
                .into_iter()
                .for_each(|touch| self.segment.add(touch));
            match stop {
                Stop::Lock => {
                    self.segment.add(Touch::Locks);
                    return Some(ran);
                }
                Stop::Call => who.push(ran),
                Stop::End => {
                    self.segment.add(Touch::All);
                    self.stopped.push(ran);
                }
            }
            self.end_segment(ran);
        }
        who.extend(others);
        let next = self.choose(who)?;
        if let Some(at) = self.stopped.iter().position(|who| *who == next) {
            self.stopped.swap_remove(at);
            // It gets what it has waited for.
            self.segment.add(Touch::Locks);
        }
        Some(next)
    }

    fn end_segment(&mut self, ran: usize) {
        let segment = std::mem::take(&mut self.segment);
        if self.is_known {
            return;
        }
        let choice = &mut self.path[self.depth - 1];
        if self.depth <= self.fresh {
            assert!(
                choice.segment == segment,
                "the same schedule must do the same"
            );
        }
        if self.ways == Ways::Races {
            let before = choice.asleep.iter().chain(&choice.done);
            let sleeps = before.filter(|(who, next)| *who != ran && !next.meets(&segment));
            self.asleep = sleeps.cloned().collect();
        }
        choice.segment = segment;
    }

    fn choose(&mut self, who: Vec<usize>) -> Option<usize> {
        let first = *who.first()?;
        if self.is_known {
            return Some(first);
        }
        if self.depth == self.path.len() {
            let sleeps = |who: &&usize| self.asleep.iter().any(|(other, _)| other == *who);
            let Some(taken) = who.iter().find(|who| !sleeps(who)).copied() else {
                self.is_known = true;
                return Some(first);
            };
            self.path.push(Choice {
                who,
                asleep: std::mem::take(&mut self.asleep),
                taken,
                segment: Segment::default(),
                builds_on: Vec::new(),
                done: Vec::new(),
                wanted: Vec::new(),
            });
        } else {
            let known = &self.path[self.depth].who;
            assert_eq!(*known, who, "the same schedule must lead to the same place");
        }
        let taken = self.path[self.depth].taken;
        self.depth += 1;
        Some(taken)
    }

    /// Looks for segments that might have come in another order.
    fn find_races(&mut self) {
        let threads = self.path.iter().flat_map(|choice| &choice.who).max();
        let threads = threads.map_or(0, |last| last + 1);
        for at in self.fresh..self.path.len() {
            let (before, from) = self.path.split_at_mut(at);
            let choice = &mut from[0];
            let who = choice.taken;
            let own = before.iter().rev().find(|other| other.taken == who);
            let mut builds_on = own.map_or_else(Vec::new, |own| own.builds_on.clone());
            builds_on.resize(threads, 0);
            // Of what this one builds on, that which is in order by way of something that it could not have come before.
            let mut settled = builds_on.clone();
            for other in before.iter_mut().rev().filter(|other| other.taken != who) {
                let is_in = |all: &[usize]| other.builds_on[other.taken] <= all[other.taken];
                let (is_known, is_settled) = (is_in(&builds_on), is_in(&settled));
                if is_settled || !other.segment.meets(&choice.segment) {
                    continue;
                }
                if !is_known {
                    add(&mut builds_on, &other.builds_on);
                }
                if other.who.contains(&who) {
                    other.wanted.push(who);
                    add(&mut settled, &other.builds_on);
                } else {
                    // It waits. It may be that it could have come first before that, so look further.
                    other.wanted.extend(&other.who);
                }
            }
            builds_on[who] += 1;
            choice.builds_on = builds_on;
        }
        self.fresh = self.path.len();
    }

    /// The class of a run that is done: for each thread, what each of its segments builds on.
    pub(crate) fn class(&mut self) -> Vec<Vec<Vec<usize>>> {
        self.find_races();
        let last = self.path.iter().map(|choice| choice.taken).max();
        let mut class = vec![Vec::new(); last.map_or(0, |last| last + 1)];
        for choice in &self.path {
            class[choice.taken].push(choice.builds_on.clone());
        }
        class
    }
}
