//! Lines per file: a long one may hold two ideas.

use anyhow::Result;

use crate::run;

/// Prints the lines of each tracked source file, longest first, and the sum.
pub fn run() -> Result<()> {
    let mut list = std::process::Command::new("git");
    list.args(["ls-files", "*.rs", "*.wgsl"]).current_dir(run::root());
    let mut sizes: Vec<(usize, String)> = run::output(list)?
        .lines()
        .filter_map(|path| {
            let text = std::fs::read_to_string(run::root().join(path)).ok()?;
            Some((text.lines().count(), path.to_string()))
        })
        .collect();
    sizes.sort_by(|a, b| b.cmp(a));
    for (lines, path) in &sizes {
        println!("{lines:6}  {path}");
    }
    println!("{:6}  in {} files", sizes.iter().map(|s| s.0).sum::<usize>(), sizes.len());
    Ok(())
}
