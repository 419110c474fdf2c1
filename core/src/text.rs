//! Names, paths and errors as text that can do nothing to a terminal.

/// The bytes as text: printable characters, backslashes too, stand for themselves, and every other byte is
/// written `\xNN`. For people to read; see [`lossless`] for text that is read back.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    escape(bytes, "\\")
}

/// As [`printable`], with backslashes doubled: no two byte strings have the same text.
#[must_use]
pub fn lossless(bytes: &[u8]) -> String {
    escape(bytes, "\\\\")
}

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn escape(bytes: &[u8], backslash: &str) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                text.push_str(backslash);
            } else if is_printable(c) {
                text.push(c);
            } else {
                escape_bytes(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        escape_bytes(&mut text, chunk.invalid());
    }
    text
}

fn escape_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push_str("\\x");
        text.push_str(&hex::encode([*byte]));
    }
}

/// Whether a terminal shows the character as itself: no control, no invisible or direction-changing one.
fn is_printable(c: char) -> bool {
    // The standard library's own table of what Debug may show; quotes are printable all the same.
    matches!(c, '\'' | '"') || c.escape_debug().eq([c])
}
