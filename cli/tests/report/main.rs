//! The pages of `sortilege report` in a real browser: what hover, keys and pickers show is what the logs say, nothing of a
//! log becomes markup, nothing is loaded. Pictures for people to look at go to `target/tmp/report/`.

mod browser;
mod contents;
#[path = "../folder/mod.rs"]
mod folder;
mod logs;
mod looks;
mod pages;
mod program;
mod safety;
