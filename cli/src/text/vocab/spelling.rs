//! How pieces of a vocabulary stand for bytes: as its tokenizer declares, or, of a bare vocabulary, as all its pieces
//! together show. One letter proves nothing: Ġ begins words of Maltese, too.

use std::borrow::Cow;

use super::table::MAX_TOKEN_BYTES;

/// `SentencePiece`'s sign for a space.
pub(super) const SPACE: &str = "▁";

/// A step from a piece to its bytes, after the decoders of Hugging Face's tokenizers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// GPT-2's: every byte is a printable character. A piece with another character is what it says.
    ByteLevel,
    /// A piece `<0x0A>` is a byte.
    ByteFallback,
    Replace {
        from: String,
        to: String,
    },
    /// BERT's: a prefix continues a word, anything else starts one; punctuation follows without a space if cleaned up.
    WordPiece {
        prefix: String,
        cleanup: bool,
    },
    /// Takes so many of a character off both ends.
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
}

impl Step {
    pub(super) fn replace(from: &str, to: &str) -> Self {
        Self::Replace { from: from.to_owned(), to: to.to_owned() }
    }
}

/// How pieces stand for bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spelling(pub(super) Vec<Step>);

impl Spelling {
    /// `SentencePiece`'s.
    pub(super) fn sentencepiece() -> Self {
        Self(vec![Step::replace(SPACE, " "), Step::ByteFallback])
    }

    /// The spelling that the pieces of a bare vocabulary show. What is not shown, such as the ## of `WordPiece`, stays.
    pub(super) fn of_pieces<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Self {
        let mut votes = Votes::default();
        pieces.into_iter().for_each(|piece| votes.count(piece));
        let is_byte_level = votes.are_most(votes.byte_level, votes.not_byte_level);
        let Self(mut steps) = if is_byte_level {
            Self(vec![Step::ByteLevel])
        } else if votes.are_most(votes.spaces + votes.bytes, votes.not_spaces) || votes.bytes == 256 {
            Self::sentencepiece()
        } else {
            Self::default()
        };
        if votes.are_most(votes.ends, 0) {
            steps.insert(0, end_of_word(END_OF_WORD, is_byte_level));
        }
        Self(steps)
    }

    /// The bytes that a piece stands for.
    pub(super) fn spell(&self, piece: &str) -> Vec<u8> {
        let mut text = Cow::Borrowed(piece);
        for step in &self.0 {
            // Too long for a token, which whoever takes it says: no step makes it longer still.
            if text.len() > MAX_TOKEN_BYTES {
                break;
            }
            match step {
                Step::ByteLevel => {
                    if let Some(bytes) = byte_level(&text) {
                        return bytes;
                    }
                }
                Step::ByteFallback => {
                    if let Some(byte) = byte_of_piece(&text) {
                        return vec![byte];
                    }
                }
                Step::Replace { from, to } => {
                    if text.contains(from) {
                        text = Cow::Owned(text.replace(from, to));
                    }
                }
                Step::WordPiece { prefix, cleanup } => text = Cow::Owned(word_piece(&text, prefix, *cleanup)),
                Step::Strip { content, start, stop } => {
                    text = Cow::Owned(strip(&text, *content, *start, *stop).to_owned());
                }
            }
        }
        text.into_owned().into_bytes()
    }

    /// The bytes of an added token that is no special one. It is what it says, but that a space may be spelled in it:
    /// Gemma's runs of spaces are such tokens.
    pub(super) fn spell_added(&self, content: &str) -> Vec<u8> {
        let is_spaced = |step: &Step| matches!(step, Step::Replace { .. } | Step::ByteFallback);
        if self.0.iter().all(is_spaced) { self.spell(content) } else { content.as_bytes().to_vec() }
    }
}

/// The sign of subword-nmt and CLIP at the end of a word.
const END_OF_WORD: &str = "</w>";

/// The step that makes a space of the sign at the end of a word; the alphabet of bytes is still to come.
pub(super) fn end_of_word(sign: &str, is_byte_level: bool) -> Step {
    Step::replace(sign, if is_byte_level { "Ġ" } else { " " })
}

