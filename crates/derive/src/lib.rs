//! `#[derive(Module)]`: a struct or enum of parameters, states and modules becomes a module itself.
//!
//! Users get it from `thalweg`'s prelude; see `thalweg_graph::module::Module` for what it implements.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote, quote_spanned};
use syn::{Data, DeriveInput, Error, Field, Fields, Member, Result, parse_macro_input, parse_quote, spanned::Spanned};

/// Implements `Module`: every field is visited under its name, in order, so a parameter is called `conv1.weight`.
///
/// Fields are `Param`, `State`, layers, other derived modules, and `Vec`, `Option`, `Box`, arrays, tuples and maps of them; numbers,
/// `bool` and `String` are passed over. A field of any other type carries `#[module(skip)]`. Of an enum the parts of the variant that it
/// is are visited: those of `Layer::Conv(conv)` under the enum's own path, those of `Block::Two(a, b)` as `0` and `1`.
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
/// An enum of layers:
///
/// ```
/// use thalweg_derive::Module;
/// use thalweg_graph::{Mode, Module};
///
/// #[derive(Module)]
/// enum Layer {
///     Drop(Mode),
///     Two { first: Mode, second: Mode },
///     Nothing,
/// }
/// let net = vec![Layer::Drop(Mode::default()), Layer::Nothing];
/// net.eval();
/// assert!(matches!(&net[0], Layer::Drop(mode) if !mode.is_training()));
/// # let _ = Layer::Two { first: Mode::default(), second: Mode::default() };
/// ```
///
/// What a type is called in the table of a model is its name, or an expression: `#[module(name = Self::KIND)]`.
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
/// So are options that do not exist:
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
    let [shared, exclusive] = [Access::Shared, Access::Exclusive].map(|access| visits(&input, &module, access));
    let (shared, exclusive) = (shared?, exclusive?);
    // `struct Net<M> { inner: M }` is a module when M is.
    for parameter in input.generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#module::Module));
    }
    let (name, kind) = (&input.ident, kind(&input)?);
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics #module::Module for #name #arguments #conditions {
            #[allow(unused_variables)]
            fn visit(&self, path: &#module::Path, visitor: &mut dyn #module::Visitor) {
                visitor.module(path, #kind);
                #shared
            }
            #[allow(unused_variables)]
            fn visit_mut(&mut self, path: &#module::Path, visitor: &mut dyn #module::VisitorMut) { #exclusive }
        }
    })
}

/// What the type is called in tables: its name, or what `#[module(name = ..)]` says, for a type with several names.
fn kind(input: &DeriveInput) -> Result<Tokens> {
    let name = &input.ident;
    let mut kind = quote!(stringify!(#name));
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("module")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                kind = meta.value()?.parse()?;
                return Ok(());
            }
            Err(meta.error("the one option of a type is `#[module(name = EXPRESSION)]`, what it is called in tables"))
        })?;
    }
    Ok(kind)
}

/// How a visit holds the parts.
#[derive(Clone, Copy)]
enum Access {
    Shared,
    Exclusive,
}

/// The body of a visit: every field that is not skipped, of an enum those of the variant that it is.
fn visits(input: &DeriveInput, module: &Tokens, access: Access) -> Result<Tokens> {
    let name = &input.ident;
    match &input.data {
        Data::Struct(data) => {
            let arm = arm(quote!(#name), &data.fields, false, module, access)?;
            Ok(quote!(match self { #arm }))
        }
        Data::Enum(data) if data.variants.is_empty() => Ok(quote!(match *self {})),
        Data::Enum(data) => {
            let arms = data.variants.iter().map(|variant| {
                let of = &variant.ident;
                let alone = matches!(&variant.fields, Fields::Unnamed(fields) if fields.unnamed.len() == 1);
                arm(quote!(#name::#of), &variant.fields, alone, module, access)
            });
            let arms = arms.collect::<Result<Vec<_>>>()?;
            Ok(quote!(match self { #(#arms)* }))
        }
        Data::Union(data) => Err(Error::new(data.union_token.span, "Module can be derived for structs and enums only")),
    }
}

/// The pattern of a struct or a variant, and the visits of its fields. One that is `alone` adds nothing to the path: the parts of
/// `Layer::Conv(conv)` are called as the layer is.
fn arm(pattern: Tokens, fields: &Fields, alone: bool, module: &Tokens, access: Access) -> Result<Tokens> {
    let mut bindings = Vec::new();
    let mut visits = Vec::new();
    for (i, field) in fields.iter().enumerate() {
        if skipped(field)? {
            continue;
        }
        let member = field.ident.clone().map_or_else(|| Member::from(i), Member::from);
        let name = match &field.ident {
            Some(ident) => ident.to_string().trim_start_matches("r#").to_string(),
            None => i.to_string(),
        };
        let binding = format_ident!("part_{i}");
        bindings.push(quote!(#member: #binding));
        let visit = match access {
            Access::Shared => quote!(visit),
            Access::Exclusive => quote!(visit_mut),
        };
        let path = if alone { quote!(path) } else { quote!(&path.join(#name)) };
        // The field's span: a field that is no module is then underlined itself.
        visits.push(quote_spanned! {field.ty.span()=> #module::Module::#visit(#binding, #path, visitor); });
    }
    Ok(quote!(#pattern { #(#bindings,)* .. } => { #(#visits)* }))
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
