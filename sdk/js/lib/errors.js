export class ContractError extends Error {
  name = "ContractError";
}

export class ConfigError extends Error {
  name = "ConfigError";
}
