/** One turn of a conversation. */
export interface Message {
  role: "system" | "user" | "assistant" | "tool";
  content: string;
}

/** One prompt with the completions that are compared with each other. */
export interface Task<Config = Record<string, unknown>> {
  prompt: Message[];
  /** What the model wrote, at least one text. */
  completions: string[];
  /** The row's own answer, where it has one. */
  reference?: string;
  labels: Record<string, string>;
  metadata: Record<string, unknown>;
  /** The configuration, with the schema's defaults where it says nothing. */
  config: Config;
}

/** A named component of a score, for metrics and reports, with the range of its values. */
export interface Part {
  /** Lower-case letters, digits, `-` and `_`. */
  name: string;
  /** 0 by default. */
  min?: number;
  /** 1 by default. */
  max?: number;
  help?: string;
}

/** What a plugin says about itself. */
export interface Declaration {
  /** Lower-case letters, digits, `-` and `_`. */
  name: string;
  /** `MAJOR.MINOR.PATCH`; 0.1.0 by default. */
  version?: string;
  /** One line of explanation. */
  help?: string;
  /** Between `min` and `max` lies every reward: 0 and 1 by default. */
  min?: number;
  max?: number;
  /** All that scores may name; a name alone is a part from 0 to 1. */
  parts?: (string | Part)[];
  /** A JSON schema of an object: the host checks the operator's configuration against it. */
  config?: { type: "object"; [keyword: string]: unknown };
}

/**
 * What may be returned for a completion: a reward; null to abstain, which leaves the completion out; or an object with more to say.
 */
export type Result =
  | number
  | boolean
  | null
  | { reward: number | boolean | null; parts?: Record<string, number | boolean>; reason?: string };

/** A result, checked. */
export type Verdict =
  | { outcome: "scored"; reward: number; parts: Record<string, number>; reason?: string }
  | { outcome: "abstained"; reason: string };

/** A reward plugin. */
export interface Plugin {
  readonly declaration: Required<Omit<Declaration, "config" | "parts">> & { parts: Required<Part>[]; schema: object };
  /**
   * A verdict for each completion; labels, metadata and configuration are empty where they are left out.
   *
   * @throws ConfigError, ContractError, and whatever the function throws.
   */
  score(task: Pick<Task, "prompt" | "completions" | "reference"> & Partial<Task>): Verdict[];
}

/**
 * Makes a function a reward plugin. It is called once for a prompt's whole group and returns an array with one result for
 * each completion. A plugin is the default export of its module.
 */
export function reward<Config = Record<string, unknown>>(
  declaration: Declaration,
  judge: (task: Task<Config>) => Result[],
): Plugin;

/** A configuration that passes the schema and still makes no sense: throw it. */
export class ConfigError extends Error {}

/** A function returned what none may return. */
export class ContractError extends Error {}
