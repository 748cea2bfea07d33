use super::{
    figure::{Compare, Contender, Curves, Figure, Goal, Measure, Unit},
    peers::{ADAPTER, ADAPTER_GGUF, LLAMA_SERVER, MODEL, MODEL_GGUF, MODEL_GGUF_SHIPPED},
    tool::{PYTHON_PLUGIN, Tool},
};

const NO_VARIABLES: &[(&str, &str)] = &[];
/// What keeps torch off instructions: ATen's own kernels, oneDNN's (bf16) and MKL's (f32, on Intel's processors).
const WITHOUT_AMX: &[(&str, &str)] = &[("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")];
const AVX2: &[(&str, &str)] =
    &[("ATEN_CPU_CAPABILITY", "avx2"), ("ONEDNN_MAX_CPU_ISA", "AVX2"), ("MKL_ENABLE_INSTRUCTIONS", "AVX2")];

const TOKENS: Measure = Measure { key: "tokens_per_second", title: "tokens/s", unit: Unit::PerSecond };
const MEMORY: Measure = Measure { key: "peak_memory_bytes", title: "peak memory", unit: Unit::Bytes };

/// The texts that are embedded and learnt, as rows.
const ROWS: &str = "config/examples/demo/data/tickets.jsonl";

/// Every figure, in the order of the report. A quick one takes fewer steps.
pub(super) fn figures(quick: bool) -> Vec<Figure> {
    vec![
        roofline(),
        sft(quick),
        sft_avx512(quick),
        sft_avx2(quick),
        rollouts(quick),
        grpo(quick),
        embed(quick),
        startup(),
        scaling(),
        reward(),
        precision(),
    ]
}

fn contender(
    name: &'static str,
    tool: Tool,
    arguments: impl Into<String>,
    environment: &'static [(&'static str, &'static str)],
) -> Contender {
    Contender { name, tool, arguments: arguments.into(), environment }
}

fn roofline() -> Figure {
    Figure {
        name: "roofline",
        about: "What the processor's multiply-add instructions and its memory can do at most, with all cores.",
        contenders: vec![contender("products", Tool::Kernels("products"), "", NO_VARIABLES)],
        measures: &[
            Measure { key: "flops_f32", title: "f32", unit: Unit::Flops },
            Measure { key: "flops_bf16", title: "bf16", unit: Unit::Flops },
            Measure { key: "bytes_read_per_second", title: "reading", unit: Unit::BytesPerSecond },
        ],
        goals: Vec::new(),
        needs: None,
        curves: None,
    }
}

fn sft(quick: bool) -> Figure {
    let contenders = [
        sft_ours("perennial f32", "f32", "auto", quick),
        sft_ours("perennial bf16", "bf16", "auto", quick),
        sft_peer("PEFT f32", "f32", NO_VARIABLES, quick),
        sft_peer("PEFT bf16", "bf16", NO_VARIABLES, quick),
    ];
    let (ours, peers) = (&["perennial f32", "perennial bf16"], &["PEFT f32", "PEFT bf16"]);
    Figure {
        name: "sft",
        about: "Supervised fine-tuning of a LoRA adapter (r = 16, alpha = 32, all linear layers): forward, backward and AdamW \
                over 4 sequences of 256 tokens, every token a target. The median step, without the first. With all that the \
                processor can do; the goal for speed is set for processors with AMX.",
        contenders: contenders.into(),
        measures: &[TOKENS, MEMORY],
        goals: vec![
            Goal {
                what: "tokens/s, against the better of PEFT f32 and bf16",
                measure: "tokens_per_second",
                compare: Compare::Rate,
                ours,
                peers,
                at_least: 3.0,
                aim: 6.0,
            },
            Goal {
                what: "peak memory of bf16, against PEFT bf16",
                measure: "peak_memory_bytes",
                compare: Compare::Share,
                ours: &["perennial bf16"],
                peers: &["PEFT bf16"],
                at_least: 0.4,
                aim: 0.25,
            },
        ],
        needs: None,
        curves: None,
    }
}

