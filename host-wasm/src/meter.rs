//! What a running program has used, and what it may use.

use std::time::{Duration, Instant};

use wasmtime::{CallHook, ResourceLimiter, Result};

use crate::StopReason;

/// Counts for one run. Memory and tables are counted together, since both are memory of the host.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    memory_limit: Option<u64>,
    deadline: Option<Deadline>,
    trap_at: Option<u64>,
    /// Whether there is fuel to burn.
    pub(crate) burns_fuel: bool,
    memory: u64,
    peak: u64,
    calls: u64,
}

/// An end, and how long after the start it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) limit: Duration,
}

/// Ends the program for a reason that the host knows.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stop(pub(crate) StopReason);

impl Meter {
    pub(crate) fn new(
        memory_limit: Option<u64>,
        deadline: Option<Deadline>,
        trap_at: Option<u64>,
    ) -> Self {
        Self {
            memory_limit,
            deadline,
            trap_at,
            ..Self::default()
        }
    }

    pub(crate) fn peak_memory(&self) -> u64 {
        self.peak
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// At every change between program and host.
    pub(crate) fn on_call(&mut self, hook: CallHook) -> Result<()> {
        if !matches!(hook, CallHook::CallingHost) {
            return Ok(());
        }
        self.calls += 1;
        if self.trap_at == Some(self.calls) {
            return Err(Stop(StopReason::AtCall { call: self.calls }).into());
        }
        self.check_time()
    }

    pub(crate) fn check_time(&self) -> Result<()> {
        match self.deadline {
            Some(deadline) => Ok(deadline.check()?),
            None => Ok(()),
        }
    }

    /// A refusal ends the program: most cannot go on without memory, and those that can would hide which limit
    /// ended them.
    fn grow(&mut self, from: usize, to: usize, most: Option<usize>, unit: usize) -> Result<bool> {
        if most.is_some_and(|most| to > most) {
            // What the program said itself.
            return Ok(false);
        }
        let bytes = to.saturating_sub(from).saturating_mul(unit) as u64;
        let wanted = self.memory.saturating_add(bytes);
        if let Some(limit) = self.memory_limit.filter(|limit| wanted > *limit) {
            return Err(Stop(StopReason::Memory { limit }).into());
        }
        self.memory = wanted;
        self.peak = self.peak.max(wanted);
        Ok(true)
    }
}

impl Deadline {
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if Instant::now() < self.at {
            return Ok(());
        }
        Err(Stop(StopReason::Deadline { limit: self.limit }))
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        self.grow(current, desired, maximum, 1)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        self.grow(current, desired, maximum, size_of::<usize>())
    }
}
