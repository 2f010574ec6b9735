//! Pieces of a vocabulary in JSON: `{"piece": id}`, `["piece"]` or `[["piece", score]]`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::spelling::Spelling;
use super::table::Vocab;

/// Pieces with their ids, as many as a vocabulary can have.
#[derive(Debug)]
pub(super) struct Pieces(Vec<(u64, String)>);

impl Pieces {
    /// The texts of a list.
    pub(super) fn listed(pieces: impl IntoIterator<Item = String>) -> Self {
        Self((0..).zip(pieces).collect())
    }

    /// The spelling that all of them show.
    pub(super) fn spelling(&self) -> Spelling {
        Spelling::of_pieces(self.0.iter().map(|(_, piece)| piece.as_str()))
    }

    /// The tokens that they spell.
    pub(super) fn spelled(self, spelling: &Spelling) -> Result<Vocab, String> {
        Vocab::new(self.0.into_iter().map(|(id, piece)| (id, spelling.spell(&piece))))
    }

    fn push<E: Error>(&mut self, id: u64, piece: String) -> Result<(), E> {
        if self.0.len() == sortilege::MAX_VOCAB {
            return Err(E::custom(format_args!("more than {} tokens", sortilege::MAX_VOCAB)));
        }
        self.0.push((id, piece));
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Pieces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pieces;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of text -> id or an array of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pieces, A::Error> {
                let mut pieces = Pieces(Vec::new());
                while let Some((piece, id)) = map.next_entry()? {
                    pieces.push(id, piece)?;
                }
                Ok(pieces)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pieces, A::Error> {
                let mut pieces = Pieces(Vec::new());
                while let Some(Piece(piece)) = list.next_element()? {
                    pieces.push(pieces.0.len() as u64, piece)?;
                }
                Ok(pieces)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// An entry of a list: a text, or a pair of a text and a score.
struct Piece(String);

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Piece;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or [text, score]")
            }

            fn visit_str<E: Error>(self, piece: &str) -> Result<Piece, E> {
                Ok(Piece(piece.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Piece, A::Error> {
                let piece = pair.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                while pair.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Piece(piece))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// The vocabulary of a bare object or array.
pub(super) fn read(json: &str) -> Result<Vocab, String> {
    let pieces: Pieces = serde_json::from_str(json).map_err(|error| format!("no vocabulary: {error}"))?;
    let spelling = pieces.spelling();
    pieces.spelled(&spelling)
}