fn sft_avx512(quick: bool) -> Figure {
    let contenders = [
        sft_ours("perennial f32", "f32", "avx512-bf16", quick),
        sft_ours("perennial bf16", "bf16", "avx512-bf16", quick),
        sft_peer("PEFT f32", "f32", WITHOUT_AMX, quick),
        sft_peer("PEFT bf16", "bf16", WITHOUT_AMX, quick),
    ];
    Figure {
        name: "sft-avx512",
        about: "The same without AMX.",
        contenders: contenders.into(),
        measures: &[TOKENS, MEMORY],
        goals: vec![without_amx()],
        needs: Some("avx512_bf16"),
        curves: None,
    }
}

fn sft_avx2(quick: bool) -> Figure {
    let contenders = [
        sft_ours("perennial f32", "f32", "avx2", quick),
        sft_ours("perennial bf16", "bf16", "avx2", quick),
        sft_peer("PEFT f32", "f32", AVX2, quick),
    ];
    Figure {
        name: "sft-avx2",
        about: "The same with AVX2 alone. There PEFT is measured in f32: oneDNN has no bf16 products for AVX2, and what torch \
                falls back to is far slower.",
        contenders: contenders.into(),
        measures: &[TOKENS, MEMORY],
        goals: vec![without_amx()],
        needs: Some("avx2"),
        curves: None,
    }
}

fn without_amx() -> Goal {
    Goal {
        what: "tokens/s, against PEFT f32",
        measure: "tokens_per_second",
        compare: Compare::Rate,
        ours: &["perennial f32", "perennial bf16"],
        peers: &["PEFT f32"],
        at_least: 1.2,
        aim: 1.6,
    }
}

fn sft_ours(name: &'static str, precision: &str, isa: &str, quick: bool) -> Contender {
    let steps = if quick { 3 } else { 6 };
    let arguments = format!("--model {MODEL} --precision {precision} --isa {isa} --steps {steps}");
    contender(name, Tool::Learn("sft_throughput"), arguments, NO_VARIABLES)
}

fn sft_peer(
    name: &'static str,
    precision: &str,
    environment: &'static [(&'static str, &'static str)],
    quick: bool,
) -> Contender {
    let steps = if quick { 3 } else { 6 };
    contender(name, Tool::Torch("sft.py"), format!("{MODEL} {precision} --steps {steps}"), environment)
}

