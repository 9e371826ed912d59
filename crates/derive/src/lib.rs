//! `#[derive(Module)]`: a struct of parameters, states and modules becomes a module itself.
//!
//! Users get it from `thalweg`'s prelude; see `thalweg_graph::module::Module` for what it implements.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{quote, quote_spanned};
use syn::{Data, DeriveInput, Error, Field, Member, Result, parse_macro_input, parse_quote, spanned::Spanned};

/// Implements `Module`: every field is visited under its name, in order, so a parameter is called `conv1.weight`.
///
/// Fields are `Param`, `State`, layers, other derived modules, and `Vec`, `Option`, `Box` and arrays of them; numbers,
/// `bool` and `String` are passed over. A field of any other type carries `#[module(skip)]`.
///
/// ```
/// use thalweg_derive::Module;
/// use thalweg_graph::{Mode, Module, Path, Visitor};
///
/// #[derive(Module)]
/// struct Net<M> {
///     first: M,
///     blocks: Vec<Block>,
///     width: usize,
///     #[module(skip)]
///     note: &'static str,
/// }
///
/// #[derive(Module)]
/// struct Block(Mode);
///
/// struct Names(Vec<String>);
/// impl Visitor for Names {
///     fn param(&mut self, _: &Path, _: &thalweg_graph::Param) {}
///     fn mode(&mut self, path: &Path, _: &Mode) {
///         self.0.push(path.as_str().into());
///     }
/// }
///
/// let block = || Block(Mode::default());
/// let net = Net { first: block(), blocks: vec![block(), block()], width: 3, note: "not a module" };
/// let mut names = Names(Vec::new());
/// net.visit(&Path::default(), &mut names);
/// assert_eq!(names.0, ["first.0", "blocks.0.0", "blocks.1.0"]);
/// # let _ = (net.width, net.note);
/// ```
///
/// A field that is no module is a compile error at its type:
///
/// ```compile_fail
/// #[derive(thalweg_derive::Module)]
/// struct Net {
///     clock: std::time::Instant,
/// }
/// ```
///
/// So are enums, and options that do not exist:
///
/// ```compile_fail
/// #[derive(thalweg_derive::Module)]
/// struct Net {
///     #[module(ignore)]
///     clock: std::time::Instant,
/// }
/// ```
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(input).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(mut input: DeriveInput) -> Result<Tokens> {
    let module = module_path();
    let visited = visited(&input)?;
    // `struct Net<M> { inner: M }` is a module when M is.
    for parameter in input.generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#module::Module));
    }
    let name = &input.ident;
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    let visits = visited.iter().map(|(member, name, span)| {
        // The field's span: a field that is no module is then underlined itself.
        quote_spanned! {*span=> #module::Module::visit(&self.#member, &path.join(#name), visitor); }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #generics #module::Module for #name #arguments #conditions {
            #[allow(unused_variables)]
            fn visit(&self, path: &#module::Path, visitor: &mut dyn #module::Visitor) { #(#visits)* }
        }
    })
}

/// Member, name in paths, and span of each field that is not skipped.
fn visited(input: &DeriveInput) -> Result<Vec<(Member, String, proc_macro2::Span)>> {
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => {
            let text = "Module can be derived for structs only; for an enum of layers, implement Module by hand and \
                        match on the variant, or keep one Option<Layer> for each in a struct";
            return Err(Error::new(data.enum_token.span, text));
        }
        Data::Union(data) => return Err(Error::new(data.union_token.span, "Module can be derived for structs only")),
    };
    let mut visited = Vec::new();
    for (i, field) in fields.iter().enumerate() {
        if !skipped(field)? {
            let name = match &field.ident {
                Some(ident) => ident.to_string().trim_start_matches("r#").to_string(),
                None => i.to_string(),
            };
            let member = field.ident.clone().map_or_else(|| Member::from(i), Member::from);
            visited.push((member, name, field.ty.span()));
        }
    }
    Ok(visited)
}

/// Whether the field carries `#[module(skip)]`; anything else in `#[module(..)]` is an error.
fn skipped(field: &Field) -> Result<bool> {
    let mut skip = false;
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("module")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                skip = true;
                return Ok(());
            }
            Err(meta.error("the one option of a field is `#[module(skip)]`, for a field that holds no parameters"))
        })?;
    }
    Ok(skip)
}

/// Where `Module` is found from the crate being compiled: Thalweg's own crates do not depend on the facade.
fn module_path() -> Tokens {
    match std::env::var("CARGO_PKG_NAME") {
        Ok(name) if name == "thalweg" || name.starts_with("thalweg-") => quote!(::thalweg_graph::module),
        _ => quote!(::thalweg::module),
    }
}
