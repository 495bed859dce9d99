//! Messages for the program that uses this crate: to a function of its own, never to the terminal.

use std::fmt;
use std::sync::Arc;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// An answer is worse than it could be, such as faces left out for want of room.
    Warning,
    /// Once per engine: what was loaded.
    Info,
    /// Once per frame: what was found and how long it took.
    Debug,
}

/// Where messages go; by default nowhere.
#[derive(Clone, Default)]
pub(crate) struct Log(Option<Sink>);

type Sink = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

impl Log {
    pub fn to(sink: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    /// Words the message only if somebody listens.
    pub fn write(&self, level: LogLevel, message: impl FnOnce() -> String) {
        if let Some(sink) = &self.0 {
            sink(level, &message());
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Log(to a function)" } else { "Log(nowhere)" })
    }
}