fn rollouts(quick: bool) -> Figure {
    let new_tokens = if quick { 32 } else { 128 };
    let run = |name, tool, arguments: String| {
        contender(name, tool, format!("{arguments} --new-tokens {new_tokens}"), NO_VARIABLES)
    };
    let (ours, vllm, llama) =
        (Tool::Learn("generate_throughput"), Tool::Vllm("rollouts_vllm.py"), Tool::Llama("rollouts_llama.py"));
    let contenders = [
        run("perennial f32", ours, format!("--model {MODEL} --precision f32")),
        run("perennial bf16", ours, format!("--model {MODEL} --precision bf16")),
        run("perennial f32, adapter", ours, format!("--model {MODEL} --precision f32 --adapter {ADAPTER}")),
        run("perennial bf16, adapter", ours, format!("--model {MODEL} --precision bf16 --adapter {ADAPTER}")),
        run("transformers bf16", Tool::Torch("rollouts_transformers.py"), format!("{MODEL} bf16")),
        run("vLLM bf16", vllm, MODEL.to_owned()),
        run("vLLM bf16, adapter", vllm, format!("{MODEL} --adapter {ADAPTER}")),
        run("llama.cpp bf16", llama, format!("{LLAMA_SERVER} {MODEL_GGUF}")),
        run("llama.cpp bf16, adapter", llama, format!("{LLAMA_SERVER} {MODEL_GGUF} --adapter {ADAPTER_GGUF}")),
        run("llama.cpp Q4_1", llama, format!("{LLAMA_SERVER} {MODEL_GGUF_SHIPPED}")),
        run("llama.cpp Q4_1, adapter", llama, format!("{LLAMA_SERVER} {MODEL_GGUF_SHIPPED} --adapter {ADAPTER_GGUF}")),
    ];
    const AT_8: Measure = Measure { key: "tokens_per_second_8", title: "tokens/s at 8", unit: Unit::PerSecond };
    const AT_32: Measure = Measure { key: "tokens_per_second_32", title: "tokens/s at 32", unit: Unit::PerSecond };
    let goal = |what, measure: Measure, ours, peers, at_least, aim| Goal {
        what,
        measure: measure.key,
        compare: Compare::Rate,
        ours,
        peers,
        at_least,
        aim,
    };
    let bare: &[&str] = &["perennial f32", "perennial bf16"];
    let adapted: &[&str] = &["perennial f32, adapter", "perennial bf16, adapter"];
    let servers: &[&str] = &["vLLM bf16", "llama.cpp bf16", "llama.cpp Q4_1"];
    let adapted_servers: &[&str] = &["vLLM bf16, adapter", "llama.cpp bf16, adapter", "llama.cpp Q4_1, adapter"];
    Figure {
        name: "rollouts",
        about: "8 and 32 completions of one prompt of 38 tokens at once, sampled at temperature 1, 128 tokens each whatever \
                the model says. Bare, and with a LoRA adapter (r = 16) on all linear layers. vLLM runs in-process; llama.cpp \
                is its server, with a slot for each request.",
        contenders: contenders.into(),
        measures: &[AT_8, AT_32, MEMORY],
        goals: vec![
            goal("bare at 8, against transformers bf16", AT_8, bare, &["transformers bf16"], 4.0, 8.0),
            goal("bare at 32, against transformers bf16", AT_32, bare, &["transformers bf16"], 4.0, 8.0),
            goal("adapter at 8, against the best of vLLM and llama.cpp", AT_8, adapted, adapted_servers, 2.0, 4.0),
            goal("adapter at 32, against the best of vLLM and llama.cpp", AT_32, adapted, adapted_servers, 2.0, 4.0),
            goal("bare at 8, against the best of vLLM and llama.cpp", AT_8, bare, servers, 1.0, 1.5),
            goal("bare at 32, against the best of vLLM and llama.cpp", AT_32, bare, servers, 1.0, 1.5),
        ],
        needs: None,
        curves: None,
    }
}

fn grpo(quick: bool) -> Figure {
    let steps = if quick { 2 } else { 3 };
    let ours = |name, arguments: &str| {
        let arguments = format!("--model {MODEL} --precision bf16 --steps {steps} {arguments}");
        contender(name, Tool::Learn("grpo_step"), arguments, NO_VARIABLES)
    };
    let mut contenders = vec![
        ours("perennial bf16", "--prompts 2 --generations 8 --new-tokens 64"),
        contender("TRL bf16", Tool::Torch("grpo.py"), format!("{MODEL} bf16 --steps {steps}"), NO_VARIABLES),
    ];
    if !quick {
        contenders.push(ours("perennial bf16, 8 x 8 x 128", "--prompts 8 --generations 8 --new-tokens 128"));
    }
    Figure {
        name: "grpo",
        about: "A whole step of GRPO: rollouts with the adapter, a reward that costs nothing (the share of one letter), \
                advantages, forward, backward and AdamW. 2 prompts with 8 completions of 64 tokens each; ours also at 8 x 8 x \
                128. The median step, without the first.",
        contenders,
        measures: &[Measure { key: "step_seconds_median", title: "step", unit: Unit::Seconds }, MEMORY],
        goals: vec![Goal {
            what: "speed of a step, against TRL bf16",
            measure: "step_seconds_median",
            compare: Compare::SpeedUp,
            ours: &["perennial bf16"],
            peers: &["TRL bf16"],
            at_least: 5.0,
            aim: 10.0,
        }],
        needs: None,
        curves: None,
    }
}

