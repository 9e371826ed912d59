//! Skeletons: kernels in files of WGSL, whose statements (`//% for`, `//% if`) and expressions (`${..}`) are carried out when a kernel is
//! made. An editor takes a skeleton for WGSL; what is generated are the functions that it calls.

use std::sync::OnceLock;

use minijinja::{Environment, Error, UndefinedBehavior, Value, syntax::SyntaxConfig};

/// A kernel in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skeleton {
    /// From the root of the repository.
    pub file: &'static str,
    source: &'static str,
}

macro_rules! skeletons {
    ($($name:ident = $file:literal;)*) => {
        $(
            #[doc = concat!("`", $file, "`")]
            pub const $name: Skeleton =
                Skeleton { file: concat!("shaders/kernels/", $file), source: include_str!(concat!("../kernels/", $file)) };
        )*
        /// All of them.
        pub const ALL: &[Skeleton] = &[$($name),*];
    };
}

skeletons! {
    STAGED = "contract/staged.wgsl";
    SUM = "contract/sum.wgsl";
    MAP = "map.wgsl";
    ALONE = "reduce/alone.wgsl";
    SHARED = "reduce/shared.wgsl";
}

/// WGSL that a skeleton gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub wgsl: String,
    /// For each of its lines the number of the line in the skeleton that it comes from, from 1.
    pub origin: Vec<u32>,
}

/// Ends each line of a skeleton, and stands in front of its number: loops copy both.
const MARK: char = '\u{1}';

impl Skeleton {
    /// The skeleton with its statements carried out.
    ///
    /// # Errors
    /// A name that is not given, or what the statements mean nothing by; with the file and the line.
    pub fn render(self, values: Value) -> Result<Text, String> {
        let rendered = environment().get_template(self.file).and_then(|template| template.render(values));
        let rendered = rendered.map_err(|error| self.located(&error))?;
        let (mut wgsl, mut origin) = (String::with_capacity(rendered.len()), Vec::new());
        for line in rendered.lines() {
            let (text, number) = line.rsplit_once(MARK).unwrap_or((line, "0"));
            wgsl.push_str(text);
            wgsl.push('\n');
            origin.push(number.parse().unwrap_or(0));
        }
        Ok(Text { wgsl, origin })
    }

    fn located(self, error: &Error) -> String {
        let what =
            error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
        format!("{}:{}: {what}", self.file, error.line().unwrap_or(0))
    }
}

/// All skeletons, read once. What they name and nobody gives is an error.
fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let syntax = SyntaxConfig::builder()
            .line_statement_prefix("//%")
            .variable_delimiters("${", "}")
            .block_delimiters("<%", "%>")
            .comment_delimiters("<#", "#>")
            .keep_trailing_newline(true)
            .build()
            .expect("the delimiters differ");
        let mut environment = Environment::new();
        environment.set_syntax(syntax);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for skeleton in ALL {
            let added = environment.add_template_owned(skeleton.file, numbered(skeleton.source));
            added.unwrap_or_else(|error| panic!("{}", skeleton.located(&error)));
        }
        environment
    })
}

/// Every line of text with its number behind it; statements are left alone.
fn numbered(source: &str) -> String {
    let mark = |(i, line): (usize, &str)| match line.trim_start().starts_with("//%") {
        true => format!("{line}\n"),
        false => format!("{line}{MARK}{}\n", i + 1),
    };
    source.lines().enumerate().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn lines_know_where_they_come_from() {
        let text = SUM.render(context! { size => 64, each => 4 }).unwrap();
        let (at, line) = text.wgsl.lines().enumerate().find(|(_, line)| line.contains("acc += ")).unwrap();
        assert_eq!(SUM.source.lines().nth(text.origin[at] as usize - 1).unwrap(), line);
        assert!(text.wgsl.contains("@workgroup_size(64)"));
    }

    #[test]
    fn a_name_that_is_not_given_is_an_error_with_its_line() {
        let error = SUM.render(context! { size => 64 }).unwrap_err();
        let line = 1 + SUM.source.lines().position(|line| line.contains("${each}")).unwrap();
        assert!(error.starts_with(&format!("shaders/kernels/contract/sum.wgsl:{line}: ")), "{error}");
    }
}
