//! Order of the rooms: dependencies point one way, between rooms and inside them.
//!
//! A dependency is a `use` or a path in the code of a file, without its tests. The order of the rooms is read from the first
//! page of the crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Path of a file in the crate; the root of the crate is the empty one.
type Module = Vec<String>;

/// Modules that each module of a crate names.
struct House(BTreeMap<Module, BTreeSet<Module>>);

impl House {
    /// Reads all files below a folder.
    fn of_folder(top: &str) -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join(top);
        let mut sources = BTreeMap::new();
        read_folder(&top, &mut Vec::new(), &mut sources);
        Self::of_sources(&sources)
    }

    fn of_sources(sources: &BTreeMap<Module, String>) -> Self {
        let code = code_of(sources);
        let arrows = code.iter().map(|(module, of_it)| {
            let named = paths(of_it).into_iter().map(|path| absolute(module, &path));
            let files = named.filter_map(|path| file_of(&path, |file| code.contains_key(file)));
            (module.clone(), files.filter(|file| file != module).collect())
        });
        Self(arrows.collect())
    }

    fn arrows(&self) -> impl Iterator<Item = (&Module, &Module)> {
        self.0.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to)))
    }

    fn rooms(&self) -> BTreeSet<&str> {
        self.0.keys().filter_map(|module| module.first()).map(String::as_str).collect()
    }

    /// Returns dependencies on a room that is not below, in this order from the top down.
    fn upward(&self, order: &[Vec<String>]) -> Vec<String> {
        let floor = |module: &Module| {
            let room = module.first()?;
            order.iter().position(|rooms| rooms.contains(room))
        };
        let is_upward = |(from, to): &(&Module, &Module)| {
            from.first() != to.first() && matches!((floor(from), floor(to)), (Some(from), Some(to)) if to <= from)
        };
        self.arrows().filter(is_upward).map(told).collect()
    }

    /// Returns dependencies of a file on its folder's own file.
    fn to_their_face(&self) -> Vec<String> {
        let is_to_its_face = |(from, to): &(&Module, &Module)| !to.is_empty() && from.starts_with(to);
        self.arrows().filter(is_to_its_face).map(told).collect()
    }

    /// Returns circles of files that depend on each other, also indirectly; dependencies up and down one folder do not count.
    fn circles(&self) -> Vec<String> {
        let arrows = self.0.keys().flat_map(|from| self.beside(from).map(move |to| (from, to)));
        arrows.filter(|(from, to)| self.reaches(to, from)).map(told).collect()
    }

    fn reaches(&self, from: &Module, aim: &Module) -> bool {
        let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
        while let Some(module) = next.pop() {
            next.extend(self.beside(module).filter(|to| seen.insert(*to)));
        }
        seen.contains(aim)
    }

    /// Returns the files that a file depends on and that are neither above nor below it in its folder.
    fn beside<'h>(&'h self, from: &'h Module) -> impl Iterator<Item = &'h Module> {
        self.0[from].iter().filter(move |to| !from.starts_with(to) && !to.starts_with(from))
    }
}

/// Returns the code of each file without its tests, and without files that are tests.
fn code_of(sources: &BTreeMap<Module, String>) -> BTreeMap<Module, String> {
    let mut tests = Vec::new();
    let mut code = BTreeMap::new();
    for (module, source) in sources {
        let (of_it, test_files) = without_tests(&without_texts(source));
        code.insert(module.clone(), of_it);
        tests.extend(test_files.into_iter().map(|name| below(module, &name)));
    }
    code.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    code
}

fn told((from, to): (&Module, &Module)) -> String {
    format!("{} -> {}", from.join("/"), to.join("/"))
}

fn below(module: &[String], name: &str) -> Module {
    [module, &[name.to_owned()]].concat()
}

fn read_folder(folder: &Path, module: &mut Module, sources: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            module.push(name);
            read_folder(&path, module, sources);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let of_root = module.is_empty() && (name == "lib" || name == "main");
            let module = if of_root { Vec::new() } else { below(module, &name) };
            sources.entry(module).or_default().push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// Names that a page has in backticks, each in one word.
fn named_on(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2).filter(|name| !name.contains(char::is_whitespace))
}

