//! Which cases are run, and where.

use std::path::PathBuf;

/// Arguments of `golden`.
#[derive(Debug, clap::Args)]
pub struct GoldenArgs {
    /// The folder, with its `index.json`.
    #[arg(long)]
    pub dir: PathBuf,
    /// `cpu`, or part of an adapter's name.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// The strict executor instead of the fast one (with `--device cpu`).
    #[arg(long)]
    pub strict: bool,
    /// Only families that match; `*` stands for anything.
    #[arg(long)]
    pub family: Option<String>,
    /// Not families that match; `*` stands for anything. It says which it leaves out.
    #[arg(long)]
    pub skip: Option<String>,
    /// Only cases that match; `*` stands for anything.
    #[arg(long)]
    pub case: Option<String>,
    /// Only this variant: f64, f32 or f16.
    #[arg(long)]
    pub variant: Option<String>,
    /// A file of patterns of cases that may be unsupported.
    #[arg(long)]
    pub allow_unsupported: Option<PathBuf>,
    /// One JSON line per family and variant.
    #[arg(long)]
    pub json: bool,
    /// On every executor and every software driver of this machine: subgroup sizes 4, 8 and 16, with the kernels that are for hardware,
    /// without f16, with small limits.
    #[arg(long, conflicts_with_all = ["device", "strict"])]
    pub all: bool,
}
