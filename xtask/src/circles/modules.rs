//! The modules of a target, and what each name stands for in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use syn::{
    Attribute, Expr, ExprLit, ItemConst, ItemEnum, ItemFn, ItemImpl, ItemMacro, ItemMod, ItemStatic, ItemStruct,
    ItemTrait, ItemType, ItemUnion, ItemUse, Lit, UseTree,
    spanned::Spanned,
    visit::{self, Visit},
};

/// Gives the text of a source file, where there is one.
pub type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// A module of the target, by its place in [`Modules`].
pub type ModuleId = usize;

/// The modules of one target, without those of its tests. The first is the root.
#[derive(Default)]
pub struct Modules(Vec<Module>);

/// A module: a file, or a block inside a file.
pub struct Module {
    pub file: PathBuf,
    /// What is in it, without its modules and its tests.
    pub items: Vec<syn::Item>,
    parent: Option<ModuleId>,
    names: BTreeMap<String, Vec<Name>>,
    /// The macros that it defines.
    macros: BTreeSet<String>,
    /// The modules whose names it imports all.
    globs: Vec<ModuleId>,
}

/// What a name may stand for. A module and a function may share one.
enum Name {
    Module(ModuleId),
    /// Defined by this module.
    Item(ModuleId),
    /// Imported from this path.
    Import(Vec<String>),
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Module(ModuleId),
    /// To something that this module defines.
    Item(ModuleId),
    /// To another crate, or nowhere.
    Outside,
}

/// Longer chains of imports are imports of themselves: `use log;`.
const MAX_IMPORTS: usize = 16;

impl Modules {
    /// Reads the target whose root is `file`, and every module below it.
    pub fn read(file: &Path, read: Read) -> Result<Modules> {
        let mut modules = Modules::default();
        modules.load(file, folder(file), None, read)?;
        modules.import();
        Ok(modules)
    }

    /// Every module.
    pub fn iter(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        self.0.iter().enumerate()
    }

    /// The file that a module is in.
    pub fn file(&self, module: ModuleId) -> &Path {
        &self.0[module].file
    }

    /// Whether a module is below another.
    pub fn is_below(&self, module: ModuleId, ancestor: ModuleId) -> bool {
        self.ancestors(module).skip(1).any(|above| above == ancestor)
    }

    /// Where a path leads that stands in `scope`: past re-exports, to the module that defines what it names.
    pub fn resolve(&self, scope: ModuleId, path: &[String]) -> Place {
        self.follow(scope, path, MAX_IMPORTS)
    }

    /// Where the name of a macro leads. One that nobody imports is seen by what follows its definition, children included.
    pub fn resolve_macro(&self, scope: ModuleId, name: &str) -> Place {
        self.look_up(scope, name, true, MAX_IMPORTS).unwrap_or_else(|| {
            let mut around = self.ancestors(scope);
            around.find(|module| self.0[*module].macros.contains(name)).map_or(Place::Outside, Place::Item)
        })
    }

    fn ancestors(&self, module: ModuleId) -> impl Iterator<Item = ModuleId> {
        std::iter::successors(Some(module), |&module| self.0[module].parent)
    }

    fn follow(&self, scope: ModuleId, path: &[String], imports: usize) -> Place {
        let mut place = Place::Module(scope);
        for (i, segment) in path.iter().enumerate() {
            let Place::Module(module) = place else { break };
            place = match segment.as_str() {
                "crate" => Place::Module(0),
                "self" => place,
                "super" => self.0[module].parent.map_or(Place::Outside, Place::Module),
                name => match self.look_up(module, name, i + 1 == path.len(), imports) {
                    Some(place) => place,
                    // Another crate, or what a function has around it.
                    None if i == 0 => Place::Outside,
                    // What a macro has written.
                    None => Place::Item(module),
                },
            };
        }
        place
    }

    /// What `name` stands for in a module: an item where it ends a path, else a module.
    fn look_up(&self, module: ModuleId, name: &str, last: bool, imports: usize) -> Option<Place> {
        let imports = imports.checked_sub(1)?;
        let wanted =
            |place: &Place| if last { matches!(place, Place::Item(_)) } else { matches!(place, Place::Module(_)) };
        let meanings = self.0[module].names.get(name).into_iter().flatten();
        let mut places = meanings.map(|meaning| match meaning {
            Name::Module(module) => Place::Module(*module),
            Name::Item(module) => Place::Item(*module),
            Name::Import(path) => self.follow(module, path, imports),
        });
        let first = places.next();
        let best = first.into_iter().chain(places).find(wanted).or(first);
        best.or_else(|| self.0[module].globs.iter().find_map(|glob| self.look_up(*glob, name, last, imports)))
    }

