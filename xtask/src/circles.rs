//! Circles of source files: each uses what the next defines, and the last what the first does.
//!
//! Files import downwards only; a circle of files is a missing idea. The cure is a file of its own for what two of them
//! need, or a dependency the other way round.

mod modules;
mod uses;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use self::{
    modules::Modules,
    uses::{Uses, uses},
};
use crate::run::{cargo, output};

/// Fails where a target of the workspace has a circle, and prints each with the uses that tie it.
pub fn run() -> Result<()> {
    let mut tied = BTreeSet::new();
    for (name, root) in targets()? {
        let uses = uses(&Modules::read(&root, &|file| fs::read_to_string(file).ok())?);
        for circle in circles(&uses) {
            println!("{}", show(&name, &root, &circle, &uses));
            tied.insert(name.clone());
        }
    }
    if !tied.is_empty() {
        bail!("circles of source files in {tied:?}");
    }
    Ok(())
}

/// The libraries and programs of the workspace, with their root files.
fn targets() -> Result<Vec<(String, PathBuf)>> {
    let metadata = output(cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let list = |value: &Value| value.as_array().cloned().context("cargo metadata has another form");
    let mut targets = Vec::new();
    for package in list(&metadata["packages"])? {
        for target in list(&package["targets"])? {
            let is_source =
                list(&target["kind"])?.iter().any(|kind| kind == "lib" || kind == "proc-macro" || kind == "bin");
            if let (true, Some(name), Some(root)) = (is_source, target["name"].as_str(), target["src_path"].as_str()) {
                targets.push((name.to_string(), root.into()));
            }
        }
    }
    Ok(targets)
}

/// The largest sets of files in which each reaches each.
fn circles(uses: &Uses) -> BTreeSet<Vec<PathBuf>> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> = uses.keys().map(|file| (file, reach(file, uses))).collect();
    let is_tied = |a, b| reached[a].contains(b) && reached.get(b).is_some_and(|back| back.contains(a));
    let circle =
        |file| reached.keys().filter(|other| is_tied(file, **other)).map(|other| other.to_path_buf()).collect();
    reached.keys().map(|file| circle(*file)).filter(|circle: &Vec<PathBuf>| !circle.is_empty()).collect()
}

/// Every file that `file` uses, and those that they use.
fn reach<'a>(file: &Path, uses: &'a Uses) -> BTreeSet<&'a PathBuf> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&PathBuf> = uses[file].keys().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(uses.get(file).into_iter().flat_map(BTreeMap::keys));
        }
    }
    reached
}

