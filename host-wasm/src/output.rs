//! Where a program's output goes.

use std::{
    io::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult, pipe::MemoryOutputPipe},
};

use crate::{Output, StopReason, Stream, meter::Stop};

/// One output stream. All clones write to the same place.
#[derive(Clone)]
pub(crate) struct Sink {
    stream: Stream,
    output: Output,
    /// Whether a reader that has gone is told as such. Modules are told an error that is none of theirs then.
    tells_closed: bool,
    captured: Arc<Mutex<Vec<u8>>>,
}

impl Sink {
    pub(crate) fn new(stream: Stream, output: Output, for_component: bool) -> Self {
        Self {
            stream,
            output,
            tells_closed: for_component,
            captured: Arc::default(),
        }
    }

    /// What was captured. Nothing is left.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.captured())
    }

    fn captured(&self) -> MutexGuard<'_, Vec<u8>> {
        // Bytes are whole at every moment, whoever panicked.
        self.captured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capture(&self, bytes: &[u8], limit: usize) -> Result<(), Stop> {
        let mut captured = self.captured();
        let room = limit.saturating_sub(captured.len());
        captured.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            return Err(Stop(StopReason::Output {
                stream: self.stream,
                limit,
            }));
        }
        Ok(())
    }

    fn pass_on(&self, bytes: &[u8]) -> io::Result<()> {
        match self.stream {
            Stream::Stdout => io::stdout().write_all(bytes),
            Stream::Stderr => io::stderr().write_all(bytes),
        }
    }
}

impl OutputStream for Sink {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match self.output {
            Output::Captured { limit } => self
                .capture(&bytes, limit)
                .map_err(|stop| StreamError::Trap(stop.into())),
            Output::Inherited => match self.pass_on(&bytes) {
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe && self.tells_closed => {
                    Err(StreamError::Closed)
                }
                other => other.map_err(|e| StreamError::LastOperationFailed(e.into())),
            },
            Output::Discarded => Ok(()),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        let flushed = match (self.output, self.stream) {
            (Output::Inherited, Stream::Stdout) => io::stdout().flush(),
            (Output::Inherited, Stream::Stderr) => io::stderr().flush(),
            _ => Ok(()),
        };
        flushed.map_err(|e| StreamError::LastOperationFailed(e.into()))
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[async_trait]
impl Pollable for Sink {
    async fn ready(&mut self) {}
}

impl IsTerminal for Sink {
    fn is_terminal(&self) -> bool {
        match (self.output, self.stream) {
            (Output::Inherited, Stream::Stdout) => io::IsTerminal::is_terminal(&io::stdout()),
            (Output::Inherited, Stream::Stderr) => io::IsTerminal::is_terminal(&io::stderr()),
            _ => false,
        }
    }
}

impl StdoutStream for Sink {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// Only WASI 0.3 would ask for it, which is not linked; a stream that takes nothing is an honest answer.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        MemoryOutputPipe::new(0).async_stream()
    }
}
