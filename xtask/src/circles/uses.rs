//! Which file uses what of which other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Expr, ExprPath, ImplItemFn, ItemFn, ItemUse, Macro, PatIdent, Token, TraitItemFn, Visibility,
    punctuated::Punctuated,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::modules::{ModuleId, Modules, Place, imports};

/// What a file uses of each other file: the items, and the line of the first use.
pub type Uses = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeMap<String, usize>>>;

/// The uses of a target. A `mod` is none, and a module that only hands on what its own children define uses nothing.
pub fn uses(modules: &Modules) -> Uses {
    let mut uses = Uses::new();
    for (here, module) in modules.iter() {
        let mut finder = Finder { modules, here, locals: BTreeSet::new(), uses: &mut uses };
        module.items.iter().for_each(|item| finder.visit_item(item));
    }
    uses
}

struct Finder<'a> {
    modules: &'a Modules,
    here: ModuleId,
    /// Arguments and variables of the function around, which hide items of the same name.
    locals: BTreeSet<String>,
    uses: &'a mut Uses,
}

impl Finder<'_> {
    fn found(&mut self, place: Place, path: &[String], line: usize) {
        let Place::Item(module) = place else { return };
        let (from, to) = (self.modules.file(self.here), self.modules.file(module));
        if from != to {
            let leads = |len: &usize| matches!(self.modules.resolve(self.here, &path[..*len]), Place::Item(_));
            let len = (1..=path.len()).find(leads).unwrap_or(path.len());
            let items = self.uses.entry(from.to_path_buf()).or_default().entry(to.to_path_buf()).or_default();
            items.entry(path[len - 1].clone()).or_insert(line);
        }
    }

    fn path(&mut self, path: &[String], line: usize) {
        self.found(self.modules.resolve(self.here, path), path, line);
    }

    /// Paths in the text of a macro. A single name can be anything there.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_colon = |i: usize| matches!(tokens.get(i), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        let mut i = 0;
        while i < tokens.len() {
            let mut path = Vec::new();
            let line = tokens[i].span().start().line;
            match &tokens[i] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(name) => path.push(name.to_string()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            i += 1;
            while !path.is_empty()
                && is_colon(i)
                && is_colon(i + 1)
                && let Some(TokenTree::Ident(name)) = tokens.get(i + 2)
            {
                path.push(name.to_string());
                i += 3;
            }
            if path.len() > 1 {
                self.path(&path, line);
            }
        }
    }

    /// Takes the variables of a function for the time that it is walked; gives those of the one around it.
    fn enter(&mut self, walk: impl FnOnce(&mut Locals)) -> BTreeSet<String> {
        let mut locals = Locals(self.locals.clone());
        walk(&mut locals);
        std::mem::replace(&mut self.locals, locals.0)
    }
}

impl Visit<'_> for Finder<'_> {
    fn visit_item_use(&mut self, item: &ItemUse) {
        for import in imports(item) {
            let place = self.modules.resolve(self.here, &import.path);
            let hands_on = !matches!(item.vis, Visibility::Inherited)
                && matches!(place, Place::Item(module) if self.modules.is_below(module, self.here));
            if !hands_on {
                self.found(place, &import.path, import.line);
            }
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        // `::name` is another crate's.
        if path.leading_colon.is_none() {
            let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.path(&segments, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_path(&mut self, expr: &ExprPath) {
        if !expr.path.get_ident().is_some_and(|name| self.locals.contains(&name.to_string())) {
            visit::visit_expr_path(self, expr);
        }
    }

    fn visit_macro(&mut self, call: &Macro) {
        match call.path.get_ident() {
            Some(name) => {
                let name = name.to_string();
                self.found(self.modules.resolve_macro(self.here, &name), &[name], call.path.span().start().line);
            }
            None => self.visit_path(&call.path),
        }
        match call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            Ok(arguments) => arguments.iter().for_each(|argument| self.visit_expr(argument)),
            Err(_) => self.tokens(call.tokens.clone()),
        }
    }

    fn visit_item_fn(&mut self, function: &ItemFn) {
        let around = self.enter(|locals| locals.visit_item_fn(function));
        visit::visit_item_fn(self, function);
        self.locals = around;
    }

    fn visit_impl_item_fn(&mut self, function: &ImplItemFn) {
        let around = self.enter(|locals| locals.visit_impl_item_fn(function));
        visit::visit_impl_item_fn(self, function);
        self.locals = around;
    }

    fn visit_trait_item_fn(&mut self, function: &TraitItemFn) {
        let around = self.enter(|locals| locals.visit_trait_item_fn(function));
        visit::visit_trait_item_fn(self, function);
        self.locals = around;
    }

    // Documentation may link to anything.
    fn visit_attribute(&mut self, _: &Attribute) {}
}

/// Names that patterns bind. One in capitals is a constant.
struct Locals(BTreeSet<String>);

impl Visit<'_> for Locals {
    fn visit_pat_ident(&mut self, pattern: &PatIdent) {
        let name = pattern.ident.to_string();
        if !name.starts_with(char::is_uppercase) {
            self.0.insert(name);
        }
        visit::visit_pat_ident(self, pattern);
    }
}
