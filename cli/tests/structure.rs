//! The structure that the documentation promises: rooms that import downwards only, no circle of files, wgpu in one
//! room.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// Modules by path (`answer::words`), each with the modules that it imports.
type Graph = BTreeMap<String, BTreeSet<String>>;

const LIBRARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src");
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// One file of a crate.
struct Module {
    path: Vec<String>,
    /// Every path that its code names, from the root of the crate.
    names: Vec<Vec<String>>,
    /// What it hands on from its own children: name to path.
    exports: BTreeMap<String, Vec<String>>,
    /// Children that are there for tests alone.
    tests: Vec<Vec<String>>,
}

/// Collects the paths of a file, tests left out.
struct Names<'a> {
    module: &'a [String],
    names: Vec<Vec<String>>,
    exports: BTreeMap<String, Vec<String>>,
    /// Names that stand in the code outside `use`.
    words: BTreeSet<String>,
    tests: Vec<Vec<String>>,
}

impl Names<'_> {
    /// A path as seen from the root of the crate; nothing for another crate's.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut base: Vec<String> = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.to_vec(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        let mut rest = rest;
        while let Some(("super", further)) =
            rest.split_first().map(|(word, further)| (word.as_str(), further))
        {
            base.pop()?;
            rest = further;
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    fn flatten(tree: &syn::UseTree, before: &mut Vec<String>, paths: &mut Vec<(Vec<String>, String)>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                Self::flatten(&path.tree, before, paths);
                before.pop();
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                paths.push((before.clone(), before.last().cloned().unwrap_or_default()));
            }
            syn::UseTree::Name(name) => {
                paths.push(([&before[..], &[name.ident.to_string()]].concat(), name.ident.to_string()));
            }
            syn::UseTree::Rename(name) => {
                paths.push(([&before[..], &[name.ident.to_string()]].concat(), name.rename.to_string()));
            }
            syn::UseTree::Glob(_) => paths.push((before.clone(), "*".to_owned())),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| Self::flatten(tree, before, paths));
            }
        }
    }
}

