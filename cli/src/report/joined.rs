//! Bytes of neighbouring tokens as one text: a character whose bytes are spread over several tokens stands in the first.

/// The text of a token between its neighbours.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Joined {
    /// The characters that begin in it, with U+FFFD for what is no UTF-8.
    pub(super) text: String,
    /// Whether a part of a character is in it.
    pub(super) is_joined: bool,
}

/// The texts of neighbouring tokens, by their bytes.
pub(super) fn joined(tokens: &[&[u8]]) -> Vec<Joined> {
    let mut texts: Vec<Joined> = tokens.iter().map(|_| Joined::default()).collect();
    let mut ends = Vec::with_capacity(tokens.len());
    let mut end = 0;
    for token in tokens {
        end += token.len();
        ends.push(end);
    }
    let (mut token, mut place) = (0, 0);
    let mut put = |c: char, bytes: usize| {
        token += ends[token..].iter().take_while(|&&end| end <= place).count();
        texts[token].text.push(c);
        place += bytes;
        // The others that have a part of it; a token without bytes has none.
        let mut last = token;
        while ends[last] < place {
            last += 1;
            texts[last].is_joined |= !tokens[last].is_empty();
            texts[token].is_joined = true;
        }
    };
    for chunk in tokens.concat().utf8_chunks() {
        chunk.valid().chars().for_each(|c| put(c, c.len_utf8()));
        if !chunk.invalid().is_empty() {
            put(char::REPLACEMENT_CHARACTER, chunk.invalid().len());
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_stands_in_the_token_that_it_begins_in() {
        let check = |tokens: &[&[u8]], expected: &[(&str, bool)]| {
            let found = joined(tokens);
            let found: Vec<(&str, bool)> =
                found.iter().map(|joined| (joined.text.as_str(), joined.is_joined)).collect();
            assert_eq!(found, expected, "{tokens:?}");
        };
        check(&[], &[]);
        check(&[b""], &[("", false)]);
        check(&[b"a", b"", b"b"], &[("a", false), ("", false), ("b", false)]);
        check(&[" é".as_bytes(), b"x"], &[(" é", false), ("x", false)]);
        check(&[b"\xe2\x82", b"\xac"], &[("€", true), ("", true)]);
        check(
            &[b"a\xf0", b"", b"\x9f\x98", b"\x80b"],
            &[("a😀", true), ("", false), ("", true), ("b", true)],
        );
        check(&[b"\xe2\x82", b"x"], &[("\u{fffd}", false), ("x", false)]);
        check(&[b"\xc3", b"\xa9\xc3", b"\xa8"], &[("é", true), ("è", true), ("", true)]);
        check(&[b"\xff\xfe"], &[("\u{fffd}\u{fffd}", false)]);
        // What is cut at the end of all is one character that is none.
        check(&[b"\xf0\x9f", b"\x98"], &[("\u{fffd}", true), ("", true)]);
    }
}
