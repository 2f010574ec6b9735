//! Files that lie about themselves, and files of others: refused for what they are, at once and without much memory.

use zip::CompressionMethod::{Deflated, Stored};

use crate::common::{Folder, npy, npy_in_order, npz, safetensors, stderr, stored};
use crate::table::test_each;
use crate::terminals::obeyed;

/// A case: the name of a file, its bytes, and words of the message.
type Case<'a> = (&'a str, Vec<u8>, &'a [&'a str]);

/// Every case is refused, in one line that is not long.
fn refused(folder: &Folder, cases: Vec<Case<'_>>) {
    test_each(cases.into_iter().map(|case| (case.0, case)), |(name, bytes, words)| {
        folder.put(name, bytes);
        let output = folder.run(&format!("log {name} --device cpu"));
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(output.stdout.is_empty(), "it prints records");
        assert!(message.len() < 4000 && message.lines().count() == 1, "{} bytes", message.len());
        let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
        assert!(missing.is_empty(), "{missing:?} not in {message}");
    });
}

#[test]
fn headers_are_bounded_before_they_are_read() {
    let long = |bytes: u32| [b"\x93NUMPY\x02\x00", &bytes.to_le_bytes()[..], b"{'descr': "].concat();
    let nested = |open: &str| npy(&format!("', 'descr': {}", open.repeat(9000)), "(1,)", b"");
    let deep = format!("{{\"logits\": {{\"x\": {}", "[".repeat(100_000));
    let deep = [&(deep.len() as u64).to_le_bytes()[..], deep.as_bytes()].concat();
    let cases: Vec<Case<'_>> = vec![
        ("three_gigabytes.npy", long(3 << 30), &["3221225472 bytes", "at most 65536"]),
        ("one_more.npy", long(65_537), &["65537 bytes", "at most 65536"]),
        ("lists.npy", nested("["), &["no readable .npy header"]),
        ("tuples.npy", nested("("), &["no readable .npy header"]),
        ("dictionaries.npy", nested("{'a': "), &["no readable .npy header"]),
        ("nested_shape.npy", npy("<f4", "((((2,),),),)", b""), &["no tuple of lengths"]),
        ("deep.safetensors", deep, &["no readable .safetensors header"]),
        ("exabytes.safetensors", [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat(), &["at most 2"]),
    ];
    refused(&Folder::new(), cases);
}

/// Of one byte; the unit test has every bit.
#[test]
fn a_damaged_member_is_refused() {
    let folder = Folder::new();
    let array = npy("<f4", "(2, 3)", &stored("f32", &[1.0, 2.0, 3.0, 3.0, 2.0, 1.0]));
    for method in [Stored, Deflated] {
        let mut damaged = npz(method, &[("logits", array.clone())]);
        folder.put("whole.npz", &damaged);
        folder.printed("log whole.npz --device cpu");
        let place = find(&damaged, b"PK\x01\x02") - 10;
        damaged[place] ^= 4;
        refused(&folder, vec![("damaged.npz", damaged, &["logits is damaged"])]);
    }
}

fn find(bytes: &[u8], word: &[u8]) -> usize {
    bytes.windows(word.len()).position(|window| window == word).expect("it is there")
}

#[test]
fn members_hold_what_the_archive_says() {
    let array = npy("<f4", "(2, 3)", &stored("f32", &[0.0; 6]));
    let zeros = npy("<f4", "(2, 3)", &[0; 1 << 20]);
    // The directory's own word for the size, 24 bytes from its start.
    let claim = |archive: &[u8], bytes: u32| {
        let mut lying = archive.to_vec();
        let place = find(&lying, b"PK\x01\x02") + 24;
        lying[place..place + 4].copy_from_slice(&bytes.to_le_bytes());
        lying
    };
    let twice = npz(Stored, &[("logits", array.clone()), ("logitz", array.clone())]);
    let twice: Vec<u8> =
        String::from_utf8_lossy(&twice).contains("logitz").then(|| renamed(&twice)).expect("a name");
    let inflated = npz(Deflated, &[("logits", zeros.clone())]);
    let cases: Vec<Case<'_>> = vec![
        ("more.npz", claim(&inflated, 200), &["logits is damaged", "larger than its declared"]),
        ("less.npz", claim(&inflated, 1 << 30), &["logits is damaged", "1073741824 bytes"]),
        ("twice.npz", twice, &["two members of one name"]),
        ("others.npz", npz(Stored, &[("a", array.clone()), ("b", array.clone())]), &["--tensor", "a, b"]),
    ];
    refused(&Folder::new(), cases);
}

/// The archive, in which `logitz` is called `logits` too.
fn renamed(archive: &[u8]) -> Vec<u8> {
    let mut renamed = archive.to_vec();
    while let Some(place) = renamed.windows(6).position(|window| window == b"logitz") {
        renamed[place + 5] = b's';
    }
    renamed
}

#[test]
fn tensors_stand_in_a_header_once_and_fill_the_file() {
    let data = stored("f32", &[0.0; 6]);
    let good = safetensors(&[("logits", "F32", &[2, 3], &data)]);
    let entry = "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}";
    let twice = format!("{{\"logits\":{entry},\"logits\":{entry}}}");
    let twice = [&(twice.len() as u64).to_le_bytes()[..], twice.as_bytes(), &data].concat();
    let cases: Vec<Case<'_>> = vec![
        ("twice.safetensors", twice, &["logits stands there twice"]),
        ("longer.safetensors", [&good[..], b"more"].concat(), &["its tensors are 24 bytes, 28 follow"]),
        ("shorter.safetensors", good[..good.len() - 1].to_vec(), &["its tensors are 24 bytes, 23 follow"]),
    ];
    refused(&Folder::new(), cases);
}

