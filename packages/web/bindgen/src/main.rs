//! Writes the JavaScript of a module: what `wasm-bindgen --target web` does, without its command line's
//! own dependencies. Comments and indentation go, of the JavaScript and of the shaders in the module, for which spaces stand at the
//! end of each shader, which compress to nothing.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [module, shaders, folder] = &args[..] else {
        anyhow::bail!("usage: bindgen MODULE.wasm SHADERS FOLDER");
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name("sortilege").web(true)?.typescript(false);
    bindgen.remove_name_section(true).remove_producers_section(true).generate(folder)?;
    let script = Path::new(folder).join("sortilege.js");
    std::fs::write(&script, without_comments(&std::fs::read_to_string(&script)?))?;
    let written = Path::new(folder).join("sortilege_bg.wasm");
    let mut bytes = std::fs::read(&written)?;
    blank_shaders(&mut bytes, Path::new(shaders))?;
    Ok(std::fs::write(written, bytes)?)
}

/// A script without the lines that are comments, and without indentation. What wasm-bindgen writes has neither in a text.
fn without_comments(script: &str) -> String {
    let lines = script.lines().map(str::trim_start);
    let is_comment = |line: &&str| ["/*", "*", "//"].iter().any(|start| line.starts_with(start));
    lines.filter(|line| !line.is_empty() && !is_comment(line)).map(|line| format!("{line}\n")).collect()
}

/// Takes comments and indentation out of every shader in the module that lies in a folder or below it. Lines stay, so that
/// those of a compiler's errors are the files'.
fn blank_shaders(module: &mut [u8], folder: &Path) -> Result<()> {
    let mut found = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            let path = entry?.path();
            match path.extension() {
                None => folders.push(path),
                Some(_) => found += blank_comments(module, &std::fs::read(path)?),
            }
        }
    }
    ensure!(found > 0, "no text of {} is in the module", folder.display());
    Ok(())
}

/// The same of one text; how often it is there.
fn blank_comments(module: &mut [u8], text: &[u8]) -> usize {
    let blanked = without_line_ends(text);
    let (mut rest, mut found) = (module, 0);
    while let Some(start) = rest.windows(text.len()).position(|window| window == text) {
        let (here, after) = rest[start..].split_at_mut(text.len());
        here.copy_from_slice(&blanked);
        (rest, found) = (after, found + 1);
    }
    found
}

/// A shader without its comments and the spaces at both ends of lines, as long as it was by spaces at the end of its last line.
fn without_line_ends(text: &[u8]) -> Vec<u8> {
    let mut blanked = Vec::with_capacity(text.len());
    for line in text.trim_ascii_end().split(|&byte| byte == b'\n') {
        let comment = line.windows(2).position(|two| two == b"//").unwrap_or(line.len());
        blanked.extend_from_slice(line[..comment].trim_ascii());
        blanked.push(b'\n');
    }
    blanked.pop();
    blanked.resize(text.len() - 1, b' ');
    blanked.push(b'\n');
    blanked
}
