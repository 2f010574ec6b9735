//! The page: skeleton, style and script with the data in their midst. What a log says reaches it as JSON in a script that
//! is data, and as an escaped title; no other way.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;
use sha2::{Digest, Sha256};
use sortilege::log::{escaped, is_control};

const SKELETON: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// In the order in which each uses those before it.
const SCRIPTS: [&str; 7] = [
    include_str!("page/shared.js"),
    include_str!("page/scales.js"),
    include_str!("page/strip.js"),
    include_str!("page/details.js"),
    include_str!("page/chart.js"),
    include_str!("page/lists.js"),
    include_str!("page/main.js"),
];

/// The page of these data.
pub(super) fn page(title: &str, data: &impl Serialize) -> io::Result<String> {
    // A browser hashes what it reads, and reads every line's end as \n.
    let style = STYLE.replace("\r\n", "\n");
    let script = SCRIPTS.concat().replace("\r\n", "\n");
    Ok(filled(
        SKELETON,
        &[
            ("title", &text(title)),
            ("style", &style),
            ("style_sha256", &hash(&style)),
            ("script", &script),
            ("script_sha256", &hash(&script)),
            ("version", env!("CARGO_PKG_VERSION")),
            ("data", &json(data)?),
        ],
    ))
}

/// The skeleton with each `{{name}}` replaced. What takes their places is not looked at again.
fn filled(skeleton: &str, parts: &[(&str, &str)]) -> String {
    let mut pieces = skeleton.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").expect("the skeleton closes its places");
        let part = parts.iter().find(|(other, _)| *other == name).expect("the skeleton has these places");
        page.push_str(part.1);
        page.push_str(rest);
    }
    page
}

/// The hash by which the page's policy lets a style or a script be.
fn hash(source: &str) -> String {
    STANDARD.encode(Sha256::digest(source))
}

/// A text between tags, on one line.
fn text(text: &str) -> String {
    escaped(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// JSON for the inside of a script element.
fn json(data: &impl Serialize) -> io::Result<String> {
    let mut bytes = Vec::new();
    data.serialize(&mut Serializer::with_formatter(&mut bytes, Inside))?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// JSON in which nothing ends the script around it or opens a comment, and no control character stands as it is.
struct Inside;

impl Formatter for Inside {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !fragment.contains(|c| matches!(c, '<' | '>' | '&') || is_control(c)) {
            return out.write_all(fragment.as_bytes());
        }
        let fragment = escaped(fragment);
        let fragment = fragment.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        out.write_all(fragment.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_log_is_markup() {
        let hostile =
            "</script><script>alert(1)</script><!-- {{data}} {{style}} &amp; \u{2028}\u{202e}\n\u{0}";
        let page = page(hostile, &[hostile]).expect("a page");
        assert_eq!(page.matches("<script").count(), 2, "the data and the script");
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(!page.contains("alert(1)<") && !page.contains("<!--"), "as it was");
        assert!(!page.contains(['\u{2028}', '\u{202e}', '\0']));
        let (_, rest) = page.split_once("id=\"data\">").expect("the data");
        let (data, _) = rest.split_once("</script>").expect("their end");
        assert_eq!(serde_json::from_str::<[String; 1]>(data).expect("JSON"), [hostile]);
        assert!(page.contains("&lt;/script&gt;") && page.contains("{{data}} {{style}} &amp;amp;"));
    }

    #[test]
    fn the_script_and_the_style_end_where_they_should() {
        let page = page("t", &0).expect("a page");
        let between = |start: &str, end: &str| {
            let (_, rest) = page.split_once(start).expect(start);
            rest.split_once(end).expect(end).0.to_owned()
        };
        let (style, script) = (between("<style>", "</style>"), between("<script>", "</script>"));
        assert!(page.contains(&format!("style-src 'sha256-{}'", hash(&style))));
        assert!(page.contains(&format!("script-src 'sha256-{}'", hash(&script))));
        // The second line of defence is only as good as the first: nothing in the script makes markup of texts.
        for word in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "fetch("]
        {
            assert!(!script.contains(word), "{word}");
        }
    }
}