#[test]
fn bytes_behind_an_array_are_told() {
    let folder = Folder::new();
    let data = stored("f32", &[1.0, 2.0, 3.0, 3.0, 2.0, 1.0]);
    let array = npy("<f4", "(2, 3)", &data);
    let longer = [&array[..], b"12345"].concat();
    folder.put("exact.npy", &array);
    folder.put("longer.npy", &longer);
    folder.put("longer.npz", npz(Stored, &[("logits", longer.clone())]));
    folder.put("inflated.npz", npz(Deflated, &[("logits", longer)]));
    folder.put("fortran.npy", [npy_in_order("<f4", "True", "(2, 3)", &data), vec![0; 5]].concat());
    assert!(!stderr(&folder.run("log exact.npy --device cpu")).contains("note: exact.npy"));
    test_each(["longer.npy", "longer.npz", "inflated.npz", "fortran.npy"].map(|name| (name, name)), |name| {
        let output = folder.run(&format!("log {name} --device cpu"));
        let notes = stderr(&output);
        assert!(notes.contains(&format!("note: {name}: 5 bytes follow the array [2, 3]")), "{notes}");
        assert_eq!(output.status.code(), Some(0));
    });
}

#[test]
fn files_of_others_are_named() {
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let torch = npz(Stored, &[("archive/data", Vec::new())]);
    let torch =
        String::from_utf8_lossy(&torch).contains("data.npy").then(|| pickled(&torch)).expect("a member");
    let cases: Vec<Case<'_>> = vec![
        ("model.pt", torch, &["this is a PyTorch file", "numpy or safetensors"]),
        (
            "old.pt",
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec(),
            &["a PyTorch file"],
        ),
        ("logits.pkl", b"\x80\x04\x95\x00".to_vec(), &["a Python pickle", "numpy or safetensors"]),
        ("model.gguf", b"GGUF\x03\0\0\0".to_vec(), &["a GGUF file"]),
        ("rows.parquet", b"PAR1\x15\x04".to_vec(), &["a Parquet file"]),
        ("rows.arrow", b"ARROW1\0\0".to_vec(), &["an Arrow file"]),
        ("logits.h5", b"\x89HDF\r\n\x1a\n\0".to_vec(), &["an HDF5 file"]),
        ("logits.npy.gz", b"\x1f\x8b\x08\0".to_vec(), &["compressed with gzip", "unpack it"]),
        ("logits.npy.zst", b"\x28\xb5\x2f\xfd\0".to_vec(), &["compressed with zstd", "unpack it"]),
        ("logits.tar", tar, &["a tar archive"]),
        ("plot.png", b"\x89PNG\r\n\x1a\n".to_vec(), &["a PNG image"]),
        ("page.npy", b"<!DOCTYPE html><html>".to_vec(), &["a web page"]),
        (
            "logits.npy",
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            &["Git LFS", "git lfs pull"],
        ),
        ("config.json", b"{\"weights\": 1}".to_vec(), &["no index of .safetensors files", "weight_map"]),
        ("numbers.txt", b"1.0 2.0\n".to_vec(), &["--shape and --dtype"]),
    ];
    refused(&Folder::new(), cases);
}

/// The archive, in which a `data.npy` is called `data.pkl`.
fn pickled(archive: &[u8]) -> Vec<u8> {
    let mut pickled = archive.to_vec();
    while let Some(place) = pickled.windows(8).position(|window| window == b"data.npy") {
        pickled[place + 5..place + 8].copy_from_slice(b"pkl");
    }
    pickled
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let data = stored("f32", &[0.0; 6]);
    let long = "n".repeat(1 << 20);
    let names = ["\u{1b}]0;title\u{7}", "a\nerror: b", "\u{202e}gnp", &long];
    let tensors: Vec<(&str, &str, &[usize], &[u8])> =
        names.iter().map(|name| (*name, "F32", &[2usize, 3][..], &data[..])).collect();
    let arrays: Vec<(&str, Vec<u8>)> =
        names[..3].iter().map(|name| (*name, npy("<f4", "(2, 3)", &data))).collect();
    let words: &[&str] = &["--tensor", "\\u001b]0;title\\u0007", "a\\nerror: b", "\\u202egnp"];
    let cases: Vec<Case<'_>> = vec![
        ("names.safetensors", safetensors(&tensors), words),
        ("names.npz", npz(Stored, &arrays), words),
        ("type.npy", npy("\u{1b}[31m", "(2, 3)", &data), &["\\u001b[31m"]),
        ("\u{1b}[31m.npy", b"nothing".to_vec(), &["\\u001b[31m.npy"]),
    ];
    let folder = Folder::new();
    refused(&folder, cases);
    for name in ["names.safetensors", "names.npz", "type.npy", "\u{1b}[31m.npy"] {
        let message = stderr(&folder.run(&format!("log {name} --device cpu")));
        assert_eq!(obeyed(&message), Vec::<char>::new(), "{message:?}");
    }
}