/// Tells that a file or folder, a module or an item of one, or a function is there, if the name is one of these.
fn is_there(name: &str, house: &House, code: &str) -> bool {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src/", "tests/", "samples/", "migrations/", "benches/", ".ci/", ".cargo/"];
    if folders.iter().any(|folder| name.starts_with(folder)) {
        return name.contains("NN") || top.join(name).exists();
    }
    let path: Module = name.split("::").map(str::to_owned).collect();
    if path.len() > 1 && house.rooms().contains(path[0].as_str()) {
        let file = file_of(&path, |file| house.0.contains_key(file)).expect("a room is a file");
        let source = fs::read_to_string(top.join("src").join(file.join("/")).with_extension("rs")).unwrap();
        return path[file.len()..].iter().all(|item| source.contains(item));
    }
    let is_function = name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    !is_function || code.contains(name)
}

/// Removes comments and quoted texts from code.
fn without_texts(source: &str) -> String {
    let (mut code, mut rest) = (String::new(), source);
    while let Some(first) = rest.chars().next() {
        let is_in_word = code.ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let n_left_out = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => quoted(rest),
            '\'' => character(rest),
            'b' | 'r' if !is_in_word => raw(rest),
            _ => 0,
        };
        if n_left_out == 0 {
            code.push(first);
        }
        rest = &rest[n_left_out.max(first.len_utf8())..];
    }
    code
}

/// Length of a string with its quotes.
fn quoted(text: &str) -> usize {
    let mut is_escaped = true;
    for (at, character) in text.char_indices() {
        match character {
            '"' if !is_escaped => return at + 1,
            _ => is_escaped = at == 0 && character == '\\' || at > 0 && character == '\\' && !is_escaped,
        }
    }
    text.len()
}

/// Length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((at, next))) => {
            let behind = at + next.len_utf8();
            text[behind..].find('\'').map_or(0, |more| behind + more + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// Length of a raw string; 0 for anything else.
fn raw(text: &str) -> usize {
    let Some(behind) = text.strip_prefix("br").or_else(|| text.strip_prefix('r')) else { return 0 };
    let inside = behind.trim_start_matches('#');
    let ends = format!("\"{}", "#".repeat(behind.len() - inside.len()));
    let Some(inside) = inside.strip_prefix('"') else { return 0 };
    let begins = text.len() - inside.len();
    inside.find(&ends).map_or(text.len(), |at| begins + at + ends.len())
}

/// Removes test code, and returns the names of files that are tests.
fn without_tests(code: &str) -> (String, Vec<String>) {
    let (mut kept, mut files, mut rest) = (String::new(), Vec::new(), code);
    while let Some((before, behind)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        let ends = behind.find(['{', ';']).unwrap_or(behind.len());
        let item = &behind[..ends];
        if behind[ends..].starts_with(';') {
            files.extend(item.split_once("mod ").map(|(_, name)| name.trim().to_owned()));
        }
        rest = &behind[ends + block(&behind[ends..])..];
    }
    kept.push_str(rest);
    (kept, files)
}

/// Length of a block with its braces; that of one character if the text begins with no brace.
fn block(text: &str) -> usize {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => (),
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// Returns the paths that code names from the root of the crate, from its own module or from the one above it.
fn paths(code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for beginning in ["crate::", "self::", "super::"] {
        for (at, _) in code.match_indices(beginning) {
            let before = &code[..at];
            let is_inside = before.ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':');
            // `pub(in crate::…)` restricts a use and is none.
            if !is_inside && !before.ends_with("pub(in ") {
                leaves(&code[at..], &[], &mut found);
            }
        }
    }
    found
}

/// Follows a path into its braces, and returns the text behind it.
fn leaves<'t>(text: &'t str, above: &[String], found: &mut Vec<Module>) -> &'t str {
    let (mut path, mut rest) = (above.to_vec(), text.trim_start());
    loop {
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let behind = leaves(rest, &path, found).trim_start();
                rest = behind.strip_prefix(',').unwrap_or(behind).trim_start();
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        let ends = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        path.push(rest[..ends].to_owned());
        rest = rest[ends..].strip_prefix('*').unwrap_or(&rest[ends..]);
        let Some(behind) = rest.strip_prefix("::") else { break };
        rest = behind.trim_start();
    }
    found.push(path);
    match rest.strip_prefix(" as ") {
        Some(name) => name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        None => rest,
    }
}