/// What pieces of a vocabulary speak for.
#[derive(Default)]
struct Votes {
    /// Pieces that are no names of special tokens.
    pieces: usize,
    /// Pieces with a character that stands for another byte, which spell a part of a text; and pieces that
    /// cannot be spelled.
    byte_level: usize,
    not_byte_level: usize,
    /// Pieces with ▁, pieces `<0x0A>`, and pieces with a space as it is.
    spaces: usize,
    bytes: usize,
    not_spaces: usize,
    /// Pieces with the sign at the end of a word.
    ends: usize,
}

impl Votes {
    fn count(&mut self, piece: &str) {
        let is_byte = byte_of_piece(piece).is_some();
        let is_name = [('<', '>'), ('[', ']')]
            .iter()
            .any(|&(open, close)| piece.len() > 2 && piece.starts_with(open) && piece.ends_with(close));
        if is_name && !is_byte {
            return;
        }
        self.pieces += 1;
        self.bytes += usize::from(is_byte);
        self.spaces += usize::from(piece.contains(SPACE));
        self.not_spaces += usize::from(piece.contains(' '));
        let stem = piece.strip_suffix(END_OF_WORD);
        self.ends += usize::from(stem.is_some());
        let stem = stem.unwrap_or(piece);
        match byte_level(stem) {
            Some(bytes) if is_part_of_text(&bytes) => {
                self.byte_level += usize::from(stem.chars().any(|c| c >= '\u{100}'));
            }
            _ => self.not_byte_level += 1,
        }
    }

    /// Whether these pieces are a good part of all, and hardly any speaks against them: in a byte-level vocabulary more
    /// than a quarter of all bytes are spelled by other characters.
    fn are_most(&self, these: usize, against: usize) -> bool {
        these > 0 && these * 16 >= self.pieces && against * 20 <= these
    }
}

/// Whether bytes are cut out of a text in UTF-8 without odd control characters; any byte alone may be.
fn is_part_of_text(bytes: &[u8]) -> bool {
    let cut = bytes.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count();
    let is_odd = |byte: &u8| byte.is_ascii_control() && !(b'\t'..=b'\r').contains(byte);
    let is_text =
        |text: &[u8]| std::str::from_utf8(text).map_or_else(|error| error.error_len().is_none(), |_| true);
    bytes.len() == 1 || (is_text(&bytes[cut..]) && !bytes.iter().any(is_odd))
}

/// The bytes of a piece of GPT-2's alphabet; nothing if a character is not of it.
fn byte_level(piece: &str) -> Option<Vec<u8>> {
    piece.chars().map(byte_of_char).collect()
}

/// GPT-2's alphabet: printable bytes stand for themselves, the others for the characters from U+0100 on
/// (`bytes_to_unicode` of its encoder.py).
fn byte_of_char(c: char) -> Option<u8> {
    let code = u32::from(c);
    let byte = match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => code,
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

/// The byte of a piece such as `<0x0A>`.
fn byte_of_piece(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_byte = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_byte)
}

fn word_piece(piece: &str, prefix: &str, cleanup: bool) -> String {
    /// What follows without a space, in the clean-up of the tokenizers.
    const CLINGING: [&str; 9] = [".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"];
    match piece.strip_prefix(prefix) {
        Some(rest) => rest.to_owned(),
        None if cleanup && CLINGING.iter().any(|start| piece.starts_with(start)) => piece.to_owned(),
        None => format!(" {piece}"),
    }
}

