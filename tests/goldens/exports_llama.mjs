// What llama.cpp makes of a model, alone or with an adapter, through node-llama-cpp: for exports.py.
//
//     node exports_llama.mjs MODULES JOB.json
//
// MODULES is the folder node_modules with node-llama-cpp in it. JOB.json: {"model": FILE, "lora": FILE or null, "prompts": [[id, ...], ...],
// "greedy": N}. Prints {"answers": [{"logits": [f32 over the vocabulary, after the prompt], "greedy": [id, ...]}, ...]}.

import {readFile} from "node:fs/promises";
import {pathToFileURL} from "node:url";
import path from "node:path";

const [modules, job] = process.argv.slice(2);
const entry = pathToFileURL(path.resolve(modules, "node-llama-cpp/dist/index.js"));
const {getLlama} = await import(entry.href);
const {model: file, lora, prompts, greedy} = JSON.parse(await readFile(job, "utf8"));

const llama = await getLlama({gpu: false, build: "never", logLevel: "error", progressLogs: false, maxThreads: 1});
const model = await llama.loadModel({modelPath: file});
const adapters = lora == null ? undefined : {adapters: [{filePath: lora, scale: 1}]};

const answers = [];
for (const prompt of prompts) {
    const context = await model.createContext({contextSize: 512, sequences: 1, threads: 1, lora: adapters});
    const sequence = context.getSequence();
    const after = async (tokens) => {
        const last = [tokens.at(-1), {generateNext: {logits: true}}];
        const found = await sequence.controlledEvaluate([...tokens.slice(0, -1), last]);
        return found.at(-1).next.logits;
    };
    const likeliest = (logits) => [...logits].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
    let logits = await after(prompt);
    const first = new Array(logits.size);
    for (const [token, logit] of logits)
        first[token] = logit;
    const chosen = [];
    for (let count = 0; count < greedy; count += 1) {
        chosen.push(likeliest(logits));
        logits = await after([chosen.at(-1)]);
    }
    answers.push({logits: first, greedy: chosen});
    await context.dispose();
}
console.log(JSON.stringify({answers}));
process.exit(0);
