//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 section 9.1).
//!
//! Offers are read only to refuse what is no list of offers: none is accepted.

/// True when `text` is a list of extensions, each a token with parameters. Empty
/// elements are allowed, as in every list of HTTP.
pub(super) fn is_extension_list(text: &str) -> bool {
    let mut rest = text;
    loop {
        rest = blanks(rest);
        if !rest.is_empty() && !rest.starts_with(',') {
            let Some(after) = extension(rest) else { return false };
            rest = blanks(after);
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return rest.is_empty(),
        }
    }
}

/// What follows a name and its parameters.
fn extension(text: &str) -> Option<&str> {
    let mut rest = token(text)?;
    while let Some(after) = blanks(rest).strip_prefix(';') {
        rest = token(blanks(after))?;
        if let Some(after) = blanks(rest).strip_prefix('=') {
            rest = value(blanks(after))?;
        }
    }
    Some(rest)
}

/// What follows a token, plain or quoted.
fn value(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else { return token(text) };
    let (inside, rest) = quoted.split_once('"')?;
    token(inside)?.is_empty().then_some(rest)
}

/// What follows a token of at least one character.
fn token(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(is_token_character);
    (rest.len() < text.len()).then_some(rest)
}

fn is_token_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

fn blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::is_extension_list;

    #[test]
    fn h15_a_list_of_offers_is_told_from_anything_else() {
        let many = vec!["permessage-deflate; client_max_window_bits"; 500].join(", ");
        for good in [
            "",
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;server_max_window_bits=7 , x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits = \"10\"; a; a",
            "foo, , bar",
            "permessage-deflate; server_max_window_bits=x",
            &many,
        ] {
            assert!(is_extension_list(good), "{good}");
        }
        for bad in [
            ";",
            "foo;",
            "foo; =1",
            "foo; a=",
            "foo; a=\"1",
            "foo; a=\"1 2\"",
            "foo; a=\"\"",
            "foo bar",
            "foo; a=1=2",
            "(foo)",
            "foo; a==x",
            "foo/1",
        ] {
            assert!(!is_extension_list(bad), "{bad}");
        }
    }
}