    fn load(&mut self, file: &Path, dir: PathBuf, parent: Option<ModuleId>, read: Read) -> Result<ModuleId> {
        let text = read(file).with_context(|| format!("{}: no such file", file.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
        self.add(file, dir, parent, parsed.items, read)
    }

    /// Adds a module and those in it, whose files are in `dir`.
    fn add(
        &mut self,
        file: &Path,
        dir: PathBuf,
        parent: Option<ModuleId>,
        items: Vec<syn::Item>,
        read: Read,
    ) -> Result<ModuleId> {
        let here = self.0.len();
        let (names, macros, globs) = Default::default();
        self.0.push(Module { file: file.to_path_buf(), items: Vec::new(), parent, names, macros, globs });
        for item in items {
            if is_test(&item) {
                continue;
            }
            if let syn::Item::Mod(module) = item {
                let child = self.child(file, &dir, here, &module, read)?;
                self.name(here, &module.ident.to_string(), Name::Module(child));
                continue;
            }
            if let Some(name) = defined(&item) {
                self.name(here, &name, Name::Item(here));
            }
            if let syn::Item::Macro(ItemMacro { ident: Some(name), attrs, .. }) = &item {
                self.0[here].macros.insert(name.to_string());
                if attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
                    self.name(0, &name.to_string(), Name::Item(here));
                }
            }
            self.0[here].items.push(item);
        }
        Ok(here)
    }

    /// Takes in the imports of every module, those inside functions too.
    fn import(&mut self) {
        let mut globs = Vec::new();
        for here in 0..self.0.len() {
            let mut imports = Imports(Vec::new());
            self.0[here].items.iter().for_each(|item| imports.visit_item(item));
            for import in imports.0 {
                match import.name {
                    Some(name) => self.name(here, &name, Name::Import(import.path)),
                    None => globs.push((here, import.path)),
                }
            }
        }
        // Last, so that no glob is looked for behind another.
        let globs = globs.into_iter().map(|(here, path)| (here, self.resolve(here, &path))).collect::<Vec<_>>();
        for (here, place) in globs {
            if let Place::Module(module) = place {
                self.0[here].globs.push(module);
            }
        }
    }

    fn child(&mut self, file: &Path, dir: &Path, parent: ModuleId, module: &ItemMod, read: Read) -> Result<ModuleId> {
        let name = module.ident.to_string();
        if let Some((_, items)) = &module.content {
            return self.add(file, dir.join(name), Some(parent), items.clone(), read);
        }
        if let Some(path) = path_attribute(&module.attrs) {
            let file = folder(file).join(path);
            return self.load(&file, folder(&file), Some(parent), read);
        }
        for candidate in [dir.join(format!("{name}.rs")), dir.join(&name).join("mod.rs")] {
            if read(&candidate).is_some() {
                return self.load(&candidate, dir.join(&name), Some(parent), read);
            }
        }
        bail!("{}: the module {name} has no file", file.display())
    }

    fn name(&mut self, module: ModuleId, name: &str, meaning: Name) {
        self.0[module].names.entry(name.to_string()).or_default().push(meaning);
    }
}

/// One name of a `use`.
pub struct Import {
    pub path: Vec<String>,
    /// What it is called here; nothing for a glob.
    pub name: Option<String>,
    pub line: usize,
}

/// Every name that a `use` imports.
pub fn imports(item: &ItemUse) -> Vec<Import> {
    fn walk(tree: &UseTree, path: &[String], list: &mut Vec<Import>) {
        let line = tree.span().start().line;
        let longer = |segment: &syn::Ident| [path, &[segment.to_string()]].concat();
        match tree {
            UseTree::Path(part) => walk(&part.tree, &longer(&part.ident), list),
            UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, path, list)),
            UseTree::Glob(_) => list.push(Import { path: path.to_vec(), name: None, line }),
            UseTree::Rename(part) => {
                list.push(Import { path: longer(&part.ident), name: Some(part.rename.to_string()), line });
            }
            UseTree::Name(part) => {
                let path = if part.ident == "self" { path.to_vec() } else { longer(&part.ident) };
                list.push(Import { name: path.last().cloned(), path, line });
            }
        }
    }
    let mut list = Vec::new();
    // `use ::name` is another crate's.
    if item.leading_colon.is_none() {
        walk(&item.tree, &[], &mut list);
    }
    list
}

/// Every import below.
struct Imports(Vec<Import>);

impl<'a> Visit<'a> for Imports {
    fn visit_item_use(&mut self, item: &'a ItemUse) {
        self.0.extend(imports(item));
        visit::visit_item_use(self, item);
    }
}

/// The name that an item defines.
fn defined(item: &syn::Item) -> Option<String> {
    match item {
        syn::Item::Const(ItemConst { ident, .. })
        | syn::Item::Enum(ItemEnum { ident, .. })
        | syn::Item::Static(ItemStatic { ident, .. })
        | syn::Item::Struct(ItemStruct { ident, .. })
        | syn::Item::Trait(ItemTrait { ident, .. })
        | syn::Item::Type(ItemType { ident, .. })
        | syn::Item::Union(ItemUnion { ident, .. })
        | syn::Item::Macro(ItemMacro { ident: Some(ident), .. }) => Some(ident.to_string()),
        syn::Item::Fn(function) => Some(function.sig.ident.to_string()),
        _ => None,
    }
}

/// Whether an item stands under `#[cfg(test)]`.
fn is_test(item: &syn::Item) -> bool {
    let (syn::Item::Fn(ItemFn { attrs, .. })
    | syn::Item::Impl(ItemImpl { attrs, .. })
    | syn::Item::Mod(ItemMod { attrs, .. })
    | syn::Item::Use(ItemUse { attrs, .. })) = item
    else {
        return false;
    };
    attrs.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

/// What `#[path = ".."]` says.
fn path_attribute(attrs: &[Attribute]) -> Option<String> {
    let attribute = attrs.iter().find(|attribute| attribute.path().is_ident("path"))?;
    match &attribute.meta.require_name_value().ok()?.value {
        Expr::Lit(ExprLit { lit: Lit::Str(path), .. }) => Some(path.value()),
        _ => None,
    }
}

fn folder(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).to_path_buf()
}
