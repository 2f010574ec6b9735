//! Models of `SentencePiece`, and the list of pieces and scores that it writes beside one. A model is a protobuf message
//! (`sentencepiece_model.proto`) of which two fields of each piece matter here: a reader of those is shorter than what a
//! protobuf library would have us declare, and stops at the end of any vocabulary.

use super::spelling::Spelling;
use super::table::Vocab;

/// A piece as the model stores it.
#[derive(Default)]
struct Piece<'a> {
    text: &'a [u8],
    kind: u64,
}

// Types of pieces, `ModelProto.SentencePiece.Type`.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;

/// The tokens of a .model file. Control and unknown tokens are what they say; the others have ▁ for a space and `<0x0A>`
/// for a byte.
pub(super) fn read_model(bytes: &[u8]) -> Result<Vocab, String> {
    let spelling = Spelling::sentencepiece();
    let token = |piece: Piece<'_>| match (piece.kind, std::str::from_utf8(piece.text)) {
        (UNKNOWN | CONTROL, _) | (_, Err(_)) => piece.text.to_vec(),
        (_, Ok(text)) => spelling.spell(text),
    };
    let pieces = pieces(bytes).ok_or("no readable SentencePiece model: it is damaged or cut short")?;
    if pieces.len() > sortilege::MAX_VOCAB {
        return Err(format!("more than {} tokens", sortilege::MAX_VOCAB));
    }
    Vocab::new((0..).zip(pieces.into_iter().map(token)))
}

/// Whether the bytes are such a model.
pub(super) fn is_model(bytes: &[u8]) -> bool {
    pieces(bytes).is_some()
}

/// The pieces of a model, up to one more than a vocabulary can have; nothing if the bytes are no model with pieces.
fn pieces(bytes: &[u8]) -> Option<Vec<Piece<'_>>> {
    const PIECES: u64 = 1;
    let mut pieces = Vec::new();
    let mut message = Message(bytes);
    while !message.0.is_empty() && pieces.len() <= sortilege::MAX_VOCAB {
        if let (PIECES, Value::Bytes(piece)) = message.field()? {
            pieces.push(piece_of(piece)?);
        }
    }
    (!pieces.is_empty()).then_some(pieces)
}

fn piece_of(bytes: &[u8]) -> Option<Piece<'_>> {
    let mut piece = Piece::default();
    let mut message = Message(bytes);
    while !message.0.is_empty() {
        match message.field()? {
            (1, Value::Bytes(text)) => piece.text = text,
            (3, Value::Number(kind)) => piece.kind = kind,
            _ => {}
        }
    }
    (!piece.text.is_empty()).then_some(piece)
}

/// What is left of a protobuf message.
struct Message<'a>(&'a [u8]);

/// A value of a field; numbers of fixed width are skipped.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Message<'a> {
    /// The next field: its number and its value; nothing if it is none.
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.number()?;
                Value::Bytes(self.take(usize::try_from(length).ok()?)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        (tag >> 3 > 0).then_some((tag >> 3, value))
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

/// The piece of a line of a .vocab file, before its score, which is the logarithm of a probability or minus a rank.
pub(super) fn scored(line: &str) -> Option<&str> {
    let (piece, score) = line.rsplit_once('\t')?;
    score.trim_end().parse().is_ok_and(|score: f64| score <= 0.0).then_some(piece)
}

/// The tokens of a .vocab file of which every line has a piece.
pub(super) fn read_vocab(text: &str) -> Result<Vocab, String> {
    let spelling = Spelling::sentencepiece();
    Vocab::new((0..).zip(text.lines().filter_map(scored).map(|piece| spelling.spell(piece))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_models_are_no_models() {
        let model =
            [&b"\x0a\x05\x0a\x03abc"[..], b"\x0a\x0f\x0a\x06<0x0A>\x15\0\0\0\0\x18\x06\x12\x02\x20\x07"]
                .concat();
        let vocab = read_model(&model).expect("a model");
        assert_eq!((vocab.bytes(0), vocab.bytes(1), vocab.size()), (Some(&b"abc"[..]), Some(&b"\n"[..]), 2));
        for cut in 1..model.len() {
            let whole = [7, 24].contains(&cut);
            assert_eq!(is_model(&model[..cut]), whole, "cut at {cut}");
        }
        let endless = [&b"\x0a"[..], &[0xff; 12]].concat();
        for bytes in
            [&b"\n[PAD]\nhello\n"[..], b"\n\n\n", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", &endless, b""]
        {
            assert!(!is_model(bytes), "{bytes:?}");
        }
    }
}
