//! The bytes of each token, by its id.

use sortilege::log::TokenBytes;

use crate::shown::shown;

/// Bytes of the longest token: far above any tokenizer's.
pub(super) const MAX_TOKEN_BYTES: usize = 1 << 16;

/// Bytes of all tokens: replacements may make many of few.
const MAX_BYTES: usize = 256 << 20;

/// Bytes of each token, by id; `None` where unknown.
#[derive(Debug, Default)]
pub(crate) struct Vocab {
    tokens: Vec<Option<Vec<u8>>>,
    /// Bytes of all.
    total: usize,
}

impl TokenBytes for Vocab {
    fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.bytes(token)
    }
}

impl Vocab {
    /// A token of each id, which has one alone.
    pub(super) fn new(tokens: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Result<Self, String> {
        let mut vocab = Self::default();
        for (id, bytes) in tokens {
            vocab.add(id, bytes)?;
        }
        Ok(vocab)
    }

    /// Bytes of a token.
    pub(crate) fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.tokens.get(token as usize)?.as_deref()
    }

    /// One more than the highest id.
    pub(crate) fn size(&self) -> usize {
        self.tokens.len()
    }

    /// Gives a token its bytes, if it has none.
    pub(super) fn add(&mut self, id: u64, bytes: Vec<u8>) -> Result<(), String> {
        match u32::try_from(id).ok().and_then(|id| self.bytes(id)) {
            Some(first) => {
                Err(format!("id {id} stands twice: for {} and for {}", quoted(first), quoted(&bytes)))
            }
            None => self.put(id, bytes),
        }
    }

    /// Gives a token its bytes, whatever it had.
    pub(super) fn put(&mut self, id: u64, bytes: Vec<u8>) -> Result<(), String> {
        let limit = sortilege::MAX_VOCAB;
        let Some(place) = usize::try_from(id).ok().filter(|&id| id < limit) else {
            return Err(format!("id {id} of {} is outside 0 to {}", quoted(&bytes), limit - 1));
        };
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(format!("token {id} has {} bytes: {MAX_TOKEN_BYTES} are possible", bytes.len()));
        }
        self.total += bytes.len();
        if self.total > MAX_BYTES {
            return Err(format!("its tokens have more than {MAX_BYTES} bytes in all"));
        }
        if self.tokens.len() <= place {
            self.tokens.resize(place + 1, None);
        }
        self.tokens[place] = Some(bytes);
        Ok(())
    }
}

/// A token as a message names it.
fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", shown(&String::from_utf8_lossy(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of its tokens is short enough.
    #[test]
    fn all_tokens_together_have_an_end() {
        let long = |count: u64| (0..count).map(|id| (id, vec![b'x'; MAX_TOKEN_BYTES]));
        assert_eq!(Vocab::new(long(4096)).expect("as many as there may be").size(), 4096);
        let problem = Vocab::new(long(4097)).expect_err("one more");
        assert!(problem.contains("more than 268435456 bytes in all"), "{problem}");
    }

    #[test]
    fn an_id_has_one_token_and_an_end() {
        let token = |id, text: &str| (id, text.as_bytes().to_vec());
        let vocab = Vocab::new([token(2, "b"), token(0, "a")]).expect("two tokens");
        assert_eq!((vocab.bytes(2), vocab.bytes(1), vocab.bytes(9)), (Some(&b"b"[..]), None, None));
        assert_eq!(vocab.size(), 3);
        let long = "x".repeat(MAX_TOKEN_BYTES + 1);
        for (tokens, words) in [
            (vec![token(1, "a"), token(1, "b\n")], "id 1 stands twice: for \"a\" and for \"b\\n\""),
            (vec![token(1 << 20, "a")], "id 1048576 of \"a\" is outside 0 to 1048575"),
            (vec![token(u64::MAX, "a")], "is outside 0 to"),
            (vec![token(0, &long)], "token 0 has 65537 bytes"),
        ] {
            let problem = Vocab::new(tokens).expect_err(words);
            assert!(problem.contains(words), "{problem}");
        }
    }
}
