//! The one place that writes to the terminal.

use std::io::{self, IsTerminal, Write};

/// Where a command's result and its remarks go.
#[derive(Debug, Clone, Copy)]
pub struct Output;

impl Output {
    /// A line of the result, on standard output.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn line(self, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{text}")
    }

    /// A line of a program that goes on, on standard output. A closed standard output is nobody listening, no failure.
    pub fn tell(self, text: &str) {
        let _unheard = writeln!(io::stdout().lock(), "{text}");
    }

    /// The result as it is, on standard output.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn bytes(self, bytes: &[u8]) -> io::Result<()> {
        io::stdout().lock().write_all(bytes)
    }

    /// A remark for the person, on standard error. A closed standard error is nobody listening, no failure.
    pub fn remark(self, text: &str) {
        let _unheard = writeln!(io::stderr().lock(), "{text}");
    }

    /// Whether a person watches: then progress is drawn, else it is told in plain lines.
    #[must_use]
    pub fn is_watched(self) -> bool {
        io::stderr().is_terminal()
    }
}
