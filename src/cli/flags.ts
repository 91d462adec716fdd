/** Flags that many commands share. */
export const configFlag = {
  kind: 'parsed',
  parse: String,
  optional: true,
  placeholder: 'FILE',
  brief: 'Configuration file (default: /etc/postern/edge.toml or hub.toml, or $POSTERN_CONFIG)',
} as const;

export const jsonFlag = {
  kind: 'boolean',
  default: false,
  brief: 'One JSON document on standard output',
} as const;

export const common = { config: configFlag, json: jsonFlag } as const;

export interface CommonFlags {
  readonly config?: string;
  readonly json: boolean;
}

export const commonAliases = { c: 'config', j: 'json' } as const;

export function argument(placeholder: string, brief: string) {
  return { kind: 'tuple', parameters: [{ parse: String, placeholder, brief }] } as const;
}
