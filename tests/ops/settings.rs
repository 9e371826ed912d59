//! Variables of the environment that mean nothing: whoever opens a device is told. They are read once by a process, so each is set for
//! another run of the test.

use std::{env, process::Command};

use thalweg::prelude::*;
use thalweg_gpu::{GpuBackend, Selector};

const ROWS: [(&str, &str, &str); 4] = [
    ("THALWEG_THREADS", "many", "a number of threads, at most 1024"),
    ("THALWEG_MEMORY", "much", "a number of bytes"),
    ("THALWEG_LIMITS", "grid=7,depth=3", "binding=, grid=, workgroup=, bindings= and wait="),
    ("THALWEG_DEBUG", "graph,everything", "graph, schedule, memory, launches and wgsl"),
];

#[test]
fn a_variable_that_means_nothing_is_an_error_of_opening() {
    let set = ROWS.iter().find(|(name, text, _)| env::var(name).is_ok_and(|is| is == *text));
    if let Some((name, text, allowed)) = set {
        let says = |error: Error| {
            let said = error.to_string();
            assert!(said.contains(&format!("{name} is '{text}'; allowed is")) && said.contains(allowed), "{said}");
        };
        says(Device::cpu().unwrap_err());
        says(Device::best().unwrap_err());
        says(GpuBackend::open(&Selector::Index(0)).unwrap_err());
        says(Tensor::ones(&Device::strict(), [2]).exp().to_vec::<f32>().unwrap_err());
        return;
    }
    for (name, text, _) in ROWS {
        let mut again = Command::new(env::current_exe().expect("a test runs from a file"));
        let test = "ops::settings::a_variable_that_means_nothing_is_an_error_of_opening";
        let ran = again.args(["--exact", test, "--nocapture"]).env(name, text).output().expect("it runs again");
        let text = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && text.contains("1 passed"), "{name}: {text}");
    }
}