fn absolute(module: &[String], path: &[String]) -> Module {
    let n_up = path.iter().take_while(|part| *part == "super").count();
    let parts = path[n_up..].iter().filter(|part| *part != "crate" && *part != "self").cloned();
    let from = match path[0].as_str() {
        "crate" => &[],
        _ => &module[..module.len().saturating_sub(n_up)],
    };
    from.iter().cloned().chain(parts).collect()
}

/// Returns the file that a path leads to.
fn file_of(path: &[String], is_file: impl Fn(&Module) -> bool) -> Option<Module> {
    (0..=path.len()).rev().map(|n_parts| path[..n_parts].to_vec()).find(is_file)
}

/// Returns the rooms of each floor from the top down, as the first page of the crate has them.
fn order() -> Vec<Vec<String>> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
    order_on(&page).expect("the page has the order of the rooms")
}

fn order_on(page: &str) -> Option<Vec<Vec<String>>> {
    let mut lines = page.lines().skip_while(|line| !line.contains("Arrows of dependency point one way"));
    lines.find(|line| line.trim_end() == "//! ```text")?;
    let floors = lines.take_while(|line| line.trim_end() != "//! ```");
    Some(floors.map(|line| line.trim_start_matches("//!").split_whitespace().map(str::to_owned).collect()).collect())
}

/// The library comes with a feature of the build, and so does the room.
#[test]
fn the_servers_of_a_replicated_log_are_named_in_one_room() {
    let mut sources = BTreeMap::new();
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut Vec::new(), &mut sources);
    let named: BTreeSet<String> = code_of(&sources)
        .into_iter()
        .filter(|(_, code)| code.contains("async_nats"))
        .map(|(file, _)| file[0].clone())
        .collect();
    assert_eq!(named, BTreeSet::from(["cluster".to_owned()]));
}

#[test]
fn every_room_stands_once_in_the_order_on_the_first_page() {
    let order = order();
    let (house, listed) = (House::of_folder("src"), order.iter().flatten());
    assert_eq!(listed.clone().map(String::as_str).collect::<BTreeSet<_>>(), house.rooms());
    assert_eq!(listed.count(), house.rooms().len());
}

#[test]
fn rooms_use_rooms_on_floors_below_them_alone() {
    assert_eq!(House::of_folder("src").upward(&order()), Vec::<String>::new());
}

#[test]
fn files_of_a_folder_use_nothing_of_the_folders_own_file() {
    assert_eq!(House::of_folder("src").to_their_face(), Vec::<String>::new());
}

#[test]
fn no_files_stand_on_each_other() {
    for folder in ["src", "benches/speed"] {
        assert_eq!(House::of_folder(folder).circles(), Vec::<String>::new(), "{folder}");
    }
}

