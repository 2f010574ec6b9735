//! How the page looks: contrasts, colours for every kind of vision, pictures for people.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::folder::Folder;
use crate::logs::{entry, row};
use crate::pages::token;

type Colour = [f64; 3];

/// Where pictures go.
fn pictures() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).expect("writable");
    folder
}

/// Text and ground of elements, as light: linear sRGB. Where an element has no ground, it has that of the one around it.
fn painted(browser: &mut Browser, selector: &str) -> Vec<[Colour; 2]> {
    // A canvas turns any colour of CSS into bytes of sRGB.
    let bytes = browser.evaluate(&format!(
        "(() => {{ const pen = Object.assign(document.createElement('canvas'), {{width: 1, height: 1}}).getContext('2d'); \
         const bytes = colour => {{ pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); \
           return [...pen.getImageData(0, 0, 1, 1).data]; }}; \
         const ground = element => {{ const found = bytes(getComputedStyle(element).backgroundColor); \
           return found[3] === 255 ? found : ground(element.parentElement); }}; \
         return [...document.querySelectorAll({selector:?})].map(element => \
           [bytes(getComputedStyle(element).color), ground(element)]); }})()"
    ));
    let bytes: Vec<[[u8; 4]; 2]> = serde_json::from_value(bytes).expect("bytes");
    let linear = |byte: u8| {
        let value = f64::from(byte) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    let light = |[red, green, blue, _]: [u8; 4]| [red, green, blue].map(linear);
    bytes.into_iter().map(|pair| pair.map(light)).collect()
}

/// Relative luminance (WCAG 2).
fn luminance([red, green, blue]: Colour) -> f64 {
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(a: Colour, b: Colour) -> f64 {
    let [a, b] = [luminance(a), luminance(b)];
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// What people without one kind of cone see, from linear sRGB (Machado, Oliveira and Fernandes 2009, severity 1).
const VISIONS: [(&str, [Colour; 3]); 3] = [
    (
        "protanopia",
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
    ),
    (
        "deuteranopia",
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
    ),
    (
        "tritanopia",
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ),
];

fn seen(matrix: &[Colour; 3], colour: Colour) -> Colour {
    matrix
        .map(|row| row.iter().zip(colour).map(|(weight, light)| weight * light).sum::<f64>().clamp(0.0, 1.0))
}

/// An error unless neighbours can be told apart and the order of all is that of their luminance, whoever looks.
fn check_order(grounds: &[Colour]) -> Result<(), String> {
    let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for (vision, matrix) in VISIONS.into_iter().chain([("all cones", identity)]) {
        let seen: Vec<f64> = grounds.iter().map(|ground| luminance(seen(&matrix, *ground))).collect();
        let ratios = seen.windows(2).map(|pair| (pair[1] + 0.05) / (pair[0] + 0.05));
        let rises = grounds.len() > 1 && seen[1] > seen[0];
        if let Some(ratio) =
            ratios.map(|ratio| if rises { ratio } else { 1.0 / ratio }).find(|ratio| *ratio < 1.1)
        {
            return Err(format!("{vision}: neighbours of {ratio:.3} in {seen:.3?}"));
        }
    }
    Ok(())
}

#[test]
fn texts_can_be_read_and_steps_told_apart() {
    let folder = Folder::new();
    folder.log_of_assets("a.jsonl", "log");
    folder.log_of_assets("b.jsonl", "log --temperature 0.9");
    let mut browser = Browser::start();
    for (line, is_pair) in [("report a.jsonl", false), ("report a.jsonl b.jsonl", true)] {
        let page = folder.page(line);
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            browser.open(&page, "");
            let steps = painted(&mut browser, "#legend .step");
            assert_eq!(steps.len(), 9, "{line}");
            let others = painted(
                &mut browser,
                "h1, h2, #summary, #lists a, #details p, th, td, .scale span, footer p, select",
            );
            assert!(others.len() > 20, "{line}");
            for [text, ground] in steps.iter().chain(&others) {
                assert!(contrast(*text, *ground) >= 4.5, "{line}, {scheme}: {text:?} on {ground:?}");
            }
            let grounds: Vec<Colour> = steps.iter().map(|[_, ground]| *ground).collect();
            // Differences go from the middle to both ends.
            let halves = if is_pair {
                vec![grounds[4..].to_vec(), grounds[..5].iter().rev().copied().collect()]
            } else {
                vec![grounds]
            };
            for half in halves {
                check_order(&half).unwrap_or_else(|problem| panic!("{line}, {scheme}: {problem}"));
            }
        }
    }
}

/// Red and green of one lightness are no order for everybody, nor are two greys that are nearly one.
#[test]
fn what_cannot_be_told_apart_is_seen() {
    check_order(&[[0.8, 0.1, 0.1], [0.1, 0.28, 0.1]]).expect_err("red and green");
    check_order(&[[0.5; 3], [0.51; 3]]).expect_err("greys");
    check_order(&[[0.1; 3], [0.5; 3], [0.3; 3]]).expect_err("no order");
    check_order(&[[0.1; 3], [0.3; 3], [0.5; 3]]).expect("an order");
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
}

/// The step of a value: how many of the limits it passes.
fn step(limits: [f64; 8], passes: impl Fn(f64) -> bool) -> String {
    format!("s{}", limits.into_iter().filter(|limit| passes(*limit)).count())
}

#[test]
fn colours_are_those_of_the_scale() {
    let folder = Folder::new();
    let rows = folder.log_of_assets("log.jsonl", "log");
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "");
    let number = |row: &Value, name: &str| row[name].as_f64().expect("a number");
    let probability = |row: &Value| {
        step([0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001], |limit| number(row, "logprob").exp() < limit)
    };
    let rank = |row: &Value| {
        step([1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 100.0, 1000.0], |limit| number(row, "rank") > limit)
    };
    let entropy =
        |row: &Value| step([0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], |limit| number(row, "entropy") > limit);
    let scales: [&dyn Fn(&Value) -> String; 3] = [&probability, &rank, &entropy];
    for (place, scale) in scales.into_iter().enumerate() {
        if place > 0 {
            browser.evaluate("document.getElementById('scale').focus()");
            browser.press("ArrowDown");
        }
        let classes = browser.evaluate(
            "[...document.querySelectorAll('.token')].map(token => token.className.split(' ').at(-1))",
        );
        let expected: Vec<String> = rows[..48].iter().map(scale).collect();
        assert_eq!(classes, json!(expected), "scale {place}");
    }
}

#[test]
fn white_space_has_marks_until_they_are_switched_off() {
    let folder = Folder::new();
    let list = [entry(1, b" a", -1.0)];
    folder.put_log("log.jsonl", &[row(0, 0, 1, b" a", -1.0, &list), row(0, 1, 2, b"  \t\n", -1.0, &list)]);
    let mut browser = Browser::start();
    browser.open(&folder.page("report log.jsonl"), "");
    let marks = "[...document.querySelectorAll('#strip .space')].map(space => getComputedStyle(space, '::before').content)";
    assert_eq!(browser.evaluate(marks), json!(["\"·\"", "\"··\"", "\"→\"", "\"⏎\""]));
    browser.click("document.getElementById('whitespace')");
    assert_eq!(browser.evaluate(marks), json!(["none", "none", "none", "none"]));
}

#[test]
fn pictures_for_people() {
    let folder = Folder::new();
    folder.log_of_assets("log.jsonl", "log");
    folder.log_of_assets(
        "sample.jsonl",
        "sample --temperature 0.8 --top-p 0.9 --seed 7 --raw-logprobs 8 --processed-logprobs 8",
    );
    folder.log_of_assets("greedy.jsonl", "sample --temperature 0 --raw-logprobs 8 --processed-logprobs 8");
    let mut browser = Browser::start();
    for (name, line, place) in [
        ("log", "report log.jsonl", "#0:9"),
        ("sample", "report sample.jsonl", "#1:6"),
        ("two", "report sample.jsonl greedy.jsonl", "#0:3"),
    ] {
        let page = folder.page(line);
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            browser.open(&page, place);
            browser.hover(&token(12));
            let file = pictures().join(format!("{name}-{scheme}.png"));
            browser.screenshot(&file);
            assert!(std::fs::metadata(&file).expect("a picture").len() > 20_000, "{}", file.display());
        }
    }
}
