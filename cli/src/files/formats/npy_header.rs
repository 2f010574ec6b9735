//! The dictionary that is the header of a .npy file, in the few forms of Python that numpy writes.

use crate::shown::shown;

/// What a header says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// The element type, as it is spelled.
    pub(super) descr: String,
    /// Whether the first index counts fastest.
    pub(super) is_fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// The header in a text, or what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut descr, mut is_fortran, mut shape) = (None, None, None);
        let mut rest = Rest(text.trim_matches([' ', '\n', '\0']));
        rest.expect("{")?;
        while !rest.take("}") {
            let key = rest.quoted()?;
            rest.expect(":")?;
            let is_new = match key {
                "descr" => descr.replace(rest.descr()?).is_none(),
                "fortran_order" => is_fortran.replace(rest.boolean()?).is_none(),
                "shape" => shape.replace(rest.tuple()?).is_none(),
                _ => return Err(format!("the key '{}' is unknown", shown(key))),
            };
            if !is_new {
                return Err(format!("the key '{key}' stands there twice"));
            }
            if !rest.take(",") {
                rest.expect("}")?;
                break;
            }
        }
        if !rest.0.is_empty() {
            return Err(format!("'{}' follows it", shown(rest.0)));
        }
        let missing = |key| move || format!("the key '{key}' is missing");
        Ok(Self {
            descr: descr.ok_or_else(missing("descr"))?,
            is_fortran: is_fortran.ok_or_else(missing("fortran_order"))?,
            shape: shape.ok_or_else(missing("shape"))?,
        })
    }
}

/// The text that is not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Whether the word comes next; then it is taken.
    fn take(&mut self, word: &str) -> bool {
        let text = self.0.trim_start();
        text.strip_prefix(word).map(|rest| self.0 = rest.trim_start()).is_some()
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) { Ok(()) } else { Err(self.found(&format!("'{word}'"))) }
    }

    fn found(&self, expected: &str) -> String {
        format!("{expected} is expected at '{}'", shown(self.0))
    }

    /// A string between quotes; names of keys and types have no escapes.
    fn quoted(&mut self) -> Result<&'a str, String> {
        let quote = self.0.chars().next().filter(|c| ['\'', '"'].contains(c));
        let found = quote.and_then(|quote| self.0[1..].split_once(quote));
        let (word, rest) = found.ok_or_else(|| self.found("a string"))?;
        self.0 = rest.trim_start();
        Ok(word)
    }

    fn descr(&mut self) -> Result<String, String> {
        if self.0.starts_with(['[', '(']) {
            return Err(format!("its elements are records, {}: save one field of them", shown(self.0)));
        }
        self.quoted().map(str::to_owned)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        match () {
            () if self.take("True") => Ok(true),
            () if self.take("False") => Ok(false),
            () => Err(self.found("True or False")),
        }
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let is_tuple = self.take("(");
        let (inside, rest) =
            self.0.split_once(')').filter(|_| is_tuple).ok_or_else(|| self.found("a tuple"))?;
        self.0 = rest.trim_start();
        let lengths = inside.trim().trim_end_matches(',');
        let words = lengths.split(',').filter(|_| !lengths.is_empty());
        let length = |word: &str| {
            // Python 2 wrote long integers.
            let digits = word.trim().trim_end_matches('L');
            digits.parse().map_err(|_| format!("the shape ({}) is no tuple of lengths", shown(inside)))
        };
        words.map(length).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_writes_is_read() {
        for (text, descr, is_fortran, shape) in [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", "<f4", false, &[2, 3][..]),
            ("{'descr':'bfloat16','fortran_order':True,'shape':(7,)}\n", "bfloat16", true, &[7]),
            ("{\"shape\": (), 'descr': \"|V2\", 'fortran_order': False}", "|V2", false, &[]),
            ("{'descr': '>i8', 'fortran_order': False, 'shape': (2L, 0L)}", ">i8", false, &[2, 0]),
        ] {
            let header = Header { descr: descr.to_owned(), is_fortran, shape: shape.to_vec() };
            assert_eq!(Header::parse(text), Ok(header), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        let nested =
            format!("{{'descr': {}'<f4', 'fortran_order': False, 'shape': (1,)}}", "[(".repeat(30_000));
        for (text, words) in [
            ("", "'{' is expected"),
            ("{'descr': '<f4', 'fortran_order': False}", "'shape' is missing"),
            ("{'descr': '<f4', 'descr': '<f4'}", "'descr' stands there twice"),
            ("{'descr': '<f4', 'order': 'C'}", "'order' is unknown"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "records, [('a', '<f4')]"),
            ("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "True or False is expected"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3)}", "(-2, 3) is no tuple"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,,3)}", "(2,,3) is no tuple"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2", "a tuple is expected"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} + x", "'+ x' follows it"),
            ("{'descr': 'é", "a string is expected"),
            (&nested, "records"),
        ] {
            let problem = Header::parse(text).expect_err(text);
            assert!(problem.contains(words) && problem.len() < 400, "{problem}");
        }
    }
}
