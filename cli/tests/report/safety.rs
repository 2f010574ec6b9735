//! Nothing of a log becomes markup, runs or is loaded; and the checks that say so can fail.

use std::path::PathBuf;

use serde_json::Value;

use crate::browser::Browser;
use crate::folder::Folder;
use crate::logs::{entry, row};
use crate::pages::token;

/// Tokens that want to be more than text.
fn hostile() -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> = [
        "</script><img src=x onerror=\"window.pwned=1\">",
        "<img/src=\"x\"onerror=\"window.pwned=2\">",
        "<!--<script>",
        "\u{202e}desrever\u{2066}",
        "\0\u{1b}[31m\u{9b}\u{7f}",
        "&lt;i&gt; ' \" ` ${window.pwned=3}",
        "\\u003c/script\\u003e",
        "{{script}}{{data}}",
        "__proto__",
        "\u{2028}\u{2029}\u{feff}\u{200b}",
        "\u{e0001}\u{e0041}\u{85}",
        "javascript:window.pwned=4",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    tokens.push("<b>x</b>".repeat(131_072).into_bytes());
    tokens.push(vec![0xff, 0xfe, b'<']);
    tokens
}

fn put_hostile_log(folder: &Folder) {
    let tokens = hostile();
    let list: Vec<Value> = tokens.iter().zip(0..).map(|(bytes, token)| entry(token, bytes, -1.0)).collect();
    let rows: Vec<Value> = tokens
        .iter()
        .zip(0..)
        .map(|(bytes, token)| row(0, u64::from(token), token, bytes, -1.0, &list[..]))
        .collect();
    folder.put_log("log.jsonl", &rows);
}

/// What a page has become that it should not: elements of a log's making, a script of its own that ran, complaints.
fn wrongs(browser: &mut Browser) -> Vec<String> {
    let mut wrongs = browser.complaints();
    for (what, expression, expected) in [
        ("pictures", "document.images.length", 0),
        ("bold texts", "document.querySelectorAll('b, i').length", 0),
        ("scripts", "document.scripts.length", 2),
        ("what ran", "window.pwned ?? 0", 0),
        ("policies", "document.querySelectorAll('meta[http-equiv]').length", 1),
    ] {
        let found = browser.evaluate(expression);
        if found != expected {
            wrongs.push(format!("{what}: {found}"));
        }
    }
    wrongs
}

#[test]
fn a_hostile_log_is_text() {
    let folder = Folder::new();
    put_hostile_log(&folder);
    let page = folder.page("report log.jsonl --title </title><script>window.pwned=5</script>");
    assert!(page.metadata().expect("a file").len() < 200_000, "a long token is cut");
    let mut browser = Browser::start();
    browser.open(&page, "");
    for (number, bytes) in hostile().iter().enumerate() {
        browser.click(&token(number));
        let panel = browser.text("#details");
        assert!(panel.contains(&format!("{} bytes", bytes.len())), "{panel}");
    }
    let strip = browser.evaluate("document.getElementById('strip').textContent");
    let strip = strip.as_str().expect("a text");
    for text in [
        "</script><img src=x",
        "\\u202edesrever",
        "\\u0000\\u001b[31m\\u009b\\u007f",
        "&lt;i&gt;",
        "{{script}}",
    ] {
        assert!(strip.contains(text), "no {text:?}");
    }
    assert!(strip.contains("\\u{e0001}\\u{e0041}\\u0085"));
    check_nothing_steers(&mut browser);
    assert_eq!(browser.evaluate("document.title"), "</title><script>window.pwned=5</script>");
    assert_eq!(wrongs(&mut browser), [""; 0]);
    // All stays in its place, on narrow screens too.
    let fits = "document.documentElement.scrollWidth <= innerWidth && [...document.querySelectorAll('.token, #details *')] \
                .every(element => element.getBoundingClientRect().right <= innerWidth)";
    for width in [1300, 700, 400] {
        browser.resize(width);
        assert_eq!(browser.evaluate(fits), true, "{width} wide");
    }
}

/// Nothing of the page steers the text around it: neither the strip nor the panel, nor a sentence that names a token.
fn check_nothing_steers(browser: &mut Browser) {
    let text = "(() => { const body = document.body.cloneNode(true); \
                body.querySelectorAll('script').forEach(script => script.remove()); return body.textContent; })()";
    let text = browser.evaluate(text);
    let text = text.as_str().expect("a text");
    let steers = ['\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{202e}', '\u{2028}', '\u{e0001}'];
    let found: Vec<char> = steers.into_iter().filter(|&steer| text.contains(steer)).collect();
    assert_eq!(found, [], "what steers is spelled");
}

#[test]
fn a_best_token_that_steers_is_spelled() {
    let folder = Folder::new();
    let best = entry(1, "\u{202e}desrever\u{7f}\u{e0001}".as_bytes(), -0.5);
    folder.put_log("log.jsonl", &[row(0, 0, 2, b" x", -2.0, &[best])]);
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "");
    let lists = browser.text("#lists");
    assert!(lists.contains("best \"\\u202edesrever\\u007f\\u{e0001}\""), "{lists}");
    check_nothing_steers(&mut browser);
}

/// The page with one of its texts replaced, as a fault would.
fn planted(folder: &Folder, faults: &[(&str, &str)]) -> PathBuf {
    let page = faults.iter().fold(folder.read("page.html"), |page, (right, wrong)| {
        assert!(page.contains(right), "the page has no {right}");
        page.replace(right, wrong)
    });
    folder.put("planted.html", page);
    folder.path("planted.html")
}

#[test]
fn every_check_sees_its_fault() {
    let folder = Folder::new();
    put_hostile_log(&folder);
    folder.page("report log.jsonl");
    let text = ("      element.append(part);", "      element.insertAdjacentHTML('beforeend', part);");
    let policy = ("<meta http-equiv=\"Content-Security-Policy\"", "<meta name=\"nothing\"");
    let mut browser = Browser::start();
    let mut wrongs_of = |faults: &[(&str, &str)]| {
        let page = planted(&folder, faults);
        browser.open_broken(&page);
        wrongs(&mut browser)
    };
    let sees = |wrongs: &[String], words: &str| {
        assert!(wrongs.iter().any(|wrong| wrong.contains(words)), "no {words:?} in {wrongs:?}");
    };
    assert_eq!(wrongs_of(&[]), [""; 0], "nothing is wrong without a fault");
    // A script of other bytes than those that were hashed does not run.
    sees(&wrongs_of(&[text]), "Content Security Policy");
    sees(&wrongs_of(&[policy]), "policies: 0");
    let both = wrongs_of(&[policy, text]);
    for words in ["pictures:", "bold texts:", "a request for", "what ran:"] {
        sees(&both, words);
    }
    // What would end the data if it stood there as it is.
    sees(&wrongs_of(&[("\\u003c/script\\u003e\\u003cimg", "</script><img")]), "pictures:");
    sees(&wrongs_of(&[("<footer>", "<footer><img src=\"picture.png\">")]), "pictures: 1");
    sees(&wrongs_of(&[("<footer>", "<footer><p style=\"color: red\">")]), "Content Security Policy");
    sees(&wrongs_of(&[policy, ("\nstart();", "\nstart(); console.log('hello');")]), "hello");
    sees(&wrongs_of(&[policy, ("\nstart();", "\nstart(); nothing();")]), "nothing is not defined");
}
