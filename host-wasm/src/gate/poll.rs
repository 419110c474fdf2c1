//! Waiting.

use std::{
    thread,
    time::{Duration, Instant},
};

use wasmtime_wasi::p1::{types, wasi_snapshot_preview1::WasiSnapshotPreview1 as _};
use wiggle::{GuestMemory, GuestPtr};

use super::{Gate, Result};

/// More than a program that reads files could use.
const MAX_SUBSCRIPTIONS: u32 = 4096;

/// How long to sleep before a look at the deadline.
const NAP: Duration = Duration::from_millis(50);

impl Gate {
    /// `poll_oneoff`. Files and standard streams are always ready, as they are everywhere; for the rest it is slept,
    /// at most until the deadline.
    pub(super) fn poll(
        &mut self,
        mem: &mut GuestMemory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        events: GuestPtr<types::Event>,
        count: types::Size,
    ) -> Result<types::Size> {
        if count == 0 || count > MAX_SUBSCRIPTIONS {
            return Err(types::Errno::Inval.into());
        }
        let start = Instant::now();
        let mut waiting = Vec::new();
        for subscription in subscriptions.as_array(count).iter() {
            let subscription = mem.read(subscription?)?;
            waiting.push(self.wanted(mem, subscription)?);
        }
        let shortest = waiting.iter().map(|wanted| wanted.after).min();
        let shortest = shortest.unwrap_or_default();
        self.sleep(start, shortest)?;
        let mut written = 0;
        for wanted in waiting
            .into_iter()
            .filter(|wanted| wanted.after <= shortest)
        {
            let event = events.as_array(count).get(written);
            mem.write(event.ok_or(types::Errno::Overflow)?, wanted.event)?;
            written += 1;
        }
        Ok(written)
    }

    fn wanted(&mut self, mem: &mut GuestMemory<'_>, asked: types::Subscription) -> Result<Wanted> {
        let (after, type_, nbytes, error) = match asked.u {
            types::SubscriptionU::Clock(clock) => (
                self.time_until(mem, &clock)?,
                types::Eventtype::Clock,
                0,
                None,
            ),
            types::SubscriptionU::FdRead(read) => {
                let error = self.open.get(read.file_descriptor).err();
                (Duration::ZERO, types::Eventtype::FdRead, 1, error)
            }
            types::SubscriptionU::FdWrite(write) => {
                let error = self.open.get(write.file_descriptor).err();
                (Duration::ZERO, types::Eventtype::FdWrite, 1, error)
            }
        };
        let event = types::Event {
            userdata: asked.userdata,
            error: error.map_or(types::Errno::Success, |_| types::Errno::Badf),
            type_,
            fd_readwrite: types::EventFdReadwrite {
                nbytes,
                flags: types::Eventrwflags::empty(),
            },
        };
        Ok(Wanted { after, event })
    }

    fn time_until(
        &mut self,
        mem: &mut GuestMemory<'_>,
        clock: &types::SubscriptionClock,
    ) -> Result<Duration> {
        let absolute = types::Subclockflags::SUBSCRIPTION_CLOCK_ABSTIME;
        let nanos = if clock.flags.contains(absolute) {
            let now = self.inner.clock_time_get(mem, clock.id, 0)?;
            clock.timeout.saturating_sub(now)
        } else {
            clock.timeout
        };
        Ok(Duration::from_nanos(nanos))
    }

    fn sleep(&self, start: Instant, time: Duration) -> Result<()> {
        loop {
            if let Some(deadline) = &self.deadline {
                deadline
                    .check()
                    .map_err(|stop| types::Error::trap(stop.into()))?;
            }
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            let nap = if self.deadline.is_some() {
                left.min(NAP)
            } else {
                left
            };
            thread::sleep(nap);
        }
    }
}

/// An event, and how long after the call it comes.
struct Wanted {
    after: Duration,
    event: types::Event,
}