fn embed(quick: bool) -> Figure {
    let texts = if quick { 32 } else { 128 };
    let torch = |name, precision| {
        contender(name, Tool::Torch("embed.py"), format!("{MODEL} {precision} {ROWS} --texts {texts}"), NO_VARIABLES)
    };
    let ours = |name, method| {
        let arguments = format!("--model {MODEL} --precision bf16 --rows {ROWS} --texts {texts} --method {method}");
        contender(name, Tool::Learn("embed_throughput"), arguments, NO_VARIABLES)
    };
    let contenders = [
        ours("perennial hidden", "hidden"),
        ours("perennial sif", "sif"),
        torch("mean pooling f32", "f32"),
        torch("mean pooling bf16", "bf16"),
    ];
    Figure {
        name: "embed",
        about: "Sentence vectors of support tickets for the replay buffer, by both of its methods: `sif`, the default, which \
                needs no forward pass, and `hidden`, the mean of the middle layer's hidden state. Against the mean of the \
                last hidden state in torch, as sentence-transformers takes it. The goal is held against `hidden` alone.",
        contenders: contenders.into(),
        measures: &[TOKENS, MEMORY],
        goals: vec![Goal {
            what: "tokens/s of `hidden`, against the better of f32 and bf16",
            measure: "tokens_per_second",
            compare: Compare::Rate,
            ours: &["perennial hidden"],
            peers: &["mean pooling f32", "mean pooling bf16"],
            at_least: 2.0,
            aim: 4.0,
        }],
        needs: None,
        curves: None,
    }
}

fn startup() -> Figure {
    let contenders = [
        contender(
            "perennial bf16",
            Tool::Learn("first_token"),
            format!("--model {MODEL} --precision bf16"),
            NO_VARIABLES,
        ),
        contender("transformers f32", Tool::Torch("first_token.py"), format!("{MODEL} f32"), NO_VARIABLES),
        contender("transformers bf16", Tool::Torch("first_token.py"), format!("{MODEL} bf16"), NO_VARIABLES),
    ];
    Figure {
        name: "startup",
        about: "From the start of the process to the first generated token of a prompt of 38 tokens, with the model's files in \
                the system's cache.",
        contenders: contenders.into(),
        measures: &[Measure { key: "first_line_seconds", title: "first token", unit: Unit::Seconds }, MEMORY],
        goals: vec![Goal {
            what: "time to the first token, against transformers",
            measure: "first_line_seconds",
            compare: Compare::Share,
            ours: &["perennial bf16"],
            peers: &["transformers f32", "transformers bf16"],
            at_least: 0.3,
            aim: 0.1,
        }],
        needs: None,
        curves: None,
    }
}

fn scaling() -> Figure {
    let run = |name, arguments: &str| {
        contender(
            name,
            Tool::Learn("sft_throughput"),
            format!("--model {MODEL} --precision bf16 --steps 3 {arguments}"),
            NO_VARIABLES,
        )
    };
    let goal = |what, measure: Measure, compare, ours, peers, at_least, aim| Goal {
        what,
        measure: measure.key,
        compare,
        ours,
        peers,
        at_least,
        aim,
    };
    Figure {
        name: "scaling",
        about: "Ours alone: training steps over a mix of 1k, 10k and 100k samples of 256 tokens; over 4096 tokens in \
                micro-batches of several sizes; and over one sequence of 1k to 8k tokens.",
        contenders: vec![
            run("1k samples", "--samples 1000"),
            run("10k samples", "--samples 10000"),
            run("100k samples", "--samples 100000"),
            run("micro-batches of 512", "--batch 16 --tokens-per-micro-batch 512"),
            run("micro-batches of 1024", "--batch 16 --tokens-per-micro-batch 1024"),
            run("micro-batches of 2048", "--batch 16 --tokens-per-micro-batch 2048"),
            run("micro-batches of 4096", "--batch 16 --tokens-per-micro-batch 4096"),
            run("a sequence of 1024", "--batch 1 --length 1024 --tokens-per-micro-batch 1024"),
            run("a sequence of 2048", "--batch 1 --length 2048 --tokens-per-micro-batch 2048"),
            run("a sequence of 4096", "--batch 1 --length 4096 --tokens-per-micro-batch 4096"),
            run("a sequence of 8192", "--batch 1 --length 8192 --tokens-per-micro-batch 8192"),
        ],
        measures: &[TOKENS, MEMORY],
        goals: vec![
            goal(
                "tokens/s at 100k samples, against 1k",
                TOKENS,
                Compare::Rate,
                &["100k samples"],
                &["1k samples"],
                0.95,
                1.0,
            ),
            goal(
                "peak memory at 100k samples, against 1k",
                MEMORY,
                Compare::Share,
                &["100k samples"],
                &["1k samples"],
                1.2,
                1.05,
            ),
            goal(
                "peak memory of micro-batches of 4096 tokens, against 2048",
                MEMORY,
                Compare::Share,
                &["micro-batches of 4096"],
                &["micro-batches of 2048"],
                2.0,
                1.8,
            ),
            goal(
                "peak memory of a sequence of 8192 tokens, against 4096",
                MEMORY,
                Compare::Share,
                &["a sequence of 8192"],
                &["a sequence of 4096"],
                2.0,
                1.8,
            ),
        ],
        needs: None,
        curves: None,
    }
}

