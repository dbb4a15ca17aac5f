//! Reads the sources of the library: imports point down only, files stay short, and clocks, sleeps and tasks have one owner
//! each. `lib.rs` stands outside the layers. Comments are not read.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. Modules of one layer may import each other.
const LAYERS: &[&[&str]] = &[
    &["error", "record", "time", "config"],
    &["wire"],
    &["metrics"],
    &["core"],
    &["runtime"],
    &["producer", "blocking", "local"],
];

const MAX_LINES: usize = 500;

/// What no file may say: standard output and error are the application's.
const NEVER: &[&str] = &["println!", "print!(", "dbg!(", "stdout()", "stderr()"];

/// What only one file may say.
const OWNED: &[(&str, &str)] = &[
    ("Instant::now", "runtime/clock.rs"),
    ("SystemTime::now", "runtime/clock.rs"),
    ("thread::sleep", "runtime/clock.rs"),
    ("tokio::time::sleep", "runtime/clock.rs"),
    ("tokio::spawn", "runtime/worker.rs"),
];

#[test]
fn sources_keep_the_rules_of_the_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&root);
    assert!(files.len() > 5, "the sources are in {}", root.display());
    let mut problems = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source is readable text");
        let name = file.strip_prefix(&root).expect("the file lies below").to_string_lossy().replace('\\', "/");
        problems.extend(problems_of(&name, &text));
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn the_bindings_write_to_nobodys_output_either() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/c/src");
    for file in rust_files(&root) {
        let text = fs::read_to_string(&file).expect("a source is readable text");
        let found = NEVER.iter().find(|word| text.contains(**word));
        assert_eq!(found, None, "in {}", file.display());
    }
    assert_eq!(
        problems_of("error.rs", "eprintln!(\"lost\");"),
        ["error.rs: println! writes to what is the application's"]
    );
}

#[test]
fn imports_that_point_up_are_found() {
    let text =
        "use crate::error::Error;\nuse crate::core;\nlet x = crate::wire::f(crate::runtime::y);\n// crate::producer";
    assert_eq!(
        problems_of("wire/md5.rs", text),
        ["wire/md5.rs: crate::core points up", "wire/md5.rs: crate::runtime points up"]
    );
}

#[test]
fn imports_in_groups_are_found() {
    let text = "use crate::{\n    config::{Config, core},\n    metrics,\n    runtime::{self, clock::{a, b}},\n    wire::x as producer,\n};";
    assert_eq!(imports(text), ["config", "metrics", "runtime", "wire"]);
    assert_eq!(problems_of("core/mod.rs", text), ["core/mod.rs: crate::runtime points up"]);
}

#[test]
fn what_has_no_layer_is_found() {
    assert_eq!(problems_of("util.rs", ""), ["util.rs: util has no layer"]);
    assert_eq!(
        problems_of("producer.rs", "use crate::Error;"),
        ["producer.rs: crate::Error has no layer: import it from its module"]
    );
    assert!(problems_of("lib.rs", "pub use crate::producer::Producer;").is_empty());
}

#[test]
fn long_files_and_owned_words_are_found() {
    let text = format!("let now = Instant::now();\n{}", "\n".repeat(MAX_LINES));
    assert_eq!(
        problems_of("core/limiter.rs", &text),
        ["core/limiter.rs: 501 lines are more than 500", "core/limiter.rs: Instant::now belongs to runtime/clock.rs"]
    );
    assert!(problems_of("runtime/clock.rs", "Instant::now()").is_empty());
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// All that is wrong in one file; `name` is its path below `src/`.
fn problems_of(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        problems.push(format!("{name}: {lines} lines are more than {MAX_LINES}"));
    }
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    for (word, owner) in OWNED {
        if code.contains(word) && name != *owner {
            problems.push(format!("{name}: {word} belongs to {owner}"));
        }
    }
    for word in NEVER.iter().filter(|word| code.contains(**word)) {
        problems.push(format!("{name}: {word} writes to what is the application's"));
    }
    let module = name.split(['/', '.']).next().unwrap_or_default();
    if module == "lib" {
        return problems;
    }
    let Some(own_layer) = layer(module) else {
        problems.push(format!("{name}: {module} has no layer"));
        return problems;
    };
    for import in imports(&code) {
        match layer(&import) {
            Some(layer) if layer <= own_layer => {}
            Some(_) => problems.push(format!("{name}: crate::{import} points up")),
            None => problems.push(format!("{name}: crate::{import} has no layer: import it from its module")),
        }
    }
    problems
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The first name of every `crate::` path, those in groups included.
fn imports(code: &str) -> Vec<String> {
    code.match_indices("crate::").flat_map(|(at, path)| first_names(&code[at + path.len()..])).collect()
}

/// The first names of a path, or of each path in a group.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| {
        let text = text.trim_start();
        text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())].to_owned()
    };
    let Some(group) = path.trim_start().strip_prefix('{') else { return vec![name(path)] };
    let mut names = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}
