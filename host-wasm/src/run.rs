//! One run, from the locks to the outcome.

use std::{thread, time::Instant};

use wasmtime::{Error, InstancePre, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{
    I32Exit, ResourceTable, WasiCtx, WasiCtxView, WasiView, p2::bindings::CommandPre,
    runtime::in_tokio,
};

use crate::{
    Finished, Program, RunError, Sandbox, StopReason, Stopped, Stream, Usage,
    gate::Gate,
    launch,
    meter::{Deadline, Meter, Stop},
    output::Sink,
    program::Code,
};

/// How far ahead a deadline is that never comes, in ticks.
const NEVER: u64 = u64::MAX / 2;

/// What belongs to one running program.
pub(crate) struct State<W> {
    pub(crate) wasi: W,
    pub(crate) meter: Meter,
}

pub(crate) type CoreState = State<Gate>;
pub(crate) type ComponentState = State<Components>;

/// What `wasmtime-wasi` needs to serve a component.
pub(crate) struct Components {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi.ctx,
            table: &mut self.wasi.table,
        }
    }
}

/// How it ended, and what it had used by then.
type Ended = (Result<i32, Error>, Usage);

pub(crate) fn run(
    sandbox: &Sandbox,
    program: &Program,
    args: Vec<String>,
) -> Result<Finished, RunError> {
    launch::check(sandbox, program, &args)?;
    // Held until the end of this function, whatever becomes of the program.
    let _locks = launch::lock_stores(sandbox)?;
    launch::check_cache(sandbox, program)?;
    let stdout = Sink::new(Stream::Stdout, sandbox.stdout, program.is_component());
    let stderr = Sink::new(Stream::Stderr, sandbox.stderr, program.is_component());
    let mut wasi = launch::wasi(sandbox, &args, &stdout, &stderr)?;
    if sandbox.deadline.is_some() {
        program.runtime.start_ticking();
    }
    // A time so far off that the clock cannot tell it never comes.
    let deadline = sandbox.deadline.and_then(|limit| {
        let at = Instant::now().checked_add(limit)?;
        Some(Deadline { at, limit })
    });
    let meter = Meter::new(sandbox.memory, deadline, sandbox.trap_at);
    let (outcome, usage) = match &program.code {
        Code::Core(pre) => {
            let gate = Gate::new(wasi.build_p1(), sandbox, deadline).map_err(setup)?;
            let store = prepare(sandbox, program, gate, meter).map_err(setup)?;
            on_own_thread(|| run_core(pre, store, sandbox.fuel))
        }
        Code::Component(pre) => {
            let mut table = ResourceTable::new();
            table.set_max_capacity(sandbox.open_files);
            let ctx = wasi.build();
            let store =
                prepare(sandbox, program, Components { ctx, table }, meter).map_err(setup)?;
            on_own_thread(|| run_component(pre, store, sandbox.fuel))
        }
    }?;
    let (stdout, stderr) = (stdout.take(), stderr.take());
    match outcome.or_else(|error| reason(error, sandbox)) {
        Ok(code) => Ok(Finished {
            code,
            stdout,
            stderr,
            usage,
        }),
        Err(reason) => Err(RunError::Stopped(Box::new(Stopped {
            reason,
            stdout,
            stderr,
            usage,
        }))),
    }
}

fn prepare<W: Send + 'static>(
    sandbox: &Sandbox,
    program: &Program,
    wasi: W,
    meter: Meter,
) -> wasmtime::Result<Store<State<W>>> {
    let mut store = Store::new(program.runtime.engine(), State { wasi, meter });
    store.limiter(|state| &mut state.meter);
    store.call_hook(|mut context, hook| context.data_mut().meter.on_call(hook));
    if program.runtime.is_metered() {
        store.set_fuel(sandbox.fuel.unwrap_or(u64::MAX))?;
        store.data_mut().meter.burns_fuel = true;
    }
    if program.runtime.is_interruptible() {
        store.set_epoch_deadline(if sandbox.deadline.is_some() { 1 } else { NEVER });
        store.epoch_deadline_callback(|context| {
            context.data().meter.check_time()?;
            Ok(UpdateDeadline::Continue(1))
        });
    }
    Ok(store)
}

fn run_core(pre: &InstancePre<CoreState>, mut store: Store<CoreState>, fuel: Option<u64>) -> Ended {
    let outcome = in_tokio(async {
        let instance = pre.instantiate_async(&mut store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call_async(&mut store, ()).await?;
        Ok(0)
    });
    let mut usage = usage(&store, fuel);
    let gate = &store.data().wasi;
    usage.written = gate.written();
    usage.directory_syncs = gate.directory_syncs();
    (outcome, usage)
}

fn run_component(
    pre: &CommandPre<ComponentState>,
    mut store: Store<ComponentState>,
    fuel: Option<u64>,
) -> Ended {
    let outcome = in_tokio(async {
        let command = pre.instantiate_async(&mut store).await?;
        let ended = command.wasi_cli_run().call_run(&mut store).await?;
        Ok(ended.map_or(1, |()| 0))
    });
    let usage = usage(&store, fuel);
    (outcome, usage)
}

fn usage<W>(store: &Store<State<W>>, fuel: Option<u64>) -> Usage {
    let meter = &store.data().meter;
    Usage {
        fuel: fuel.and_then(|had| Some(had.saturating_sub(store.get_fuel().ok()?))),
        peak_memory: meter.peak_memory(),
        host_calls: meter.calls(),
        ..Usage::default()
    }
}

/// Programs run on threads of their own. So it does not matter how deep the caller's stack is, or whether it runs in
/// an asynchronous runtime, and a panic of the host ends only the run.
fn on_own_thread(run: impl FnOnce() -> Ended + Send) -> Result<Ended, RunError> {
    let joined = thread::scope(|scope| {
        let thread = thread::Builder::new().name("flatbao-host-program".into());
        Ok(thread.spawn_scoped(scope, run)?.join())
    });
    match joined.map_err(|e: std::io::Error| RunError::Setup(e.into()))? {
        Ok(ended) => Ok(ended),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or(payload.downcast_ref::<&str>().copied());
            let reason = StopReason::Defect(text.unwrap_or("a panic").to_owned());
            Ok((Err(Stop(reason).into()), Usage::default()))
        }
    }
}

/// Tells an exit, which is none, from other errors.
fn reason(error: Error, sandbox: &Sandbox) -> Result<i32, StopReason> {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Ok(*code);
    }
    if let Some(Stop(reason)) = error.downcast_ref() {
        return Err(reason.clone());
    }
    Err(match (error.downcast_ref(), sandbox.fuel) {
        (Some(Trap::OutOfFuel), Some(limit)) => StopReason::Fuel { limit },
        // The cause first; what was called by what comes after it.
        _ => StopReason::Trap(format!("{}; {error}", error.root_cause())),
    })
}

fn setup(error: Error) -> RunError {
    RunError::Setup(error.into())
}