fn reward() -> Figure {
    let contenders = [
        contender("sandboxed", Tool::Perennial, format!("plugin bench {PYTHON_PLUGIN} --json"), NO_VARIABLES),
        contender("as TRL calls it", Tool::Python("reward_native.py"), PYTHON_PLUGIN, NO_VARIABLES),
    ];
    Figure {
        name: "reward",
        about: "A reward in Python, as a plugin in the sandbox and as TRL calls it.",
        contenders: contenders.into(),
        measures: &[Measure { key: "samples_per_second", title: "samples/s", unit: Unit::PerSecond }],
        goals: Vec::new(),
        needs: None,
        curves: None,
    }
}

fn precision() -> Figure {
    let run = |name, precision, seed| {
        let arguments =
            format!("--model {MODEL} --rows {ROWS} --precision {precision} --seed {seed} --steps 200 --batch 4");
        contender(name, Tool::Learn("learning_curve"), arguments, NO_VARIABLES)
    };
    const DISTANCE: &str = "distance";
    let (exact, noise, rounded) = ("f32, seed 0", "f32, seed 1", "bf16, seed 0");
    Figure {
        name: "precision",
        about: "The loss over 200 steps of supervised fine-tuning on support tickets, 4 to a step, with a LoRA adapter (r = 16, \
                alpha = 32, all linear layers), and of tickets held out from it, in nats per target. Another seed starts the \
                adapter otherwise and draws another order: what that changes is noise. The distance of two curves is the mean \
                absolute difference of their means over a tenth of the steps around each.",
        contenders: vec![run(exact, "f32", 0), run(noise, "f32", 1), run(rounded, "bf16", 0)],
        measures: &[
            Measure { key: "held_out_loss", title: "held-out loss", unit: Unit::NatsPerTarget },
            Measure { key: DISTANCE, title: "distance from f32, seed 0", unit: Unit::NatsPerTarget },
        ],
        goals: vec![Goal {
            what: "distance of bf16 from f32, against that of another seed",
            measure: DISTANCE,
            compare: Compare::Share,
            ours: &["bf16, seed 0"],
            peers: &["f32, seed 1"],
            at_least: 1.0,
            aim: 0.5,
        }],
        needs: None,
        curves: Some(Curves { key: "losses", title: "loss, nats per target", from: exact, distance: DISTANCE }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn goals_and_names_refer_to_what_there_is() {
        for figure in figures(false) {
            let names: BTreeSet<&str> = figure.contenders.iter().map(|contender| contender.name).collect();
            assert_eq!(names.len(), figure.contenders.len(), "{}: a name twice", figure.name);
            if let Some(curves) = &figure.curves {
                assert!(names.contains(curves.from), "{}", curves.from);
                assert!(figure.measures.iter().any(|measure| measure.key == curves.distance), "{}", curves.distance);
            }
            for goal in &figure.goals {
                assert!(goal.ours.iter().chain(goal.peers).all(|name| names.contains(name)), "{}", goal.what);
                assert!(figure.measures.iter().any(|measure| measure.key == goal.measure), "{}", goal.what);
                assert!(goal.reached(goal.aim) == super::super::figure::Reached::Aim, "{}", goal.what);
            }
        }
    }
}
