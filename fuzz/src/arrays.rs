//! Files of arrays: as logits, and as tokens.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use sortilege::Dtype;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use crate::files::{LogitsFile, read_integers};
use crate::shared_args::LogitsArgs;
use crate::{file, folder, told};

/// Tokens that a job wants.
const MOST_TOKENS: usize = 100;

/// A .npy file.
pub fn npy(data: &[u8]) {
    let folder = folder();
    read(&file(&folder, "a.npy", data));
}

/// An .npz file: the bytes themselves, or (the first is odd) a sound archive with the others as a member, since few
/// bytes have the checksum of others.
pub fn npz(data: &[u8]) {
    let folder = folder();
    let Some((&kind, rest)) = data.split_first() else { return };
    let methods = [CompressionMethod::Stored, CompressionMethod::Deflated];
    let bytes = if kind % 2 == 0 { rest.to_vec() } else { zipped(rest, methods[usize::from(kind / 2 % 2)]) };
    read(&file(&folder, "a.npz", &bytes));
}

fn zipped(member: &[u8], method: CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("logits.npy", SimpleFileOptions::default().compression_method(method)).expect("a member");
    zip.write_all(member).expect("memory");
    zip.finish().expect("memory").into_inner()
}

/// A .safetensors file; or an index in JSON and, behind a zero, the file that seeds name.
pub fn safetensors(data: &[u8]) {
    let folder = folder();
    let end = data.iter().position(|&byte| byte == 0);
    match end.filter(|_| data.starts_with(b"{")) {
        Some(end) => {
            file(&folder, "shard.safetensors", &data[end + 1..]);
            read(&file(&folder, "model.safetensors.index.json", &data[..end]));
        }
        None => read(&file(&folder, "a.safetensors", data)),
    }
}

/// A file of llama.cpp's perplexity tool.
pub fn llama(data: &[u8]) {
    let folder = folder();
    read(&file(&folder, "base.kld", data));
}

/// A file without a header: two bytes say its type and its columns.
pub fn raw(data: &[u8]) {
    let folder = folder();
    let [kind, columns, rest @ ..] = data else { return };
    let dtype = Dtype::ALL[usize::from(*kind) % Dtype::ALL.len()];
    let columns = usize::from(*columns);
    let rows = (rest.len() / dtype.bytes()).checked_div(columns).unwrap_or(usize::from(*kind));
    let shape = Some(vec![rows, columns]);
    read_logits(LogitsArgs { shape, dtype: Some(dtype), ..args(file(&folder, "a.bin", rest)) });
}

/// Reads all of a file that says itself what it holds.
fn read(path: &Path) {
    read_logits(args(path.to_owned()));
    // The type that a .npy file cannot name.
    read_logits(LogitsArgs { dtype: Some(Dtype::Bf16), vocab_size: Some(3), ..args(path.to_owned()) });
    let source = path.to_str().expect("UTF-8");
    if let Some(integers) = told(read_integers("--tokens", source, &["tokens"], MOST_TOKENS)) {
        assert!(integers.values.len() <= MOST_TOKENS);
    }
}

/// Options that name a file alone.
pub(crate) fn args(logits: PathBuf) -> LogitsArgs {
    LogitsArgs { logits, ..LogitsArgs::default() }
}

fn read_logits(args: LogitsArgs) {
    let Some(logits) = told(LogitsFile::open(&args)) else { return };
    logits.hash_while_reading();
    let mut rows = 0;
    // Rows of no tokens are refused, so that the file bounds how many there are.
    let read = logits.each_block(0, |block, _| {
        rows += block.len();
        Ok(())
    });
    if told(read).is_some() {
        assert_eq!(rows, logits.rows);
    }
    told(logits.array.sha256());
}