/// Whether an item is there for tests alone.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                let condition = list.tokens.to_string();
                condition == "test" || condition.starts_with("all (test")
            })
    })
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            self.tests.push([self.module, &[item.ident.to_string()]].concat());
        } else {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let mut paths = Vec::new();
        Self::flatten(&item.tree, &mut Vec::new(), &mut paths);
        for (path, name) in paths {
            let is_own_child = !["crate", "self", "super", "std"].contains(&path[0].as_str());
            if is_own_child && !matches!(item.vis, syn::Visibility::Inherited) {
                self.exports.insert(name, [self.module, &path].concat());
            } else if let Some(path) = self.absolute(&path) {
                self.names.push(path);
            } else {
                self.names.push([self.module, &path].concat()); // a child, or another crate: resolved later
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.words.insert(words[0].clone());
        if words.len() > 1 {
            match self.absolute(&words) {
                Some(path) => self.names.push(path),
                None => self.names.push([self.module, &words].concat()),
            }
        }
        syn::visit::visit_path(self, path);
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Every file of a crate but those of tests.
fn modules(root: &str) -> Vec<Module> {
    let root = Path::new(root);
    let mut modules = Vec::new();
    for file in rust_files(root) {
        let text = std::fs::read_to_string(&file).expect("the file is readable");
        let relative = file.strip_prefix(root).expect("it lies below").with_extension("");
        let mut path: Vec<String> = relative.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let last = path.last().expect("a name").clone();
        if ["mod", "lib", "main"].contains(&last.as_str()) {
            path.pop();
        }
        modules.push(module(path, &text));
    }
    let tests: Vec<Vec<String>> = modules.iter().flat_map(|module| module.tests.clone()).collect();
    modules.retain(|module| !tests.iter().any(|test| module.path.starts_with(test)));
    modules
}

fn module(path: Vec<String>, text: &str) -> Module {
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", path.join("::")));
    let mut names = Names {
        module: &path,
        names: Vec::new(),
        exports: BTreeMap::new(),
        words: BTreeSet::new(),
        tests: Vec::new(),
    };
    names.visit_file(&file);
    let Names { mut names, exports, words, tests, .. } = names;
    // What a module hands on and uses itself is an import, too.
    names.extend(exports.iter().filter(|(name, _)| words.contains(*name)).map(|(_, path)| path.clone()));
    Module { names, exports, tests, path }
}

/// Who imports whom: paths end at the file that defines what they name, whoever hands it on.
fn graph(modules: &[Module]) -> Graph {
    let by_path: BTreeMap<String, &Module> =
        modules.iter().map(|module| (module.path.join("::"), module)).collect();
    let resolve = |path: &[String]| -> Option<String> {
        let mut path = path.to_vec();
        for _ in 0..8 {
            let length =
                (1..=path.len()).rev().find(|&length| by_path.contains_key(&path[..length].join("::")))?;
            let found = by_path[&path[..length].join("::")];
            match path.get(length).and_then(|name| found.exports.get(name)) {
                // A macro hands on itself.
                Some(further) if further[..] != path[..length + 1] => {
                    path = [&further[..], &path[length + 1..]].concat();
                }
                _ => return Some(found.path.join("::")),
            }
        }
        panic!("{} is handed on in a circle", path.join("::"))
    };
    let imports = |module: &Module| {
        let own = module.path.join("::");
        module.names.iter().filter_map(|name| resolve(name)).filter(|to| *to != own).collect()
    };
    modules.iter().map(|module| (module.path.join("::"), imports(module))).collect()
}

/// The graph of the folders and files at the root.
fn rooms(graph: &Graph) -> Graph {
    let room = |path: &String| path.split("::").next().unwrap_or_default().to_owned();
    let mut rooms = Graph::new();
    for (from, imports) in graph {
        let own = room(from);
        let further = imports.iter().map(room).filter(|to| *to != own && !to.is_empty());
        rooms.entry(own.clone()).or_default().extend(further);
    }
    rooms.remove(""); // the root knows all, and nobody imports it
    rooms
}

/// The modules that lie on circles: what is left when all that import nothing of the rest are taken away.
fn circles(graph: &Graph) -> Vec<String> {
    let mut left = graph.clone();
    loop {
        let before = left.len();
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, imports| imports.iter().any(|to| names.contains(to)));
        let wanted: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|name, _| wanted.contains(name));
        if left.len() == before {
            let names: BTreeSet<String> = left.keys().cloned().collect();
            return left
                .iter()
                .map(|(name, imports)| {
                    let on: Vec<&str> = imports.intersection(&names).map(String::as_str).collect();
                    format!("{name} → {}", on.join(", "))
                })
                .collect();
        }
    }
}

#[test]
fn nothing_imports_in_a_circle() {
    for root in [LIBRARY, PROGRAM] {
        let files = graph(&modules(root));
        assert!(files.len() > 20, "{root} has more files than {}", files.len());
        assert_eq!(circles(&files), [""; 0], "files of {root}");
        assert_eq!(circles(&rooms(&files)), [""; 0], "rooms of {root}");
    }
}

/// The check above must see a circle, whoever hands a name on, and must not take tests for one.
#[test]
fn a_circle_is_seen() {
    let house = |b: &str| {
        let file = |path: &str, text: &str| module(path.split("::").map(str::to_owned).collect(), text);
        vec![
            file("a", "mod one; pub use one::One;"),
            file("a::one", "use crate::b::Two; pub struct One;"),
            file("b", b),
        ]
    };
    let open = house("pub struct Two; #[cfg(test)] mod tests { use crate::a::One; }");
    assert_eq!(circles(&graph(&open)), [""; 0]);
    for closing in ["use crate::a::One; pub struct Two;", "pub struct Two(crate::a::One);"] {
        let graph = graph(&house(closing));
        assert_eq!(circles(&graph), ["a::one → b", "b → a::one"], "{closing}");
        assert_eq!(circles(&rooms(&graph)), ["a → b", "b → a"], "{closing}");
    }
}

#[test]
fn the_library_has_few_rooms_and_wgpu_lives_in_one() {
    let entries = std::fs::read_dir(LIBRARY).expect("the library is there").count();
    assert!(entries <= 18, "{entries} folders and files at the root of the library");
    let outside = |module: &Module| !["", "gpu"].contains(&module.path.first().map_or("", String::as_str));
    for module in modules(LIBRARY).iter().filter(|module| outside(module)) {
        assert!(!names_wgpu(module), "{} names wgpu", module.path.join("::"));
    }
}

/// Whether wgpu is named, whoever hands it on.
fn names_wgpu(module: &Module) -> bool {
    module.names.iter().chain(module.exports.values()).flatten().any(|word| word == "wgpu")
}

#[test]
fn wgpu_is_seen_in_every_disguise() {
    let of = |text: &str| module(vec!["proof".to_owned(), "audit".to_owned()], text);
    for text in [
        "use wgpu::Buffer;",
        "use crate::wgpu::Buffer;",
        "pub(crate) use wgpu::Buffer;",
        "fn size(buffer: &wgpu::Buffer) -> u64 { buffer.size() }",
    ] {
        assert!(names_wgpu(&of(text)), "{text}");
    }
    assert!(!names_wgpu(&of("use crate::gpu::Gpu;")));
}

/// The rooms in the order of the table on the library's front page.
fn rooms_in_order() -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(LIBRARY).join("lib.rs")).expect("the page is readable");
    let table = page.split_once("//! | room | noun |").expect("a table of rooms").1;
    let rows = table.lines().skip(1).take_while(|line| line.starts_with("//! |"));
    let cells = rows.filter_map(|line| line.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn each_room_imports_only_those_above_it() {
    let order = rooms_in_order();
    let place = |room: &String| order.iter().position(|other| other == room);
    for (room, imports) in rooms(&graph(&modules(LIBRARY))) {
        let own = place(&room).unwrap_or_else(|| panic!("{room} is not in the table of the front page"));
        for import in imports {
            assert!(place(&import).is_some_and(|above| above < own), "{room} imports {import}");
        }
    }
}

/// Words in backticks that look like paths of this repository, in a page of the documentation.
fn paths_of(page: &str) -> Vec<&str> {
    const FOLDERS: [&str; 9] =
        ["src/", "shaders/", "cli/", "docs/", "tests/", "scripts/", "examples/", "benches/", "assets/"];
    let words = page.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
    words
        .filter(|word| {
            FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains(['<', '{', '*'])
        })
        .collect()
}

#[test]
fn documentation_names_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for page in [
        "README.md",
        "CHANGELOG.md",
        "docs/adding.md",
        "docs/audit.md",
        "docs/compare.md",
        "docs/logging-cost.md",
        "docs/engines.md",
        "docs/exact.md",
        "docs/formats.md",
        "docs/logs.md",
        "docs/sampling.md",
        "docs/performance.md",
        "docs/report.md",
        "docs/scale.md",
    ] {
        let text = std::fs::read_to_string(root.join(page)).expect("the page is there");
        for path in paths_of(&text) {
            let exists = ["", ".rs"].iter().any(|end| root.join(format!("{path}{end}")).exists());
            assert!(exists, "{page} names {path}, which does not exist");
        }
    }
    assert_eq!(
        paths_of("see `src/lost.rs`, `cargo run` and `docs/x.md` there"),
        ["src/lost.rs", "docs/x.md"]
    );
}

/// Rust files of this many lines and more say in their first line why.
const LONG: usize = 351;

#[test]
fn a_long_file_says_why() {
    for root in [LIBRARY, PROGRAM] {
        for file in rust_files(Path::new(root)) {
            let text = std::fs::read_to_string(&file).expect("the file is readable");
            let says_why =
                text.lines().next().is_some_and(|line| line.starts_with("//!") && line.contains("(long:"));
            let lines = text.lines().count();
            assert!(
                lines < LONG || says_why,
                "{} has {lines} lines: cut it, or say why it is long",
                file.display()
            );
        }
    }
}