#[test]
fn files_modules_and_functions_that_the_page_for_contributors_names_are_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(top.join(".github/CONTRIBUTING.md")).unwrap();
    let mut sources = BTreeMap::new();
    for folder in ["src", "tests"] {
        read_folder(&top.join(folder), &mut Vec::new(), &mut sources);
    }
    let (house, code) = (House::of_folder("src"), sources.into_values().collect::<String>());
    let missing: Vec<&str> = named_on(&page).filter(|name| !is_there(name, &house, &code)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn an_arrow_that_points_the_other_way_is_seen_wherever_it_stands() {
    let house = |of_ground: &str| {
        let sources = [
            ("roof", "use crate::ground::Stone;\nmod chimney;\nmod gutter;"),
            ("roof/chimney", "use super::gutter::Pipe; // of crate::roof::Tile"),
            ("roof/gutter", "const NAME: &str = \"super::Tile\"; fn f<'a>(quote: char) { quote == '\"'; }"),
            ("ground", of_ground),
            ("ground/well", ""),
        ];
        let sources = sources.map(|(name, source)| (name.split('/').map(str::to_owned).collect(), source.to_owned()));
        House::of_sources(&BTreeMap::from(sources))
    };
    let order =
        order_on("//! Arrows of dependency point one way:\n//!\n//! ```text\n//! roof\n//! ground\n//! ```").unwrap();
    let upward = |of_ground: &str| house(of_ground).upward(&order);
    for down in ["use std::fs;", "#[cfg(test)]\nmod tests {\n    use crate::roof::Tile;\n}", "/// crate::roof::Tile\n"]
    {
        assert_eq!(upward(down), Vec::<String>::new(), "{down}");
    }
    for up in [
        "use crate::roof::Tile;",
        "use crate::{\n    ground::well::{self, Water},\n    roof::Tile as Slate,\n};",
        "fn f() { g(b'\"', r#\"\"\"#, crate::roof::tile()); }",
        "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\nuse super::roof;",
    ] {
        assert_eq!(upward(up), ["ground -> roof"], "{up}");
    }
    let beside = |of_gutter: &str| {
        let sources =
            [("roof", "mod chimney;"), ("roof/chimney", "use super::gutter::Pipe;"), ("roof/gutter", of_gutter)];
        let sources = sources.map(|(name, source)| (name.split('/').map(str::to_owned).collect(), source.to_owned()));
        House::of_sources(&BTreeMap::from(sources))
    };
    assert_eq!(beside("").circles(), Vec::<String>::new());
    let both = ["roof/chimney -> roof/gutter", "roof/gutter -> roof/chimney"];
    assert_eq!(beside("use crate::roof::chimney::Smoke;").circles(), both);
    assert_eq!(beside("").to_their_face(), Vec::<String>::new());
    assert_eq!(beside("fn f() -> super::Tile {}").to_their_face(), ["roof/gutter -> roof"]);
}

/// Words that hide the noun that a doc comment is about.
const HIDING: [&str; 12] =
    ["What", "Whether", "How", "Who", "Whose", "Whom", "When", "Where", "Why", "It", "None", "There"];

/// Returns the first word of each paragraph of doc comments.
fn first_words(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in source.lines().map(str::trim_start) {
        let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim);
        let text = text.filter(|text| !text.is_empty());
        let first = text.filter(|_| !is_inside).and_then(|text| text.split_whitespace().next());
        found.extend(first);
        is_inside = text.is_some();
    }
    found
}

#[test]
fn doc_comments_begin_with_the_noun_or_verb_that_they_are_about() {
    let sample = "//! A run.\n//!\n//! It ends.\nfn a() {}\n    /// Whether.\n    /// When\n";
    assert_eq!(first_words(sample), ["A", "It", "Whether."]);
    let mut hiding = Vec::new();
    for top in ["src", "tests", "benches"] {
        let mut sources = BTreeMap::new();
        read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join(top), &mut Vec::new(), &mut sources);
        assert!(!sources.is_empty(), "{top}");
        for (module, source) in &sources {
            let words = first_words(source).into_iter().map(|word| word.trim_end_matches(['.', ',', ':']));
            let bad =
                words.filter(|word| HIDING.contains(word)).map(|word| format!("{top}/{}: {word}", module.join("/")));
            hiding.extend(bad);
        }
    }
    assert!(hiding.is_empty(), "{hiding:#?}");
}

/// Returns the names of the types that code declares, without associated ones.
fn types(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let private = match line.trim_start().strip_prefix("pub") {
            Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1,
            Some(rest) => rest,
            None => line,
        };
        let (keyword, rest) = private.trim_start().split_once(' ')?;
        let is_alias = keyword == "type" && !line.starts_with(' ');
        let ends = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let is_type = is_alias || matches!(keyword, "struct" | "enum" | "trait" | "union");
        Some(&rest[..ends]).filter(|name| is_type && !name.is_empty())
    })
}

#[test]
fn the_name_of_a_type_stands_once_in_the_crate() {
    let sample = "pub(in crate::a) struct A<T>(T);\nimpl B for A {\n    type Error = C;\n}\nfn f() {\n    enum D {}\n}\ntype E = A;";
    assert_eq!(types(sample).collect::<Vec<_>>(), ["A", "D", "E"]);
    let mut sources = BTreeMap::new();
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut Vec::new(), &mut sources);
    let code = code_of(&sources);
    let mut files = BTreeMap::<&str, Vec<String>>::new();
    for (module, of_it) in &code {
        for name in types(of_it) {
            files.entry(name).or_default().push(module.join("/"));
        }
    }
    files.retain(|_, files| files.len() > 1);
    assert!(files.is_empty(), "{files:#?}");
}