/// A circle in words: each use inside it, with the line of the first.
fn show(target: &str, root: &Path, circle: &[PathBuf], uses: &Uses) -> String {
    let short = |file: &Path| {
        let folder = root.parent().unwrap_or(root);
        file.strip_prefix(folder).unwrap_or(file).display().to_string()
    };
    let mut text = format!("{target}: a circle of {} files", circle.len());
    for from in circle {
        for (to, items) in uses[from].iter().filter(|(to, _)| circle.contains(to)) {
            let items: Vec<String> = items.iter().map(|(item, line)| format!("{item} (line {line})")).collect();
            text += &format!("\n  {} → {}: {}", short(from), short(to), items.join(", "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a made-up crate, each as the names of its files.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let read =
            |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| text.to_string());
        let uses = uses(&Modules::read(Path::new("lib.rs"), &read).unwrap());
        let names =
            |circle: Vec<PathBuf>| circle.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ");
        circles(&uses).into_iter().map(names).collect()
    }

    #[test]
    fn one_way_is_no_circle() {
        let a = ("a.rs", "use crate::b::B; pub struct A(B);");
        let b = ("b.rs", "pub struct B; impl B { pub fn new() -> Self { Self } }");
        assert!(found(&[("lib.rs", "mod a; mod b;"), a, b]).is_empty());
    }

    #[test]
    fn imports_and_paths_tie() {
        let lib = ("lib.rs", "mod a; mod b; mod c;");
        let a = ("a.rs", "use crate::b::{B, other}; pub struct A(B); ");
        let b = ("b.rs", "pub fn other() -> i32 { crate::c::number() } pub struct B;");
        let c = ("c.rs", "use super::a; pub fn number() -> usize { size_of::<a::A>() }");
        assert_eq!(found(&[lib, a, b, c]), ["a.rs b.rs c.rs"]);
    }

    #[test]
    fn a_module_alone_is_no_use() {
        let b = ("b.rs", "pub fn f() { crate::a::f() }");
        assert!(
            found(&[("lib.rs", "mod a; mod b;"), ("a.rs", "pub(in crate) use crate::b; pub fn f() {}"), b]).is_empty()
        );
    }

    #[test]
    fn handing_on_is_no_use() {
        let files = [("lib.rs", "mod a; pub use a::{A, f};"), ("a.rs", "pub struct A; pub fn f() {}")];
        assert!(found(&files).is_empty());
        // But what a parent does with it is.
        let lib = ("lib.rs", "mod a; pub use a::f; pub struct P; fn g() { f(); }");
        assert_eq!(found(&[lib, ("a.rs", "pub fn f() -> super::P { super::P }")]), ["a.rs lib.rs"]);
        // A variable of that name is another thing.
        let lib = ("lib.rs", "mod a; pub use a::f; pub struct P; fn g(f: P) -> P { f }");
        assert!(found(&[lib, ("a.rs", "pub fn f() -> super::P { super::P }")]).is_empty());
    }

    #[test]
    fn re_exports_lead_to_what_they_name() {
        let lib = ("lib.rs", "mod m; mod user; pub use m::{Item, M};");
        let m = ("m.rs", "mod item; pub use item::Item; pub struct M;");
        // The parent takes no part: `crate::m::Item` and `crate::Item` are `item.rs`.
        let item = ("m/item.rs", "pub struct Item; pub fn f() { crate::user::f() }");
        let user = ("user.rs", "use crate::m::Item; pub fn f() {} pub struct U(Item, crate::Item);");
        assert_eq!(found(&[lib, m, item, user]), ["m/item.rs user.rs"]);
    }

    #[test]
    fn globs_lead_on() {
        let lib = ("lib.rs", "mod a; mod b; pub use a::*;");
        let a = ("a/mod.rs", "pub fn f() { crate::b::g() }");
        assert_eq!(found(&[lib, a, ("b.rs", "use super::*; pub fn g() { f() }")]), ["a/mod.rs b.rs"]);
    }

    #[test]
    fn macros_tie() {
        let lib = ("lib.rs", "mod a; mod b;");
        let a = ("a.rs", "pub fn f() { assert!(crate::b::g(), \"{}\", 1); }");
        let b = ("b.rs", "macro_rules! m { ($x:ident) => { $crate::a::f($x) } } pub fn g() -> bool { true }");
        assert_eq!(found(&[lib, a, b]), ["a.rs b.rs"]);
        // A macro is seen below where it stands.
        let lib = ("lib.rs", "macro_rules! m { () => {} } mod a; fn f() { a::f() }");
        assert_eq!(found(&[lib, ("a.rs", "m!(); pub fn f() {}")]), ["a.rs lib.rs"]);
    }

    #[test]
    fn an_imported_macro_is_no_item_above() {
        let lib = ("lib.rs", "mod a; fn json() { a::f() }");
        assert!(found(&[lib, ("a.rs", "use serde_json::json; pub fn f() { json!(1); vec![1]; }")]).is_empty());
    }

    #[test]
    fn tests_and_other_crates_do_not_count() {
        let lib = ("lib.rs", "mod a; mod b; #[cfg(test)] mod t;");
        let a = ("a.rs", "use ::b::Other; use log; #[cfg(test)] mod tests { use crate::b::B; }");
        let b = ("b.rs", "use super::a::A; pub struct B; fn f() { log::info!(\"{}\", std::a::b) }");
        assert!(found(&[lib, a, b]).is_empty());
    }
}