fn strip(piece: &str, content: char, start: usize, stop: usize) -> &str {
    let mut text = piece;
    // A file may say any number.
    for _ in 0..start.min(piece.len()) {
        text = text.strip_prefix(content).unwrap_or(text);
    }
    for _ in 0..stop.min(piece.len()) {
        text = text.strip_suffix(content).unwrap_or(text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_the_bytes_they_stand_for() {
        let word_piece = |cleanup| Step::WordPiece { prefix: "##".to_owned(), cleanup };
        let strip = Step::Strip { content: '_', start: 1, stop: usize::MAX };
        let sentencepiece = Spelling::sentencepiece();
        let clip = Spelling(vec![end_of_word("</w>", true), Step::ByteLevel]);
        let byte_level = Spelling(vec![Step::ByteLevel]);
        for (spelling, piece, bytes) in [
            (&byte_level, "Ġmat", " mat".as_bytes()),
            (&byte_level, "Ċ", b"\n"),
            (&byte_level, "Ã©", "é".as_bytes()),
            (&byte_level, "ðŁ", &[240, 159]),
            (&byte_level, "<｜end▁of▁text｜>", "<｜end▁of▁text｜>".as_bytes()),
            (&clip, "Ã©</w>", "é ".as_bytes()),
            (&sentencepiece, "▁a▁mat", b" a mat"),
            (&sentencepiece, "<0x0A>", b"\n"),
            (&sentencepiece, "<0xfF>", &[255]),
            (&sentencepiece, "<0x+A>", b"<0x+A>"),
            (&sentencepiece, "<0x00A>", b"<0x00A>"),
            (&Spelling(vec![word_piece(true)]), "##ing", b"ing"),
            (&Spelling(vec![word_piece(true)]), "mat", b" mat"),
            (&Spelling(vec![word_piece(true)]), ",", b","),
            (&Spelling(vec![word_piece(false)]), ",", b" ,"),
            (&Spelling(vec![strip]), "__a__", b"_a"),
            (&Spelling::default(), "Ġ▁<0x0A>", "Ġ▁<0x0A>".as_bytes()),
        ] {
            assert_eq!(spelling.spell(piece), bytes, "{piece} by {spelling:?}");
        }
        assert_eq!(sentencepiece.spell_added("▁▁"), b"  ");
        assert_eq!(byte_level.spell_added("Ġraw"), "Ġraw".as_bytes());
    }

    /// The definition, from the characters on: printable bytes first, the others in their order.
    #[test]
    fn the_alphabet_is_that_of_gpt_2() {
        let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let others = (0..=u8::MAX).filter(|byte| !is_printable(byte));
        let alphabet: Vec<(char, u8)> = (0..=u8::MAX)
            .filter(is_printable)
            .map(|byte| (char::from(byte), byte))
            .chain(('\u{100}'..).zip(others))
            .collect();
        assert_eq!(alphabet.len(), 256);
        for c in '\0'..'\u{400}' {
            let byte = alphabet.iter().find(|(letter, _)| *letter == c).map(|(_, byte)| *byte);
            assert_eq!(byte_of_char(c), byte, "{c:?}");
        }
    }

    #[test]
    fn a_spelling_is_shown_by_all_pieces() {
        let byte_level = Spelling(vec![Step::ByteLevel]);
        let plain = Spelling::default();
        let with_ends = |steps: &[Step]| Spelling(steps.to_vec());
        for (pieces, spelling) in [
            ("<s> Ġthe Ċ ðŁ ĺĬ ÿ a cat", &byte_level),
            ("Ġ a b c d e f g h i", &byte_level),
            ("Ġdar għal ċar żgħir à", &plain),
            ("Ġdar the cat sat on a mat and then it went far off to see the sea", &plain),
            ("café Ö il Ġthe naïve", &plain),
            ("<unk> ▁the <0x0A> ▁ x", &Spelling::sentencepiece()),
            ("<0x0A> <0xff> a", &Spelling::sentencepiece()),
            ("[PAD] [UNK] hello ##ing , x", &plain),
            ("the</w> ca t</w>", &with_ends(&[Step::replace("</w>", " ")])),
            ("the</w> Ã©</w> Ġ Ċ t</w>", &with_ends(&[Step::replace("</w>", "Ġ"), Step::ByteLevel])),
            ("", &plain),
        ] {
            assert_eq!(Spelling::of_pieces(pieces.split(' ')), *spelling, "{pieces}");
        }
        // A space as it is: no tokenizer that spells it leaves it.
        assert_eq!(Spelling::of_pieces(["▁a", " b"]), plain);
        assert_eq!(Spelling::of_pieces(["Ġa", " b"]), plain);
    }
}
