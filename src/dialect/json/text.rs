//! Text on its way out: as a JSON string, and as a name that is safe to show.

use std::fmt::Write;

/// Longest result of [`shown`] in bytes.
const SHOWN_BYTES_MAX: usize = 64;

/// Appends `text` to `json` as a string in quotes.
///
/// Beyond what JSON asks for, it escapes `<`, `>`, `&`, U+2028 and U+2029, as
/// Go's encoder does, so that the result is safe inside HTML and scripts, too.
pub fn push_string(json: &mut String, text: &str) {
    json.push('"');
    let mut plain_from = 0;
    for (at, symbol) in text.char_indices() {
        if !needs_escape(symbol) {
            continue;
        }
        json.push_str(text.get(plain_from..at).unwrap_or_default());
        plain_from = at + symbol.len_utf8();
        push_escape(json, symbol);
    }
    json.push_str(text.get(plain_from..).unwrap_or_default());
    json.push('"');
}

/// A peer's name for something, safe in logs and replies: printable ASCII, at
/// most 64 bytes. Everything else is escaped, and a longer name is cut.
#[must_use]
pub fn shown(name: &str) -> String {
    const CUT: &str = "...";
    let mut safe = String::new();
    for symbol in name.chars() {
        let end = safe.len();
        safe.extend(symbol.escape_default());
        if safe.len() > SHOWN_BYTES_MAX {
            safe.truncate(end.min(SHOWN_BYTES_MAX - CUT.len()));
            safe.push_str(CUT);
            break;
        }
    }
    safe
}

fn needs_escape(symbol: char) -> bool {
    symbol < ' ' || matches!(symbol, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

fn push_escape(json: &mut String, symbol: char) {
    let short = match symbol {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        other => {
            // Writing to a string can't fail, and the result would be checked by the tests.
            let written = write!(json, "\\u{:04x}", u32::from(other));
            debug_assert!(written.is_ok());
            return;
        }
    };
    json.push_str(short);
}
