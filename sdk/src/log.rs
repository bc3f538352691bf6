//! Structured log lines. Always there, never an error.
//!
//! In native tests the lines go to standard error.

pub use crate::bindings::host::chandlery::host::log::Level;
use crate::types::Label;

/// Says whether a line of this level would be kept; saves building it.
pub fn enabled(level: Level) -> bool {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::host::chandlery::host::log::enabled(level);
    #[cfg(not(target_arch = "wasm32"))]
    return level >= Level::Trace;
}

/// Writes a line; `fields` are kept as separate values beside the message.
pub fn write(level: Level, message: &str, fields: &[Label]) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::host::chandlery::host::log::write(level, message, fields);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?} {message} {fields:?}");
}

/// Writes a line for the operator.
pub fn info(message: &str) {
    write(Level::Info, message, &[]);
}

/// Writes a line about something that was probably not meant.
pub fn warn(message: &str) {
    write(Level::Warn, message, &[]);
}

/// Writes a line about a failure.
pub fn error(message: &str) {
    write(Level::Error, message, &[]);
}

/// Sends the words of a panic to the log before the guest ends. Without it, a panic
/// shows only as a trap with the names of the functions. Call it in `configure`.
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}
