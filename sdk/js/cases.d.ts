import type { Plugin } from "./reward.js";

/**
 * Holds a plugin to all cases of a folder, `*.json`, and returns how many completions were judged.
 *
 * @throws Error with everything that differs.
 */
export function check(plugin: Plugin, folder: string): number;
