use std::{env, path::PathBuf};

use anyhow::{Context, Result};
use perennial_tests::repository;

use crate::{output, shell::Shell};

/// NVIDIA's compiler, and the headers that candle's kernels include. Some hundred MB.
const WHEELS: [&str; 6] = [
    "nvidia-cuda-nvcc==13.0.*",
    "nvidia-nvvm==13.0.*",
    "nvidia-cuda-crt==13.0.*",
    "nvidia-cuda-runtime==13.0.*",
    "nvidia-cuda-cccl==13.0.*",
    "nvidia-curand==10.4.*",
];

/// Ampere, the first generation that multiplies bf16.
const COMPUTE_CAPABILITY: &str = "80";

/// Prints where the packages of NVIDIA's wheels lie.
const TOOLKIT: &str = "import sysconfig; print(sysconfig.get_path('purelib') + '/nvidia/cu13')";

/// Compiles candle's CUDA kernels and checks what the feature `cuda` adds, on a machine without a GPU or CUDA.
pub(crate) fn check() -> Result<()> {
    let folder = repository().join("target/cuda");
    let python = folder.join("venv/bin/python");
    output::note("Installs NVIDIA's CUDA compiler and headers into target/cuda/venv/ by pip.");
    if !python.is_file() {
        Shell::new("python3").args(["-m", "venv", "target/cuda/venv"]).run()?;
    }
    Shell::new(&python).args(["-m", "pip", "install", "--quiet"]).args(WHEELS).run()?;
    let toolkit = PathBuf::from(Shell::new(&python).args(["-c", TOOLKIT]).text()?);

    let inherited = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([toolkit.join("bin")].into_iter().chain(env::split_paths(&inherited)))
        .context("the path of the compiler")?;
    // Candle with CUDA is another build of candle: a target folder of its own keeps it from that of all others.
    let variables = [
        ("PATH", path.into_string().ok()),
        ("CUDA_HOME", toolkit.to_str().map(str::to_owned)),
        ("CUDA_COMPUTE_CAP", Some(COMPUTE_CAPABILITY.to_owned())),
        ("CARGO_TARGET_DIR", folder.join("target").to_str().map(str::to_owned)),
    ];
    let variables: Option<Vec<(&str, &str)>> =
        variables.iter().map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let variables = variables.context("paths are Unicode")?;
    Shell::cargo().args(["check", "--locked", "-p", "perennial-learn", "--features", "cuda"]).envs(&variables).run()
}
